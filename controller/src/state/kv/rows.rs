//! The store as rows, for whoever keeps it on disk, and back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Entry, EntryKey, Index, Kv, KvEvent, KvRevision, Lease, LeaseId, Lock};

/// A row that may differ from before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KvRow {
    /// Counters.
    Head,
    /// An entry.
    Entry(EntryKey),
    /// A lease.
    Lease(LeaseId),
    /// A lock.
    Lock(EntryKey),
    /// What a revision changed.
    Events(KvRevision),
}

/// Counters, none of which ever goes back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvHead {
    pub(super) revision: KvRevision,
    /// What changed up to here is forgotten.
    pub(super) compacted: KvRevision,
    pub(super) last_lease: LeaseId,
    /// Who may end leases: the keeper that was given this number.
    pub(super) office: u64,
}

/// All rows, as read from disk.
#[derive(Debug, Default)]
pub struct KvRows {
    /// Counters.
    pub head: KvHead,
    /// Entries.
    pub entries: BTreeMap<EntryKey, Entry>,
    /// Leases.
    pub leases: BTreeMap<LeaseId, Lease>,
    /// Locks.
    pub locks: BTreeMap<EntryKey, Lock>,
    /// What revisions changed.
    pub events: BTreeMap<KvRevision, Vec<KvEvent>>,
}

impl From<KvRows> for Kv {
    fn from(rows: KvRows) -> Self {
        let KvRows {
            head,
            entries,
            leases,
            locks,
            events,
        } = rows;
        let mut kv = Self {
            head,
            entries,
            leases,
            locks,
            events,
            index: Index::default(),
        };
        kv.reindex();
        kv
    }
}

impl Kv {
    /// The counters, for a store to keep.
    pub fn head(&self) -> KvHead {
        self.head
    }

    /// What a revision changed, if it is remembered.
    pub fn events_of(&self, revision: KvRevision) -> Option<&Vec<KvEvent>> {
        self.events.get(&revision)
    }

    /// Every row that there is.
    pub fn all_rows(&self) -> Vec<KvRow> {
        let mut rows = vec![KvRow::Head];
        rows.extend(self.entries.keys().cloned().map(KvRow::Entry));
        rows.extend(self.leases.keys().copied().map(KvRow::Lease));
        rows.extend(self.locks.keys().cloned().map(KvRow::Lock));
        rows.extend(self.events.keys().copied().map(KvRow::Events));
        rows
    }

    /// Works out again what follows from the rest.
    pub fn reindex(&mut self) {
        let mut index = Index::default();
        for (key, entry) in &self.entries {
            index.entry_bytes += entry.bytes(key);
            if let Some(lease) = entry.lease {
                index
                    .entries_of
                    .entry(lease)
                    .or_default()
                    .insert(key.clone());
            }
        }
        for (key, lock) in &self.locks {
            for lease in lock.waiting.iter().chain([&lock.holder]) {
                index
                    .locks_of
                    .entry(*lease)
                    .or_default()
                    .insert(key.clone());
            }
        }
        for events in self.events.values() {
            index.event_count += events.len();
            index.event_bytes += events.iter().map(KvEvent::bytes).sum::<u64>();
        }
        self.index = index;
    }
}
