//! Reading and writing entries at once. Everything is checked before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::{Changes, entry_bytes};
use super::limits::{MAX_DELETED, MAX_ENTRIES_OF_LEASE, MAX_OPERATIONS, MAX_VALUE_BYTES};
use super::{
    Condition, Entry, EntryKey, Kv, KvRefusal, KvResponse, Limits, Operation, OperationResult,
    Transaction,
};

impl Kv {
    pub(super) fn transact(
        &mut self,
        transaction: Transaction,
        limits: Limits,
        changes: &mut Changes,
    ) -> Result<KvResponse, KvRefusal> {
        let Transaction {
            conditions,
            then,
            otherwise,
        } = transaction;
        if [conditions.len(), then.len(), otherwise.len()]
            .iter()
            .any(|length| *length > MAX_OPERATIONS)
        {
            return Err(KvRefusal::LargeTransaction);
        }
        let succeeded = conditions.iter().all(|condition| self.holds(condition));
        let operations = if succeeded { then } else { otherwise };
        self.check(&operations, limits)?;
        let operations = operations.into_iter();
        let results = operations.map(|operation| self.operate(operation, changes));
        let results = results.collect();
        Ok(KvResponse::Transacted {
            succeeded,
            results,
            revision: self.revision(),
        })
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Exists(key) => self.entries.contains_key(key),
            Condition::Missing(key) => !self.entries.contains_key(key),
            Condition::Revision(key, revision) => self
                .entries
                .get(key)
                .is_some_and(|entry| entry.modified == *revision),
            Condition::Value(key, value) => self
                .entries
                .get(key)
                .is_some_and(|entry| entry.value == *value),
            Condition::Locked(key, token) => {
                self.locks.get(key).is_some_and(|lock| lock.token == *token)
            }
        }
    }

    fn check(&self, operations: &[Operation], limits: Limits) -> Result<(), KvRefusal> {
        let mut changed: BTreeSet<&EntryKey> = BTreeSet::new();
        let mut more_of = BTreeMap::new();
        let (mut entries, mut bytes) = (self.entries.len(), self.index.entry_bytes);
        let (entries_before, bytes_before) = (entries, bytes);
        for operation in operations {
            let gone: Vec<&EntryKey> = match operation {
                Operation::Get(_) => continue,
                Operation::Put { key, .. } | Operation::Delete(key) => vec![key],
                Operation::DeletePrefix(start) => {
                    let keys = self.under(start.namespace(), start.key());
                    let keys = keys.map(|(key, _)| key).take(MAX_DELETED + 1);
                    keys.collect()
                }
            };
            if gone.len() > MAX_DELETED
                && let Operation::DeletePrefix(start) = operation
            {
                return Err(KvRefusal::TooManyDeleted(start.clone()));
            }
            for key in gone {
                if !changed.insert(key) {
                    return Err(KvRefusal::TwiceInTransaction(key.clone()));
                }
                if let Some(before) = self.entries.get(key) {
                    entries -= 1;
                    bytes -= before.bytes(key);
                }
            }
            if let Operation::Put { key, value, lease } = operation {
                if value.len() > MAX_VALUE_BYTES {
                    return Err(KvRefusal::LargeValue {
                        key: key.clone(),
                        bytes: value.len(),
                    });
                }
                entries += 1;
                bytes += entry_bytes(key, value.len());
                if let Some(lease) = *lease {
                    let more = more_of
                        .entry(lease)
                        .or_insert_with(|| self.entries_of(lease));
                    *more += 1;
                    if !self.leases.contains_key(&lease) {
                        return Err(KvRefusal::NoSuchLease(lease));
                    }
                    let is_its_own = self
                        .entries
                        .get(key)
                        .is_some_and(|entry| entry.lease == Some(lease));
                    *more -= usize::from(is_its_own);
                    if *more > MAX_ENTRIES_OF_LEASE {
                        return Err(KvRefusal::FullLease(lease));
                    }
                }
            }
        }
        // A store that is too full, because the limit was lowered, can always be made emptier.
        if entries > limits.entries && entries > entries_before {
            let limit = limits.entries;
            return Err(KvRefusal::TooManyEntries { entries, limit });
        }
        if bytes > limits.bytes && bytes > bytes_before {
            let limit = limits.bytes;
            return Err(KvRefusal::TooManyBytes { bytes, limit });
        }
        Ok(())
    }

    fn operate(&mut self, operation: Operation, changes: &mut Changes) -> OperationResult {
        match operation {
            Operation::Get(key) => OperationResult::Got(self.entries.get(&key).cloned()),
            Operation::Put { key, value, lease } => {
                let modified = self.now(changes);
                let created = self
                    .entries
                    .get(&key)
                    .map_or(modified, |entry| entry.created);
                let entry = Entry {
                    value,
                    created,
                    modified,
                    lease,
                };
                self.replace(key, Some(entry), changes);
                OperationResult::Put
            }
            Operation::Delete(key) => OperationResult::Deleted(self.delete([key], changes)),
            Operation::DeletePrefix(start) => {
                let keys = self.under(start.namespace(), start.key());
                let keys: Vec<_> = keys.map(|(key, _)| key.clone()).collect();
                OperationResult::Deleted(self.delete(keys, changes))
            }
        }
    }

    /// Deletes those of the entries that there are, and says how many they were.
    pub(super) fn delete(
        &mut self,
        keys: impl IntoIterator<Item = EntryKey>,
        changes: &mut Changes,
    ) -> u32 {
        let mut deleted = 0;
        for key in keys {
            if self.entries.contains_key(&key) {
                self.now(changes);
                self.replace(key, None, changes);
                deleted += 1;
            }
        }
        deleted
    }
}
