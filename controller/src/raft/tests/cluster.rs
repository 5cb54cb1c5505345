//! Several nodes in one process, over real connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::database::StoreDatabase;
use super::super::pacemaker::LEASE;
use super::super::types::EncodedCommand;
use super::super::{Store, StoreConfig, StoreError, peer_service};
use super::disk::Disk;
use super::{apply, config, device, put};
use crate::state::{ChangeSet, Command, NodeId, State};

fn new_id() -> NodeId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

const PATIENCE: Duration = Duration::from_secs(10);

/// A node with its peer port.
pub struct Node {
    pub store: Store,
    pub directory: TempDir,
    pub address: String,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Node {
    /// The first node of a cluster.
    pub async fn first() -> Self {
        Self::start(tempfile::tempdir().unwrap(), "127.0.0.1:0", new_id(), true).await
    }

    /// A node that waits to be added to one.
    pub async fn waiting() -> Self {
        Self::start(tempfile::tempdir().unwrap(), "127.0.0.1:0", new_id(), false).await
    }

    /// The same, on this disk.
    pub async fn waiting_on(disk: Disk) -> Self {
        let node_id = new_id();
        let database = StoreDatabase::on(disk, node_id).unwrap();
        let directory = tempfile::tempdir().unwrap();
        Self::start_on(database, directory, "127.0.0.1:0", node_id, false).await
    }

    async fn start(directory: TempDir, address: &str, node_id: NodeId, is_first: bool) -> Self {
        let database = StoreDatabase::open(directory.path(), node_id).unwrap();
        Self::start_on(database, directory, address, node_id, is_first).await
    }

    async fn start_on(
        database: StoreDatabase,
        directory: TempDir,
        address: &str,
        node_id: NodeId,
        is_first: bool,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let config = config(&directory);
        let new_cluster = config.new_cluster.filter(|_| is_first);
        let config = StoreConfig {
            node_id,
            address: address.clone(),
            new_cluster,
            ..config
        };
        let store = Store::over(database, config).await.unwrap();
        let stop = CancellationToken::new();
        let routes = peer_service::routes(&store);
        let until = stop.clone();
        let serving =
            tokio::spawn(async move { peer_service::serve(listener, None, routes, until).await });
        Self {
            store,
            directory,
            address,
            stop,
            serving,
        }
    }

    pub fn id(&self) -> NodeId {
        self.store.node_id()
    }

    pub async fn stop(self) -> (TempDir, String) {
        self.serving.abort();
        self.stop.cancel();
        let _ = self.serving.await;
        self.store.shutdown().await;
        (self.directory, self.address)
    }
}

/// A cluster of that many voters. The first one leads.
pub async fn cluster(size: usize) -> Vec<Node> {
    let mut nodes = vec![Node::first().await];
    while nodes.len() < size {
        let node = Node::waiting().await;
        join(&nodes[0].store, &node).await;
        nodes.push(node);
    }
    nodes
}

pub async fn join(through: &Store, node: &Node) {
    let address = node.address.clone();
    through.add_learner(node.id(), address).await.unwrap();
    through.promote(node.id()).await.unwrap();
}

/// Waits until all of these agree on one of them as the leader, and returns its place.
pub async fn leader_of(nodes: &[Node]) -> usize {
    let start = Instant::now();
    loop {
        let leaders: Vec<_> = nodes
            .iter()
            .map(|node| node.store.membership().leader)
            .collect();
        let place = nodes.iter().position(|node| Some(node.id()) == leaders[0]);
        if let Some(place) = place
            && leaders.iter().all(|leader| *leader == leaders[0])
        {
            return place;
        }
        assert!(start.elapsed() < PATIENCE, "{leaders:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn objectives(store: &Store) -> usize {
    store.read(|state| {
        let device = state.device("leaf1");
        device.map_or(0, |device| device.objectives().len())
    })
}

/// Leaves nothing of the log but a snapshot.
async fn forget_log(store: &Store) {
    store.raft.trigger().snapshot().await.unwrap();
    let last = store.membership().log_index;
    let wait = store.raft.wait(Some(PATIENCE));
    let is_made = |metrics: &openraft::RaftMetrics<NodeId, openraft::BasicNode>| {
        metrics
            .snapshot
            .is_some_and(|snapshot| snapshot.index >= last)
    };
    wait.metrics(is_made, "a snapshot").await.unwrap();
    store.raft.trigger().purge_log(last).await.unwrap();
    let wait = store.raft.wait(Some(PATIENCE));
    let is_purged = |metrics: &openraft::RaftMetrics<NodeId, openraft::BasicNode>| {
        metrics.purged.is_some_and(|purged| purged.index >= last)
    };
    wait.metrics(is_purged, "a shorter log").await.unwrap();
}

/// Nobody reaches this node, and it reaches nobody.
fn cut_off(nodes: &[Node], place: usize) {
    let others = nodes.iter().filter(|node| node.id() != nodes[place].id());
    for other in others.clone() {
        other.store.links.cut([nodes[place].id()]);
    }
    nodes[place].store.links.cut(others.map(Node::id));
}

fn mend(nodes: &[Node]) {
    for node in nodes {
        node.store.links.cut([]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_takes_commands_and_shows_what_was_acknowledged_on_another() {
    let nodes = cluster(3).await;
    apply(&nodes[2].store, vec![device("leaf1")], vec![]).await;
    for index in 0..30 {
        let (writer, reader) = (&nodes[index % 3].store, &nodes[(index + 1) % 3].store);
        apply(writer, vec![], vec![put("leaf1", index)]).await;
        reader.ensure_current().await.unwrap();
        assert_eq!(objectives(reader), index + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_gone_has_a_successor_soon_and_nothing_acknowledged_is_lost() {
    let mut nodes = cluster(3).await;
    apply(&nodes[0].store, vec![device("leaf1")], vec![]).await;
    for index in 0..10 {
        apply(&nodes[1].store, vec![], vec![put("leaf1", index)]).await;
    }
    let leader = leader_of(&nodes).await;
    let gone = nodes.remove(leader);
    let gone_id = gone.id();
    let (directory, address) = gone.stop().await;
    let start = Instant::now();
    apply(&nodes[0].store, vec![], vec![put("leaf1", 10)]).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    nodes.push(Node::start(directory, &address, gone_id, false).await);
    let back = &nodes[2].store;
    back.ensure_current().await.unwrap();
    assert_eq!(objectives(back), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_lacks_some_of_the_log_does_not_keep_another_from_winning() {
    let mut nodes = cluster(3).await;
    apply(&nodes[0].store, vec![device("leaf1")], vec![]).await;
    // The higher of two ids wins if both are candidates of a term; here it must not.
    nodes[0].store.links.cut([nodes[2].id()]);
    apply(&nodes[0].store, vec![], vec![put("leaf1", 0)]).await;
    nodes.remove(0).stop().await;
    let start = Instant::now();
    apply(&nodes[0].store, vec![], vec![put("leaf1", 1)]).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    nodes[1].store.ensure_current().await.unwrap();
    assert_eq!(objectives(&nodes[1].store), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_commits_nothing_and_follows_when_it_is_back() {
    let nodes = cluster(3).await;
    apply(&nodes[0].store, vec![device("leaf1")], vec![]).await;
    let leader = leader_of(&nodes).await;
    let others: Vec<_> = (0..3).filter(|place| *place != leader).collect();
    cut_off(&nodes, leader);
    let cut_off = &nodes[leader];
    apply(&nodes[others[0]].store, vec![], vec![put("leaf1", 0)]).await;
    let refused = cut_off.store.ensure_current().await.unwrap_err();
    assert!(matches!(refused, StoreError::NoQuorum(_)), "{refused}");
    let claim = Command::Claim {
        node: cut_off.id(),
        devices: vec!["leaf1".into()],
    };
    let refused = cut_off.store.submit(claim).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::NoQuorum(_) | StoreError::Unknown(_)),
        "{refused}"
    );
    mend(&nodes);
    leader_of(&nodes).await;
    apply(&cut_off.store, vec![], vec![put("leaf1", 1)]).await;
    nodes[others[1]].store.ensure_current().await.unwrap();
    cut_off.store.ensure_current().await.unwrap();
    assert_eq!(objectives(&cut_off.store), 2);
    let states: Vec<_> = nodes
        .iter()
        .map(|node| node.store.read(State::clone))
        .collect();
    assert_eq!(states[0].devices(), states[leader].devices());
}

/// openraft never says what became of entries that a snapshot has replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_leads_again_does_not_wait_for_what_it_left_undone() {
    let nodes = cluster(3).await;
    apply(&nodes[0].store, vec![device("leaf1")], vec![]).await;
    let first = leader_of(&nodes).await;
    cut_off(&nodes, first);
    let mut undone = tokio::task::JoinSet::new();
    for index in 0..4 {
        let leading = nodes[first].store.leading.clone();
        let changes = ChangeSet {
            objectives: vec![put("leaf1", index)],
            ..ChangeSet::default()
        };
        let command = EncodedCommand::of(&Command::Apply(changes));
        undone.spawn(async move { leading.commit(command).await });
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let other = &nodes[(first + 1) % 3].store;
    for index in 0..10 {
        apply(other, vec![], vec![put("leaf1", index)]).await;
    }
    let second = other.membership().leader;
    let second = nodes.iter().find(|node| Some(node.id()) == second).unwrap();
    forget_log(&second.store).await;
    mend(&nodes);
    nodes[first].store.ensure_current().await.unwrap();
    let start = Instant::now();
    let to = nodes[first].id();
    second.store.transfer_leadership(Some(to)).await.unwrap();
    apply(&nodes[first].store, vec![], vec![put("leaf1", 10)]).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_cut_off_deposes_nobody_when_it_is_back() {
    let nodes = cluster(3).await;
    apply(&nodes[0].store, vec![device("leaf1")], vec![]).await;
    let leader = leader_of(&nodes).await;
    let term = || nodes[leader].store.raft.metrics().borrow().vote;
    let before = term();
    cut_off(&nodes, (leader + 1) % 3);
    let back = &nodes[(leader + 1) % 3].store;
    let start = Instant::now();
    while back.membership().leader.is_some() {
        assert!(start.elapsed() < PATIENCE, "it says that somebody leads");
        tokio::time::sleep(LEASE / 10).await;
    }
    apply(&nodes[leader].store, vec![], vec![put("leaf1", 0)]).await;
    mend(&nodes);
    back.ensure_current().await.unwrap();
    assert_eq!(objectives(back), 1);
    tokio::time::sleep(2 * LEASE).await;
    assert_eq!(term(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_grows_to_five_and_shrinks_to_three_under_load() {
    let mut nodes = vec![Node::first().await];
    let store = nodes[0].store.clone();
    apply(&store, vec![device("leaf1")], vec![]).await;
    let stop = CancellationToken::new();
    let until = stop.clone();
    let writer = store.clone();
    let load = tokio::spawn(async move {
        let mut written = 0;
        while !until.is_cancelled() {
            apply(&writer, vec![], vec![put("leaf1", written)]).await;
            written += 1;
        }
        written
    });
    for _ in 0..4 {
        let node = Node::waiting().await;
        join(&store, &node).await;
        nodes.push(node);
    }
    assert_eq!(store.membership().voters.len(), 5);
    for _ in 0..2 {
        let node = nodes.pop().unwrap();
        nodes[1].store.remove(node.id()).await.unwrap();
        node.stop().await;
    }
    stop.cancel();
    let written = load.await.unwrap();
    assert_eq!(store.membership().voters.len(), 3);
    for node in &nodes {
        node.store.ensure_current().await.unwrap();
        assert_eq!(objectives(&node.store), written);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_by_one_with_another_id() {
    let mut nodes = cluster(3).await;
    apply(
        &nodes[0].store,
        vec![device("leaf1")],
        vec![put("leaf1", 0)],
    )
    .await;
    let dead = nodes.pop().unwrap();
    let dead_id = dead.id();
    dead.stop().await;
    nodes[1].store.remove(dead_id).await.unwrap();
    let other = Node::waiting().await;
    join(&nodes[1].store, &other).await;
    nodes.push(other);
    nodes[2].store.ensure_current().await.unwrap();
    assert_eq!(objectives(&nodes[2].store), 1);
    assert!(!nodes[2].store.membership().voters.contains(&dead_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_to_the_node_that_was_named_and_to_any_otherwise() {
    let nodes = cluster(3).await;
    apply(&nodes[0].store, vec![device("leaf1")], vec![]).await;
    let second = nodes[1].id();
    nodes[2]
        .store
        .transfer_leadership(Some(second))
        .await
        .unwrap();
    assert_eq!(leader_of(&nodes).await, 1);
    nodes[1].store.transfer_leadership(None).await.unwrap();
    assert_ne!(leader_of(&nodes).await, 1);
    apply(&nodes[1].store, vec![], vec![put("leaf1", 0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_voter_and_strangers_are_not_removed() {
    let nodes = cluster(1).await;
    let last = nodes[0].store.remove(nodes[0].id()).await.unwrap_err();
    assert!(matches!(last, StoreError::Refused(_)), "{last}");
    let stranger = nodes[0].store.remove(1).await.unwrap_err();
    assert!(matches!(stranger, StoreError::Refused(_)), "{stranger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_too_far_behind_for_the_log_gets_a_snapshot_in_pieces() {
    let nodes = cluster(1).await;
    let store = &nodes[0].store;
    apply(store, vec![device("leaf1")], vec![]).await;
    for round in 0..40 {
        // More than one piece altogether.
        let objectives = (0..200).map(|index| put("leaf1", round * 200 + index));
        apply(store, vec![], objectives.collect()).await;
    }
    forget_log(store).await;
    let behind = Node::waiting().await;
    join(store, &behind).await;
    behind.store.ensure_current().await.unwrap();
    assert_eq!(behind.store.read(State::clone), store.read(State::clone));
    let left: Vec<_> = std::fs::read_dir(behind.directory.path())
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
