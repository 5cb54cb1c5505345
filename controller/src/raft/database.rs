//! The redb file: its tables, how it is created and opened, and what is wrong
//! with it when it cannot be.
//!
//! ```text
//! store.redb
//!   meta        name                    -> CBOR   format, node_id, vote, committed, purged,
//!                                                 applied, membership, snapshot_meta
//!   log         index                   -> bytes  one Raft entry, as it comes over the peer port
//!   cluster     "", "settings"          -> CBOR   ClusterRow, Settings
//!   devices     device                  -> CBOR   DeviceState without its rows
//!   objectives  (device, kind, name)    -> CBOR   Stored
//!   tombstones  (device, kind, name)    -> u64    revision of the deletion
//!   acknowledged device                 -> CBOR   Acknowledged without its rows
//!   exceptions  (device, kind, name)    -> CBOR   Status
//!   history     revision                -> CBOR   Past: the change set that led to it
//!   kv          (kind, namespace, key, number) -> CBOR   see `kv_rows`
//! ```
//!
//! Invariants:
//! 1. The log and votes are committed with an fsync before anyone is told. What is
//!    applied is one transaction with `applied` and `committed`, with an fsync before
//!    whoever sent the command is told.
//! 2. A file is complete before it has its name, so an empty or torn `store.redb`
//!    is damage and never a first start.
//! 3. Nothing here ever deletes a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::types::LogId;
use crate::state::NodeId;

const FILE_NAME: &str = "store.redb";
const UNFINISHED_FILE_NAME: &str = "store.redb.new";
/// 2: entries of the log are messages of the peer protocol.
const FORMAT: u32 = 2;

pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
pub(super) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
pub(super) const CLUSTER: TableDefinition<&str, &[u8]> = TableDefinition::new("cluster");
pub(super) const DEVICES: TableDefinition<&str, &[u8]> = TableDefinition::new("devices");
pub(super) const OBJECTIVES: TableDefinition<(&str, u8, &str), &[u8]> =
    TableDefinition::new("objectives");
pub(super) const TOMBSTONES: TableDefinition<(&str, u8, &str), u64> =
    TableDefinition::new("tombstones");
pub(super) const ACKNOWLEDGED: TableDefinition<&str, &[u8]> = TableDefinition::new("acknowledged");
pub(super) const EXCEPTIONS: TableDefinition<(&str, u8, &str), &[u8]> =
    TableDefinition::new("exceptions");
pub(super) const HISTORY: TableDefinition<u64, &[u8]> = TableDefinition::new("history");
pub(super) const NODES: TableDefinition<u64, &[u8]> = TableDefinition::new("nodes");

/// Why a directory cannot be used as a store.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory or file cannot be created or read.
    #[error("cannot use {}: {cause}; the controller needs a directory that it may write", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process has it open.
    #[error("the store {} is in use by another process; stop the other controller, or give this one a data directory of its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to another node.
    #[error("the store {} belongs to node {stored}, but this controller is configured as node {configured}; node ids are never reused, so set the node id back or use an empty data directory", path.display())]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        stored: NodeId,
        /// Who wants it.
        configured: NodeId,
    },
    /// A later version wrote it.
    #[error("the store {} has format {stored}, and this version reads format {FORMAT} only; run the version that wrote it", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        stored: u32,
    },
    /// It is not a store, or damaged.
    #[error("the store {} is damaged: {reason}; it was left as it is. Restore it from a backup, or move it away to start an empty cluster", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn damaged(data_dir: &Path, reason: DatabaseFault) -> Self {
        OpenError::Damaged {
            path: data_dir.join(FILE_NAME),
            reason: reason.to_string(),
        }
    }
}

/// What went wrong in a transaction.
#[derive(Debug, Error)]
pub enum DatabaseFault {
    /// redb or the disk below it.
    #[error(transparent)]
    Redb(#[from] Box<redb::Error>),
    /// A row does not hold what it should.
    #[error("a row of {table} cannot be decoded: {message}")]
    Row {
        /// The table.
        table: &'static str,
        /// What the decoder said.
        message: String,
    },
    /// The thread that ran the transaction died.
    #[error("the transaction was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for DatabaseFault {
            fn from(error: $error) -> Self {
                DatabaseFault::Redb(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

/// The open file.
pub struct StoreDatabase {
    database: Database,
    /// How far the log is committed, from when that is known until it is written.
    committed: Mutex<Option<LogId>>,
}

impl StoreDatabase {
    /// Opens the store of a directory, or creates it.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing is changed in that case.
    pub fn open(data_dir: &Path, node_id: NodeId) -> Result<Self, OpenError> {
        let path = data_dir.join(FILE_NAME);
        let io_error = |cause| OpenError::Io {
            path: path.clone(),
            cause,
        };
        fs::create_dir_all(data_dir).map_err(|cause| OpenError::Io {
            path: data_dir.to_owned(),
            cause,
        })?;
        if !path.try_exists().map_err(io_error)? {
            create(data_dir, &path, node_id)?;
        }
        let database = open_verified(&path)?;
        let store = Self::over(database);
        store.check_identity(&path, node_id)?;
        Ok(store)
    }

    fn over(database: Database) -> Self {
        Self {
            database,
            committed: Mutex::default(),
        }
    }

    /// Makes the tables of an empty store.
    fn fill(&self, node_id: NodeId) -> Result<(), DatabaseFault> {
        self.write(|transaction| {
            put_meta(transaction, "format", &FORMAT)?;
            put_meta(transaction, "node_id", &node_id)?;
            transaction.open_table(LOG)?;
            transaction.open_table(CLUSTER)?;
            transaction.open_table(DEVICES)?;
            transaction.open_table(OBJECTIVES)?;
            transaction.open_table(TOMBSTONES)?;
            transaction.open_table(HISTORY)?;
            Ok(())
        })
    }

    /// Opens or creates a store on something else than a file.
    #[cfg(test)]
    pub fn on(backend: impl redb::StorageBackend, node_id: NodeId) -> Result<Self, OpenError> {
        let path = Path::new(FILE_NAME);
        let is_empty = backend.len().is_ok_and(|len| len == 0);
        let opened = verified_builder().create_with_backend(backend);
        let store = Self::over(opened.map_err(|error| classify(path, error))?);
        if is_empty {
            let filled = store.fill(node_id);
            filled.map_err(|fault| OpenError::damaged(Path::new(""), fault))?;
        }
        store.check_identity(path, node_id)?;
        Ok(store)
    }

    /// Remembers how far the log is committed.
    pub fn note_committed(&self, committed: Option<LogId>) {
        *self.lock_committed() = committed;
    }

    /// What was last remembered.
    pub fn noted_committed(&self) -> Option<LogId> {
        *self.lock_committed()
    }

    fn lock_committed(&self) -> MutexGuard<'_, Option<LogId>> {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn check_identity(&self, path: &Path, configured: NodeId) -> Result<(), OpenError> {
        let damaged = |reason: DatabaseFault| OpenError::Damaged {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let missing = |what: &str| OpenError::Damaged {
            path: path.to_owned(),
            reason: format!("it does not say its {what}"),
        };
        let format: u32 = self
            .get_meta("format")
            .map_err(damaged)?
            .ok_or_else(|| missing("format"))?;
        if format != FORMAT {
            return Err(OpenError::OtherFormat {
                path: path.to_owned(),
                stored: format,
            });
        }
        let stored: NodeId = self
            .get_meta("node_id")
            .map_err(damaged)?
            .ok_or_else(|| missing("node id"))?;
        if stored != configured {
            return Err(OpenError::OtherNode {
                path: path.to_owned(),
                stored,
                configured,
            });
        }
        Ok(())
    }

    /// Starts to read.
    pub fn begin_read(&self) -> Result<redb::ReadTransaction, DatabaseFault> {
        Ok(self.database.begin_read()?)
    }

    /// Reads one value of the meta table.
    pub fn get_meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, DatabaseFault> {
        let table = self.begin_read()?.open_table(META)?;
        table
            .get(name)?
            .map(|value| decode("meta", value.value()))
            .transpose()
    }

    /// Runs one transaction: all of `change` or nothing. It is on the disk when this returns.
    pub fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, DatabaseFault>,
    ) -> Result<T, DatabaseFault> {
        let transaction = self.database.begin_write()?;
        let result = change(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}

/// Writes one value of the meta table.
pub fn put_meta(
    transaction: &WriteTransaction,
    name: &str,
    value: &impl Serialize,
) -> Result<(), DatabaseFault> {
    transaction
        .open_table(META)?
        .insert(name, encode(value).as_slice())?;
    Ok(())
}

/// A value as a row holds it: CBOR, so that later versions may add fields.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("writing to memory does not fail");
    bytes
}

/// The value that a row of `table` holds.
pub fn decode<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, DatabaseFault> {
    ciborium::from_reader(bytes).map_err(|error| DatabaseFault::Row {
        table,
        message: error.to_string(),
    })
}

/// Fills a new file under another name and gives it its own when it is complete.
fn create(data_dir: &Path, path: &Path, node_id: NodeId) -> Result<(), OpenError> {
    let unfinished = data_dir.join(UNFINISHED_FILE_NAME);
    let io_error = |cause| OpenError::Io {
        path: path.to_owned(),
        cause,
    };
    let database = Database::create(&unfinished).map_err(|error| classify(&unfinished, error))?;
    let store = StoreDatabase::over(database);
    let filled = store.fill(node_id);
    filled.map_err(|fault| io_error(io::Error::other(fault)))?;
    drop(store);
    fs::rename(&unfinished, path).map_err(io_error)?;
    fs::File::open(data_dir)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error)
}

/// Opens the file with every checksum verified: a plain open trusts what the file says of itself,
/// and answers some kinds of damage with a panic.
fn open_verified(path: &Path) -> Result<Database, OpenError> {
    let opened = verified_builder().open(path);
    opened.map_err(|error| classify(path, error))
}

fn verified_builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    builder
}

fn classify(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::InUse { path }
        }
        DatabaseError::Storage(redb::StorageError::Io(cause))
            if cause.kind() != io::ErrorKind::InvalidData
                && cause.kind() != io::ErrorKind::UnexpectedEof =>
        {
            OpenError::Io { path, cause }
        }
        other => OpenError::Damaged {
            path,
            reason: other.to_string(),
        },
    }
}
