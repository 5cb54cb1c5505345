//! One command after the other.

use super::limits::OVERHEAD_BYTES;
use super::{Entry, EntryKey, Kv, KvCommand, KvEvent, KvResponse, KvRevision, KvRow, Limits};

/// What a command touches while it is applied.
#[derive(Default)]
pub(super) struct Changes {
    /// The one that it makes, once it changes something.
    revision: Option<KvRevision>,
    pub(super) rows: Vec<KvRow>,
    pub(super) events: Vec<KvEvent>,
}

impl Kv {
    /// Applies one command. Never fails: a refusal is an answer, and changes nothing.
    pub fn apply(&mut self, command: KvCommand, limits: Limits) -> (KvResponse, Vec<KvRow>) {
        let mut changes = Changes::default();
        let response = match command {
            KvCommand::Transact(transaction) => self.transact(transaction, limits, &mut changes),
            KvCommand::Grant {
                ttl_milliseconds,
                name,
            } => self.grant(ttl_milliseconds, name, &mut changes),
            KvCommand::Keep(leases) => self.keep(leases, &mut changes),
            KvCommand::Revoke(lease) => self.revoke(lease, &mut changes),
            KvCommand::TakeOffice => {
                self.head.office += 1;
                changes.rows.push(KvRow::Head);
                Ok(KvResponse::InOffice(self.head.office))
            }
            KvCommand::Expire { office, leases } => {
                if office == self.head.office {
                    self.expire(leases, &mut changes);
                }
                Ok(KvResponse::Done)
            }
            KvCommand::Lock { key, lease, wait } => self.lock(key, lease, wait, &mut changes),
            KvCommand::Unlock { key, lease } => {
                Ok(KvResponse::Unlocked(self.unlock(&key, lease, &mut changes)))
            }
        };
        let response = response.unwrap_or_else(KvResponse::Refused);
        self.remember(limits, &mut changes);
        (response, changes.rows)
    }

    /// The revision that is being made. Whoever changes something first makes it.
    pub(super) fn now(&mut self, changes: &mut Changes) -> KvRevision {
        *changes.revision.get_or_insert_with(|| {
            self.head.revision = self.head.revision.next();
            changes.rows.push(KvRow::Head);
            self.head.revision
        })
    }

    /// Puts an entry in the place of what is there, or takes it away.
    pub(super) fn replace(&mut self, key: EntryKey, entry: Option<Entry>, changes: &mut Changes) {
        let before = match &entry {
            Some(entry) => self.entries.insert(key.clone(), entry.clone()),
            None => self.entries.remove(&key),
        };
        if let Some(before) = &before {
            self.index.entry_bytes -= before.bytes(&key);
            if let Some(lease) = before.lease
                && let Some(keys) = self.index.entries_of.get_mut(&lease)
            {
                keys.remove(&key);
                if keys.is_empty() {
                    self.index.entries_of.remove(&lease);
                }
            }
        }
        if let Some(entry) = &entry {
            self.index.entry_bytes += entry.bytes(&key);
            if let Some(lease) = entry.lease {
                let keys = self.index.entries_of.entry(lease).or_default();
                keys.insert(key.clone());
            }
        }
        changes.rows.push(KvRow::Entry(key.clone()));
        changes.events.push(KvEvent { key, entry });
    }

    /// Keeps the events of this revision for watchers, and forgets the oldest for it.
    fn remember(&mut self, limits: Limits, changes: &mut Changes) {
        let events = std::mem::take(&mut changes.events);
        if events.is_empty() {
            return;
        }
        self.index.event_count += events.len();
        self.index.event_bytes += events.iter().map(KvEvent::bytes).sum::<u64>();
        self.events.insert(self.head.revision, events);
        changes.rows.push(KvRow::Events(self.head.revision));
        // The latest change is remembered however large it is.
        while self.events.len() > 1
            && (self.index.event_count > limits.events || self.index.event_bytes > limits.bytes / 2)
            && let Some((revision, events)) = self.events.pop_first()
        {
            self.index.event_count -= events.len();
            self.index.event_bytes -= events.iter().map(KvEvent::bytes).sum::<u64>();
            self.head.compacted = revision;
            changes.rows.push(KvRow::Events(revision));
        }
    }
}

impl Entry {
    pub(super) fn bytes(&self, key: &EntryKey) -> u64 {
        entry_bytes(key, self.value.len())
    }
}

/// What an entry counts.
pub(super) fn entry_bytes(key: &EntryKey, value: usize) -> u64 {
    (key.bytes() + value) as u64 + OVERHEAD_BYTES
}

impl KvEvent {
    pub(super) fn bytes(&self) -> u64 {
        let value = self.entry.as_ref().map_or(0, |entry| entry.value.len());
        entry_bytes(&self.key, value)
    }
}
