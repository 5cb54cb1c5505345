//! Exact match on keys of at most 16 bits: an array of record slots, indexed by the key.
//!
//! `u32` each; 0 means no entry. One release store publishes, replaces or removes.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use crate::asm::{Alu, Assembler, Cond, Reg, Size};
use crate::sys::SharedMemory;

use super::arena::Arena;
use super::reader::{Outcome, Reader};
use super::records::RecordPlan;

/// The longest key that is indexed directly.
pub const MAX_KEY_BITS: u32 = 16;

/// Where a direct-indexed table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectPlan {
    offset: u32,
    key_bits: u32,
}

impl DirectPlan {
    /// Reserves a slot number for each possible key.
    pub fn new(arena: &mut Arena, key_bits: u32) -> DirectPlan {
        DirectPlan {
            offset: arena.reserve(4 << key_bits),
            key_bits,
        }
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler, reader: &Reader, records: &RecordPlan, to: Outcome) {
        reader.load_word(asm, Reg::R1, 0);
        asm.alu_imm(Alu::Rsh, Reg::R1, (64 - self.key_bits) as i32);
        asm.alu_imm(Alu::Lsh, Reg::R1, 2);
        asm.map_value(Reg::R2, reader.arena, self.offset);
        asm.alu(Alu::Add, Reg::R2, Reg::R1);
        asm.load(Size::W, Reg::R4, Reg::R2, 0);
        asm.jump_if_imm(Cond::Eq, Reg::R4, 0, to.miss);
        reader.record_address(asm, records, Reg::R4);
        asm.jump(to.hit);
    }
}

/// The writer.
#[derive(Debug)]
pub struct DirectTable {
    plan: DirectPlan,
    memory: Arc<SharedMemory>,
}

impl DirectTable {
    /// An empty table; the memory is zero.
    pub fn new(plan: DirectPlan, memory: Arc<SharedMemory>) -> DirectTable {
        DirectTable { plan, memory }
    }

    /// The record of a key.
    pub fn get(&self, key: &[u64]) -> Option<u32> {
        let slot = self.memory.u32(self.at(key)).load(Acquire);
        (slot != 0).then_some(slot)
    }

    /// Sets the record of a key, 0 for none; returns the old one.
    pub fn set(&mut self, key: &[u64], slot: u32) -> Option<u32> {
        let old = self.memory.u32(self.at(key)).swap(slot, Release);
        (old != 0).then_some(old)
    }

    fn at(&self, key: &[u64]) -> usize {
        self.plan.offset as usize + 4 * (key[0] >> (64 - self.plan.key_bits)) as usize
    }
}
