//! Limits of how many packets a port hands up, counted by programs in shared memory: so many in each window of time.
//!
//! ```text
//! a cell: u32 window | u32 packets in it | u64 packets beyond the limit
//! ```
//!
//! A window is 2^27 ns long. It is told by 32 bits, which come again after 18 years. Two CPUs may count two packets
//! as one.

use crate::asm::{Alu, Assembler, Cond, Label, Reg, Size};

/// Bytes of a cell.
pub(crate) const CELL_BYTES: u32 = 16;
/// Where a cell has the packets beyond the limit.
pub(crate) const BEYOND: u32 = 8;

const WINDOW_SHIFT: i32 = 27;
/// About.
const WINDOWS_PER_SECOND: u32 = 7;

const HELPER_KTIME_GET_COARSE_NS: u32 = 160;

/// The limit of a window.
pub(crate) fn in_window(per_second: u32) -> u32 {
    per_second.div_ceil(WINDOWS_PER_SECOND)
}

/// R0 becomes the window that it is. Overwrites R1 to R5.
pub(crate) fn now(asm: &mut Assembler) {
    asm.call(HELPER_KTIME_GET_COARSE_NS);
    asm.alu_imm(Alu::Rsh, Reg::R0, WINDOW_SHIFT);
}

/// Counts a packet in the window R0 of the cell at R1. If more than R4 are in it already, counts it as beyond the
/// limit and goes to `beyond`. Overwrites R0, R2 and R3.
pub(crate) fn count(asm: &mut Assembler, beyond: Label) {
    let (same, compare, limited, within) = (asm.label(), asm.label(), asm.label(), asm.label());
    asm.load(Size::W, Reg::R3, Reg::R1, 0);
    asm.store(Size::W, Reg::R1, 0, Reg::R0);
    // As it was stored: without its upper half.
    asm.load(Size::W, Reg::R0, Reg::R1, 0);
    asm.jump_if(Cond::Eq, Reg::R3, Reg::R0, same);
    asm.mov_imm(Reg::R3, 0);
    asm.jump(compare);
    asm.place(same);
    asm.load(Size::W, Reg::R3, Reg::R1, 4);
    asm.place(compare);
    asm.jump_if(Cond::Ge, Reg::R3, Reg::R4, limited);
    asm.alu_imm(Alu::Add, Reg::R3, 1);
    asm.store(Size::W, Reg::R1, 4, Reg::R3);
    asm.jump(within);
    asm.place(limited);
    asm.mov_imm(Reg::R2, 1);
    asm.atomic_add64(Reg::R1, BEYOND as i32, Reg::R2);
    asm.jump(beyond);
    asm.place(within);
}
