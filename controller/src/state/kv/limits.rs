//! How large everything may become. What is applied depends on these, so all nodes have to agree: they are the same in all
//! versions of one level, or settings, which are replicated.

/// The largest value.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Operations of one transaction, and its conditions.
pub const MAX_OPERATIONS: usize = 128;
/// Keys that one change deletes.
pub const MAX_DELETED: usize = 1000;
/// Leases at a time.
pub const MAX_LEASES: usize = 10_000;
/// Entries that end with one lease.
pub const MAX_ENTRIES_OF_LEASE: usize = 1000;
/// Locks that are held at a time.
pub const MAX_LOCKS: usize = 10_000;
/// Leases that wait for one lock.
pub const MAX_WAITING: usize = 1000;
/// The shortest time that a lease may last: it has to outlive a change of leader.
pub const MIN_TTL_MILLISECONDS: u64 = 500;
/// The longest: one that nobody keeps ends in a day.
pub const MAX_TTL_MILLISECONDS: u64 = 86_400_000;
/// What an entry or an event counts beside its bytes.
pub(super) const OVERHEAD_BYTES: u64 = 128;

/// The limits that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries.
    pub entries: usize,
    /// Their keys and values, with something for each.
    pub bytes: u64,
    /// Changes that are remembered for watchers; they take at most half of `bytes`.
    pub events: usize,
}
