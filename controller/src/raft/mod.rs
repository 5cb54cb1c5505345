//! The durable, replicated store: openraft over redb, and the only module that
//! knows either.
//!
//! Outside, there is a [`Store`]: it takes a [`Command`] and answers once the
//! command is on the disks of a majority and applied; it shows the [`State`];
//! it says when that changed. It decides nothing about devices or objectives
//! (that is `state`) and talks to no switch (that is `distribution`).
//!
//! A cluster has one, three or five nodes. Every one of them takes every request:
//! what only the leader can do is passed on to it (`forward`). What others have
//! to say to a node over the peer port goes along the same connections
//! ([`Store::peer_channel`]) and beside the same services ([`peer_service`]).

mod canvass;
mod database;
mod forward;
mod founding;
mod kv_rows;
mod leading;
mod links;
mod log_store;
mod membership;
mod network;
mod pacemaker;
pub mod peer_service;
mod recent;
mod rows;
mod snapshot;
mod state_machine;
#[cfg(test)]
pub(crate) mod tests;
mod types;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openraft::error::Fatal;
use openraft::raft::VoteRequest;
use openraft::{BasicNode, Config, ServerState, SnapshotPolicy};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use thiserror::Error;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Channel;

pub use database::OpenError;
pub use founding::{create, found};
pub use links::LinkError;
pub use membership::Membership;

use crate::state::{Cluster, Command, NodeId, Revision, State};
use crate::trust::PeerTls;
use database::StoreDatabase;
use leading::Leading;
use links::{Link, Links};
use log_store::LogStore;
use network::Network;
use pacemaker::{Contact, Pacemaker};
use peer_service::MembersOnly;
use state_machine::{SharedState, StateMachine};
use types::Raft;

/// Log entries between two snapshots. An entry is a whole change set.
const ENTRIES_PER_SNAPSHOT: u64 = 1000;

/// A candidate that is further ahead than this is not gone past: its refusal tells of its term.
const FEW_TERMS: u64 = 3;

/// How long a start waits for a leader before it gives up.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the store needs to know of its configuration.
#[derive(Clone)]
pub struct StoreConfig {
    /// The directory that holds the store.
    pub data_dir: PathBuf,
    /// This node.
    pub node_id: NodeId,
    /// The address of this node's peer port, for the other nodes.
    pub address: String,
    /// How the peer ports are secured; plain if there is none.
    pub tls: Option<PeerTls>,
    /// The cluster that a node which is in none becomes the first node of; without one, it waits to be added to another.
    pub new_cluster: Option<Cluster>,
}

/// A node of the replicated store.
#[derive(Clone)]
pub struct Store {
    node_id: NodeId,
    data_dir: Arc<Path>,
    raft: Raft,
    shared: Arc<SharedState>,
    links: Links,
    leading: Leading,
    contact: Arc<Contact>,
    changing: Arc<Mutex<()>>,
    has_tls: bool,
    tasks: TaskTracker,
    stop: CancellationToken,
    commit_times: Histogram,
}

/// Why the store did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The store on disk cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Raft stopped on what it found or could not begin.
    #[error("cannot start consensus on the store in {}: {message}", data_dir.display())]
    Consensus {
        /// Where the store is.
        data_dir: PathBuf,
        /// What it said.
        message: String,
    },
    /// Nobody leads.
    #[error("no leader within {} seconds; are a majority of the cluster's nodes running?", LEADER_TIMEOUT.as_secs())]
    NoLeader,
}

/// Why a command was not committed, or a read not answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// This node does not lead. Only the store itself meets it: it asks the leader then.
    #[error("this controller does not lead the cluster{}", leader.map(|id| format!(", node {id} does")).unwrap_or_default())]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The nodes of the cluster cannot be changed like this.
    #[error("{0}")]
    Refused(String),
    /// A majority cannot be reached. Nothing was done.
    #[error("no majority of the cluster answers, so nothing can be read or changed: {0}")]
    NoQuorum(String),
    /// Whether it was done is not known.
    #[error(
        "it is not known whether this was done, because the answer did not come: {0}; look before you try again"
    )]
    Unknown(String),
    /// The node stopped, because it is shutting down or its disk failed.
    #[error(
        "the store has stopped: {0}; see the controller's log, and restart it once the cause is gone"
    )]
    Stopped(String),
}

impl Store {
    /// Opens or creates the store. A node that is alone in its cluster can take commands when this returns; another
    /// one needs its peer port served first ([`peer_service::serve`]), see [`Store::wait_until_current`].
    ///
    /// # Errors
    /// When the directory is unusable, in use by another process or damaged.
    pub async fn open(config: StoreConfig) -> Result<Self, StartError> {
        let database = StoreDatabase::open(&config.data_dir, config.node_id)?;
        Self::over(database, config).await
    }

    async fn over(database: StoreDatabase, config: StoreConfig) -> Result<Self, StartError> {
        let node_id = config.node_id;
        let database = Arc::new(database);
        let shared = Arc::new(
            SharedState::load(&database)
                .map_err(|source| OpenError::damaged(&config.data_dir, source))?,
        );
        let data_dir = config.data_dir;
        let consensus = |message: String| StartError::Consensus {
            data_dir: data_dir.clone(),
            message,
        };
        let has_tls = config.tls.is_some();
        let links = Links::new(config.tls);
        let raft = Raft::new(
            node_id,
            Arc::new(raft_config()),
            Network::new(links.clone()),
            LogStore::new(database.clone()),
            StateMachine::new(database, shared.clone()),
        )
        .await
        .map_err(|error| consensus(error.to_string()))?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let leading = Leading::start(&raft, &tasks, &stop);
        let contact = Arc::new(Contact::new());
        let pacemaker = Pacemaker {
            raft: raft.clone(),
            node_id,
            links: links.clone(),
            contact: contact.clone(),
        };
        tasks.spawn(pacemaker.run(stop.clone()));
        let store = Self {
            node_id,
            data_dir: data_dir.as_path().into(),
            raft,
            shared,
            links,
            leading,
            contact,
            changing: Arc::default(),
            has_tls,
            tasks,
            stop,
            // From half a millisecond to four seconds.
            commit_times: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
        };
        if let Some(cluster) = config.new_cluster {
            let begun = store.begin(cluster, config.address).await;
            begun.map_err(&consensus)?;
        }
        store.know_membership().await.map_err(consensus)?;
        if store.membership().voters == [node_id] {
            store.wait_until_current().await?;
        }
        Ok(store)
    }

    /// Returns once [`Store::membership`] says what is on the disk; at first it says that there is nobody.
    async fn know_membership(&self) -> Result<(), String> {
        let initialized = self.raft.is_initialized().await;
        if !initialized.map_err(|error| error.to_string())? {
            return Ok(());
        }
        let is_known = |metrics: &openraft::RaftMetrics<NodeId, BasicNode>| {
            metrics.membership_config.nodes().next().is_some()
        };
        let wait = self.raft.wait(Some(LEADER_TIMEOUT));
        let known = wait.metrics(is_known, "the membership on the disk");
        known.await.map(drop).map_err(|error| error.to_string())
    }

    /// Makes this node a cluster of its own, unless it is in one already.
    async fn begin(&self, cluster: Cluster, address: String) -> Result<(), String> {
        // Initialized once in the life of a cluster; openraft logs a second attempt as an error.
        let initialized = self.raft.is_initialized().await;
        if initialized.map_err(|error| error.to_string())? {
            return Ok(());
        }
        let members = [(self.node_id, BasicNode::new(address))];
        let members = std::collections::BTreeMap::from(members);
        let begun = self.raft.initialize(members).await;
        begun.map_err(|error| error.to_string())?;
        let named = self.submit(Command::Initialize(cluster)).await;
        named.map(drop).map_err(|error| error.to_string())
    }

    /// Waits until somebody leads, and until this node has applied what was acknowledged before it started.
    ///
    /// # Errors
    /// When nobody leads for long, or consensus ends.
    pub async fn wait_until_current(&self) -> Result<(), StartError> {
        let current = async {
            loop {
                match self.ensure_current().await {
                    Ok(()) => return Ok(()),
                    Err(StoreError::Stopped(message)) => {
                        let data_dir = self.data_dir.to_path_buf();
                        return Err(StartError::Consensus { data_dir, message });
                    }
                    // Somebody may lead soon.
                    Err(_) => {}
                }
            }
        };
        tokio::time::timeout(LEADER_TIMEOUT, current)
            .await
            .map_err(|_| StartError::NoLeader)?
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// How long commands took that were submitted on this node, in seconds.
    pub fn commit_times(&self) -> Histogram {
        self.commit_times.clone()
    }

    /// Looks at this node's state, which may be older than the leader's.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.shared.read(look)
    }

    /// Rises whenever the state has changed.
    pub fn watch(&self) -> watch::Receiver<Revision> {
        self.shared.watch()
    }

    /// Who leads, unless that is another node that has long been silent: who cannot be elected stays a follower of it.
    fn known_leader(&self, leader: Option<NodeId>) -> Option<NodeId> {
        leader.filter(|leader| *leader == self.node_id || !self.contact.is_silent())
    }

    /// The process of this node is known to be gone. If it led, another one is elected without waiting for it.
    pub fn is_gone(&self, node: NodeId) {
        if self.membership().leader == Some(node) {
            self.contact.lose();
        }
    }

    /// The connection to another node's peer port, if it is in the cluster and its address is usable.
    /// It is made when it is first used, and made anew when it broke.
    pub fn peer_channel(&self, node: NodeId) -> Option<Channel> {
        match self.peer(node)? {
            Ok(link) => Some(link.urgent),
            Err(error) => {
                tracing::warn!(node, %error, "a node cannot be reached");
                None
            }
        }
    }

    fn peer(&self, node: NodeId) -> Option<Result<Link, LinkError>> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let address = metrics.membership_config.membership().get_node(&node)?;
        Some(self.links.to(node, &address.addr))
    }

    /// Who may use the services of the store and those beside them on the peer port.
    pub fn members_only(&self) -> MembersOnly {
        MembersOnly {
            with_tls: self.has_tls,
            shared: self.shared.clone(),
        }
    }

    /// Somebody asks for a vote, and this node has heard nothing of a leader either: it ends its belief in that one.
    /// Of a candidate with less of the log nobody who has more will ever vote for it, so this node goes past it, and has
    /// its vote.
    async fn meet_candidate(&self, request: &VoteRequest<NodeId>) {
        let known = self.raft.server_metrics().borrow().clone();
        let (asked, own) = (request.vote.leader_id.term, known.vote.leader_id.term);
        let is_voter = matches!(known.state, ServerState::Follower | ServerState::Candidate);
        if !is_voter || !self.contact.is_lost() || asked < own {
            return;
        }
        let has_more = self.raft.data_metrics().borrow().last_log > request.last_log_id;
        let steps = match (has_more, known.vote.committed) {
            (true, _) if asked - own < FEW_TERMS => asked - own + 1,
            (false, true) => 1,
            (true | false, _) => 0,
        };
        for _ in 0..steps {
            self.stand_for_election(asked).await;
        }
    }

    /// Takes part in an election, unless one has happened since `term`.
    async fn stand_for_election(&self, term: u64) {
        let known = self.raft.metrics().borrow().current_term;
        if known > term {
            return;
        }
        if let Err(error) = self.raft.trigger().elect().await {
            tracing::warn!(%error, "cannot stand for election");
        }
    }

    /// Resolves when consensus has ended by itself, with the reason: the disk failed, or what is on it is not what was
    /// written. The process must end then.
    pub async fn failed(&self) -> String {
        let mut metrics = self.raft.metrics();
        let ended = metrics.wait_for(|metrics| metrics.running_state.is_err());
        let reason = match ended.await {
            Ok(metrics) => metrics.running_state.clone().err(),
            Err(_) => Some(Fatal::Panicked),
        };
        match reason {
            Some(Fatal::StorageError(error)) => format!("the disk failed the store: {error}"),
            Some(Fatal::Panicked) => "consensus panicked".to_owned(),
            Some(Fatal::Stopped) | None => "consensus was stopped".to_owned(),
        }
    }

    /// Stops taking part. What was acknowledged is on disk already.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the consensus task did not stop cleanly");
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Beats and elections are the pacemaker's. What is left of openraft's own timers are the time limits of its requests,
/// each of which waits for a disk: to append (the heartbeat interval) and to vote (the shortest election timeout).
fn raft_config() -> Config {
    let config = Config {
        cluster_name: "pointsman".to_owned(),
        heartbeat_interval: 300,
        election_timeout_min: 350,
        election_timeout_max: 400,
        enable_elect: false,
        // A snapshot is one request however long it takes.
        install_snapshot_timeout: 600_000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(ENTRIES_PER_SNAPSHOT),
        max_in_snapshot_log_to_keep: ENTRIES_PER_SNAPSHOT / 10,
        ..Config::default()
    };
    config
        .validate()
        .expect("the constants above are consistent")
}
