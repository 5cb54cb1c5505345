//! A whole controller: what an apply request does, and what it refuses.
#![allow(clippy::unwrap_used)]

mod support;

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1::objective::Kind;
use pointsman_proto::pointsman::objective::v1::{Reason, State};
use support::fake_agent::FakeAgent;
use support::*;

/// An address where nobody listens, for tests that need no switch.
const NOBODY: &str = "127.0.0.1:1";

#[tokio::test]
async fn one_bad_change_refuses_the_whole_request() {
    let mut controller = TestController::start().await;
    let changes = [put(next("spine")), put(forward("route", "spin"))];
    let response = controller
        .apply(request(vec![device("leaf1", NOBODY, 1)], changes))
        .await;
    let [error] = &response.errors[..] else {
        panic!("{:?}", response.errors)
    };
    assert_eq!(error.subject(), pb::apply_error::Subject::Objective);
    assert_eq!((error.index, error.reason()), (1, Reason::NoSuchObjective));
    assert_eq!(
        error.message,
        "forward/route of leaf1 refers to next \"spin\", which does not exist; nexts of this device: spine"
    );
    assert_eq!(controller.objectives().await, []);
}

#[tokio::test]
async fn what_the_pipeline_cannot_do_refuses_the_whole_request() {
    let agent = FakeAgent::start().await;
    agent.held().unsupported.insert("mpls".into());
    let mut controller = TestController::start().await;
    controller
        .must_apply(request(vec![device("leaf1", agent.address, 1)], []))
        .await;
    let response = controller
        .apply(request(vec![], [put(next("fine")), put(next("mpls"))]))
        .await;
    let [error] = &response.errors[..] else {
        panic!("{:?}", response.errors)
    };
    assert_eq!(
        (error.index, error.reason()),
        (1, Reason::UnsupportedByPipeline)
    );
    assert_eq!(
        error.message,
        "next/mpls of leaf1: the pipeline has no table for it"
    );
    assert!(controller.objectives().await[0].objectives.is_empty());
}

#[tokio::test]
async fn what_the_yaml_reader_would_refuse_is_refused_of_any_client() {
    let mut controller = TestController::start().await;
    let mut bad = forward("route", "spine");
    if let Some(Kind::Forward(forward)) = &mut bad.kind {
        forward.selector[0].field = "ipv5_dst".into();
    }
    let changes = [put(next("spine")), put(bad)];
    let response = controller
        .apply(request(vec![device("leaf1", NOBODY, 1)], changes))
        .await;
    let [error] = &response.errors[..] else {
        panic!("{:?}", response.errors)
    };
    assert_eq!((error.index, error.reason()), (1, Reason::BadParameters));
    assert_eq!(error.message, "forward/route: there is no field `ipv5_dst`");
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let mut controller = TestController::start().await;
    let request = request(vec![device("leaf1", NOBODY, 1)], [put(next("spine"))]);
    let dry = controller
        .apply(pb::ApplyRequest {
            dry_run: true,
            ..request.clone()
        })
        .await;
    assert_eq!((dry.created, dry.devices_created, dry.revision), (1, 1, 0));
    assert_eq!(dry.effects().collect::<Vec<_>>(), [pb::Effect::Created]);
    assert_eq!(controller.objectives().await, []);
    let real = controller.apply(request).await;
    assert_eq!((real.created, real.devices_created), (1, 1));
}

#[tokio::test]
async fn the_same_again_changes_no_revision() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let changes = [put(next("spine")), put(forward("route", "spine"))];
    let request = request(vec![device("leaf1", agent.address, 1)], changes);
    let first = controller.must_apply(request.clone()).await;
    let second = controller.must_apply(request).await;
    assert_eq!(
        (second.created, second.unchanged, second.devices_unchanged),
        (0, 2, 1)
    );
    assert_eq!(second.revision, first.revision);
    assert_eq!(second.statuses, first.statuses);
}

#[tokio::test]
async fn pruning_deletes_what_the_request_does_not_name() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let changes = [
        put(next("keep")),
        put(next("old")),
        put(forward("route", "old")),
    ];
    controller
        .must_apply(request(vec![device("leaf1", agent.address, 1)], changes))
        .await;
    let prune = pb::ApplyRequest {
        prune: vec![pb::Prune {
            device: "leaf1".into(),
            owner: String::new(),
        }],
        ..request(vec![], [put(next("keep"))])
    };
    let response = controller.must_apply(prune).await;
    assert_eq!((response.deleted, response.unchanged), (2, 1));
    let pruned: Vec<_> = response
        .pruned
        .iter()
        .map(|pruned| pruned.name.as_str())
        .collect();
    assert_eq!(pruned, ["route", "old"]);
    eventually("they are gone", async || agent.held().names() == ["keep"]).await;
}

#[tokio::test]
async fn a_deletion_is_acknowledged_by_the_switch() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    controller
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("a"))],
        ))
        .await;
    let response = controller
        .must_apply(request(vec![], [delete(next("a"))]))
        .await;
    assert_eq!(response.statuses[0].state(), State::Applied);
    assert!(agent.held().objectives.is_empty());
}

#[tokio::test]
async fn entries_are_asked_of_the_agents() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    controller
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("a"))],
        ))
        .await;
    let request = pb::GetObjectivesRequest {
        device: "leaf1".into(),
        entries: true,
        ..Default::default()
    };
    let answer = controller
        .client
        .get_objectives(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        answer.devices[0].objectives[0].entries,
        ["table: a -> action"]
    );
}

#[tokio::test]
async fn a_device_that_does_not_exist_is_named_with_those_that_do() {
    let mut controller = TestController::start().await;
    controller
        .apply(request(vec![device("leaf1", NOBODY, 1)], []))
        .await;
    let request = pb::GetPortsRequest {
        device: "leaf7".into(),
        ..Default::default()
    };
    let status = controller.client.get_ports(request).await.unwrap_err();
    assert_eq!(
        status.message(),
        "there is no device \"leaf7\"; known devices: leaf1"
    );
}

#[tokio::test]
async fn devices_tell_who_is_master_and_what_their_agents_say() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    controller
        .must_apply(request(
            vec![device("leaf1", agent.address, 1)],
            [put(next("a"))],
        ))
        .await;
    let devices = controller
        .client
        .get_devices(pb::GetDevicesRequest::default())
        .await
        .unwrap();
    let [leaf1] = &devices.into_inner().devices[..] else {
        panic!("one device")
    };
    assert_eq!(
        (leaf1.reachable, leaf1.term, leaf1.objectives_applied),
        (true, 1, 1)
    );
    assert_eq!(leaf1.master, "controller-1");
    assert_eq!(leaf1.agent.as_ref().unwrap().pipeline, "fake");
    let status = controller
        .client
        .get_status(pb::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (status.leader.as_str(), status.voters.len()),
        ("controller-1", 1)
    );
    assert_eq!(status.cluster_id.len(), 32);
}

#[tokio::test]
async fn health_is_served() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    let controller = TestController::start().await;
    let address = format!("http://{}", controller.server.address());
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let service = "pointsman.controller.v1.Controller".to_owned();
    let answer = client
        .check(HealthCheckRequest { service })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_request_that_changes_nothing_is_not_committed() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let all = || {
        let changes = [put(next("spine")), put(forward("route", "spine"))];
        request(vec![device("leaf1", agent.address, 1)], changes)
    };
    let first = controller.must_apply(all()).await;
    // That the switch has acknowledged it is committed, too.
    let log_index = controller.log_index_at_rest().await;
    let again = controller.must_apply(all()).await;
    assert_eq!((again.unchanged, again.devices_unchanged), (2, 1));
    assert_eq!(again.revision, first.revision);
    // How they fare is known all the same.
    assert_eq!(again.statuses, first.statuses);
    assert_eq!(controller.log_index().await, log_index);
    controller
        .must_apply(request(vec![], [put(next("spine")), put(next("leaf"))]))
        .await;
    assert!(controller.log_index().await > log_index);
}
