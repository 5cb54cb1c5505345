//! The files of a data directory that say who this node is.
//!
//! ```text
//! node.yaml              who: id, name, cluster; there once all the rest is
//! peer/authority.pem     the cluster's certificate authority
//! peer/authority.key     its key
//! peer/node.pem          this node's certificate
//! peer/node.key          its key
//! store.redb             the replicated store
//! ```
//!
//! Invariants:
//! 1. `node.yaml` is written last, so where it is, everything is. A store that is gone later is a loss, and never a
//!    first start: the node would have forgotten what it voted for.
//! 2. Nobody but the owner may read keys.
//! 3. An id stays with its directory and is never drawn again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::random::{self, NoRandom};
use crate::state::NodeId;
use crate::trust::{Authority, Certificate, PeerTls, TrustError};

const IDENTITY: &str = "node.yaml";
const STORE: &str = "store.redb";
const PEER: &str = "peer";
const AUTHORITY_CERTIFICATE: &str = "peer/authority.pem";
const AUTHORITY_KEY: &str = "peer/authority.key";
const CERTIFICATE: &str = "peer/node.pem";
const KEY: &str = "peer/node.key";

/// What precedes the identity in its file.
const REMARK: &str = "# Who this controller is. Written once by `init`, `join` or `restore`; not to be edited or copied.\n";

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Random, and never used again by another node.
    pub id: NodeId,
    /// What people call it. No other node of its cluster has that name.
    pub name: String,
    /// The cluster that it is of.
    pub cluster_id: String,
    /// Peer addresses of nodes that were in the cluster when it joined; none for the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

/// All that makes a node.
pub struct NodeFiles {
    /// Who it is.
    pub identity: Identity,
    /// The authority of its cluster.
    pub authority: Authority,
    /// What that says of the node.
    pub certificate: Certificate,
    /// The key of that, in PEM.
    pub key: String,
}

impl NodeFiles {
    /// What it shows to other nodes, and whom it believes.
    pub fn tls(&self) -> PeerTls {
        PeerTls::new(&self.authority.certificate, &self.certificate, &self.key)
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// Nobody has made a node in it.
    #[error(
        "there is no node in the data directory {0} yet. Make a new cluster with `pointsman-controller init --data-dir {0}`, \
         or get into one that is there with `pointsman-controller join TOKEN --data-dir {0}` (`pointsman cluster add` prints \
         the token); with --bootstrap, a start makes a new cluster by itself",
        path.display()
    )]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// There is a node in it already.
    #[error(
        "the data directory {} holds node {name} of cluster {cluster_id} already; start that one, or give another --data-dir",
        path.display()
    )]
    Taken {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        name: String,
        /// Of which cluster.
        cluster_id: String,
    },
    /// There is a store without the file that says whose it is.
    #[error(
        "the data directory {} has a store and no {IDENTITY}: `init` or `join` was interrupted in it, or the file is lost. Nothing \
         was changed; start anew in an empty directory, from a backup if this was a cluster of one",
        path.display()
    )]
    Unfinished {
        /// The directory.
        path: PathBuf,
    },
    /// There is a node without its store.
    #[error(
        "the data directory {} is that of node {name}, but its store is gone, and with it what the node has voted for and \
         acknowledged: it must not go on under its id. Take it out with `pointsman cluster remove {name}` on another node and join \
         anew in an empty directory",
        path.display()
    )]
    StoreLost {
        /// The directory.
        path: PathBuf,
        /// The node.
        name: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {message}; it was left as it is", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// A data directory.
#[derive(Debug, Clone)]
pub struct NodeDirectory {
    path: PathBuf,
}

impl NodeDirectory {
    /// The one at `path`, which need not be there.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Nothing has been made in it yet.
    ///
    /// # Errors
    /// When it cannot be looked into.
    pub fn is_empty(&self) -> Result<bool, DirectoryError> {
        Ok(!self.has(IDENTITY)? && !self.has(STORE)?)
    }

    /// Insists that nothing has been made in it yet, and that it is there and can be written.
    ///
    /// # Errors
    /// When it holds a node, or cannot be written.
    pub fn prepare(&self) -> Result<(), DirectoryError> {
        if self.has(IDENTITY)? {
            let Identity {
                name, cluster_id, ..
            } = self.identity()?;
            let path = self.path.clone();
            return Err(DirectoryError::Taken {
                path,
                name,
                cluster_id,
            });
        }
        if self.has(STORE)? {
            return Err(self.unfinished());
        }
        let peer = self.path.join(PEER);
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&peer);
        made.map_err(io_error("create", &peer))
    }

    /// Keeps what makes a node. The store has to be there already.
    ///
    /// # Errors
    /// When a file cannot be written; there is no node then.
    pub fn keep(&self, node: &NodeFiles) -> Result<(), DirectoryError> {
        let identity = serde_saphyr::to_string(&node.identity);
        let identity = identity.expect("an identity is plain data");
        self.write(AUTHORITY_CERTIFICATE, &node.authority.certificate.0)?;
        self.write(AUTHORITY_KEY, &node.authority.key)?;
        self.write(CERTIFICATE, &node.certificate.0)?;
        self.write(KEY, &node.key)?;
        self.write(IDENTITY, &format!("{REMARK}{identity}"))
    }

    /// The node that was kept.
    ///
    /// # Errors
    /// When there is none, or not all of it.
    pub fn load(&self) -> Result<NodeFiles, DirectoryError> {
        if !self.has(IDENTITY)? {
            return Err(match self.has(STORE)? {
                true => self.unfinished(),
                false => DirectoryError::Empty {
                    path: self.path.clone(),
                },
            });
        }
        let identity = self.identity()?;
        if !self.has(STORE)? {
            return Err(DirectoryError::StoreLost {
                path: self.path.clone(),
                name: identity.name,
            });
        }
        let authority =
            Authority::from_pem(self.read(AUTHORITY_CERTIFICATE)?, self.read(AUTHORITY_KEY)?);
        Ok(NodeFiles {
            identity,
            authority: authority.map_err(|error: TrustError| DirectoryError::Damaged {
                path: self.path.join(PEER),
                message: error.to_string(),
            })?,
            certificate: Certificate(self.read(CERTIFICATE)?),
            key: self.read(KEY)?,
        })
    }

    fn unfinished(&self) -> DirectoryError {
        DirectoryError::Unfinished {
            path: self.path.clone(),
        }
    }

    fn identity(&self) -> Result<Identity, DirectoryError> {
        let text = self.read(IDENTITY)?;
        serde_saphyr::from_str(&text).map_err(|error| DirectoryError::Damaged {
            path: self.path.join(IDENTITY),
            message: error.to_string(),
        })
    }

    fn has(&self, name: &str) -> Result<bool, DirectoryError> {
        let path = self.path.join(name);
        path.try_exists().map_err(io_error("look for", &path))
    }

    fn read(&self, name: &str) -> Result<String, DirectoryError> {
        let path = self.path.join(name);
        fs::read_to_string(&path).map_err(io_error("read", &path))
    }

    /// The file is complete, and on the disk, before it has its name.
    fn write(&self, name: &str, text: &str) -> Result<(), DirectoryError> {
        let path = self.path.join(name);
        let unfinished = path.with_extension("new");
        let error = io_error("write", &path);
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            let directory = path.parent().unwrap_or(&self.path);
            fs::File::open(directory)?.sync_all()
        };
        write().map_err(error)
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |cause| DirectoryError::Io {
        doing,
        path: path.clone(),
        cause,
    }
}

/// An id for a new node: 63 random bits, and not zero.
///
/// # Errors
/// When there are no random numbers.
pub fn draw_id() -> Result<NodeId, NoRandom> {
    Ok((u64::from_le_bytes(random::bytes()?) >> 1).max(1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::trust::NodeKey;

    fn node() -> NodeFiles {
        let authority = Authority::generate("c0ffee").unwrap();
        let key = NodeKey::generate().unwrap();
        NodeFiles {
            identity: Identity {
                id: NodeId::MAX >> 1,
                name: "controller-1".into(),
                cluster_id: "c0ffee".into(),
                members: vec!["10.0.0.1:9701".into()],
            },
            certificate: authority.sign(7, &key.signing_request).unwrap(),
            authority,
            key: key.key,
        }
    }

    fn kept() -> (tempfile::TempDir, NodeDirectory) {
        let directory = tempfile::tempdir().unwrap();
        let files = NodeDirectory::new(directory.path());
        files.prepare().unwrap();
        fs::write(directory.path().join(STORE), "").unwrap();
        files.keep(&node()).unwrap();
        (directory, files)
    }

    #[test]
    fn a_node_that_was_kept_is_found_again() {
        let (_directory, files) = kept();
        assert_eq!(files.load().unwrap().identity, node().identity);
    }

    #[test]
    fn nobody_else_may_read_keys() {
        let (directory, _) = kept();
        for name in [AUTHORITY_KEY, KEY] {
            let metadata = fs::metadata(directory.path().join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn an_empty_directory_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let error = NodeDirectory::new(directory.path()).load().err().unwrap();
        let message = error.to_string();
        for word in ["init", "join", "--bootstrap"] {
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_node_without_its_store_does_not_start_anew() {
        let (directory, files) = kept();
        fs::remove_file(directory.path().join(STORE)).unwrap();
        let error = files.load().err().unwrap();
        assert!(matches!(error, DirectoryError::StoreLost { .. }), "{error}");
    }

    #[test]
    fn a_directory_is_given_away_once() {
        let (_directory, files) = kept();
        let message = files.prepare().unwrap_err().to_string();
        assert!(
            message.contains("holds node controller-1 of cluster c0ffee"),
            "{message}"
        );
    }

    #[test]
    fn a_store_of_which_nobody_knows_whose_it_is_stays_as_it_is() {
        let (directory, files) = kept();
        fs::remove_file(directory.path().join(IDENTITY)).unwrap();
        for error in [files.prepare().unwrap_err(), files.load().err().unwrap()] {
            assert!(
                matches!(error, DirectoryError::Unfinished { .. }),
                "{error}"
            );
        }
    }
}
