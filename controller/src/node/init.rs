//! Makes a new cluster of one in an empty data directory.

use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::directory::{DirectoryError, Identity, NodeDirectory, NodeFiles, draw_id};
use crate::config::Config;
use crate::hex;
use crate::raft::{self, OpenError};
use crate::random::{self, NoRandom};
use crate::state::{Cluster, NodeId, State};
use crate::trust::{Authority, NodeKey, TrustError};

/// What the first node of a cluster is called if nobody names it.
const FIRST_NAME: &str = "controller-1";

/// Why there is no new cluster.
#[derive(Debug, Error)]
pub enum InitError {
    /// The data directory cannot be used for it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// No ids can be drawn.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// No authority can be made.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No store can be made.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Makes a cluster whose only node this directory is. It does not run yet.
///
/// # Errors
/// When the directory is not empty, or something cannot be made.
pub fn init(config: &Config) -> Result<Identity, InitError> {
    let directory = NodeDirectory::new(&config.data_dir);
    directory.prepare()?;
    let cluster = new_cluster()?;
    let node = first_node(&cluster, config.node_name.as_deref())?;
    let address = config.peer_listen.to_string();
    let state = State::default().in_cluster(cluster);
    raft::found(&config.data_dir, node.identity.id, &address, state)?;
    directory.keep(&node)?;
    Ok(node.identity)
}

/// The same, if there is nothing in the directory yet.
///
/// # Errors
/// As [`init`].
pub fn bootstrap(config: &Config) -> Result<(), InitError> {
    if NodeDirectory::new(&config.data_dir).is_empty()? {
        let Identity {
            name, cluster_id, ..
        } = init(config)?;
        tracing::info!(cluster_id, node = name, "made a new cluster");
    }
    Ok(())
}

/// A node with an authority of its own.
pub(super) fn first_node(cluster: &Cluster, name: Option<&str>) -> Result<NodeFiles, InitError> {
    let authority = Authority::generate(&cluster.id)?;
    let key = NodeKey::generate()?;
    let id: NodeId = draw_id()?;
    Ok(NodeFiles {
        identity: Identity {
            id,
            name: name.unwrap_or(FIRST_NAME).to_owned(),
            cluster_id: cluster.id.clone(),
            members: Vec::new(),
        },
        certificate: authority.sign(id, &key.signing_request)?,
        authority,
        key: key.key,
    })
}

/// The identity of a cluster that begins now.
pub(super) fn new_cluster() -> Result<Cluster, NoRandom> {
    let epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Ok(Cluster {
        id: hex::encode(&random::bytes::<16>()?),
        epoch,
    })
}
