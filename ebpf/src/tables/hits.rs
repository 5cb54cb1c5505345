//! When entries were last hit: one word for each, which the program writes inline.
//!
//! The word is the kernel's tick count (`jiffies_64`), which a program reads in two instructions. It is
//! written only when it is another one, so that entries that are hit all the time are written once a
//! tick and their cache lines stay shared. [`Ticks`](crate::ticks::Ticks) makes it a time.

use std::sync::atomic::Ordering::Relaxed;

use crate::sys::SharedMemory;

use super::arena::Arena;

/// Bytes of a word.
pub const HIT_BYTES: u32 = 8;

/// Where the words of a table's entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HitPlan {
    /// Offset in the arena.
    pub offset: u32,
    /// Words, a power of two.
    pub cells: u32,
}

impl HitPlan {
    /// Reserves at least `cells`.
    pub fn new(arena: &mut Arena, cells: u32) -> HitPlan {
        let cells = cells.max(1).next_power_of_two();
        HitPlan {
            offset: arena.reserve(u64::from(cells) * u64::from(HIT_BYTES)),
            cells,
        }
    }

    /// The tick of the last hit.
    pub fn read(&self, memory: &SharedMemory, cell: u32) -> u64 {
        memory.u64(self.at(cell)).load(Relaxed)
    }

    /// Has an entry count as hit at a tick.
    pub fn write(&self, memory: &SharedMemory, cell: u32, tick: u64) {
        memory.u64(self.at(cell)).store(tick, Relaxed);
    }

    fn at(&self, cell: u32) -> usize {
        self.offset as usize + (cell * HIT_BYTES) as usize
    }
}
