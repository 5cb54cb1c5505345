//! Leases: made, kept, ended. What hangs on one ends in the same revision as the lease.

use super::apply::Changes;
use super::limits::{MAX_LEASES, MAX_TTL_MILLISECONDS, MIN_TTL_MILLISECONDS};
use super::{Kv, KvRefusal, KvResponse, KvRow, Lease, LeaseId};

/// What is kept of the name of whoever wants a lease.
const MAX_NAME_BYTES: usize = 255;

impl Kv {
    pub(super) fn grant(
        &mut self,
        ttl_milliseconds: u64,
        mut name: String,
        changes: &mut Changes,
    ) -> Result<KvResponse, KvRefusal> {
        if !(MIN_TTL_MILLISECONDS..=MAX_TTL_MILLISECONDS).contains(&ttl_milliseconds) {
            return Err(KvRefusal::BadTtl(ttl_milliseconds));
        }
        if self.leases.len() >= MAX_LEASES {
            return Err(KvRefusal::TooManyLeases);
        }
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
        let id = LeaseId(self.head.last_lease.0 + 1);
        self.head.last_lease = id;
        let lease = Lease {
            ttl_milliseconds,
            name,
            renewals: 0,
        };
        self.leases.insert(id, lease);
        changes.rows.push(KvRow::Lease(id));
        changes.rows.push(KvRow::Head);
        Ok(KvResponse::Granted(id))
    }

    pub(super) fn keep(
        &mut self,
        leases: Vec<LeaseId>,
        changes: &mut Changes,
    ) -> Result<KvResponse, KvRefusal> {
        let kept = leases.into_iter().map(|id| {
            let lease = self.leases.get_mut(&id)?;
            lease.renewals += 1;
            changes.rows.push(KvRow::Lease(id));
            Some(lease.ttl_milliseconds)
        });
        Ok(KvResponse::Kept(kept.collect()))
    }

    pub(super) fn revoke(
        &mut self,
        lease: LeaseId,
        changes: &mut Changes,
    ) -> Result<KvResponse, KvRefusal> {
        if !self.leases.contains_key(&lease) {
            return Err(KvRefusal::NoSuchLease(lease));
        }
        self.end(lease, changes);
        Ok(KvResponse::Done)
    }

    /// Ends those that nobody has kept since the keeper looked.
    pub(super) fn expire(&mut self, leases: Vec<(LeaseId, u64)>, changes: &mut Changes) {
        for (id, renewals) in leases {
            let lease = self.leases.get(&id);
            if lease.is_some_and(|lease| lease.renewals == renewals) {
                self.end(id, changes);
            }
        }
    }

    fn end(&mut self, lease: LeaseId, changes: &mut Changes) {
        let locks = self.index.locks_of.get(&lease).cloned();
        for key in locks.unwrap_or_default() {
            self.unlock(&key, lease, changes);
        }
        let entries = self.index.entries_of.get(&lease).cloned();
        self.delete(entries.unwrap_or_default(), changes);
        self.leases.remove(&lease);
        changes.rows.push(KvRow::Lease(lease));
    }
}
