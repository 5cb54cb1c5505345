//! What can be done to the store, and what comes of it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::limits::{
    MAX_DELETED, MAX_ENTRIES_OF_LEASE, MAX_LEASES, MAX_LOCKS, MAX_OPERATIONS, MAX_TTL_MILLISECONDS,
    MAX_VALUE_BYTES, MAX_WAITING, MIN_TTL_MILLISECONDS,
};
use super::{Blob, Entry, EntryKey, KvRevision, LeaseId};

/// A change to the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvCommand {
    /// Reads and writes entries at once.
    Transact(Transaction),
    /// Makes a lease.
    Grant {
        /// For how long it may not be kept.
        ttl_milliseconds: u64,
        /// Who wants it.
        name: String,
    },
    /// Keeps leases. Those that have ended are passed over.
    Keep(Vec<LeaseId>),
    /// Ends a lease.
    Revoke(LeaseId),
    /// Whoever sends it is the one who finds out from now on which leases are over. Earlier keepers are not listened to
    /// any more.
    TakeOffice,
    /// Leases are over.
    Expire {
        /// The keeper's number; at another one nothing ends.
        office: u64,
        /// Each with the renewals after which nobody has kept it.
        leases: Vec<(LeaseId, u64)>,
    },
    /// Takes a lock.
    Lock {
        /// Its name.
        key: EntryKey,
        /// For whom.
        lease: LeaseId,
        /// Get into the queue if somebody has it.
        wait: bool,
    },
    /// Gives a lock up, or the place in the queue.
    Unlock {
        /// Its name.
        key: EntryKey,
        /// Whose.
        lease: LeaseId,
    },
}

/// Conditions, and what is done depending on them.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// All have to hold.
    pub conditions: Vec<Condition>,
    /// What is done if they do.
    pub then: Vec<Operation>,
    /// What is done if they do not.
    pub otherwise: Vec<Operation>,
}

/// What may hold of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// There is such an entry.
    Exists(EntryKey),
    /// There is none.
    Missing(EntryKey),
    /// The entry was changed last at this revision.
    Revision(EntryKey, KvRevision),
    /// The entry has this value.
    Value(EntryKey, Blob),
    /// The lock is held under this token.
    Locked(EntryKey, KvRevision),
}

/// What is done to an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Look, in the order of the operations.
    Get(EntryKey),
    /// Make or replace it.
    Put {
        /// Which.
        key: EntryKey,
        /// What it becomes.
        value: Blob,
        /// What it ends with.
        lease: Option<LeaseId>,
    },
    /// Delete it.
    Delete(EntryKey),
    /// Delete all of a namespace that begin alike.
    DeletePrefix(EntryKey),
}

/// What an operation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationResult {
    /// What is there.
    Got(Option<Entry>),
    /// It is put.
    Put,
    /// So many entries are gone.
    Deleted(u32),
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvResponse {
    /// It needs no answer.
    Done,
    /// A transaction was carried out.
    Transacted {
        /// The conditions held.
        succeeded: bool,
        /// What the operations did, in order.
        results: Vec<OperationResult>,
        /// The store's revision now.
        revision: KvRevision,
    },
    /// There is a new lease.
    Granted(LeaseId),
    /// For each lease its time, or nothing if it has ended.
    Kept(Vec<Option<u64>>),
    /// Who sent it is the keeper of this number.
    InOffice(u64),
    /// The lock is held.
    Locked(KvRevision),
    /// Another lease holds the lock; the one that asks is in the queue if it wanted to be.
    Waiting {
        /// Who holds it.
        holder: LeaseId,
    },
    /// The lease had the lock, or waited for it.
    Unlocked(bool),
    /// It is refused and has changed nothing.
    Refused(KvRefusal),
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum KvRefusal {
    /// It has ended or never was.
    #[error("there is no lease {0}; it has ended, or was revoked. Grant a new one")]
    NoSuchLease(LeaseId),
    /// The time is out of bounds.
    #[error(
        "a lease of {0} ms is not possible; give {MIN_TTL_MILLISECONDS} to {MAX_TTL_MILLISECONDS} ms"
    )]
    BadTtl(u64),
    /// A value is too large.
    #[error(
        "the value of {key} has {bytes} bytes, and may have {MAX_VALUE_BYTES}; keep large things elsewhere and their place here"
    )]
    LargeValue {
        /// Whose.
        key: EntryKey,
        /// Its size.
        bytes: usize,
    },
    /// A transaction is too large.
    #[error("a transaction may have {MAX_OPERATIONS} conditions and as many operations; divide it")]
    LargeTransaction,
    /// A transaction contradicts itself.
    #[error("the transaction changes {0} twice; each key may be put or deleted once")]
    TwiceInTransaction(EntryKey),
    /// Too much would be deleted at once.
    #[error("more than {MAX_DELETED} keys begin with {0}; delete them in parts")]
    TooManyDeleted(EntryKey),
    /// The store is full.
    #[error(
        "the store would have {entries} keys and may have {limit}; delete some, or raise the setting kv.max_entries"
    )]
    TooManyEntries {
        /// How many there would be.
        entries: usize,
        /// How many may be.
        limit: usize,
    },
    /// The store is full.
    #[error(
        "the store would take {bytes} bytes and may take {limit}; delete some keys, or raise the setting kv.max_bytes"
    )]
    TooManyBytes {
        /// How many there would be.
        bytes: u64,
        /// How many may be.
        limit: u64,
    },
    /// Too many leases.
    #[error(
        "there are {MAX_LEASES} leases already; revoke those that are not needed, or use one for several keys"
    )]
    TooManyLeases,
    /// Too many entries of one lease.
    #[error("{MAX_ENTRIES_OF_LEASE} keys end with lease {0}, and no more may; grant another one")]
    FullLease(LeaseId),
    /// Too many locks.
    #[error("{MAX_LOCKS} locks are held already; release those that are not needed")]
    TooManyLocks,
    /// Too many wait.
    #[error("{MAX_WAITING} leases wait for the lock {0} already; try again later")]
    TooManyWaiting(EntryKey),
}
