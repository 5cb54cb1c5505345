//! What the emitted readers have in common.
//!
//! A reader finds the packed key in the PHV, 64-bit words in host order, and leaves the address
//! of a record in R9. It may overwrite R0 to R5 and R8; R6 (context) and R7 (PHV) stay.

use crate::asm::{Alu, Assembler, Label, Reg, Size};
use crate::sys::MapFd;

use super::records::RecordPlan;

// Packed keys are read by byte, from the little end.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "the xdp target needs a little-endian machine"
);

/// Where a reader finds things.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// The arena's map.
    pub arena: MapFd,
    /// The packed key's offset from R7.
    pub key_offset: i32,
    /// Offset from R7 of 64 bytes for what does not fit into registers.
    pub spare_offset: i32,
    /// Whether loops may be left to `may_goto`: with all that they keep in memory, they are verified once.
    /// Without it, the number of rounds must be a known number in each of them.
    pub may_goto: bool,
}

/// Where a lookup goes on.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// R9 is the address of the record.
    pub hit: Label,
    /// No entry matches.
    pub miss: Label,
}

impl Reader {
    /// `dst` = a word of the key.
    pub fn load_word(&self, asm: &mut Assembler, dst: Reg, word: usize) {
        asm.load(Size::DW, dst, Reg::R7, self.key_offset + 8 * word as i32);
    }

    /// `dst` = a byte of the key, counted from the most significant one of the first word.
    pub fn load_byte(&self, asm: &mut Assembler, dst: Reg, byte: usize) {
        let offset = self.key_offset + (byte / 8 * 8 + 7 - byte % 8) as i32;
        asm.load(Size::B, dst, Reg::R7, offset);
    }

    /// `dst` = the first two bytes of the key as one number.
    pub fn load_first_u16(&self, asm: &mut Assembler, dst: Reg) {
        asm.load(Size::H, dst, Reg::R7, self.key_offset + 6);
    }

    /// R9 = the address of the record in slot `slot`; overwrites `slot`.
    pub fn record_address(&self, asm: &mut Assembler, plan: &RecordPlan, slot: Reg) {
        asm.alu32_imm(Alu::And, slot, (plan.slots - 1) as i32);
        asm.alu_imm(Alu::Mul, slot, plan.stride as i32);
        asm.map_value(Reg::R9, self.arena, plan.offset);
        asm.alu(Alu::Add, Reg::R9, slot);
    }
}
