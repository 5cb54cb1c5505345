//! Parser value sets: short lists that the parser goes through.
//!
//! ```text
//! header   u32 which of the two copies readers use (8 bytes reserved)
//! copy     u64 how many members, then `room` u64
//! ```
//!
//! A set is replaced as a whole: written into the copy that no reader uses, after a grace period,
//! and published with one release store.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use pointsman_p4::ir;

use crate::asm::{Alu, Assembler, Cond, Label, Reg, Size};
use crate::sys::{MapFd, SharedMemory, SysError};

use super::arena::Arena;
use super::grace::Grace;

const HEADER_BYTES: u32 = 8;

/// The longest set that is gone through.
const MAX_MEMBERS: u32 = 256;
/// Its widest members.
const MAX_BITS: u32 = 64;
/// What can be held, in words.
pub const HELD: &str = "at most 256 members of at most 64 bits";

/// Where a value set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueSetPlan {
    offset: u32,
    /// Members that fit.
    pub room: u32,
}

impl ValueSetPlan {
    /// Whether the program in the kernel can have a set.
    pub fn holds(set: &ir::ValueSet) -> bool {
        set.size <= MAX_MEMBERS && set.width <= MAX_BITS
    }

    /// Reserves room for two copies; very little for one that it cannot [hold](Self::holds).
    pub fn new(arena: &mut Arena, size: u32) -> ValueSetPlan {
        let room = size.clamp(1, MAX_MEMBERS);
        let bytes = HEADER_BYTES + 2 * copy_bytes(room);
        ValueSetPlan {
            offset: arena.reserve(u64::from(bytes)),
            room,
        }
    }

    /// Goes to `member` if R0, under the mask, is in the set; else on. Overwrites R1 to R5.
    pub fn emit(&self, asm: &mut Assembler, arena: MapFd, mask: u64, member: Label) {
        let (next, none) = (asm.label(), asm.label());
        // R4 = the copy in use, R3 = position, R5 = members.
        asm.map_value(Reg::R4, arena, self.offset);
        asm.load(Size::W, Reg::R1, Reg::R4, 0);
        asm.alu_imm(Alu::And, Reg::R1, 1);
        asm.alu_imm(Alu::Mul, Reg::R1, copy_bytes(self.room) as i32);
        asm.map_value(Reg::R4, arena, self.offset + HEADER_BYTES);
        asm.alu(Alu::Add, Reg::R4, Reg::R1);
        asm.load(Size::DW, Reg::R5, Reg::R4, 0);
        asm.and_mask(Reg::R0, mask, Reg::R1);
        asm.mov_imm(Reg::R3, 0);
        asm.place(next);
        asm.jump_if_imm(Cond::Ge, Reg::R3, self.room as i32, none);
        asm.jump_if(Cond::Ge, Reg::R3, Reg::R5, none);
        asm.alu_imm(Alu::Add, Reg::R4, 8);
        asm.load(Size::DW, Reg::R1, Reg::R4, 0);
        asm.and_mask(Reg::R1, mask, Reg::R2);
        asm.jump_if(Cond::Eq, Reg::R1, Reg::R0, member);
        asm.alu_imm(Alu::Add, Reg::R3, 1);
        asm.jump(next);
        asm.place(none);
    }
}

fn copy_bytes(room: u32) -> u32 {
    8 + 8 * room
}

/// The writer.
#[derive(Debug)]
pub struct ValueSet {
    plan: ValueSetPlan,
    memory: Arc<SharedMemory>,
    active: u32,
}

impl ValueSet {
    /// An empty set; the memory is zero.
    pub fn new(plan: ValueSetPlan, memory: Arc<SharedMemory>) -> ValueSet {
        ValueSet {
            plan,
            memory,
            active: 0,
        }
    }

    /// Replaces the members.
    ///
    /// # Panics
    /// If there are more than fit.
    pub fn set(&mut self, grace: &Grace, members: &[u64]) -> Result<(), SysError> {
        assert!(members.len() <= self.plan.room as usize, "members fit");
        // Readers may still be in the other copy since the last time.
        grace.wait()?;
        let copy = 1 - self.active;
        let at = (self.plan.offset + HEADER_BYTES + copy * copy_bytes(self.plan.room)) as usize;
        self.memory.u64(at).store(members.len() as u64, Relaxed);
        for (index, member) in members.iter().enumerate() {
            self.memory.u64(at + 8 + 8 * index).store(*member, Relaxed);
        }
        self.memory
            .u32(self.plan.offset as usize)
            .store(copy, Release);
        self.active = copy;
        Ok(())
    }
}
