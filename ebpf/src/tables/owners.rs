//! Whose each cell is: what lets the next agent count on where the one before it was.
//!
//! Cells outlive the agent, and which entry has which cell is the agent's to know. So the hash of an entry's
//! key is written beside its cell, before packets can count there. An agent that takes cells over gives each
//! entry the cell that bears its hash. 0 is nobody's.

use std::hash::Hasher;
use std::sync::atomic::Ordering::Relaxed;

use crate::sys::SharedMemory;

use super::arena::Arena;
use super::quick_hash::{QuickHashMap, QuickHasher};
use super::shape::Shaped;

/// Where the owners of a table's cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerPlan {
    /// Offset among the cells: a `u64` for each.
    pub offset: u32,
    /// Cells, a power of two.
    pub cells: u32,
}

impl OwnerPlan {
    /// Reserves at least `cells`.
    pub fn new(arena: &mut Arena, cells: u32) -> OwnerPlan {
        let cells = cells.max(1).next_power_of_two();
        OwnerPlan {
            offset: arena.reserve(8 * u64::from(cells)),
            cells,
        }
    }

    /// Says whose a cell is, by [`owner_hash`]; 0 for nobody's.
    pub fn write(&self, memory: &SharedMemory, cell: u32, owner: u64) {
        memory.u64(self.at(cell)).store(owner, Relaxed);
    }

    /// All cells that are somebody's.
    pub fn read_all(&self, memory: &SharedMemory) -> QuickHashMap<u64, u32> {
        let owned = (1..self.cells).filter_map(|cell| {
            let owner = memory.u64(self.at(cell)).load(Relaxed);
            (owner != 0).then_some((owner, cell))
        });
        owned.collect()
    }

    fn at(&self, cell: u32) -> usize {
        self.offset as usize + 8 * cell as usize
    }
}

/// The hash of an entry's key; never 0.
pub fn owner_hash(key: &Shaped) -> u64 {
    let mut hasher = QuickHasher::default();
    match key {
        Shaped::Words(words) => words.iter().for_each(|word| hasher.write_u64(*word)),
        Shaped::Prefix(prefix) => {
            hasher.write_u32(prefix.len);
            hasher.write(&prefix.bytes);
        }
        Shaped::Patterns(patterns, priority) => {
            hasher.write_u32(*priority as u32);
            for pattern in patterns {
                let words = pattern.value.iter().chain(&pattern.mask);
                words.for_each(|word| hasher.write_u64(*word));
            }
        }
    }
    hasher.finish().max(1)
}
