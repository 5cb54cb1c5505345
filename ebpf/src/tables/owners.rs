//! Whose each cell is: what lets the next agent count on where the one before it was.
//!
//! Cells outlive the agent, and which entry has which cell is the agent's to know. So two words are written
//! beside each cell before packets can count there: a hash of its entry's key, 0 for nobody's, and one of what the entry
//! does. An agent that takes cells over gives each entry the cell that bears its hash, and knows what differs from
//! what ran.

use std::hash::Hasher;
use std::sync::atomic::Ordering::Relaxed;

use crate::sys::SharedMemory;

use super::arena::Arena;
use super::quick_hash::{QuickHashMap, QuickHasher};
use super::shape::Shaped;

/// Bytes of an owner.
const OWNER_BYTES: u32 = 16;

/// The entry that has a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// A hash of its key, see [`key_hash`].
    pub key: u64,
    /// A hash of what it does.
    pub content: u64,
}

/// What ran otherwise than it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Difference {
    /// Entries that ran, and should not.
    pub unwanted: usize,
    /// Entries that did not run, and should.
    pub missing: usize,
    /// Entries that did something else.
    pub other: usize,
}

impl Difference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Difference::default()
    }
}

/// Where the owners of a table's cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerPlan {
    /// Offset among the cells: two `u64` for each.
    pub offset: u32,
    /// Cells, a power of two.
    pub cells: u32,
}

impl OwnerPlan {
    /// Reserves at least `cells`.
    pub fn new(arena: &mut Arena, cells: u32) -> OwnerPlan {
        let cells = cells.max(1).next_power_of_two();
        OwnerPlan {
            offset: arena.reserve(u64::from(OWNER_BYTES) * u64::from(cells)),
            cells,
        }
    }

    /// Says whose a cell is.
    pub fn write(&self, memory: &SharedMemory, cell: u32, owner: Option<Owner>) {
        let at = self.at(cell);
        if let Some(owner) = owner {
            memory.u64(at + 8).store(owner.content, Relaxed);
        }
        let key = owner.map_or(0, |owner| owner.key);
        memory.u64(at).store(key, Relaxed);
    }

    /// Whose a cell is.
    pub fn read(&self, memory: &SharedMemory, cell: u32) -> Option<Owner> {
        let at = self.at(cell);
        let owner = Owner {
            key: memory.u64(at).load(Relaxed),
            content: memory.u64(at + 8).load(Relaxed),
        };
        (owner.key != 0).then_some(owner)
    }

    /// All cells that are somebody's.
    pub fn read_all(&self, memory: &SharedMemory) -> impl Iterator<Item = (u32, Owner)> {
        (1..self.cells).filter_map(|cell| Some((cell, self.read(memory, cell)?)))
    }

    fn at(&self, cell: u32) -> usize {
        self.offset as usize + (cell * OWNER_BYTES) as usize
    }
}

/// The cells of a table that packets count in already, while the entries are written that have them.
#[derive(Debug)]
pub struct Inherited {
    /// Cells that no entry has yet, by its key.
    free: QuickHashMap<u64, u32>,
    /// What each entry did that ran, by its cell.
    ran: QuickHashMap<u32, u64>,
}

impl Inherited {
    /// What is found.
    pub fn read(plan: &OwnerPlan, memory: &SharedMemory) -> Inherited {
        let owners: Vec<(u32, Owner)> = plan.read_all(memory).collect();
        let free = owners.iter().map(|(cell, owner)| (owner.key, *cell));
        let ran = owners.iter().map(|(cell, owner)| (*cell, owner.content));
        Inherited {
            free: free.collect(),
            ran: ran.collect(),
        }
    }

    /// The cells.
    pub fn cells(&self) -> impl Iterator<Item = u32> {
        self.ran.keys().copied()
    }

    /// The cell of an entry that ran.
    pub fn take(&mut self, key: u64) -> Option<u32> {
        self.free.remove(&key)
    }

    /// An entry is gone again; it may come back.
    pub fn give_back(&mut self, key: u64, cell: u32) {
        self.free.insert(key, cell);
    }

    /// All entries are written, so many: the cells that none of them has, and what differs from what ran.
    pub fn end(
        self,
        plan: &OwnerPlan,
        memory: &SharedMemory,
        entries: u32,
    ) -> (Vec<u32>, Difference) {
        let Inherited { free, mut ran } = self;
        let free: Vec<u32> = free.into_values().collect();
        let unwanted = free.iter().filter(|cell| ran.remove(cell).is_some());
        let unwanted = unwanted.count();
        // What is left of them has been inserted again.
        let stayed = ran.len();
        let other = ran.iter().filter(|(cell, content)| {
            let owner = plan.read(memory, **cell);
            owner.is_some_and(|owner| owner.content != **content)
        });
        let difference = Difference {
            unwanted,
            missing: (entries as usize).saturating_sub(stayed),
            other: other.count(),
        };
        (free, difference)
    }
}

/// The hash of an entry's key; never 0.
pub fn key_hash(key: &Shaped) -> u64 {
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
