//! The types that openraft is instantiated with.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::state::{Command, NodeId, Response};

use super::database::{DatabaseFault, decode, encode};
use super::snapshot::SnapshotData;

openraft::declare_raft_types!(
    /// Batches of commands in, their responses out; a snapshot is the whole state.
    pub TypeConfig:
        D = Batch,
        R = Vec<Response>,
        SnapshotData = SnapshotData,
);

/// A command in CBOR: encoded once, where it is submitted, and carried as it is to every log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedCommand(Bytes);

impl EncodedCommand {
    /// Encodes a command.
    pub fn of(command: &Command) -> Self {
        Self(encode(command).into())
    }

    /// What somebody else encoded.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The encoded form.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The command.
    pub fn decode(&self) -> Result<Command, DatabaseFault> {
        decode("log", &self.0)
    }
}

/// Commands that share an entry of the log, and so a write to the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Vec<u8>>", into = "Vec<Vec<u8>>")]
pub struct Batch(pub Vec<EncodedCommand>);

impl From<Vec<Vec<u8>>> for Batch {
    fn from(commands: Vec<Vec<u8>>) -> Self {
        let commands = commands.into_iter();
        Self(commands.map(|bytes| EncodedCommand(bytes.into())).collect())
    }
}

impl From<Batch> for Vec<Vec<u8>> {
    fn from(batch: Batch) -> Self {
        let commands = batch.0.into_iter();
        commands.map(|command| command.0.into()).collect()
    }
}

/// A running Raft node.
pub type Raft = openraft::Raft<TypeConfig>;

/// A point in the log.
pub type LogId = openraft::LogId<NodeId>;

/// An entry of the log.
pub type Entry = openraft::Entry<TypeConfig>;

/// A vote.
pub type Vote = openraft::Vote<NodeId>;

/// Who is in the cluster.
pub type Membership = openraft::Membership<NodeId, openraft::BasicNode>;

/// Who is in the cluster, and the entry that said so.
pub type StoredMembership = openraft::StoredMembership<NodeId, openraft::BasicNode>;

/// What a snapshot is of.
pub type SnapshotMeta = openraft::SnapshotMeta<NodeId, openraft::BasicNode>;

/// What openraft is told when the disk fails it.
pub type StorageError = openraft::StorageError<NodeId>;

/// The same, before it is known what failed.
pub type StorageIOError = openraft::StorageIOError<NodeId>;
