//! What objectives are applied together, and when they go by themselves.

mod common;

use std::time::{Duration, Instant};

use common::master::{Master, puts, show};
use common::{TestAgent, config};
use pointsman_model::{Kind, Name, ObjectiveId};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::objective::v1::{self as objective, State};

const NEXT: &str = "
  - next: out
    type: simple
    meta: { vlan_vid: 10 }
    buckets:
      - { set: { eth_src: 02:00:00:00:00:fe, eth_dst: 02:00:00:00:00:02 }, output: swp2 }
";

fn route(name: &str, prefix: &str, more: &str) -> String {
    format!(
        "
  - forward: {name}
    flag: specific
    selector: {{ eth_type: ipv4, ipv4_dst: {prefix} }}
    next: out
    {more}
"
    )
}

fn id(kind: Kind, name: &str) -> ObjectiveId {
    ObjectiveId {
        kind,
        name: Name::new(name).expect("a name"),
    }
}

fn message(agent: &TestAgent, kind: Kind, name: &str) -> String {
    let state = agent.agent.shared();
    let wanted = state.objectives.get(&id(kind, name));
    wanted
        .map(|wanted| wanted.status.message.clone())
        .unwrap_or_default()
}

/// How many entries objectives have in the data plane.
fn entries(agent: &TestAgent) -> usize {
    let state = agent.agent.shared();
    let (_, store) = state.switch.contents().expect("a pipeline");
    store.updates().len()
}

/// The next news that nobody asked for.
async fn told(master: &mut Master) -> (pb::Ack, Duration) {
    let started = Instant::now();
    let news = tokio::time::timeout(Duration::from_secs(20), master.acks());
    let mut news = news.await.expect("it is told").acks;
    assert_eq!(news.len(), 1, "{news:?}");
    (news.remove(0), started.elapsed())
}

#[tokio::test]
async fn a_hard_timeout_takes_an_objective_out_and_only_a_new_version_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    master.put(NEXT).await;
    let next_alone = entries(&agent);
    let guest = route("guest", "10.0.7.0/24", "timeout: { hard: 400ms }");
    assert_eq!(master.put(&guest).await, ["forward guest: applied"]);
    let (ack, took) = told(&mut master).await;
    assert_eq!(show(&ack), "forward guest: Pending Expired");
    assert!(took >= Duration::from_millis(300), "{took:?}");
    let why = ack.status.expect("a status").message;
    assert_eq!(why, "its hard timeout of 400ms is over");
    assert_eq!(entries(&agent), next_alone);

    // The same version in a snapshot is known to have expired.
    let changes = puts(&format!("{NEXT}{guest}"));
    let mut again = Master::open(&agent, 2).await.expect("it is higher");
    let statuses: Vec<_> = again.hello.statuses.iter().map(show).collect();
    assert_eq!(
        statuses,
        ["forward guest: Pending Expired", "next out: applied"]
    );
    let revision = again.hello.statuses[0]
        .status
        .as_ref()
        .expect("a status")
        .revision;
    again.at(revision - 2);
    let acks = again.send(changes, true).await;
    assert_eq!(
        acks,
        ["forward guest: Pending Expired", "next out: applied"]
    );
    assert_eq!(entries(&agent), next_alone);

    // Put again, it lives again, and its deletion leaves nothing.
    assert_eq!(again.put(&guest).await, ["forward guest: applied"]);
    assert!(entries(&agent) > next_alone);
    assert_eq!(
        show(&told(&mut again).await.0),
        "forward guest: Pending Expired"
    );
    assert_eq!(
        again.delete(&["forward guest"]).await,
        ["forward guest: gone"]
    );
    assert!(
        agent
            .agent
            .shared()
            .objectives
            .get(&id(Kind::Forward, "guest"))
            .is_none()
    );
}

#[tokio::test]
async fn a_restart_renews_no_hard_timeout() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path());
    let agent = TestAgent::start(&config).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    master.put(NEXT).await;
    let started = Instant::now();
    master
        .put(&route("guest", "10.0.7.0/24", "timeout: { hard: 3s }"))
        .await;
    drop(master);
    agent.stop().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let agent = TestAgent::start(&config).await;
    let mut master = Master::open(&agent, 2).await.expect("it is higher");
    let (ack, _) = told(&mut master).await;
    assert_eq!(show(&ack), "forward guest: Pending Expired");
    let lived = started.elapsed();
    assert!((2900..4400).contains(&lived.as_millis()), "{lived:?}");
    drop(master);
    agent.stop().await;
    // That it has expired is kept, too.
    let agent = TestAgent::start(&config).await;
    assert_eq!(
        message(&agent, Kind::Forward, "guest"),
        "its hard timeout of 3s is over"
    );
    assert!(
        agent
            .agent
            .shared()
            .objectives
            .entities(&id(Kind::Forward, "guest"))
            .is_empty()
    );
}

#[tokio::test]
async fn an_idle_timeout_is_over_when_no_packets_come_any_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    let station = "
  - filter: h1
    key: { in_port: swp1 }
    conditions: { vlan_vid: untagged }
    treatment: { push_vlan: 10 }
  - filter: h2
    key: { in_port: swp2 }
    conditions: { vlan_vid: untagged }
    treatment: { push_vlan: 10 }
    timeout: { idle: 1s }
";
    assert_eq!(
        master.put(station).await,
        ["filter h1: applied", "filter h2: applied"]
    );
    let frame = || {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 8, 0];
        frame.resize(60, 0);
        frame
    };
    // As long as packets come it stays.
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        agent.engine.receive(2, frame());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(message(&agent, Kind::Filter, "h2"), "");
    // Packets of others do not keep it.
    let quiet = Instant::now();
    let news = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            agent.engine.receive(1, frame());
            tokio::select! {
                acks = master.acks() => return acks.acks,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    });
    let news = news.await.expect("it expires");
    assert_eq!(show(&news[0]), "filter h2: Pending Expired");
    assert!(
        quiet.elapsed() >= Duration::from_millis(900),
        "{:?}",
        quiet.elapsed()
    );
    assert_eq!(
        message(&agent, Kind::Filter, "h2"),
        "no packet has met it for 1s"
    );
}

#[tokio::test]
async fn of_a_group_nothing_is_applied_unless_all_of_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    master.put(NEXT).await;
    let alone = entries(&agent);
    let group = |bad: &str| {
        let filter = format!(
            "
  - filter: in
    key: {{ in_port: {bad} }}
    conditions: {{ vlan_vid: untagged }}
    treatment: {{ push_vlan: 10 }}
    group: pair
"
        );
        filter
            + &route("a", "10.0.1.0/24", "group: pair")
            + &route("b", "10.0.2.0/24", "group: pair")
            + &route("c", "10.0.3.0/24", "")
    };
    let acks = master.put(&group("swp9")).await;
    assert_eq!(
        acks,
        [
            "filter in: Failed UnknownPort",
            "forward a: Failed Group",
            "forward b: Failed Group",
            "forward c: applied"
        ]
    );
    assert_eq!(entries(&agent), alone + 1);
    let why = message(&agent, Kind::Forward, "a");
    assert!(
        why.starts_with("group pair is not applied because of filter in: "),
        "{why}"
    );
    let why = message(&agent, Kind::Filter, "in");
    assert!(
        why.contains("swp9") && why.ends_with("nothing of group pair is applied"),
        "{why}"
    );

    // With the port it is possible, at once.
    let acks = master.put(&group("swp1")).await;
    assert!(acks.iter().all(|ack| ack.ends_with("applied")), "{acks:?}");
    let whole = entries(&agent);

    // A change of which a part fails leaves all as it was; so do deletions that come with it.
    let mut changes = puts(
        &("
  - filter: in
    key: { in_port: swp9 }
    conditions: { vlan_vid: untagged }
    treatment: { push_vlan: 10 }
    group: pair
"
        .to_owned()
            + &route("a", "10.0.9.0/24", "group: pair")),
    );
    changes.push(deletion("b"));
    let acks = master.send(changes, false).await;
    assert_eq!(
        acks,
        [
            "filter in: Failed UnknownPort",
            "forward a: Failed Group",
            "forward b: Failed Group"
        ]
    );
    assert_eq!(entries(&agent), whole);
    let why = message(&agent, Kind::Forward, "b");
    assert!(why.starts_with("it goes with its group"), "{why}");
    // The port comes, and with it the whole change.
    let acks = master
        .put(
            &group("swp1")
                .replace("10.0.1.0", "10.0.9.0")
                .replace("forward: b", "forward: b2"),
        )
        .await;
    assert_eq!(acks.len(), 5, "{acks:?}");
    assert!(acks.contains(&"forward b: gone".to_owned()), "{acks:?}");
    assert_eq!(entries(&agent), whole);
}

fn deletion(forward: &str) -> objective::Change {
    let objective =
        pointsman_model::Objective::empty(Kind::Forward, Name::new(forward).expect("a name"));
    objective::Change {
        operation: objective::Operation::Delete.into(),
        objective: Some((&objective).into()),
    }
}

#[tokio::test]
async fn a_group_waits_as_a_whole_and_its_order_does_not_matter() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path());
    let agent = TestAgent::start(&config).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    let group = route("a", "10.0.1.0/24", "group: pair")
        + "
  - next: over
    type: broadcast
    group: pair
    meta: { vlan_vid: 10 }
    buckets: [ { output: swp1 } ]
";
    let acks = master.put(&group).await;
    assert_eq!(
        acks,
        [
            "forward a: Pending WaitsForNext",
            "next over: Pending WaitsForNext"
        ]
    );
    assert_eq!(entries(&agent), 0);
    let why = message(&agent, Kind::Next, "over");
    assert!(why.starts_with("group pair waits for forward a: "), "{why}");
    drop(master);
    agent.stop().await;
    let agent = TestAgent::start(&config).await;
    assert_eq!(entries(&agent), 0);
    let mut master = Master::open(&agent, 2).await.expect("it is higher");
    let acks = master.put(NEXT).await;
    assert_eq!(
        acks,
        [
            "forward a: applied",
            "next out: applied",
            "next over: applied"
        ]
    );
}

#[tokio::test]
async fn verifying_a_next_says_what_differs_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");
    let next = |operation: &str, buckets: &str| {
        format!(
            "
  - next: ecmp
    {operation}
    type: hashed
    meta: {{ vlan_vid: 10 }}
    buckets: [ {buckets} ]
"
        )
    };
    let bucket = |weight: u8, port: &str| {
        format!(
            "{{ weight: {weight}, set: {{ eth_src: 02:00:00:00:00:fe, eth_dst: 02:00:00:00:00:02 }}, output: {port} }}"
        )
    };
    let both = format!("{}, {}", bucket(1, "swp49"), bucket(2, "swp50"));
    assert_eq!(master.put(&next("", &both)).await, ["next ecmp: applied"]);
    let verified = async |buckets: &str| {
        let changes = puts(&next("operation: verify", buckets));
        let request = pb::CheckObjectivesRequest { changes };
        let answer = agent.service().await.check_objectives(request).await;
        let status = answer.expect("an answer").into_inner().results.remove(0);
        (status.state(), status.message)
    };
    assert_eq!(verified(&both).await.0, State::Applied);
    let turned = format!("{}, {}", bucket(2, "swp50"), bucket(1, "swp49"));
    assert_eq!(verified(&turned).await.0, State::Applied);
    let (state, why) = verified(&bucket(1, "swp49")).await;
    assert_eq!(
        (state, why.as_str()),
        (
            State::Failed,
            "next ecmp of the switch has a bucket that is not stated"
        )
    );
    let heavier = format!("{}, {}", bucket(1, "swp49"), bucket(3, "swp50"));
    assert_eq!(
        verified(&heavier).await.1,
        "next ecmp of the switch has no bucket like number 2"
    );
    // Modifying, adding and removing go through the agent as well.
    let acks = master
        .put(&next("operation: modify", &bucket(3, "swp50")))
        .await;
    assert_eq!(acks, ["next ecmp: applied"]);
    assert_eq!(verified(&heavier).await.0, State::Applied);
    master
        .put(&next(
            "operation: remove_from_existing",
            &bucket(3, "swp50"),
        ))
        .await;
    assert_eq!(verified(&bucket(1, "swp49")).await.0, State::Applied);
}
