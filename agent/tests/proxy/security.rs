//! TLS between the proxy and the switch behind it.

use pointsman_agent::config::Transport;
use tonic::Code;

use super::common::certificates::Authority;
use super::*;

/// An agent that is served over TLS, and asks for certificates if `mutual`.
async fn secured(dir: &std::path::Path, authority: &Authority, mutual: bool) -> TestAgent {
    let files = authority.files(dir, mutual);
    let mut config = config(&dir.join("state"));
    config.pipeline = PipelineChoice::None;
    config.serving.transport = Transport::Tls(files);
    TestAgent::start(&config).await
}

async fn writes_through(behind: &TestAgent, tls: tonic::transport::ClientTlsConfig) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut upstream = upstream(&behind.address);
    upstream.tls = Some(tls);
    let proxy = TestAgent::start_proxy(&proxy_config(dir.path()), upstream).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    controller.write(vec![insert(1)]).await.expect("it is new");
    let state = behind.agent.shared();
    let (_, store) = state.switch.contents().expect("it has a pipeline");
    assert_eq!(store.updates().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_written_over_tls_when_its_authority_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let behind = secured(dir.path(), &authority, false).await;
    writes_through(&behind, authority.trusted()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_asks_for_a_certificate_is_shown_the_agents_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let behind = secured(dir.path(), &authority, true).await;
    writes_through(&behind, authority.trusted_by("proxy")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_of_another_authority_is_away_and_clients_are_told_why() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let behind = secured(dirs[0].path(), &Authority::new(), false).await;
    let mut upstream = upstream(&behind.address);
    upstream.tls = Some(Authority::new().trusted());
    let proxy = TestAgent::start_proxy(&proxy_config(dirs[1].path()), upstream).await;
    let mut controller = proxy.primary(1).await;
    let waiting = async {
        loop {
            let refused = controller.write(vec![insert(1)]).await;
            let refused = refused.expect_err("the switch is not there");
            assert_eq!(refused.code(), Code::Unavailable);
            if refused
                .message()
                .contains("nobody in the file of --upstream-ca")
            {
                return;
            }

            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, waiting).await;
    told.expect("the reason is in the refusal");
}
