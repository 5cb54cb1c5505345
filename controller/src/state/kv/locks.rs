//! Locks: held by one lease at a time, handed on in the order in which they were asked for.

use std::collections::VecDeque;

use super::apply::Changes;
use super::limits::{MAX_LOCKS, MAX_WAITING};
use super::{EntryKey, Kv, KvRefusal, KvResponse, KvRow, LeaseId, Lock};

impl Kv {
    /// Asking again is answered as the first time, so that whoever got no answer may ask again.
    pub(super) fn lock(
        &mut self,
        key: EntryKey,
        lease: LeaseId,
        wait: bool,
        changes: &mut Changes,
    ) -> Result<KvResponse, KvRefusal> {
        if !self.leases.contains_key(&lease) {
            return Err(KvRefusal::NoSuchLease(lease));
        }
        let Some(lock) = self.locks.get_mut(&key) else {
            if self.locks.len() >= MAX_LOCKS {
                return Err(KvRefusal::TooManyLocks);
            }
            let token = self.now(changes);
            let lock = Lock {
                holder: lease,
                token,
                waiting: VecDeque::new(),
            };
            self.index_lock(lease, &key);
            self.locks.insert(key.clone(), lock);
            changes.rows.push(KvRow::Lock(key));
            return Ok(KvResponse::Locked(token));
        };
        if lock.holder == lease {
            return Ok(KvResponse::Locked(lock.token));
        }
        let holder = lock.holder;
        if wait && !lock.waiting.contains(&lease) {
            if lock.waiting.len() >= MAX_WAITING {
                return Err(KvRefusal::TooManyWaiting(key));
            }
            lock.waiting.push_back(lease);
            self.index_lock(lease, &key);
            changes.rows.push(KvRow::Lock(key));
        }
        Ok(KvResponse::Waiting { holder })
    }

    /// Says whether there was anything to give up.
    pub(super) fn unlock(&mut self, key: &EntryKey, lease: LeaseId, changes: &mut Changes) -> bool {
        let is_its_own = self.index.locks_of.get_mut(&lease);
        let Some(keys) = is_its_own.filter(|keys| keys.contains(key)) else {
            return false;
        };
        keys.remove(key);
        if keys.is_empty() {
            self.index.locks_of.remove(&lease);
        }
        changes.rows.push(KvRow::Lock(key.clone()));
        let lock = self.locks.get_mut(key);
        let lock = lock.expect("the index names locks that there are");
        if lock.holder != lease {
            lock.waiting.retain(|waiting| *waiting != lease);
            return true;
        }
        match lock.waiting.pop_front() {
            Some(next) => {
                let token = self.now(changes);
                if let Some(lock) = self.locks.get_mut(key) {
                    (lock.holder, lock.token) = (next, token);
                }
            }
            None => drop(self.locks.remove(key)),
        }
        true
    }

    fn index_lock(&mut self, lease: LeaseId, key: &EntryKey) {
        let keys = self.index.locks_of.entry(lease).or_default();
        keys.insert(key.clone());
    }
}
