//! The durable, replicated store: openraft over redb, and the only module that
//! knows either.
//!
//! Outside, there is a [`Store`]: it takes a [`Command`] and answers once the
//! command is on the disks of a majority and applied; it shows the [`State`];
//! it says when that changed. It decides nothing about devices or objectives
//! (that is `state`) and talks to no switch (that is `distribution`).
//!
//! Today a cluster has one node. Nothing here assumes so, except that
//! `network` has no transport yet.

mod database;
mod kv_rows;
mod log_store;
mod network;
mod rows;
mod state_machine;
#[cfg(test)]
mod tests;
mod types;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use openraft::{BasicNode, Config, SnapshotPolicy};
use thiserror::Error;
use tokio::sync::watch;

pub use database::OpenError;

use crate::state::{Cluster, Command, NodeId, Response, Revision, State};
use database::StoreDatabase;
use log_store::LogStore;
use network::Peers;
use state_machine::{SharedState, StateMachine};
use types::Raft;

/// Log entries between two snapshots. An entry is a whole change set.
const ENTRIES_PER_SNAPSHOT: u64 = 1000;

/// How long a start waits for a leader before it gives up.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the store needs to know of its configuration.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The directory that holds the store.
    pub data_dir: PathBuf,
    /// This node.
    pub node_id: NodeId,
    /// The address at which this node serves, for the other nodes.
    pub address: String,
    /// What the cluster becomes if it has no name yet.
    pub new_cluster: Cluster,
}

/// A node of the replicated store.
#[derive(Clone)]
pub struct Store {
    node_id: NodeId,
    raft: Raft,
    shared: Arc<SharedState>,
}

/// Who is in the cluster and who leads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// Who votes.
    pub voters: Vec<NodeId>,
    /// The Raft term.
    pub term: u64,
    /// The last entry of this node's log.
    pub log_index: u64,
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
#[derive(Debug, Error)]
pub enum StoreError {
    /// This node does not lead.
    #[error("this controller does not lead the cluster{}; ask the leader", leader.map(|id| format!(", node {id} does")).unwrap_or_default())]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// A majority cannot be reached.
    #[error("no majority of the cluster answers, so nothing can be read or changed: {0}")]
    NoQuorum(String),
    /// The node stopped, because it is shutting down or its disk failed.
    #[error(
        "the store has stopped: {0}; see the controller's log, and restart it once the cause is gone"
    )]
    Stopped(String),
}

impl Store {
    /// Opens or creates the store and waits until it can take commands.
    ///
    /// # Errors
    /// When the directory is unusable, in use by another process or damaged, or
    /// when no leader is found.
    pub async fn open(config: StoreConfig) -> Result<Self, StartError> {
        let database = StoreDatabase::open(&config.data_dir, config.node_id)?;
        let database = Arc::new(database);
        let shared = Arc::new(
            SharedState::load(&database)
                .map_err(|source| OpenError::damaged(&config.data_dir, source))?,
        );
        let consensus = |message: String| StartError::Consensus {
            data_dir: config.data_dir.clone(),
            message,
        };
        let raft = Raft::new(
            config.node_id,
            Arc::new(raft_config()),
            Peers,
            LogStore::new(database.clone()),
            StateMachine::new(database, shared.clone()),
        )
        .await
        .map_err(|error| consensus(error.to_string()))?;
        let members = [(config.node_id, BasicNode::new(config.address))];
        // Initialized once in the life of a cluster; openraft logs a second attempt as an error.
        let initialized = raft.is_initialized().await;
        if !initialized.map_err(|error| consensus(error.to_string()))? {
            raft.initialize(std::collections::BTreeMap::from(members))
                .await
                .map_err(|error| consensus(error.to_string()))?;
        }
        let store = Self {
            node_id: config.node_id,
            raft,
            shared,
        };
        store.wait_for_leader().await?;
        store
            .submit(Command::Initialize(config.new_cluster))
            .await
            .map_err(|error| consensus(error.to_string()))?;
        Ok(store)
    }

    async fn wait_for_leader(&self) -> Result<(), StartError> {
        let has_leader =
            |metrics: &openraft::RaftMetrics<NodeId, BasicNode>| metrics.current_leader.is_some();
        self.raft
            .wait(Some(LEADER_TIMEOUT))
            .metrics(has_leader, "a leader")
            .await
            .map(drop)
            .map_err(|_| StartError::NoLeader)
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Commits a command and returns its answer. It is durable when this returns.
    ///
    /// # Errors
    /// When this node does not lead, or has stopped.
    pub async fn submit(&self, command: Command) -> Result<Response, StoreError> {
        match self.raft.client_write(command).await {
            Ok(written) => Ok(written.data),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(StoreError::NotLeader {
                    leader: to.leader_id,
                })
            }
            Err(error) => Err(StoreError::Stopped(error.to_string())),
        }
    }

    /// Waits until everything that was acknowledged before this call is visible here.
    ///
    /// # Errors
    /// When this node does not lead, or no majority answers.
    pub async fn ensure_current(&self) -> Result<(), StoreError> {
        use openraft::error::CheckIsLeaderError;
        match self.raft.ensure_linearizable().await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to))) => {
                Err(StoreError::NotLeader {
                    leader: to.leader_id,
                })
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(missing))) => {
                Err(StoreError::NoQuorum(missing.to_string()))
            }
            Err(error) => Err(StoreError::Stopped(error.to_string())),
        }
    }

    /// Looks at this node's state, which may be older than the leader's.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.shared.read(look)
    }

    /// Rises whenever the state has changed.
    pub fn watch(&self) -> watch::Receiver<Revision> {
        self.shared.watch()
    }

    /// Who is in the cluster.
    pub fn membership(&self) -> Membership {
        let metrics = self.raft.metrics().borrow().clone();
        Membership {
            leader: metrics.current_leader,
            voters: metrics.membership_config.membership().voter_ids().collect(),
            term: metrics.current_term,
            log_index: metrics.last_log_index.unwrap_or_default(),
        }
    }

    /// Stops taking part. What was acknowledged is on disk already.
    pub async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the consensus task did not stop cleanly");
        }
    }
}

fn raft_config() -> Config {
    let config = Config {
        cluster_name: "pointsman".to_owned(),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(ENTRIES_PER_SNAPSHOT),
        max_in_snapshot_log_to_keep: ENTRIES_PER_SNAPSHOT / 10,
        ..Config::default()
    };
    config
        .validate()
        .expect("the constants above are consistent")
}
