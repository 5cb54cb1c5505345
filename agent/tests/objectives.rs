//! Objectives as a controller sends them: statuses, what is in the data plane, and what is
//! left after a restart.

mod common;

use std::time::{Duration, Instant};

use common::master::{Master, puts, show};
use common::{CPU_PORT, DEVICE, TestAgent, codes, config, read, update};
use pointsman_agent::config::{BridgeSection, PipelineChoice, ReactiveSection};
use pointsman_model::{Kind, Name, ObjectiveId, holdings};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::sync_request::Message as ToAgent;
use pointsman_proto::pointsman::objective::v1::{Reason, State};
use tonic::Code;

const NEXT: &str = "
  - next: out
    type: simple
    meta: { vlan_vid: 10 }
    buckets:
      - { set: { eth_src: 02:00:00:00:00:fe, eth_dst: 02:00:00:00:00:02 }, output: swp2 }
";

const ROUTE: &str = "
  - forward: rack2
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.2.0/24 }
    next: out
";

#[tokio::test]
async fn a_forward_waits_for_its_next_and_a_next_stays_while_it_is_used() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    assert_eq!(
        master.put(ROUTE).await,
        ["forward rack2: Pending WaitsForNext"]
    );
    assert_eq!(
        master.put(NEXT).await,
        ["forward rack2: applied", "next out: applied"]
    );
    assert_eq!(
        master.delete(&["next out"]).await,
        ["next out: Failed NextInUse"]
    );
    let both = master.delete(&["forward rack2"]).await;
    assert_eq!(both, ["forward rack2: gone", "next out: gone"]);
    let state = agent.agent.shared();
    let (_, store) = state.switch.contents().expect("a pipeline");
    assert!(store.updates().is_empty(), "{:?}", store.updates());
}

#[tokio::test]
async fn what_the_switch_cannot_do_leaves_the_version_before_in_force() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    master.put(NEXT).await;
    let acks = master.put(&NEXT.replace("swp2", "swp9")).await;
    assert_eq!(acks, ["next out: Failed UnknownPort"]);
    let state = agent.agent.shared();
    let id = ObjectiveId {
        kind: Kind::Next,
        name: Name::new("out").expect("a name"),
    };
    let wanted = state.objectives.get(&id).expect("it is wanted");
    assert!(
        wanted.status.message.contains("stays in force"),
        "{:?}",
        wanted.status
    );
    assert!(!state.objectives.entities(&id).is_empty());
}

#[tokio::test]
async fn clients_and_objectives_keep_out_of_each_others_entries() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    master.put(&format!("{NEXT}{ROUTE}")).await;
    let mut client = agent.primary(2).await;
    let table = {
        let state = agent.agent.shared();
        let pipeline = state.switch.pipeline().expect("a pipeline");
        pipeline
            .schema
            .table_named("routing_v4")
            .expect("it has it")
            .id
    };
    let filter = Entity::TableEntry(p4::TableEntry {
        table_id: table,
        ..Default::default()
    });
    let mut entries = client.read(filter).await.expect("readable");
    let route = entries.pop().and_then(|e| e.entity).expect("there is one");
    let error = client
        .write(vec![update(p4::update::Type::Delete, route.clone())])
        .await
        .expect_err("it is the objective's");
    assert_eq!(codes(&error), [Code::PermissionDenied]);
    assert!(
        error.message().contains("forward rack2"),
        "{}",
        error.message()
    );

    let mut master = Master::open(&agent, 3).await.expect("it is the highest");
    master.delete(&["forward rack2"]).await;
    let mut client = agent.primary(4).await;
    let insert = update(p4::update::Type::Insert, route.clone());
    client.write(vec![insert]).await.expect("it is free now");
    let mut master = Master::open(&agent, 5).await.expect("it is the highest");
    assert_eq!(master.put(ROUTE).await, ["forward rack2: Failed Conflict"]);

    let mut client = agent.primary(6).await;
    let delete = update(p4::update::Type::Delete, route);
    client
        .write(vec![delete])
        .await
        .expect("it is the client's");
    let master = Master::open(&agent, 7).await.expect("it is the highest");
    let statuses: Vec<_> = master.hello.statuses.iter().map(show).collect();
    assert_eq!(statuses, ["forward rack2: applied", "next out: applied"]);
}

#[tokio::test]
async fn a_higher_election_id_ends_the_stream_of_the_lower_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut first = Master::open(&agent, 5).await.expect("it is the first");
    let low = Master::open(&agent, 4).await.err().expect("it is lower");
    assert_eq!(low.code(), Code::PermissionDenied);
    let _second = Master::open(&agent, 6).await.expect("it is higher");
    let ended = first.responses.message().await.expect_err("it is over");
    assert_eq!(ended.code(), Code::Aborted);
}

#[tokio::test]
async fn an_acknowledged_change_survives_a_restart_and_so_does_the_fence() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path());
    let agent = TestAgent::start(&config).await;
    let mut master = Master::open(&agent, 5).await.expect("it is the first");
    master.put(&format!("{NEXT}{ROUTE}")).await;
    let before = entries(&agent).await;
    drop(master);
    agent.stop().await;

    let agent = TestAgent::start(&config).await;
    assert_eq!(entries(&agent).await, before);
    let low = Master::open(&agent, 4).await.err().expect("it is lower");
    assert_eq!(low.code(), Code::PermissionDenied);
    let mut master = Master::open(&agent, 5).await.expect("it is the same");
    assert_eq!(master.hello.revision, 2);
    let statuses: Vec<_> = master.hello.statuses.iter().map(show).collect();
    assert_eq!(statuses, ["forward rack2: applied", "next out: applied"]);
    // The same ids again: nothing has to change.
    assert_eq!(master.put(ROUTE).await, ["forward rack2: applied"]);
    assert_eq!(entries(&agent).await, before);
}

async fn entries(agent: &TestAgent) -> Vec<p4::Entity> {
    let everything = Entity::TableEntry(p4::TableEntry::default());
    let mut found = read(&mut agent.p4runtime().await, everything)
        .await
        .expect("readable");
    found.sort_by_key(|entity| format!("{entity:?}"));
    found
}

#[tokio::test]
async fn a_snapshot_takes_away_what_is_not_in_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    master.put(&format!("{NEXT}{ROUTE}")).await;
    let acks = master.send(puts(NEXT), true).await;
    assert_eq!(acks, ["forward rack2: gone", "next out: applied"]);
}

/// How an objective of the switch's own fares, once it is like that.
async fn local_status(agent: &TestAgent, id: (Kind, &str), state: State) -> String {
    let id = ObjectiveId {
        kind: id.0,
        name: Name::new(id.1).expect("a name"),
    };
    let reached = async {
        loop {
            let status = {
                let state = agent.agent.shared();
                let wanted = state.objectives.get(&id);
                wanted.map(|wanted| wanted.status.clone())
            };
            match status {
                Some(status) if status.state == state => return status.message,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
    reached.unwrap_or_else(|_| panic!("{id} is never {state:?}"))
}

#[tokio::test]
async fn what_a_controller_wants_goes_before_what_the_switch_does_by_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = config(dir.path());
    let section = ReactiveSection {
        bridges: Some(vec![BridgeSection {
            vlan: 10,
            untagged: Some(vec!["swp[12]".to_owned()]),
            tagged: None,
            stations_per_port: None,
            idle_seconds: None,
        }]),
        ..ReactiveSection::default()
    };
    config.reactive = section.try_into().expect("it is in order");
    let agent = TestAgent::start(&config).await;
    local_status(
        &agent,
        (Kind::Forward, "local/bridge10/flood"),
        State::Applied,
    )
    .await;
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 7]);
    frame.resize(60, 0);
    agent.engine.receive(1, frame);
    let learnt = (Kind::Forward, "local/bridge10/station/02:00:00:00:00:07");
    local_status(&agent, learnt, State::Applied).await;

    // Nobody is told of it, it stays when all else goes, and its name is taken.
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    assert!(master.hello.statuses.is_empty());
    assert_eq!(master.send(puts(NEXT), true).await, ["next out: applied"]);
    local_status(&agent, learnt, State::Applied).await;
    let acks = master
        .put(&NEXT.replace("next: out", "next: local/out"))
        .await;
    assert_eq!(acks, ["next local/out: Failed BadParameters"]);

    let elsewhere = "
  - forward: by-hand
    flag: specific
    selector: { vlan_vid: 10, eth_dst: 02:00:00:00:00:07 }
    next: out
";
    assert_eq!(master.put(elsewhere).await, ["forward by-hand: applied"]);
    let message = local_status(&agent, learnt, State::Failed).await;
    assert!(
        message.contains("gives way to forward by-hand"),
        "{message}"
    );
    let acks = master.delete(&["forward by-hand"]).await;
    assert_eq!(acks, ["forward by-hand: gone"]);
    local_status(&agent, learnt, State::Applied).await;

    // And so does what others of its own need.
    let tagged = "
  - filter: tagged
    key: { in_port: swp1 }
    conditions: { vlan_vid: 10 }
";
    assert_eq!(master.put(tagged).await, ["filter tagged: applied"]);
    let admission = (Kind::Filter, "local/bridge10/port/swp1");
    local_status(&agent, admission, State::Failed).await;
    master.delete(&["filter tagged"]).await;
    local_status(&agent, admission, State::Applied).await;
}

#[tokio::test]
async fn a_check_says_what_would_happen_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut client = agent.service().await;
    let changes = puts(&format!(
        "{NEXT}{ROUTE}{}",
        NEXT.replace("swp2", "swp9")
            .replace("next: out", "next: nowhere")
    ));
    let request = pb::CheckObjectivesRequest { changes };
    let results = client
        .check_objectives(request)
        .await
        .expect("it answers")
        .into_inner()
        .results;
    let reasons: Vec<_> = results.iter().map(|s| (s.state(), s.reason())).collect();
    assert_eq!(
        reasons,
        [
            // Its port has no interface.
            (State::Applied, Reason::PortDown),
            (State::Applied, Reason::Unspecified),
            (State::Failed, Reason::UnknownPort),
        ]
    );
    let listed = client.list_objectives(pb::ListObjectivesRequest { entries: true });
    assert!(
        listed
            .await
            .expect("it answers")
            .into_inner()
            .objectives
            .is_empty()
    );
    assert!(entries(&agent).await.is_empty());
}

#[tokio::test]
async fn a_pipeline_that_is_set_anew_has_the_objectives_in_it_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    master.put(&format!("{NEXT}{ROUTE}")).await;
    let before = entries(&agent).await;
    let mut client = agent.primary(2).await;
    let source = agent
        .agent
        .shared()
        .switch
        .pipeline()
        .expect("a pipeline")
        .source
        .clone();
    use p4::set_forwarding_pipeline_config_request::Action;
    for action in [Action::VerifyAndCommit, Action::ReconcileAndCommit] {
        let request = p4::SetForwardingPipelineConfigRequest {
            device_id: DEVICE,
            election_id: client.election_id,
            action: action.into(),
            config: Some(p4::ForwardingPipelineConfig {
                p4info: Some(source.p4info.clone()),
                p4_device_config: source.device_config.clone(),
                cookie: None,
            }),
            ..Default::default()
        };
        let set = client.client.set_forwarding_pipeline_config(request);
        set.await.expect("it is good");
        assert_eq!(entries(&agent).await, before);
    }
}

#[tokio::test]
async fn a_thousand_routes_are_acknowledged_in_under_a_second() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    let routes: String = (0..1000)
        .map(|n| {
            ROUTE
                .replace("rack2", &format!("r{n}"))
                .replace("10.0.2.0", &format!("10.{}.{}.0", n / 250, n % 250))
        })
        .collect();
    let changes = puts(&format!("{NEXT}{routes}"));
    let start = Instant::now();
    let acks = master.send(changes, false).await;
    assert!(acks.iter().all(|ack| ack.ends_with("applied")), "{acks:?}");
    assert_eq!(acks.len(), 1001);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn another_pipeline_in_the_configuration_takes_the_objectives_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = config(dir.path());
    let agent = TestAgent::start(&config).await;
    let mut master = Master::open(&agent, 5).await.expect("it is the first");
    master.put(&format!("{NEXT}{ROUTE}")).await;
    drop(master);
    agent.stop().await;

    config.pipeline = PipelineChoice::None;
    let agent = TestAgent::start(&config).await;
    let name = |agent: &TestAgent| {
        let state = agent.agent.shared();
        state
            .switch
            .pipeline()
            .map(|pipeline| pipeline.schema.name.clone())
    };
    assert_eq!(name(&agent).as_deref(), Some("leaf_spine"));
    agent.stop().await;

    let program = pointsman_p4::programs::embedded("leaf_spine").expect("it is built in");
    let other = tempfile::tempdir().expect("a directory");
    let files = [
        ("bmv2.json", program.bmv2_json.to_owned()),
        (
            "p4info.txtpb",
            program.p4info.replacen("leaf_spine", "other", 1),
        ),
        ("pipeline.yaml", program.manifest.to_owned()),
    ];
    for (file, text) in files {
        std::fs::write(other.path().join(file), text).expect("it can be written");
    }
    config.pipeline = PipelineChoice::Directory(other.path().to_owned());
    let agent = TestAgent::start(&config).await;
    assert_eq!(name(&agent).as_deref(), Some("other"));
    let master = Master::open(&agent, 6).await.expect("it is the highest");
    let statuses: Vec<_> = master.hello.statuses.iter().map(show).collect();
    assert_eq!(statuses, ["forward rack2: applied", "next out: applied"]);
}

#[tokio::test]
async fn an_application_with_a_role_of_its_own_gets_what_objectives_punt() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    let acks = master
        .put(
            "
  - filter: in
    key: { in_port: swp1 }
    conditions: { vlan_vid: untagged, eth_dst: 02:00:00:00:00:fe }
    treatment: { push_vlan: 10 }
  - forward: arp
    flag: versatile
    selector: { eth_type: arp }
    treatment: { punt: true }
",
        )
        .await;
    assert!(acks.iter().all(|ack| ack.ends_with("applied")), "{acks:?}");
    let mut application = agent.controller_in_role("arp", Some(1)).await;
    application.arbitration().await;
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 8, 6]);
    frame.extend([0; 46]);
    agent.engine.receive(1, frame.clone());
    let answer = application.next().await.expect("the stream goes on");
    let p4::stream_message_response::Update::Packet(packet) = answer else {
        panic!("not a packet: {answer:?}");
    };
    assert_eq!(packet.payload, frame);
    assert_eq!(packet.metadata[0].value, [1]);
}

#[tokio::test]
async fn a_packet_takes_the_way_that_objectives_say() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    let filter = "
  - filter: in
    key: { in_port: swp1 }
    conditions: { vlan_vid: untagged, eth_dst: 02:00:00:00:00:fe }
    treatment: { push_vlan: 10 }
";
    let acks = master.put(&format!("{filter}{NEXT}{ROUTE}")).await;
    assert!(acks.iter().all(|ack| ack.ends_with("applied")), "{acks:?}");
    let packet = ipv4([10, 0, 2, 9]);
    let outputs = agent.engine.receive(1, packet);
    let ports: Vec<_> = outputs
        .iter()
        .map(|o| o.port)
        .filter(|p| *p != CPU_PORT)
        .collect();
    assert_eq!(ports, [2]);
    assert_eq!(outputs[0].bytes[..6], [2, 0, 0, 0, 0, 2]);
}

#[tokio::test]
async fn what_an_objective_wants_counted_is_told_with_its_entries() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    let forward = "
  - forward: no-arp
    flag: versatile
    selector: { eth_type: arp }
    treatment: { count: arp, drop: true }
";
    let acks = master.put(forward).await;
    assert!(acks.iter().all(|ack| ack.ends_with("applied")), "{acks:?}");
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 8, 6]);
    frame.extend([0; 46]);
    for _ in 0..3 {
        agent.engine.receive(1, frame.clone());
    }
    let request = pb::ListObjectivesRequest { entries: true };
    let answer = agent.service().await.list_objectives(request).await;
    let objectives = answer.expect("it answers").into_inner().objectives;
    let count = &objectives[0].counts[0];
    assert_eq!((count.entry, count.packets, count.bytes), (0, 3, 180));
    let counted = objectives[0].counted.as_ref().expect("it is counted");
    assert_eq!(
        (counted.name.as_str(), counted.packets, counted.bytes),
        ("arp", 3, 180)
    );
}

/// A frame to the gateway's MAC, without a payload.
fn ipv4(destination: [u8; 4]) -> Vec<u8> {
    let mut header = [
        0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 1, 1, 0, 0, 0, 0,
    ];
    header[16..].copy_from_slice(&destination);
    let sum: u32 = header
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 0, 0xfe, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend(header);
    frame
}

/// Asks for everything that is held, in one bucket.
async fn held(master: &mut Master) -> Vec<(String, u64)> {
    let all = pb::HoldingsQuery {
        bits: 0,
        buckets: vec![0],
    };
    let holdings = master.ask(all).await.objectives;
    let held = holdings.into_iter().map(|held| (held.name, held.revision));
    held.collect()
}

#[tokio::test]
async fn what_is_held_is_told_in_digests_and_in_buckets() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    let nothing = master.ask(pb::HoldingsQuery::default()).await;
    assert_eq!((nothing.digests, nothing.revision), (vec![0], 0));
    master.put(NEXT).await;
    let one = master.ask(pb::HoldingsQuery::default()).await;
    let listed = pb::HoldingsQuery {
        bits: 0,
        buckets: vec![0],
    };
    let held = master.ask(listed).await.objectives;
    let leaves = held.iter().map(|held| {
        let place = holdings::place(held.kind(), &held.name);
        holdings::leaf(place, held.revision, held.content)
    });
    assert_eq!(one.digests, [leaves.fold(0, u64::wrapping_add)]);
    let objective = puts(NEXT)[0].objective.clone().expect("an objective");
    assert_eq!(held[0].content, holdings::content(&objective));
    // No more bits than that are answered.
    let query = pb::HoldingsQuery {
        bits: 17,
        buckets: vec![],
    };
    master.tell(ToAgent::Query(query)).await;
    let refused = master.responses.message().await;
    assert_eq!(
        refused.map_err(|status| status.code()).err(),
        Some(Code::InvalidArgument)
    );
}

#[tokio::test]
async fn what_differs_makes_of_one_clusters_objectives_those_of_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    master.put(NEXT).await;
    let before = held(&mut master).await;
    // The next is known as revision 40 there, and that is all there is to it.
    let change = pb::RevisedChange {
        change: Some(puts(NEXT)[0].clone()),
        revision: 40,
        revision_only: true,
    };
    let batch = pb::ChangeBatch {
        changes: vec![change],
        snapshot: false,
        revision: 41,
        difference: true,
    };
    master.tell(ToAgent::Batch(batch)).await;
    let acks = master.acks().await;
    let status = acks.acks[0].status.as_ref().expect("it is there");
    assert_eq!(
        (acks.revision, status.revision, status.applied_revision),
        (41, 40, 40)
    );
    let after = held(&mut master).await;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_eq!((&before[0].0, after[0].1), (&after[0].0, 40));
}
