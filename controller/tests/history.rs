//! The history through the API: what was changed, by whom, and back again, on the switch too.
#![allow(clippy::unwrap_used)]

mod support;

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1::State;
use support::fake_agent::FakeAgent;
use support::{TestController, delete, device, eventually, forward, next, put, request};

const WAIT_MILLISECONDS: u32 = 10_000;

async fn history(
    controller: &mut TestController,
    request: pb::GetHistoryRequest,
) -> Vec<pb::PastChange> {
    let answer = controller.client.get_history(request).await.unwrap();
    answer.into_inner().changes
}

async fn rollback(
    controller: &mut TestController,
    request: pb::RollbackRequest,
) -> pb::RollbackResponse {
    let answer = controller.client.rollback(request).await.unwrap();
    answer.into_inner()
}

#[tokio::test]
async fn what_was_deleted_is_back_on_the_switch_after_a_rollback() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let changes = [put(next("spine")), put(forward("route", "spine"))];
    let first = pb::ApplyRequest {
        author: "ada@noc".into(),
        reason: "first light".into(),
        ..request(vec![device("leaf1", agent.address, 1)], changes)
    };
    let good = controller.must_apply(first).await.revision;
    let bad = [delete(forward("route", "spine")), delete(next("spine"))];
    controller.must_apply(request(vec![], bad)).await;
    assert!(agent.held().objectives.is_empty());

    let wanted = pb::RollbackRequest {
        revision: good,
        wait_milliseconds: WAIT_MILLISECONDS,
        dry_run: true,
        ..Default::default()
    };
    let dry = rollback(&mut controller, wanted.clone()).await;
    assert_eq!((dry.answer.unwrap().created, dry.objectives.len()), (2, 2));
    assert!(agent.held().objectives.is_empty());

    let done = rollback(
        &mut controller,
        pb::RollbackRequest {
            dry_run: false,
            ..wanted
        },
    )
    .await;
    let answer = done.answer.unwrap();
    assert!(
        answer
            .statuses
            .iter()
            .all(|status| status.state() == State::Applied),
        "{answer:?}"
    );
    assert_eq!(agent.held().names(), ["route", "spine"]);

    let all = history(&mut controller, pb::GetHistoryRequest::default()).await;
    let told: Vec<_> = all
        .iter()
        .map(|past| (past.author.as_str(), past.reason.as_str()))
        .collect();
    let back = format!("back to revision {good}");
    assert_eq!(told, [("", &*back), ("", ""), ("ada@noc", "first light")]);
    assert!(
        all.windows(2)
            .all(|pair| pair[0].before == pair[1].revision),
        "{all:?}"
    );
    let newest = pb::GetHistoryRequest {
        limit: 1,
        revision: None,
        ..Default::default()
    };
    assert_eq!(history(&mut controller, newest).await, all[..1]);
    let alone = pb::GetHistoryRequest {
        limit: 0,
        revision: Some(good),
        ..Default::default()
    };
    let alone = history(&mut controller, alone).await;
    assert_eq!((alone[0].devices.len(), alone[0].objectives.len()), (1, 2));
}

#[tokio::test]
async fn a_request_for_another_revision_than_now_changes_nothing() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let first = request(vec![device("leaf1", agent.address, 1)], [put(next("a"))]);
    let revision = controller.must_apply(first).await.revision;
    let late = pb::ApplyRequest {
        base_revision: Some(revision - 1),
        ..request(vec![], [put(next("b"))])
    };
    let refused = controller.apply(late).await;
    assert!(
        refused.errors[0]
            .message
            .contains("something else has changed"),
        "{refused:?}"
    );
    let in_time = pb::ApplyRequest {
        base_revision: Some(revision),
        ..request(vec![], [put(next("b"))])
    };
    assert_eq!(controller.apply(in_time).await.created, 1);
}

#[tokio::test]
async fn a_revision_that_is_not_there_is_named_with_those_that_are() {
    let mut controller = TestController::start().await;
    let wanted = pb::RollbackRequest {
        revision: 7,
        ..Default::default()
    };
    let status = controller.client.rollback(wanted).await.unwrap_err();
    assert_eq!(
        status.message(),
        "revision 7 is not one to go back to; nothing has been changed yet"
    );
}

/// A next on leaf1 for so many seconds.
fn on_trial(name: &str, seconds: u32) -> pb::ApplyRequest {
    pb::ApplyRequest {
        try_seconds: seconds,
        ..request(vec![], [put(next(name))])
    }
}

#[tokio::test]
async fn what_nobody_confirms_is_taken_back_and_what_is_confirmed_stays() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let first = request(vec![device("leaf1", agent.address, 1)], [put(next("a"))]);
    controller.must_apply(first).await;

    controller.must_apply(on_trial("b", 1)).await;
    eventually("it is taken back", async || agent.held().names() == ["a"]).await;
    let late = controller
        .client
        .confirm(pb::ConfirmRequest::default())
        .await;
    let late = late.unwrap_err();
    assert!(late.message().contains("nothing is on trial"), "{late}");

    let revision = controller.must_apply(on_trial("b", 60)).await.revision;
    let refused = controller.apply(request(vec![], [put(next("c"))])).await;
    assert!(
        refused.errors[0].message.contains("is on trial"),
        "{refused:?}"
    );
    let confirm = pb::ConfirmRequest {
        revision: Some(revision),
    };
    let confirmed = controller.client.confirm(confirm).await.unwrap();
    assert_eq!(confirmed.into_inner().revision, revision);
    controller
        .must_apply(request(vec![], [put(next("c"))]))
        .await;
    assert_eq!(agent.held().names(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_trial_that_ended_while_no_controller_ran_is_taken_back_by_the_next() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let first = request(vec![device("leaf1", agent.address, 1)], [put(next("a"))]);
    controller.must_apply(first).await;
    controller.must_apply(on_trial("b", 1)).await;
    let _controller = controller.restart().await;
    eventually("it is taken back", async || agent.held().names() == ["a"]).await;
}
