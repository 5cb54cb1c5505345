//! Cells that the interpreter shares with another plane of the same switch.
//!
//! A packet may run in one plane and the next one in the other: both must see the same registers and
//! draw from the same buckets. Counters, those of colours too, are not shared: each plane counts what it
//! did.

use std::fmt::Debug;
use std::time::Duration;

use crate::dataplane::{Bits, Color, EntryKey};
use crate::ir::{MeterId, RegisterId};

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

    /// Meters a packet of that many units by the direct meter of an entry.
    fn direct_meter(&self, key: &EntryKey, units: u64, now: Duration) -> Option<Color>;
}
