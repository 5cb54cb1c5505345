//! The replicated key-value store of applications: entries in namespaces, leases that entries and locks hang on,
//! and what changed lately.
//!
//! Pure, as all of `state`: nobody here knows what time it is. That a lease is over is a command
//! ([`KvCommand::Expire`]); who finds it out is `crate::kv`, which also serves the watchers. `service::kv` is the API.
//!
//! Invariants:
//! 1. [`KvRevision`] rises by one with each command that changes an entry or hands a lock over, and with nothing else.
//!    It never repeats, so the revision at which a lock was taken is its fencing token.
//! 2. The events in memory, put one after the other upon what was there at [`Kv::compacted`], give the entries.
//! 3. Everything is bounded: see [`limits`].

mod apply;
mod blob;
mod command;
mod key;
mod leases;
pub mod limits;
#[cfg(test)]
mod lock_tests;
mod locks;
mod rows;
#[cfg(test)]
pub(crate) mod tests;
mod transaction;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use blob::Blob;
pub use command::{
    Condition, KvCommand, KvRefusal, KvResponse, Operation, OperationResult, Transaction,
};
pub use key::{EntryKey, KeyError, check_namespace};
pub use limits::Limits;
pub use rows::{KvHead, KvRow, KvRows};

/// A point in the history of the store; rises by one with each change.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct KvRevision(pub u64);

impl KvRevision {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for KvRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a lease. Never repeats.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was put.
    pub value: Blob,
    /// The revision that made it.
    pub created: KvRevision,
    /// The revision that changed it last.
    pub modified: KvRevision,
    /// The lease that it ends with.
    pub lease: Option<LeaseId>,
}

/// A promise to be heard of again in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// For how long it may not be kept.
    pub ttl_milliseconds: u64,
    /// Who wanted it, for people.
    pub name: String,
    /// How often it was kept: its end is proposed for one number and does not count at another.
    pub renewals: u64,
}

/// A lock that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The lease that holds it.
    pub holder: LeaseId,
    /// The revision at which it got it: the fencing token.
    pub token: KvRevision,
    /// The leases that want it next, in order.
    pub waiting: VecDeque<LeaseId>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvEvent {
    /// Which.
    pub key: EntryKey,
    /// As it is now; `None` if it is gone.
    pub entry: Option<Entry>,
}

/// The whole store.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kv {
    head: KvHead,
    entries: BTreeMap<EntryKey, Entry>,
    leases: BTreeMap<LeaseId, Lease>,
    locks: BTreeMap<EntryKey, Lock>,
    /// What each revision changed, after `head.compacted`; revisions that changed no entry are not there.
    events: BTreeMap<KvRevision, Vec<KvEvent>>,
    #[serde(skip)]
    index: Index,
}

/// What follows from the rest, so that nobody has to search for it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Index {
    entries_of: BTreeMap<LeaseId, BTreeSet<EntryKey>>,
    /// Locks that a lease holds or waits for.
    locks_of: BTreeMap<LeaseId, BTreeSet<EntryKey>>,
    entry_bytes: u64,
    event_count: usize,
    event_bytes: u64,
}

/// Why a watcher cannot go on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "what changed after revision {after} is no longer remembered, only what changed after {compacted}; list the keys anew, and watch from the revision of that list"
)]
pub struct Compacted {
    /// Where the watcher was.
    pub after: KvRevision,
    /// The earliest from which one can go on.
    pub compacted: KvRevision,
}

impl Kv {
    /// The latest change.
    pub fn revision(&self) -> KvRevision {
        self.head.revision
    }

    /// What changed up to here is forgotten.
    pub fn compacted(&self) -> KvRevision {
        self.head.compacted
    }

    /// Which keeper of leases may end them.
    pub fn office(&self) -> u64 {
        self.head.office
    }

    /// One entry.
    pub fn entry(&self, key: &EntryKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is there no entry?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the entries take, as [`Limits::bytes`] counts.
    pub fn bytes(&self) -> u64 {
        self.index.entry_bytes
    }

    /// The changes that are remembered.
    pub fn event_count(&self) -> usize {
        self.index.event_count
    }

    /// Entries in order from `start` on, of all namespaces.
    pub fn entries_from(&self, start: &EntryKey) -> impl Iterator<Item = (&EntryKey, &Entry)> {
        self.entries.range(start..)
    }

    /// The entries of a namespace whose keys begin with `prefix`, in order.
    pub fn under<'a>(
        &'a self,
        namespace: &'a str,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a EntryKey, &'a Entry)> {
        let start = EntryKey::first(namespace, prefix);
        self.entries.range(start..).take_while(move |(key, _)| {
            key.namespace() == namespace && key.key().starts_with(prefix)
        })
    }

    /// All leases.
    pub fn leases(&self) -> &BTreeMap<LeaseId, Lease> {
        &self.leases
    }

    /// The entries that end with a lease.
    pub fn entries_of(&self, lease: LeaseId) -> usize {
        self.index.entries_of.get(&lease).map_or(0, BTreeSet::len)
    }

    /// The locks that a lease holds or waits for.
    pub fn locks_of(&self, lease: LeaseId) -> usize {
        self.index.locks_of.get(&lease).map_or(0, BTreeSet::len)
    }

    /// All locks that are held.
    pub fn locks(&self) -> &BTreeMap<EntryKey, Lock> {
        &self.locks
    }

    /// What changed after a revision, in order.
    ///
    /// # Errors
    /// When not all of that is remembered.
    pub fn events_after(
        &self,
        after: KvRevision,
    ) -> Result<impl Iterator<Item = (KvRevision, &[KvEvent])>, Compacted> {
        let compacted = self.head.compacted;
        if after < compacted {
            return Err(Compacted { after, compacted });
        }
        let events = self.events.range(after.next()..);
        Ok(events.map(|(revision, events)| (*revision, events.as_slice())))
    }
}
