//! Clusters of processes, as an operator makes and keeps them: init, join, remove, replace, hand over, back up.
#![allow(clippy::unwrap_used)]

mod support;

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::cluster_node::Role;
use support::process::{Place, Running, exists, must, must_fail};
use support::{device, eventually, next, put, request};

/// One large cluster at a time: elections are a matter of milliseconds, which a crowded machine does not have.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A running cluster of so many nodes.
async fn cluster_of(number: usize) -> Vec<(Place, Running)> {
    let first = Place::new();
    first.init();
    let running = first.start();
    let mut nodes = vec![(first, running)];
    while nodes.len() < number {
        let next = Place::new();
        next.join(&nodes[0].0.token().await);
        let running = next.start();
        nodes.push((next, running));
    }
    nodes
}

async fn apply(place: &Place, request: pb::ApplyRequest) {
    let client = place.controller().await;
    // Between two leaders a request may go unanswered. What is put twice is there once.
    eventually("the change is committed", async || {
        let answer = client.clone().apply(request.clone()).await;
        answer.is_ok_and(|answer| answer.into_inner().errors.is_empty())
    })
    .await;
}

async fn objective_names(place: &Place) -> Vec<String> {
    let request = pb::GetObjectivesRequest::default();
    let Ok(answer) = place.controller().await.get_objectives(request).await else {
        return vec![];
    };
    let devices = answer.into_inner().devices.into_iter();
    let objectives = devices.flat_map(|device| device.objectives);
    objectives
        .map(|objective| objective.objective.unwrap().name)
        .collect()
}

fn names_of(nodes: &[pb::ClusterNode]) -> Vec<&str> {
    nodes.iter().map(|node| node.name.as_str()).collect()
}

/// What one node knows of another, once it has said it.
async fn described(asked: &Place, other: &Place) -> pb::ClusterNode {
    let find = async || {
        let seen = asked.nodes().await.into_iter();
        { seen }.find(|node| node.peer_address == other.peers)
    };
    eventually("it says where it is", async || find().await.is_some()).await;
    find().await.unwrap()
}

fn leader_of(nodes: &[pb::ClusterNode]) -> Option<&pb::ClusterNode> {
    nodes.iter().find(|node| node.role() == Role::Leader)
}

#[tokio::test]
async fn three_processes_become_one_cluster_of_which_each_takes_every_request() {
    let _turn = TURN.lock().await;
    let nodes = cluster_of(3).await;
    for (place, _) in &nodes {
        eventually("three voters that are up", async || {
            let seen = place.nodes().await;
            let votes = |node: &pb::ClusterNode| {
                node.live && matches!(node.role(), Role::Leader | Role::Voter)
            };
            seen.len() == 3 && seen.iter().all(votes) && leader_of(&seen).is_some()
        })
        .await;
    }
    let seen = nodes[0].0.nodes().await;
    assert_eq!(
        names_of(&seen),
        ["controller-1", "controller-2", "controller-3"]
    );
    for (place, _) in &nodes {
        let is_it = |node: &&pb::ClusterNode| node.peer_address == place.peers;
        assert_eq!(seen.iter().find(is_it).unwrap().api_address, place.api);
    }
    apply(
        &nodes[1].0,
        request(vec![device("leaf1", "127.0.0.1:1", 1)], []),
    )
    .await;
    apply(&nodes[2].0, request(vec![], [put(next("n1"))])).await;
    for (place, _) in &nodes {
        eventually("it has what others were given", async || {
            objective_names(place).await == ["n1"]
        })
        .await;
    }
}

#[tokio::test]
async fn a_node_that_is_killed_is_missed_and_the_others_go_on() {
    let _turn = TURN.lock().await;
    let mut nodes = cluster_of(3).await;
    apply(
        &nodes[0].0,
        request(vec![device("leaf1", "127.0.0.1:1", 1)], []),
    )
    .await;
    let leads = async |place: &Place| {
        let seen = place.nodes().await;
        leader_of(&seen).is_some_and(|leader| leader.peer_address == place.peers)
    };
    let mut leader = 0;
    for (index, (place, _)) in nodes.iter().enumerate() {
        if leads(place).await {
            leader = index;
        }
    }
    let (dead, running) = nodes.remove(leader);
    running.kill();
    apply(&nodes[0].0, request(vec![], [put(next("n1"))])).await;
    eventually("the other one has it", async || {
        objective_names(&nodes[1].0).await == ["n1"]
    })
    .await;
    eventually("the dead one is seen to be", async || {
        let seen = nodes[0].0.nodes().await;
        let missed = seen.iter().find(|node| node.peer_address == dead.peers);
        missed.is_some_and(|node| !node.live)
    })
    .await;
    let _back = dead.start();
    eventually("it has what it missed", async || {
        objective_names(&dead).await == ["n1"]
    })
    .await;
}

#[tokio::test]
async fn a_node_that_was_taken_out_ends_and_a_wiped_one_comes_back_under_a_new_id() {
    let _turn = TURN.lock().await;
    let mut nodes = cluster_of(3).await;
    let (out, mut running) = nodes.pop().unwrap();
    let gone = described(&nodes[0].0, &out).await;
    let request = pb::RemoveNodeRequest {
        node: gone.name.clone(),
    };
    let mut client = nodes[0].0.cluster().await;
    let removed = client.remove_node(request).await.unwrap().into_inner();
    assert_eq!(removed.removed.unwrap().id, gone.id);
    let (status, log) = running.end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("taken out of its cluster"), "{log}");
    assert_eq!(nodes[0].0.nodes().await.len(), 2);

    // What is left of it is of no use.
    let mut again = out.spawn();
    let (status, log) = again.end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("pointsman-controller join"), "{log}");

    let wiped = Place::new();
    let token = nodes[1].0.token().await;
    must(&[
        "join",
        &token,
        "--data-dir",
        wiped.path(),
        "--node-name",
        &gone.name,
    ]);
    let _running = wiped.start();
    let after = nodes[0].0.nodes().await;
    let back = after.iter().find(|node| node.name == gone.name).unwrap();
    assert_ne!(back.id, gone.id);
    assert_eq!(after.len(), 3);
}

#[tokio::test]
async fn a_token_is_good_for_one_node_of_its_cluster_and_for_its_time() {
    let nodes = cluster_of(1).await;
    let first = &nodes[0].0;
    let place = Place::new();
    let join = |token: &str| must_fail(&["join", token, "--data-dir", place.path()]);

    let mistyped = run_out_of_words("swordfish");
    assert!(mistyped.contains("pointsman cluster add"), "{mistyped}");

    let mut client = first.cluster().await;
    let brief = client.add_node(pb::AddNodeRequest { valid_seconds: 1 });
    let brief = brief.await.unwrap().into_inner();
    eventually("the token has expired", async || {
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(now.as_secs()).unwrap() >= brief.expires
    })
    .await;
    let late = join(&brief.token);
    assert!(late.contains("has expired"), "{late}");

    let token = first.token().await;
    place.join(&token);
    let second = Place::new();
    let used = must_fail(&["join", &token, "--data-dir", second.path()]);
    assert!(used.contains("used already"), "{used}");
    assert!(!exists(&second.path, "node.yaml"), "a refused node is none");
    second.join(&first.token().await);

    let taken = join(&first.token().await);
    assert!(taken.contains("holds node controller-2"), "{taken}");
}

fn run_out_of_words(token: &str) -> String {
    let place = Place::new();
    let output = support::process::run(&["join", token, "--data-dir", place.path()]);
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_cluster_with_another_authority_is_not_believed() {
    let (ours, theirs) = (cluster_of(1).await, cluster_of(1).await);
    let token = ours[0].0.token().await;
    let elsewhere: pointsman_controller::trust::JoinToken = token.parse().unwrap();
    let elsewhere = pointsman_controller::trust::JoinToken {
        address: theirs[0].0.peers.clone(),
        ..elsewhere
    };
    let place = Place::new();
    let refused = must_fail(&["join", &elsewhere.to_string(), "--data-dir", place.path()]);
    assert!(refused.contains("another authority"), "{refused}");
    assert!(refused.contains("Nothing was sent"), "{refused}");

    let nobody = pointsman_controller::trust::JoinToken {
        address: support::process::free_address(),
        ..elsewhere
    };
    let refused = must_fail(&["join", &nobody.to_string(), "--data-dir", place.path()]);
    assert!(refused.contains("no controller answers"), "{refused}");

    // The secret was not used up by any of this.
    place.join(&token);
}

#[tokio::test]
async fn a_name_that_a_node_has_is_not_given_to_another() {
    let nodes = cluster_of(2).await;
    let place = Place::new();
    let token = nodes[0].0.token().await;
    let name = ["--node-name", "controller-2"];
    let refused = must_fail(&["join", &token, "--data-dir", place.path(), name[0], name[1]]);
    assert!(
        refused.contains("there is a node controller-2"),
        "{refused}"
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_the_flag_that_chooses_another() {
    let place = Place::new();
    place.init();
    let taken = std::net::TcpListener::bind(&place.peers).unwrap();
    let (status, log) = place.spawn().end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains(&place.peers) && log.contains("--peer-listen"),
        "{log}"
    );
    drop(taken);
    let _taken = std::net::TcpListener::bind(&place.api).unwrap();
    let (_, log) = place.spawn().end();
    assert!(
        log.contains(&place.api) && log.contains("--listen"),
        "{log}"
    );
}

#[test]
fn an_empty_directory_is_refused_with_what_to_do() {
    let place = Place::new();
    let (status, log) = place.spawn().end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("pointsman-controller init"), "{log}");
    assert!(log.contains("pointsman-controller join"), "{log}");
    place.init();
    let refused = must_fail(&["init", "--data-dir", place.path()]);
    assert!(refused.contains("holds node controller-1"), "{refused}");
}

#[tokio::test]
async fn a_node_that_ends_hands_leadership_over_before_it_goes() {
    let _turn = TURN.lock().await;
    let mut nodes = cluster_of(3).await;
    apply(
        &nodes[0].0,
        request(vec![device("leaf1", "127.0.0.1:1", 1)], []),
    )
    .await;
    let to = pb::TransferLeadershipRequest {
        node: "controller-1".into(),
    };
    let client = nodes[1].0.cluster().await;
    eventually("the first one leads", async || {
        let led = client.clone().transfer_leadership(to.clone()).await;
        led.is_ok_and(|led| led.into_inner().leader == "controller-1")
    })
    .await;
    let (_, running) = nodes.remove(0);
    let (status, log) = running.terminate();
    assert!(status.success(), "{log}");
    eventually("another one leads", async || {
        let seen = nodes[0].0.nodes().await;
        leader_of(&seen).is_some_and(|leader| leader.name != "controller-1")
    })
    .await;
    let seen = nodes[0].0.nodes().await;
    let left = seen.iter().find(|node| node.name == "controller-1");
    assert!(!left.unwrap().live, "it has said that it goes");
}

#[tokio::test]
async fn what_a_backup_holds_goes_on_in_another_cluster_with_a_higher_epoch() {
    let nodes = cluster_of(1).await;
    let old = &nodes[0].0;
    apply(old, request(vec![device("leaf1", "127.0.0.1:1", 1)], [])).await;
    apply(old, request(vec![], [put(next("n1")), put(next("n2"))])).await;
    let mut client = old.cluster().await;
    let before = client.get_cluster(pb::GetClusterRequest {}).await;
    let before = before.unwrap().into_inner();
    let chunks = client.take_snapshot(pb::TakeSnapshotRequest {}).await;
    let mut chunks = chunks.unwrap().into_inner();
    let mut backup = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        backup.extend(chunk.data);
    }
    let place = Place::new();
    let file = old.path.join("backup");
    let restore = [
        "restore",
        file.to_str().unwrap(),
        "--data-dir",
        place.path(),
    ];

    let mut damaged = backup.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let refused = must_fail(&restore);
    assert!(refused.contains("checksum does not fit"), "{refused}");
    assert!(!exists(&place.path, "node.yaml"));

    std::fs::write(&file, backup).unwrap();
    must(&restore);
    let _running = place.start();
    assert_eq!(objective_names(&place).await, ["n1", "n2"]);
    let mut client = place.cluster().await;
    let after = client.get_cluster(pb::GetClusterRequest {}).await;
    let after = after.unwrap().into_inner();
    assert!(after.epoch > before.epoch, "switches follow the higher one");
    assert_ne!(after.cluster_id, before.cluster_id);
    assert_eq!(after.revision, before.revision);

    // No log leads to what was restored: who joins is sent it as a whole.
    let second = Place::new();
    second.join(&place.token().await);
    let _second = second.start();
    assert_eq!(objective_names(&second).await, ["n1", "n2"]);
}
