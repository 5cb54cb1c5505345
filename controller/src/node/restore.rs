//! Makes a new cluster of one of a backup, in an empty data directory.
//!
//! It is another cluster: its id, its authority and its node are new, and its epoch is above that of the old one, so
//! that switches refuse whatever of that is left. What it wants of the switches is what the backup says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::directory::{Identity, NodeDirectory};
use super::init::{InitError, first_node, new_cluster};
use crate::backup::{self, BackupError, Head};
use crate::config::Config;
use crate::raft;

/// A cluster that was made of a backup.
pub struct Restored {
    /// Its node.
    pub identity: Identity,
    /// The cluster of the backup.
    pub of: String,
    /// The revision that it goes on from.
    pub revision: u64,
}

/// Why nothing was made of a backup.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is no good.
    #[error("cannot restore {}: {cause}", path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: BackupError,
    },
    /// The cluster cannot be made.
    #[error(transparent)]
    Init(#[from] InitError),
}

/// Makes it. It does not run yet.
///
/// # Errors
/// When the file is no whole backup, or the directory is not empty.
pub fn restore(config: &Config, file: &Path) -> Result<Restored, RestoreError> {
    let bytes = fs::read(file).map_err(|cause| RestoreError::Read {
        path: file.to_owned(),
        cause,
    })?;
    let (head, state) = backup::read(&bytes).map_err(|cause| RestoreError::Backup {
        path: file.to_owned(),
        cause,
    })?;
    let directory = NodeDirectory::new(&config.data_dir);
    directory.prepare().map_err(InitError::from)?;
    let Head {
        cluster: old,
        revision,
        ..
    } = head;
    let mut cluster = new_cluster().map_err(InitError::from)?;
    // Also if the clock says that the old one is not made yet.
    cluster.epoch = cluster.epoch.max(old.epoch + 1);
    let node = first_node(&cluster, config.node_name.as_deref())?;
    let state = state.in_cluster(cluster);
    let address = config.peer_listen.to_string();
    raft::found(&config.data_dir, node.identity.id, &address, state).map_err(InitError::from)?;
    directory.keep(&node).map_err(InitError::from)?;
    Ok(Restored {
        identity: node.identity,
        of: old.id,
        revision,
    })
}
