//! What the interpreter shares with another plane of the same switch: cells and tables.
//!
//! A packet may run in one plane and the next one in the other: both must see the same registers and
//! draw from the same buckets. Entries of a shared table are kept by the other plane alone, which is
//! asked for the one that a packet hits and counts the packet there. Indirect counters, those of
//! colours too, are not shared: each plane counts what it did.

use std::fmt::Debug;
use std::time::Duration;

use crate::dataplane::{Bits, Color, EntryAction, EntryKey, EntryRef};
use crate::ir::{MeterId, RegisterId, TableId};

/// Cells of another plane. Those that it does not have are `None`, and the interpreter keeps its own.
pub trait SharedCells: Debug + Send + Sync {
    /// Whether a register is shared.
    fn has_register(&self, register: RegisterId) -> bool;

    /// A cell of a shared register; `index` is in range.
    fn register(&self, register: RegisterId, index: u32) -> Bits;

    /// Writes a cell of a shared register; `index` is in range.
    fn set_register(&self, register: RegisterId, index: u32, value: &Bits);

    /// Meters a packet of that many units by a cell of an indirect meter.
    fn meter(&self, meter: MeterId, index: u32, units: u64, now: Duration) -> Option<Color>;

    /// Meters a packet of that many units by the direct meter of an entry. `None` for a default entry
    /// whose meter is not configured.
    fn direct_meter(&self, entry: EntryRef<'_>, units: u64, now: Duration) -> Option<Color>;
}

/// Tables of another plane.
pub trait SharedTables: Debug + Send + Sync {
    /// Whether the entries of a table are shared. Then the interpreter keeps only what happens on a
    /// miss, and counts that, and must not be told entries.
    fn has_table(&self, table: TableId) -> bool;

    /// Looks a packet up that has these values for the parts of the table's key. If it hits an entry, it
    /// counts in the direct counter and meter of that.
    fn hit(&self, table: TableId, key: &[Bits], packet: &Passing) -> Option<Hit>;

    /// The entry that such a packet would hit, if one came.
    fn find(&self, table: TableId, key: &[Bits]) -> Option<(EntryKey, EntryAction)>;

    /// Whether an entry of a shared table has this action.
    fn has_action(&self, table: TableId, action: &EntryAction) -> bool;
}

/// A packet at a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passing {
    /// Its bytes, for counters.
    pub length: usize,
    /// What it costs the direct meter of the table, if that is run.
    pub units: Option<u64>,
    /// When it is there.
    pub now: Duration,
}

/// The entry that a packet hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What it does.
    pub action: EntryAction,
    /// What its direct meter says of the packet, if that is run.
    pub color: Option<Color>,
}
