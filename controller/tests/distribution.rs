//! A whole controller and fake agents: what reaches a switch, and what is known of it.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1::{Reason, State};
use support::fake_agent::{Batch, FakeAgent};
use support::*;

#[tokio::test]
async fn a_new_switch_gets_everything_and_what_it_acknowledges_is_shown_as_applied() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let changes = [put(forward("route", "spine")), put(next("spine"))];
    let response = controller
        .must_apply(request(vec![device("leaf1", agent.address, 1)], changes))
        .await;
    assert_eq!((response.created, response.devices_created), (2, 1));
    assert!(
        response
            .statuses
            .iter()
            .all(|status| status.state() == State::Applied)
    );
    // The next went first, whatever the order of the request.
    let [forward, next] = &response.statuses[..] else {
        panic!("two statuses")
    };
    assert!(next.revision < forward.revision);
    assert_eq!(agent.held().names(), ["route", "spine"]);
}

#[tokio::test]
async fn after_a_break_only_the_missing_tail_is_sent() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let names: Vec<_> = (0..20).map(|index| format!("next{index}")).collect();
    let all = names.iter().map(|name| put(next(name)));
    controller
        .must_apply(request(vec![device("leaf1", agent.address, 1)], all))
        .await;

    let stopped = agent.stop().await;
    stopped.held.lock().unwrap().batches.clear();
    let changes = [put(next("late")), delete(next("next3"))];
    let response = controller.apply(request(vec![], changes)).await;
    assert_eq!(response.errors, []);
    let agent = stopped.start().await;
    eventually("the tail arrives", async || {
        agent.held().revision == response.revision
    })
    .await;

    let revisions = vec![response.revision - 1, response.revision];
    let held = agent.held();
    assert_eq!(
        held.batches,
        [Batch {
            is_snapshot: false,
            revisions
        }]
    );
    assert!(held.names().contains(&"late") && !held.names().contains(&"next3"));
}

#[tokio::test]
async fn a_switch_of_another_cluster_gets_a_snapshot_and_keeps_nothing_else() {
    let agent = FakeAgent::start().await;
    let mut first = TestController::start().await;
    first
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("old"))],
        ))
        .await;
    first.server.shutdown().await;
    // Cluster epochs are seconds; a later cluster must have a later one.
    agent.held().highest_election_id.0 -= 1;

    let mut second = TestController::start().await;
    second
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("new"))],
        ))
        .await;
    assert_eq!(agent.held().names(), ["new"]);
}

#[tokio::test]
async fn a_failed_objective_is_shown_with_the_reason_of_the_switch() {
    let agent = FakeAgent::start().await;
    agent.held().broken.insert("big".into());
    let mut controller = TestController::start().await;
    let changes = [put(next("small")), put(next("big"))];
    let response = controller
        .must_apply(request(vec![device("leaf1", agent.address, 1)], changes))
        .await;
    assert_eq!(response.statuses[0].state(), State::Applied);
    let big = &response.statuses[1];
    assert_eq!(
        (big.state(), big.reason()),
        (State::Failed, Reason::TableFull)
    );
    assert_eq!(big.message, "the table is full");
}

#[tokio::test]
async fn an_agent_that_dies_mid_batch_gets_the_batch_again() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    controller
        .must_apply(request(vec![device("leaf1", agent.address, 1)], []))
        .await;
    eventually("it is connected", async || !agent.held().batches.is_empty()).await;
    agent.held().batches.clear();
    agent.held().dies_mid_batch = true;
    let changes = (0..10).map(|index| put(next(&format!("next{index}"))));
    let response = controller.must_apply(request(vec![], changes)).await;
    assert_eq!(response.statuses.len(), 10);
    eventually("all are there", async || {
        agent.held().objectives.len() == 10
    })
    .await;
    let batches = agent.held().batches.clone();
    assert_eq!(batches.len(), 2);
    assert_eq!(batches[0], batches[1]);
}

#[tokio::test]
async fn a_thousand_objectives_are_acknowledged_within_a_second() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    controller
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("spine"))],
        ))
        .await;
    let routes = (0..1000).map(|index| put(forward(&format!("route{index}"), "spine")));
    let started = Instant::now();
    let response = controller.must_apply(request(vec![], routes)).await;
    let elapsed = started.elapsed();
    assert!(
        response
            .statuses
            .iter()
            .all(|status| status.state() == State::Applied)
    );
    assert_eq!(response.created, 1000);
    assert!(elapsed < Duration::from_secs(1), "it took {elapsed:?}");
}

#[tokio::test]
async fn a_restarted_controller_goes_on_where_it_was_under_a_higher_election_id() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    controller
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("a"))],
        ))
        .await;
    let before = agent.held().highest_election_id;
    let hellos = agent.held().hellos;
    let mut controller = controller.restart().await;
    eventually("it is connected", async || agent.held().hellos > hellos).await;
    let after = agent.held().highest_election_id;
    assert!(
        after > before && after.0 == before.0,
        "{before:?} then {after:?}"
    );
    controller
        .must_apply(request(vec![], [put(next("b"))]))
        .await;
    let batches = agent.held().batches.clone();
    assert_eq!(
        batches
            .iter()
            .map(|batch| batch.revisions.len())
            .sum::<usize>(),
        2,
        "{batches:?}"
    );
}

#[tokio::test]
async fn a_device_that_moves_is_followed_to_its_new_address() {
    let [old, new] = [FakeAgent::start().await, FakeAgent::start().await];
    let mut controller = TestController::start().await;
    controller
        .must_apply(request(
            vec![device("leaf1", old.address, 1)],
            [put(next("a"))],
        ))
        .await;
    let response = controller
        .must_apply(request(
            vec![device("leaf1", new.address, 1)],
            [put(next("b"))],
        ))
        .await;
    assert_eq!(response.devices_changed, 1);
    eventually("it has both", async || new.held().names() == ["a", "b"]).await;
    assert_eq!(old.held().names(), ["a"]);
}

#[tokio::test]
async fn an_unreachable_switch_leaves_its_objectives_pending_and_costs_only_its_own_answers() {
    let alive = FakeAgent::start().await;
    let dead = FakeAgent::start().await.stop().await;
    let mut controller = TestController::start().await;
    let devices = vec![
        device("leaf1", dead.address, 1),
        device("leaf2", alive.address, 2),
    ];
    let started = Instant::now();
    let response = controller
        .must_apply(request(devices, [put(next("a"))]))
        .await;
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "it waited in vain"
    );
    let status = &response.statuses[0];
    assert_eq!(
        (status.state(), status.reason()),
        (State::Pending, Reason::DeviceUnreachable)
    );
    assert!(
        status.message.contains(&dead.address.to_string()),
        "{}",
        status.message
    );

    let ports = controller
        .client
        .get_ports(pb::GetPortsRequest::default())
        .await
        .unwrap();
    let [leaf1, leaf2] = &ports.into_inner().devices[..] else {
        panic!("two devices")
    };
    assert!(
        leaf1.error.contains("connection refused") || leaf1.error.contains("Connection refused"),
        "{}",
        leaf1.error
    );
    assert_eq!((leaf2.error.as_str(), leaf2.ports.len()), ("", 1));

    let dead = dead.start().await;
    eventually("it is there after all", async || {
        dead.held().names() == ["a"]
    })
    .await;
}

#[tokio::test]
async fn a_fenced_controller_says_so_and_writes_nothing() {
    let agent = FakeAgent::start().await;
    agent.held().highest_election_id = (u64::MAX, 0);
    let mut controller = TestController::start().await;
    let response = controller
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("a"))],
        ))
        .await;
    let status = &response.statuses[0];
    assert_eq!(
        (status.state(), status.reason()),
        (State::Pending, Reason::Conflict)
    );
    assert!(
        status.message.contains("another controller is master"),
        "{}",
        status.message
    );
    assert!(agent.held().objectives.is_empty());
}

#[tokio::test]
async fn who_waits_while_a_switch_changes_masters_is_told_what_became_of_it() {
    let agent = FakeAgent::start().await;
    agent.held().highest_election_id = (u64::MAX, 0);
    let mut controller = TestController::start().await;
    let changes = request(vec![device("leaf1", agent.address, 1)], [put(next("a"))]);
    let later = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        agent.held().highest_election_id = (0, 0);
    };
    let (response, ()) = tokio::join!(controller.must_apply(changes), later);
    let status = &response.statuses[0];
    assert_eq!(status.state(), State::Applied, "{}", status.message);
    assert_eq!(agent.held().names(), ["a"]);
}

#[tokio::test]
async fn a_switch_of_a_lost_cluster_is_sent_the_content_only_of_what_differs() {
    let agent = FakeAgent::start().await;
    let mut first = TestController::start().await;
    first
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("same")), put(next("other")), put(next("gone"))],
        ))
        .await;
    first.server.shutdown().await;
    // Cluster epochs are seconds; a later cluster must have a later one.
    agent.held().highest_election_id.0 -= 1;
    agent.held().contents.clear();
    agent.held().batches.clear();

    let mut second = TestController::start().await;
    let other = with_priority(next("other"), 5);
    let changes = [put(next("same")), put(other.clone()), put(next("new"))];
    let response = second
        .must_apply(request(vec![device("leaf1", agent.address, 1)], changes))
        .await;
    let is_applied = |status: &pointsman_proto::pointsman::objective::v1::Status| {
        status.state() == State::Applied
    };
    assert!(response.statuses.iter().all(is_applied));
    let held = agent.held();
    assert_eq!(held.names(), ["new", "other", "same"]);
    assert_eq!(held.contents, ["other", "new"]);
    assert!(held.batches.iter().all(|batch| !batch.is_snapshot));
    // Under the revisions of the second cluster.
    let status = response.statuses.iter();
    let revisions: Vec<_> = status.map(|status| status.revision).collect();
    for (name, revision) in ["same", "other", "new"].into_iter().zip(revisions) {
        let kind = pointsman_proto::pointsman::objective::v1::Kind::Next.into();
        assert_eq!(held.objectives[&(kind, name.to_owned())].1, revision);
    }
}

#[tokio::test]
async fn a_switch_that_missed_more_deletions_than_are_remembered_is_sent_only_what_differs() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let stays = (0..100).map(|index| put(next(&format!("stays{index}"))));
    let goes = put(next("goes"));
    controller
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            stays.chain([goes]),
        ))
        .await;
    let stopped = agent.stop().await;
    let many = || (0..4200).map(|index| next(&format!("brief{index}")));
    controller.apply(request(vec![], many().map(put))).await;
    let changes = many().chain([next("goes")]).map(delete);
    let changes = changes.chain([put(next("new"))]);
    controller.apply(request(vec![], changes)).await;
    stopped.held.lock().unwrap().contents.clear();
    stopped.held.lock().unwrap().batches.clear();
    let agent = stopped.start().await;
    eventually("it is up to date", async || {
        let held = agent.held();
        held.objectives.len() == 101 && held.contents == ["new"]
    })
    .await;
    assert!(agent.held().batches.iter().all(|batch| !batch.is_snapshot));
}

#[tokio::test]
async fn an_agent_that_answers_no_queries_gets_a_snapshot() {
    let agent = FakeAgent::start().await;
    agent.held().is_old = true;
    agent.held().broken.insert("big".into());
    let mut controller = TestController::start().await;
    let changes = [put(next("small")), put(next("big"))];
    let response = controller
        .must_apply(request(vec![device("leaf1", agent.address, 1)], changes))
        .await;
    let states: Vec<_> = response.statuses.iter().map(|s| s.state()).collect();
    assert_eq!(states, [State::Applied, State::Failed]);
    let held = agent.held();
    assert!(held.batches[0].is_snapshot && held.queries.is_empty());
}

#[tokio::test]
async fn what_a_switch_has_lost_without_saying_so_is_found_and_sent_again() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let nexts = (0..50).map(|index| put(next(&format!("next{index}"))));
    controller
        .must_apply(request(vec![device("leaf1", agent.address, 1)], nexts))
        .await;
    // The session that follows continues where the switch says that it is.
    let stopped = agent.stop().await;
    {
        let mut held = stopped.held.lock().unwrap();
        held.objectives.retain(|(_, name), _| name != "next7");
        held.contents.clear();
    }
    let agent = stopped.start().await;
    eventually("it is sent again", async || {
        agent.held().objectives.len() == 50
    })
    .await;
    assert_eq!(agent.held().contents, ["next7"]);
}

#[tokio::test]
async fn a_switch_that_reads_nothing_delays_nobody_else() {
    let stuck = FakeAgent::start().await;
    stuck.held().is_stuck = true;
    let alive = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let devices = vec![
        device("leaf1", stuck.address, 1),
        device("leaf2", alive.address, 2),
    ];
    // More than may be on its way.
    let many = (0..6000).map(|index| put(next(&format!("next{index}"))));
    let response = controller.apply(request(devices, many)).await;
    assert_eq!(response.errors, []);
    for index in 0..20 {
        let change = pb::ObjectiveChange {
            device: "leaf2".into(),
            change: Some(put(next(&format!("next{index}")))),
        };
        let started = Instant::now();
        let response = controller
            .must_apply(pb::ApplyRequest {
                objectives: vec![change],
                ..pb::ApplyRequest::default()
            })
            .await;
        assert_eq!(response.statuses[0].state(), State::Applied);
        assert!(started.elapsed() < Duration::from_secs(1));
    }
    let objectives = controller.objectives().await;
    let of_stuck = &objectives[0].objectives;
    let is_in_flight = |status: &pointsman_proto::pointsman::objective::v1::ObjectiveStatus| {
        status.status.as_ref().unwrap().reason() == Reason::InFlight
    };
    assert!(of_stuck.iter().all(is_in_flight));
    stuck.held().is_stuck = false;
    eventually("it has them all", async || {
        stuck.held().objectives.len() == 6000
    })
    .await;
}
