//! A switch behind the proxy that dies in the middle of a Write, or comes back with other state.

use tonic::Code;

use super::*;

/// What the poor server holds, as one text.
fn held(poor: &RunningPoor) -> String {
    format!("{:?}", poor.server.lock().entities)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_which_the_switch_dies_is_unavailable_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    controller.write(vec![insert(1)]).await.expect("it is new");
    // It takes the first of the two, and then says nothing more.
    poor.server.lock().dies_at = Some(vec![10, 0, 3, 0]);
    let batch = vec![insert(2), insert(3)];
    let (refused, poor) = tokio::join!(controller.write(batch), async {
        let server = poor.server.clone();
        until("half of the batch", || server.lock().entities.len() == 2).await;
        let state = poor.server.lock().crash();
        poor.restart_with(state).await
    });
    assert_eq!(refused.expect_err("nobody knows").code(), Code::Unknown);
    assert_eq!(routes(&mut controller).await.len(), 1);
    ready(&mut controller).await;
    until("the repair", || poor.server.lock().entities.len() == 1).await;
    assert!(held(&poor).contains("[10, 0, 1, 0]"), "{}", held(&poor));
    let batch = vec![insert(2), insert(3)];
    controller.write(batch).await.expect("both are new");
    assert_eq!(poor.server.lock().entities.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_comes_back_with_other_state_is_given_what_is_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    let batch = vec![insert(1), insert(2)];
    controller.write(batch).await.expect("both are new");
    let mut state = poor.server.lock().crash();
    let mut entities = std::mem::take(&mut state.entities).into_iter();
    let (_, first) = entities.next().expect("there are two");
    // One is gone, one has another action, one is nobody's.
    let mut strange = first.clone();
    if let Entity::TableEntry(entry) = &mut strange {
        entry.r#match = route(9, 1).r#match;
    }
    let mut changed = first;
    if let Entity::TableEntry(entry) = &mut changed {
        entry.action = route(1, 77).action;
    }
    for entity in [strange, changed] {
        state.entities.insert(poor_server::key(&entity), entity);
    }
    let poor = poor.restart_with(state).await;
    // Until the proxy has noticed, it takes writes as before.
    let is_repaired = || {
        let held = held(&poor);
        let is_strange = held.contains("[77]") || held.contains("[10, 0, 9, 0]");
        !is_strange && poor.server.lock().entities.len() == 2
    };
    until("the repair", is_repaired).await;
    ready(&mut controller).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_comes_back_with_its_pipeline_alone_is_given_what_is_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    let batch = vec![insert(1), insert(2)];
    controller.write(batch).await.expect("both are new");
    let mut state = poor.server.lock().crash();
    state.entities.clear();
    let poor = poor.restart_with(state).await;
    until("the repair", || poor.server.lock().entities.len() == 2).await;
    ready(&mut controller).await;
}
