//! Entries of objectives that another client has changed on the switch behind the agent: found when the agent is back.

use pointsman_agent::config::Config;
use pointsman_agent::target::p4runtime::{Policy, Upstream};
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::update::Type::{Delete, Modify};
use pointsman_proto::pointsman::agent::v1 as pb;

use super::common::master::Master;
use super::common::{Controller, TestAgent, config, update};
use super::{PATIENCE, behind, ready, route, routes, upstream};

const OBJECTIVES: &str = "
  - next: out
    type: simple
    meta: { vlan_vid: 10 }
    buckets:
      - { set: { eth_src: 02:00:00:00:00:fe, eth_dst: 02:00:00:00:00:02 }, output: swp2 }
  - forward: rack2
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.2.0/24 }
    next: out
  - forward: rack3
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.3.0/24 }
    next: out
";

async fn drift(agent: &TestAgent) -> pb::GetDriftResponse {
    let request = pb::GetDriftRequest::default();
    let answer = agent.service().await.get_drift(request).await;
    answer.expect("it answers").into_inner()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what} did not happen");
}

/// Another client takes the switch over, changes one route and deletes the other, and goes.
async fn disturb(behind: &TestAgent, election_id: u64) {
    let mut other = behind.primary(election_id).await;
    let changes = vec![
        update(Modify, Entity::TableEntry(route(2, 77))),
        update(Delete, Entity::TableEntry(route(3, 1))),
    ];
    other.write(changes).await.expect("it is primary");
}

async fn start(dir: &std::path::Path, policy: Policy, behind: &TestAgent) -> TestAgent {
    let config: Config = config(dir);
    let upstream = Upstream {
        policy,
        ..upstream(&behind.address)
    };
    let agent = TestAgent::start_proxy(&config, upstream).await;
    let mut client = agent.primary(1).await;
    ready(&mut client).await;
    agent
}

async fn both_routes(behind: &TestAgent) -> bool {
    let mut client: Controller = behind.controller(None).await;
    routes(&mut client).await.len() == 2
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_client_does_to_the_switch_is_put_right_and_counted() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let behind = behind(dirs[0].path()).await;
    let agent = start(dirs[1].path(), Policy::Repair, &behind).await;
    let mut master = Master::open(&agent, 2).await.expect("it is the highest");
    master.put(OBJECTIVES).await;
    disturb(&behind, 1 << 60).await;
    until("the repair", async || drift(&agent).await.repairs >= 2).await;
    assert!(both_routes(&behind).await);
    assert!(drift(&agent).await.drift.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_client_does_to_the_switch_is_shown_and_put_right_when_somebody_asks() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let behind = behind(dirs[0].path()).await;
    // Its pipeline is there.
    start(dirs[1].path(), Policy::Repair, &behind)
        .await
        .stop()
        .await;
    let agent = start(dirs[1].path(), Policy::Report, &behind).await;
    let mut master = Master::open(&agent, 2).await.expect("it is the highest");
    master.put(OBJECTIVES).await;
    disturb(&behind, 1 << 60).await;
    until("drift", async || drift(&agent).await.drift.len() == 2).await;
    let seen = drift(&agent).await.drift;
    let address = behind.address.trim_start_matches("http://");
    for drift in &seen {
        assert_eq!(drift.repair_time, 0, "{drift:?}");
        let by = drift.by.as_ref().map(|by| by.address.as_str());
        assert_eq!(by, Some(address), "{drift:?}");
    }
    assert!(seen.iter().any(|drift| drift.found.is_empty()), "{seen:?}");
    let repaired = agent
        .service()
        .await
        .repair(pb::RepairRequest::default())
        .await;
    let repaired = repaired.expect("it is done").into_inner();
    assert!(repaired.failed.is_empty(), "{repaired:?}");
    assert!(drift(&agent).await.drift.is_empty());
    assert!(both_routes(&behind).await);

    // What is gone there can be deleted.
    disturb(&behind, 1 << 61).await;
    until("drift", async || drift(&agent).await.drift.len() == 2).await;
    let mut master = Master::open(&agent, 3).await.expect("it is the highest");
    let acks = master
        .delete(&["forward rack2", "forward rack3", "next out"])
        .await;
    assert!(acks.iter().all(|ack| ack.ends_with("gone")), "{acks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_switch_that_is_away_would_take_is_compiled_and_applied_when_it_comes() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let config = config(dirs[0].path());
    let agent = TestAgent::start_proxy(&config, upstream(&address.to_string())).await;
    let mut master = Master::open(&agent, 2).await.expect("it is the first");
    let acks = master.put(OBJECTIVES).await;
    assert!(
        acks.contains(&"next out: Pending SwitchAway".to_owned()),
        "{acks:?}"
    );
    let mut late = super::config(dirs[1].path());
    late.pipeline = super::PipelineChoice::None;
    late.listen = address;
    let behind = TestAgent::start(&late).await;
    until("the routes", async || {
        let mut client = behind.controller(None).await;
        let read = client.read(Entity::TableEntry(Default::default())).await;
        read.is_ok_and(|found| found.len() >= 4)
    })
    .await;
    let acks = master.acks().await;
    let applied = acks.acks.iter().filter_map(|ack| ack.status.as_ref());
    assert!(
        applied
            .into_iter()
            .all(|status| status.applied_revision > 0),
        "{acks:?}"
    );
}
