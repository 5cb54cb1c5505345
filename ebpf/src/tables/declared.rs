//! The few entries that a program declares for a table with room for no others: compared in code.
//!
//! ```text
//! slots    u32 for each entry, in the order in which they are compared: the slot of its record,
//!          0 while it is not there
//! ```
//!
//! What an entry matches is in the instructions, so nothing is looked up but its record. One release
//! store publishes, replaces or removes an entry.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use crate::asm::{Alu, Assembler, Cond, Reg, Size};
use crate::sys::SharedMemory;

use super::arena::Arena;
use super::bitvec::Patterns;
use super::reader::{Outcome, Reader};
use super::records::RecordPlan;

/// The most entries that are compared one after the other, patterns of ranges counted each.
pub const MAX_PATTERNS: usize = 8;

/// What an entry matches, and its priority.
type Key = (Patterns, i32);

/// The declared entries of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredPlan {
    slots: u32,
    key_bits: u32,
    /// The first that matches is it.
    keys: Vec<Key>,
}

impl DeclaredPlan {
    /// Whether keys of this many bits, in one word, are compared in code.
    pub fn holds(key_bits: u32, keys: &[Key]) -> bool {
        let patterns: usize = keys.iter().map(|(patterns, _)| patterns.len()).sum();
        key_bits <= 64 && (1..=MAX_PATTERNS).contains(&patterns)
    }

    /// Plans for keys in the order in which they are declared.
    pub fn new(arena: &mut Arena, key_bits: u32, mut keys: Vec<Key>) -> DeclaredPlan {
        keys.sort_by_key(|(_, priority)| Reverse(*priority));
        DeclaredPlan {
            slots: arena.reserve(4 * keys.len() as u64),
            key_bits,
            keys,
        }
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler, reader: &Reader, records: &RecordPlan, to: Outcome) {
        let found = asm.label();
        let unused = 64 - self.key_bits;
        reader.load_word(asm, Reg::R5, 0);
        if unused > 0 {
            asm.alu_imm(Alu::Rsh, Reg::R5, unused as i32);
        }
        for (at, (patterns, _)) in (self.slots..).step_by(4).zip(&self.keys) {
            let (matches, next) = (asm.label(), asm.label());
            for pattern in patterns {
                let (value, mask) = (pattern.value[0] >> unused, pattern.mask[0] >> unused);
                asm.mov(Reg::R1, Reg::R5);
                if mask != u64::MAX >> unused {
                    asm.and_mask(Reg::R1, mask, Reg::R2);
                }
                asm.mov_imm(Reg::R2, value);
                asm.jump_if(Cond::Eq, Reg::R1, Reg::R2, matches);
            }
            asm.jump(next);
            asm.place(matches);
            asm.map_value(Reg::R2, reader.arena, at);
            asm.load(Size::W, Reg::R4, Reg::R2, 0);
            asm.jump_if_imm(Cond::Ne, Reg::R4, 0, found);
            asm.place(next);
        }
        asm.jump(to.miss);
        asm.place(found);
        reader.record_address(asm, records, Reg::R4);
        asm.jump(to.hit);
    }
}

/// The writer.
#[derive(Debug)]
pub struct Declared {
    memory: Arc<SharedMemory>,
    /// Where the slot of each key is.
    slots: HashMap<Key, usize>,
}

/// The program does not declare the key.
#[derive(Debug, PartialEq, Eq)]
pub struct NotDeclared;

impl Declared {
    /// None of the entries is there; the memory is zero.
    pub fn new(plan: &DeclaredPlan, memory: Arc<SharedMemory>) -> Declared {
        let slots = (plan.slots as usize..).step_by(4);
        Declared {
            memory,
            slots: plan.keys.iter().cloned().zip(slots).collect(),
        }
    }

    /// How many the program declares.
    pub fn capacity(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The record of a key.
    pub fn get(&self, patterns: &Patterns, priority: i32) -> Option<u32> {
        let at = self.slots.get(&(patterns.clone(), priority))?;
        let slot = self.memory.u32(*at).load(Acquire);
        (slot != 0).then_some(slot)
    }

    /// Sets the record of a key, 0 for none; returns the old one.
    pub fn set(
        &mut self,
        patterns: &Patterns,
        priority: i32,
        slot: u32,
    ) -> Result<Option<u32>, NotDeclared> {
        let at = self.slots.get(&(patterns.clone(), priority));
        let at = at.ok_or(NotDeclared)?;
        let old = self.memory.u32(*at).swap(slot, Release);
        Ok((old != 0).then_some(old))
    }
}
