//! TLS on the gRPC port: who is let in, and new certificates while streams are open.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::certificates::Authority;
use common::{Controller, TestAgent, config, hello};
use pointsman_agent::config::{Config, Transport};
use pointsman_agent::tls::TlsFiles;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::reach::{self, Spoken};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Error};

fn secured(state_dir: &Path, files: TlsFiles) -> Config {
    let mut config = config(state_dir);
    config.serving.transport = Transport::Tls(files);
    config
}

async fn connect(agent: &TestAgent, tls: ClientTlsConfig) -> Result<Channel, Error> {
    let address = agent.address.replace("http://", "https://");
    let endpoint = Endpoint::from_shared(address).expect("an address");
    endpoint
        .tls_config(tls)
        .expect("good options")
        .connect()
        .await
}

async fn version(channel: Channel) -> Result<String, tonic::Status> {
    let mut client = P4RuntimeClient::new(channel);
    let answer = client.capabilities(p4::CapabilitiesRequest::default());
    Ok(answer.await?.into_inner().p4runtime_api_version)
}

/// Asks over new connections until one of them is answered as wanted.
async fn until_new_connections(agent: &TestAgent, tls: &ClientTlsConfig, served: bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while connect(agent, tls.clone()).await.is_ok() != served {
        assert!(Instant::now() < deadline, "nothing has changed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_believes_the_authority_is_served_and_who_speaks_plainly_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let files = authority.files(directory.path(), false);
    let agent = TestAgent::start(&secured(&directory.path().join("state"), files)).await;
    let channel = connect(&agent, authority.trusted()).await.expect("TLS");
    assert_eq!(version(channel).await.expect("an answer"), "1.5.0");
    let stranger = connect(&agent, Authority::new().trusted()).await;
    assert!(
        stranger.is_err(),
        "the agent is vouched for by somebody else"
    );
    let plain = Channel::from_shared(agent.address.clone()).expect("an address");
    let answered = match plain.connect().await {
        Ok(channel) => version(channel).await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "it was served without TLS");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mutual_tls_a_certificate_of_another_authority_ends_the_handshake() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let files = authority.files(directory.path(), true);
    let agent = TestAgent::start(&secured(&directory.path().join("state"), files)).await;
    let good = connect(&agent, authority.trusted_by("controller-1")).await;
    assert!(version(good.expect("TLS")).await.is_ok());
    let (certificate, key) = Authority::new().client("controller-1");
    let forged = tonic::transport::Identity::from_pem(certificate, key);
    let answered = match connect(&agent, authority.trusted().identity(forged)).await {
        Ok(channel) => version(channel).await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "nobody we know vouches for it");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_shown_to_new_connections_and_open_streams_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = Authority::new();
    let files = old.files(directory.path(), false);
    let state = directory.path().join("state");
    let agent = TestAgent::start(&secured(&state, files.clone())).await;
    let channel = connect(&agent, old.trusted()).await.expect("TLS");
    let client = P4RuntimeClient::new(channel);
    let mut controller = Controller::open(client, hello("", Some(5))).await;
    controller.arbitration().await;

    // What is no certificate changes nothing.
    std::fs::write(&files.cert, "not a certificate").expect("it can be written");
    let new = Authority::new();
    assert!(connect(&agent, old.trusted()).await.is_ok());

    new.write_server(&files, "agent");
    until_new_connections(&agent, &new.trusted(), true).await;
    until_new_connections(&agent, &old.trusted(), false).await;
    controller.arbitrate(hello("", Some(6))).await;
    let update = controller.arbitration().await;
    assert_eq!(update.election_id.expect("there is a primary").low, 6);
    drop(controller);
    agent.stop().await;
}

/// What a client that speaks so is told when it asks the agent for its version.
async fn told(address: &str, tls: Option<ClientTlsConfig>) -> String {
    let spoken = match tls {
        Some(_) => Spoken::Tls,
        None => Spoken::Plainly,
    };
    let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
    let endpoint = match tls {
        Some(tls) => endpoint.tls_config(tls).expect("good options"),
        None => endpoint,
    };
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => return reach::cause(&error, spoken, "--agent-ca"),
    };
    let error = version(channel).await.expect_err("they do not understand");
    reach::cause(&error, spoken, "--agent-ca")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cannot_be_understood_is_told_why_and_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let files = authority.files(directory.path(), true);
    let secured = TestAgent::start(&secured(&directory.path().join("secured"), files)).await;
    let open = TestAgent::start(&config(&directory.path().join("open"))).await;
    let over_tls = |agent: &TestAgent| agent.address.replace("http://", "https://");
    for (told, says) in [
        (
            told(&secured.address, None).await,
            "may expect TLS: say whom to believe with --agent-ca",
        ),
        (
            told(&over_tls(&open), Some(authority.trusted())).await,
            "does not speak TLS",
        ),
        (
            told(&over_tls(&secured), Some(Authority::new().trusted())).await,
            "nobody in the file of --agent-ca",
        ),
        (
            told(&over_tls(&secured), Some(authority.trusted())).await,
            "asks clients for certificates",
        ),
        (
            told(
                &over_tls(&secured),
                Some(authority.trusted().domain_name("elsewhere.example")),
            )
            .await,
            "is for other names",
        ),
    ] {
        assert!(told.contains(says), "{told:?} does not say {says:?}");
    }
}
