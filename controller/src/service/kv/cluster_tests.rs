//! The key-value store on three nodes: each of them takes every request, and leases outlive a leader.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_proto::pointsman::controller::v1 as pb;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};

use super::*;
use crate::raft::tests::cluster::{Node, cluster, leader_of};

fn service(node: &Node) -> Arc<KvService> {
    let (node, tasks) = KvNode::start(node.store.clone(), CancellationToken::new());
    // They end with the runtime of the test.
    tokio::spawn(tasks.ended());
    Arc::new(KvService::new(node))
}

async fn grant(service: &KvService, ttl_milliseconds: u64) -> u64 {
    let request = pb::GrantLeaseRequest {
        ttl_milliseconds,
        name: "test".into(),
    };
    let answer = service.grant_lease(Request::new(request)).await.unwrap();
    answer.into_inner().lease
}

fn put(value: &str, lease: u64, expected: Option<u64>) -> Request<pb::KvPutRequest> {
    Request::new(pb::KvPutRequest {
        namespace: "app".into(),
        key: "a".into(),
        value: value.as_bytes().to_vec(),
        lease,
        expected_revision: expected,
    })
}

async fn value(service: &KvService) -> Option<Vec<u8>> {
    let request = pb::KvGetRequest {
        namespace: "app".into(),
        key: "a".into(),
        ..Default::default()
    };
    match service.get(Request::new(request)).await {
        Ok(answer) => Some(answer.into_inner().entry.unwrap().value),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{status}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_acknowledged_every_other_one_reads_at_once() {
    let nodes = cluster(3).await;
    let services: Vec<_> = nodes.iter().map(service).collect();
    for round in 0..30 {
        let text = round.to_string();
        services[round % 3].put(put(&text, 0, None)).await.unwrap();
        let read = value(&services[(round + 1) % 3]).await;
        assert_eq!(read, Some(text.into_bytes()));
    }
    // Of those who swap at one revision one succeeds, wherever they ask.
    let answers = services
        .iter()
        .map(|service| service.put(put("mine", 0, Some(30))));
    let answers = futures::future::join_all(answers).await;
    let succeeded = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(succeeded, 1, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_on_one_follower_and_given_up_on_another() {
    let nodes = cluster(3).await;
    let services: Vec<_> = nodes.iter().map(service).collect();
    let lock = |lease, wait_milliseconds| {
        Request::new(pb::LockRequest {
            namespace: "app".into(),
            name: "leader".into(),
            lease,
            wait_milliseconds,
        })
    };
    let first = grant(&services[1], 60_000).await;
    let second = grant(&services[2], 60_000).await;
    for _ in 0..10 {
        let token = services[0].lock(lock(first, 0)).await.unwrap();
        let token = token.into_inner().token;
        let waiting = services[2].clone();
        let waits = tokio::spawn(async move { waiting.lock(lock(second, 30_000)).await });
        let release = |lease| {
            Request::new(pb::UnlockRequest {
                namespace: "app".into(),
                name: "leader".into(),
                lease,
            })
        };
        services[1].unlock(release(first)).await.unwrap();
        let next = waits.await.unwrap().unwrap().into_inner().token;
        assert!(next > token);
        services[2].unlock(release(second)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_its_full_time_again_when_the_leader_changes_and_ends_then() {
    let mut nodes = cluster(3).await;
    let services: Vec<_> = nodes.iter().map(service).collect();
    let leader = leader_of(&nodes).await;
    let follower = services[(leader + 1) % 3].clone();
    let ttl = Duration::from_secs(3);
    let lease = grant(&follower, 3000).await;
    follower.put(put("alive", lease, None)).await.unwrap();
    tokio::time::sleep(ttl * 2 / 3).await;
    nodes.remove(leader).stop().await;
    let stopped = Instant::now();
    tokio::time::sleep(ttl / 2).await;
    // By the clock of the leader that is gone it would have ended.
    assert!(value(&follower).await.is_some());
    while value(&follower).await.is_some() {
        assert!(stopped.elapsed() < ttl * 5, "it never ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(stopped.elapsed() >= ttl, "{:?}", stopped.elapsed());
}
