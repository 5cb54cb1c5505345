//! What clients do to entries of objectives: noticed, shown with who did it, kept or put right, and never in the way of the
//! objectives themselves.

mod common;

use std::time::{Duration, Instant};

use common::master::{Master, show};
use common::{Controller, TestAgent, config, update};
use pointsman_agent::agent::DriftPolicy;
use pointsman_agent::config::Config;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::update::Type;
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::objective::v1::{Kind, Reason, State, Status};

const OBJECTIVES: &str = "
  - next: out
    type: simple
    meta: { vlan_vid: 10 }
    buckets:
      - { set: { eth_src: 02:00:00:00:00:fe, eth_dst: 02:00:00:00:00:02 }, output: swp2 }
  - next: flood
    type: broadcast
    meta: { vlan_vid: 10 }
    buckets: [ { output: swp1 }, { output: swp2 } ]
  - forward: rack2
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.2.0/24 }
    next: out
  - forward: flood-10
    flag: specific
    selector: { vlan_vid: 10 }
    next: flood
";

fn with(dir: &std::path::Path, drift: DriftPolicy) -> Config {
    Config {
        drift,
        ..config(dir)
    }
}

/// The entries of a table.
async fn entries(agent: &TestAgent, table: &str) -> Vec<Entity> {
    let id = {
        let state = agent.agent.shared();
        let pipeline = state.switch.pipeline().expect("a pipeline");
        let table = pipeline.schema.table_named(table);
        table.expect("it has it").id
    };
    let filter = Entity::TableEntry(p4::TableEntry {
        table_id: id,
        ..Default::default()
    });
    read(agent, filter).await
}

async fn groups(agent: &TestAgent) -> Vec<Entity> {
    let filter = Entity::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry {
        r#type: Some(
            p4::packet_replication_engine_entry::Type::MulticastGroupEntry(Default::default()),
        ),
    });
    read(agent, filter).await
}

/// All that it takes to flood, what refers before what is referred to.
async fn flood(agent: &TestAgent) -> Vec<Entity> {
    let mut all = entries(agent, "flooding").await;
    all.extend(entries(agent, "multicast").await);
    all.extend(groups(agent).await);
    all
}

async fn read(agent: &TestAgent, filter: Entity) -> Vec<Entity> {
    let found = common::read(&mut agent.p4runtime().await, filter).await;
    let found = found.expect("readable").into_iter();
    found.filter_map(|entity| entity.entity).collect()
}

/// The only route, with another next.
async fn other_route(agent: &TestAgent, next: u8) -> Entity {
    let mut route = entries(agent, "routing_v4").await.pop();
    if let Some(Entity::TableEntry(entry)) = &mut route
        && let Some(p4::table_action::Type::Action(action)) = entry
            .action
            .as_mut()
            .and_then(|action| action.r#type.as_mut())
    {
        action.params[0].value = vec![next];
    }
    route.expect("there is a route")
}

async fn drift(agent: &TestAgent) -> pb::GetDriftResponse {
    let request = pb::GetDriftRequest { foreign: true };
    let answer = agent.service().await.get_drift(request).await;
    answer.expect("it answers").into_inner()
}

async fn status(agent: &TestAgent, name: &str) -> Status {
    let request = pb::ListObjectivesRequest { entries: true };
    let answer = agent.service().await.list_objectives(request).await;
    let answer = answer.expect("it answers").into_inner();
    let is_it = |objective: &pointsman_proto::pointsman::objective::v1::ObjectiveStatus| {
        objective.objective.as_ref().is_some_and(|o| o.name == name)
    };
    let found = answer.objectives.into_iter().find(is_it);
    found.and_then(|found| found.status).expect("it is there")
}

/// A client that may write beside the controller.
async fn operator(agent: &TestAgent) -> Controller {
    let mut client = agent.controller_in_role("ops", Some(9)).await;
    client.arbitration().await;
    client
}

async fn write(client: &mut Controller, updates: Vec<p4::Update>) {
    let request = p4::WriteRequest {
        device_id: common::DEVICE,
        role: "ops".to_owned(),
        election_id: client.election_id,
        updates,
        ..Default::default()
    };
    let written = client.client.write(request).await;
    written.expect("it is taken");
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_a_client_changes_is_kept_shown_with_who_did_it_and_put_right_on_demand() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&with(dir.path(), DriftPolicy::Keep)).await;
    let mut master = Master::open(&agent, 5).await.expect("it is the first");
    master.put(OBJECTIVES).await;
    let wanted = entries(&agent, "routing_v4").await;
    assert!(drift(&agent).await.drift.is_empty());

    let mut client = operator(&agent).await;
    let other = other_route(&agent, 77).await;
    write(&mut client, vec![update(Type::Modify, other.clone())]).await;
    let told = master.acks().await;
    let told: Vec<_> = told
        .acks
        .iter()
        .map(|ack| (show(ack), ack.clone()))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let (name, ack) = &told[0];
    assert_eq!(name, "forward rack2: applied");
    let told = ack.status.clone().unwrap_or_default();
    assert_eq!(told.reason(), Reason::Drifted);
    assert!(told.message.contains("in role ops"), "{}", told.message);

    let seen = drift(&agent).await;
    assert_eq!(seen.policy, "keep");
    let [one] = seen.drift.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!(one.objectives, ["forward/rack2"]);
    assert!(one.found.contains("0x4d"), "{one:?}");
    assert!(one.wanted != one.found && one.repair_time == 0, "{one:?}");
    let by = one.by.clone().unwrap_or_default();
    assert_eq!((by.role.as_str(), by.election_id_low), ("ops", 9));
    assert!(seen.foreign.is_empty(), "{seen:?}");
    assert_eq!(entries(&agent, "routing_v4").await, [other]);

    let only = pb::ObjectiveName {
        kind: Kind::Forward.into(),
        name: "rack2".to_owned(),
    };
    let request = pb::RepairRequest {
        objective: Some(only),
    };
    let repaired = agent.service().await.repair(request).await;
    let repaired = repaired.expect("it is done").into_inner();
    assert_eq!((repaired.repaired, repaired.failed.len()), (1, 0));
    assert_eq!(entries(&agent, "routing_v4").await, wanted);
    assert!(drift(&agent).await.drift.is_empty());
    let status = status(&agent, "rack2").await;
    assert_eq!(status.reason(), Reason::Unspecified);
    assert_eq!(status.applied_revision, status.revision);
}

#[tokio::test]
async fn drift_that_is_kept_survives_a_restart_and_goes_with_the_next_change_of_its_objective() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = with(dir.path(), DriftPolicy::Keep);
    let agent = TestAgent::start(&config).await;
    let mut master = Master::open(&agent, 5).await.expect("it is the first");
    master.put(OBJECTIVES).await;
    let mut client = operator(&agent).await;
    let other = other_route(&agent, 77).await;
    let mut changes = vec![update(Type::Modify, other.clone())];
    changes.extend(
        flood(&agent)
            .await
            .into_iter()
            .map(|entity| update(Type::Delete, entity)),
    );
    let drifted = changes.len();
    assert_eq!(drifted, 4, "{changes:?}");
    write(&mut client, changes).await;
    assert_eq!(drift(&agent).await.drift.len(), drifted);
    drop((master, client));
    agent.stop().await;

    let agent = TestAgent::start(&config).await;
    assert_eq!(drift(&agent).await.drift.len(), drifted);
    assert_eq!(entries(&agent, "routing_v4").await, [other]);
    assert!(flood(&agent).await.is_empty());
    assert_eq!(status(&agent, "rack2").await.reason(), Reason::Drifted);
    assert_eq!(status(&agent, "flood-10").await.reason(), Reason::Drifted);

    // Another version takes its place, and what is gone can be deleted.
    let mut master = Master::open(&agent, 6).await.expect("it is the highest");
    let changed = OBJECTIVES.replace("output: swp1 }", "output: swp49 }");
    master.put(&changed).await;
    assert!(
        drift(&agent).await.drift.is_empty(),
        "{:?}",
        drift(&agent).await
    );
    assert_eq!(flood(&agent).await.len(), 3);

    let mut client = operator(&agent).await;
    let gone = flood(&agent)
        .await
        .into_iter()
        .map(|entity| update(Type::Delete, entity));
    write(&mut client, gone.collect()).await;
    master.acks().await;
    let all = [
        "forward rack2",
        "forward flood-10",
        "next flood",
        "next out",
    ];
    let acks = master.delete(&all).await;
    assert!(acks.iter().all(|ack| ack.ends_with("gone")), "{acks:?}");
    let state = agent.agent.shared();
    let (_, store) = state.switch.contents().expect("a pipeline");
    assert!(store.updates().is_empty(), "{:?}", store.updates());
    assert_eq!(state.objectives.drifts().count(), 0);
}

#[tokio::test]
async fn what_a_client_changes_is_put_right_and_more_slowly_the_more_it_insists() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&with(dir.path(), DriftPolicy::Repair)).await;
    let mut master = Master::open(&agent, 5).await.expect("it is the first");
    master.put(OBJECTIVES).await;
    let wanted = entries(&agent, "routing_v4").await;
    let mut client = operator(&agent).await;
    let delete = vec![update(Type::Delete, wanted[0].clone())];
    write(&mut client, delete.clone()).await;
    until("it is put right", async || {
        entries(&agent, "routing_v4").await == wanted
    })
    .await;
    write(&mut client, delete).await;
    let start = Instant::now();
    let waiting = drift(&agent).await;
    assert_eq!(waiting.drift.len(), 1, "{waiting:?}");
    assert!(waiting.drift[0].repair_time > waiting.drift[0].time);
    assert_eq!(status(&agent, "rack2").await.reason(), Reason::Drifted);
    until("it is put right again", async || {
        entries(&agent, "routing_v4").await == wanted
    })
    .await;
    assert!(start.elapsed() > Duration::from_millis(500));
    until("it is counted", async || drift(&agent).await.repairs == 2).await;
    let status = status(&agent, "rack2").await;
    assert_eq!(
        (status.state(), status.reason()),
        (State::Applied, Reason::Unspecified)
    );
}

#[tokio::test]
async fn entries_that_are_no_objectives_are_left_alone_and_listed() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = with(dir.path(), DriftPolicy::Repair);
    let agent = TestAgent::start(&config).await;
    let mut master = Master::open(&agent, 5).await.expect("it is the first");
    master.put(OBJECTIVES).await;
    let mut client = operator(&agent).await;
    let mut foreign = other_route(&agent, 5).await;
    if let Entity::TableEntry(entry) = &mut foreign
        && let Some(p4::field_match::FieldMatchType::Lpm(lpm)) =
            entry.r#match[0].field_match_type.as_mut()
    {
        lpm.value = vec![10, 0, 9, 0];
    }
    write(&mut client, vec![update(Type::Insert, foreign)]).await;
    let seen = drift(&agent).await;
    assert!(seen.drift.is_empty(), "{seen:?}");
    assert_eq!(seen.foreign.len(), 1, "{seen:?}");
    assert!(seen.foreign[0].contains("0xa000900/24"), "{seen:?}");
    master
        .delete(&[
            "forward rack2",
            "forward flood-10",
            "next flood",
            "next out",
        ])
        .await;
    drop((master, client));
    agent.stop().await;
    let agent = TestAgent::start(&config).await;
    assert_eq!(drift(&agent).await.foreign, seen.foreign);
    assert_eq!(entries(&agent, "routing_v4").await.len(), 1);
}
