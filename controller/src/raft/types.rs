//! The types that openraft is instantiated with.

use crate::state::{Command, Response};

openraft::declare_raft_types!(
    /// Commands in, responses out; a snapshot is the whole state in CBOR.
    pub TypeConfig:
        D = Command,
        R = Response,
        SnapshotData = Vec<u8>,
);

/// A running Raft node.
pub type Raft = openraft::Raft<TypeConfig>;

type NodeIdOf = <TypeConfig as openraft::RaftTypeConfig>::NodeId;

/// A point in the log.
pub type LogId = openraft::LogId<NodeIdOf>;

/// An entry of the log.
pub type Entry = openraft::Entry<TypeConfig>;

/// A vote.
pub type Vote = openraft::Vote<NodeIdOf>;

/// Who is in the cluster, and the entry that said so.
pub type StoredMembership = openraft::StoredMembership<NodeIdOf, openraft::BasicNode>;

/// What a snapshot is of.
pub type SnapshotMeta = openraft::SnapshotMeta<NodeIdOf, openraft::BasicNode>;

/// What openraft is told when the disk fails it.
pub type StorageError = openraft::StorageError<NodeIdOf>;

/// The same, before it is known what failed.
pub type StorageIOError = openraft::StorageIOError<NodeIdOf>;
