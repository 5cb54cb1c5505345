//! Who may do what, by the identity in a client's certificate.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::certificates::Authority;
use common::{Controller, DEVICE, TestAgent, config, hello};
use pointsman_agent::config::Transport;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_request::Update as ToAgent;
use pointsman_proto::p4::v1::stream_message_response::Update as FromAgent;
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};

const POLICY: &str = "
rules:
  - identities: [controller-1]
    allow: [all]
  - identities: [watcher]
    allow: [backup, read, get_pipeline]
  - identities: [telemetry]
    allow: [primary, write, read]
    roles: [telemetry]
  - identities: [operator]
    allow: [primary, write, read]
    tables: [routing_v4, clone_sessions]
";

/// An agent that asks clients for certificates, with a policy.
struct Secured {
    agent: TestAgent,
    authority: Authority,
    directory: tempfile::TempDir,
}

impl Secured {
    async fn start(policy: &str) -> Secured {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::new();
        let mut config = config(&directory.path().join("state"));
        let files = authority.files(directory.path(), true);
        config.serving.transport = Transport::Tls(files);
        let file = directory.path().join("authorization.yaml");
        write_policy(&file, policy);
        config.serving.authorization = Some(file);
        let agent = TestAgent::start(&config).await;
        Secured {
            agent,
            authority,
            directory,
        }
    }

    async fn channel(&self, tls: ClientTlsConfig) -> Channel {
        let address = self.agent.address.replace("http://", "https://");
        let endpoint = Endpoint::from_shared(address).expect("an address");
        let endpoint = endpoint.tls_config(tls).expect("good options");
        endpoint.connect().await.expect("TLS")
    }

    async fn client(&self, who: &str) -> P4RuntimeClient<Channel> {
        P4RuntimeClient::new(self.channel(self.authority.trusted_by(who)).await)
    }

    async fn stream(&self, who: &str, role: &str, id: Option<u64>) -> Controller {
        Controller::open(self.client(who).await, hello(role, id)).await
    }
}

fn write_policy(file: &Path, policy: &str) {
    std::fs::write(file, policy).expect("it can be written");
}

async fn read_all(client: &mut P4RuntimeClient<Channel>) -> Result<usize, Status> {
    let filter = p4::entity::Entity::TableEntry(p4::TableEntry::default());
    Ok(common::read(client, filter).await?.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_every_request_is_unauthenticated() {
    let secured = Secured::start(POLICY).await;
    let nobody = secured.channel(secured.authority.trusted()).await;
    let mut client = P4RuntimeClient::new(nobody.clone());
    let asked = client.capabilities(p4::CapabilitiesRequest::default());
    let refused = asked.await.expect_err("nobody asked");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("client_ca"), "{refused}");
    let mut service = AgentClient::new(nobody);
    let status = service.get_status(pb::GetStatusRequest {});
    let refused = status.await.expect_err("nobody asked");
    assert_eq!(refused.code(), Code::Unauthenticated);
    secured.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_may_do_what_a_rule_allows_and_is_told_which_rule_is_missing() {
    let secured = Secured::start(POLICY).await;
    let mut watcher = secured.client("watcher").await;
    assert!(read_all(&mut watcher).await.is_ok());
    let asked = watcher.capabilities(p4::CapabilitiesRequest::default());
    let refused = asked.await.expect_err("no rule");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let rule = "{ identities: [\"watcher\"], allow: [capabilities] }";
    assert!(refused.message().contains(rule), "{refused}");
    let channel = secured.authority.trusted_by("watcher");
    let mut service = AgentClient::new(secured.channel(channel).await);
    let refused = service.get_status(pb::GetStatusRequest {}).await;
    let refused = refused.expect_err("no rule");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let mut stranger = secured.client("stranger").await;
    let refused = read_all(&mut stranger).await.expect_err("no rule");
    assert_eq!(refused.code(), Code::PermissionDenied);
    secured.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_be_primary_can_send_an_election_id() {
    let secured = Secured::start(POLICY).await;
    let mut backup = secured.stream("watcher", "", None).await;
    let update = backup.arbitration().await;
    assert_eq!(update.status.expect("a status").code, Code::NotFound as i32);
    let mut pretender = secured.stream("watcher", "", Some(7)).await;
    let refused = pretender.next().await.expect_err("no rule");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("primary"), "{refused}");
    let mut primary = secured.stream("controller-1", "", Some(1)).await;
    let update = primary.arbitration().await;
    assert_eq!(update.status.expect("a status").code, Code::Ok as i32);
    let update = backup.arbitration().await;
    assert_eq!(update.election_id.expect("there is a primary").low, 1);
    drop((backup, pretender, primary));
    secured.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_one_role_allows_nothing_in_others() {
    let secured = Secured::start(POLICY).await;
    let mut other = secured.stream("telemetry", "", Some(1)).await;
    let refused = other.next().await.expect_err("no rule");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("default role"), "{refused}");
    let mut telemetry = secured.stream("telemetry", "telemetry", Some(1)).await;
    let update = telemetry.arbitration().await;
    assert_eq!(update.status.expect("a status").code, Code::Ok as i32);
    let write = |role: &str| p4::WriteRequest {
        device_id: DEVICE,
        role: role.to_owned(),
        election_id: Some(p4::Uint128 { high: 0, low: 1 }),
        ..Default::default()
    };
    let mut client = telemetry.client.clone();
    assert!(client.write(write("telemetry")).await.is_ok());
    let refused = client.write(write("")).await.expect_err("no rule");
    assert_eq!(refused.code(), Code::PermissionDenied);
    // It may not send packets, as the stream tells it.
    let packet = p4::StreamMessageRequest {
        update: Some(ToAgent::Packet(p4::PacketOut::default())),
    };
    telemetry
        .requests
        .send(packet)
        .await
        .expect("there is room");
    let FromAgent::Error(error) = telemetry.next().await.expect("a message") else {
        panic!("not an error");
    };
    assert_eq!(error.canonical_code, Code::PermissionDenied as i32);
    drop((other, telemetry));
    secured.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_policy_holds_for_connections_that_there_are() {
    let secured = Secured::start(POLICY).await;
    let mut watcher = secured.client("watcher").await;
    assert!(read_all(&mut watcher).await.is_ok());
    let file = secured.directory.path().join("authorization.yaml");
    write_policy(&file, "rules: []");
    let deadline = Instant::now() + Duration::from_secs(20);
    while read_all(&mut watcher).await.is_ok() {
        assert!(Instant::now() < deadline, "the policy has not changed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    secured.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_tables_holds_for_each_update_and_leaves_the_rest_out_of_reads() {
    let secured = Secured::start(POLICY).await;
    let [ours, other] = {
        let state = secured.agent.agent.shared();
        let schema = &state.switch.pipeline().expect("it has one").schema;
        ["routing_v4", "routing_v6"].map(|name| schema.table_named(name).expect("a table").id)
    };
    let mut operator = secured.stream("operator", "", Some(1)).await;
    operator.arbitration().await;
    let default_of = |table_id| {
        p4::entity::Entity::TableEntry(p4::TableEntry {
            table_id,
            is_default_action: true,
            ..Default::default()
        })
    };
    let updates = [other, ours].map(|id| {
        let entity = default_of(id);
        common::update(p4::update::Type::Modify, entity)
    });
    let refused = operator.write(updates.to_vec()).await;
    let errors = common::errors(&refused.expect_err("one of them"));
    assert_eq!(errors[0].canonical_code, Code::PermissionDenied as i32);
    let rule = "allow: [write], roles: [\"\"], tables: [\"routing_v6\"] }";
    assert!(errors[0].message.contains(rule), "{}", errors[0].message);
    assert_ne!(errors[1].canonical_code, Code::PermissionDenied as i32);
    let found = operator.read(default_of(0)).await.expect("an answer");
    let tables = found.iter().map(|entity| match &entity.entity {
        Some(p4::entity::Entity::TableEntry(entry)) => entry.table_id,
        other => panic!("not an entry: {other:?}"),
    });
    assert_eq!(tables.collect::<Vec<_>>(), [ours]);
    let refused = operator.read(default_of(other)).await.expect_err("no rule");
    assert_eq!(common::codes(&refused), [Code::PermissionDenied]);
    drop(operator);
    secured.agent.stop().await;
}
