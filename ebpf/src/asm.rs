//! An assembler for eBPF: instructions (RFC 9669), labels, and notes that say which
//! part of the P4 program an instruction came from.
//!
//! Carries notes and names for those who read listings; knows nothing of P4 or of maps' contents. Called by [`crate::compile`].

mod chain;
mod effects;
mod flow;
mod insn;
mod note;
mod shorten;
mod text;

pub use chain::{Cut, Draft, Glue};
pub use insn::{Alu, Cond, Insn, Reg, Size};
pub use note::{Note, Part, PartKind};
pub use text::{Access, Operand};

use thiserror::Error;

use crate::sys::MapFd;

/// A place in the program that is jumped to, placed once by [`Assembler::place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label(u32);

/// Why the instructions could not be put together.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AssembleError {
    /// A jump of 16 bits does not reach.
    #[error(
        "the program is too long: a jump at instruction {at} needs to go {distance} instructions far, 32767 are possible"
    )]
    JumpTooFar {
        /// Where the jump is.
        at: usize,
        /// How far it would have to go.
        distance: i64,
    },
}

/// Collects instructions; [`finish`](Assembler::finish) resolves the jumps.
#[derive(Debug, Default)]
pub struct Assembler {
    insns: Vec<Insn>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
    notes: Vec<(usize, Note)>,
    names: Vec<(Label, String)>,
    comments: Vec<(usize, String)>,
    /// Where sections begin, and whether they are shared.
    sections: Vec<(usize, bool)>,
}

/// How far a program was at some time.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    insns: usize,
    jumps: usize,
    notes: usize,
    labels: usize,
    names: usize,
    comments: usize,
    sections: usize,
}

/// Instructions ready to load.
#[derive(Debug, Clone)]
pub struct Code {
    /// The instructions.
    pub insns: Vec<Insn>,
    /// The first instruction that a note is about; ascending.
    pub notes: Vec<(usize, Note)>,
    /// Places that have a name; ascending.
    pub labels: Vec<(usize, String)>,
    /// What single instructions are about; ascending.
    pub comments: Vec<(usize, String)>,
}

impl Code {
    /// What the instruction at `index` was made for.
    pub fn origin(&self, index: usize) -> Option<String> {
        let after = self.notes.partition_point(|(at, _)| *at <= index);
        let notes = self.notes[..after].iter().rev().map(|(_, note)| note);
        notes
            .filter_map(|note| match note {
                Note::Part(part) => Some(part.to_string()),
                Note::Statement { name, source, .. } => Some(format!("{name} ({source})")),
                Note::Step(_) | Note::ParserOp { .. } => None,
            })
            .next()
    }
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// A label to be placed later.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Puts a label before the next instruction.
    ///
    /// # Panics
    /// If it is placed already.
    pub fn place(&mut self, label: Label) {
        let slot = &mut self.labels[label.0 as usize];
        assert!(slot.is_none(), "a label is placed once");
        *slot = Some(self.insns.len());
    }

    /// A label to be placed later, with a name for listings.
    pub fn named_label(&mut self, name: impl Into<String>) -> Label {
        let label = self.label();
        self.names.push((label, name.into()));
        label
    }

    /// Says what the following instructions are for.
    pub fn note(&mut self, note: Note) {
        self.notes.push((self.insns.len(), note));
    }

    /// Says what the next instruction is about.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.comments.push((self.insns.len(), text.into()));
    }

    /// How many instructions there are.
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// The state to which [`rewind`](Assembler::rewind) goes back.
    pub fn mark(&self) -> Mark {
        Mark {
            insns: self.insns.len(),
            jumps: self.jumps.len(),
            notes: self.notes.len(),
            labels: self.labels.len(),
            names: self.names.len(),
            comments: self.comments.len(),
            sections: self.sections.len(),
        }
    }

    /// Takes back all code since `mark`. Labels made since then may not be used again, and
    /// none that is older may have been placed since.
    pub fn rewind(&mut self, mark: Mark) {
        self.insns.truncate(mark.insns);
        self.jumps.truncate(mark.jumps);
        self.notes.truncate(mark.notes);
        self.names.truncate(mark.names);
        self.comments.truncate(mark.comments);
        self.sections.truncate(mark.sections);
        self.labels[mark.labels..].fill(None);
    }

    fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }

    /// `dst = src`
    pub fn mov(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.push(Insn::alu64_reg(Alu::Mov, dst, src));
        }
    }

    /// `dst = value`, in one instruction where it fits.
    pub fn mov_imm(&mut self, dst: Reg, value: u64) {
        match i32::try_from(value as i64) {
            Ok(imm) => self.push(Insn::alu64_imm(Alu::Mov, dst, imm)),
            Err(_) => {
                let [low, high] = Insn::load_imm64(dst, 0, value as u32, (value >> 32) as u32);
                self.push(low);
                self.push(high);
            }
        }
    }

    /// `dst = dst op src`, on 64 bits.
    pub fn alu(&mut self, op: Alu, dst: Reg, src: Reg) {
        self.push(Insn::alu64_reg(op, dst, src));
    }

    /// `dst = dst op imm`, on 64 bits; the immediate is sign-extended.
    pub fn alu_imm(&mut self, op: Alu, dst: Reg, imm: i32) {
        self.push(Insn::alu64_imm(op, dst, imm));
    }

    /// `dst = dst op imm` on the low 32 bits, the others become 0.
    pub fn alu32_imm(&mut self, op: Alu, dst: Reg, imm: i32) {
        self.push(Insn::alu32_imm(op, dst, imm));
    }

    /// `dst = dst op src` on the low 32 bits, the others become 0.
    pub fn alu32(&mut self, op: Alu, dst: Reg, src: Reg) {
        self.push(Insn::alu32_reg(op, dst, src));
    }

    /// `dst &= mask`, whatever the mask; `scratch` may be overwritten.
    pub fn and_mask(&mut self, dst: Reg, mask: u64, scratch: Reg) {
        if mask == u64::MAX {
            return;
        }
        if mask == u64::from(u32::MAX) {
            self.push(Insn::alu32_reg(Alu::Mov, dst, dst));
        } else if i32::try_from(mask as i64).is_ok() {
            self.alu_imm(Alu::And, dst, mask as i32);
        } else {
            self.mov_imm(scratch, mask);
            self.alu(Alu::And, dst, scratch);
        }
    }

    /// `dst = -dst`
    pub fn neg(&mut self, dst: Reg) {
        self.push(Insn::alu64_imm(Alu::Neg, dst, 0));
    }

    /// Converts the low `size` bytes between host and network order; the others become 0.
    pub fn be(&mut self, dst: Reg, size: Size) {
        if size != Size::B {
            self.push(Insn::to_be(dst, size));
        }
    }

    /// `dst = *(base + offset)`, zero-extended.
    pub fn load(&mut self, size: Size, dst: Reg, base: Reg, offset: i32) {
        self.push(Insn::load(size, dst, base, offset_i16(offset)));
    }

    /// `*(base + offset) = src`
    pub fn store(&mut self, size: Size, base: Reg, offset: i32, src: Reg) {
        self.push(Insn::store(size, base, offset_i16(offset), src));
    }

    /// `*(base + offset) = imm`
    pub fn store_imm(&mut self, size: Size, base: Reg, offset: i32, imm: i32) {
        self.push(Insn::store_imm(size, base, offset_i16(offset), imm));
    }

    /// `*(base + offset) += src` on 64 bits, at once for all CPUs.
    pub fn atomic_add64(&mut self, base: Reg, offset: i32, src: Reg) {
        self.push(Insn::atomic_add64(base, offset_i16(offset), src));
    }

    /// `src = *(base + offset)` on 32 bits and adds to it what `src` was, at once for all CPUs: not before other CPUs see
    /// all that this one has written.
    pub fn fetch_add32(&mut self, base: Reg, offset: i32, src: Reg) {
        self.push(Insn::fetch_add32(base, offset_i16(offset), src));
    }

    /// Compare and exchange 64 bits: if `*(base + offset) == r0` it becomes `src`; r0 is what it was.
    pub fn cmpxchg64(&mut self, base: Reg, offset: i32, src: Reg) {
        self.push(Insn::cmpxchg64(base, offset_i16(offset), src));
    }

    /// The address of byte `offset` of the single value of an array map.
    pub fn map_value(&mut self, dst: Reg, map: MapFd, offset: u32) {
        let [low, high] = Insn::load_imm64(dst, Insn::PSEUDO_MAP_VALUE, map.0 as u32, offset);
        self.push(low);
        self.push(high);
    }

    /// A map, as an argument of a helper.
    pub fn map(&mut self, dst: Reg, map: MapFd) {
        let [low, high] = Insn::load_imm64(dst, Insn::PSEUDO_MAP_FD, map.0 as u32, 0);
        self.push(low);
        self.push(high);
    }

    /// Calls a helper by its number in `enum bpf_func_id`. Clobbers r0 to r5.
    pub fn call(&mut self, helper: u32) {
        self.push(Insn::call(helper));
    }

    /// Calls a function of the kernel by its number in BTF. Clobbers r0 to r5.
    pub fn call_kernel(&mut self, function: u32) {
        self.push(Insn::call_kernel(function));
    }

    /// Returns r0.
    pub fn exit(&mut self) {
        self.push(Insn::exit());
    }

    /// `goto label`
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.insns.len(), label));
        self.push(Insn::jump());
    }

    /// `may_goto label`: the kernel counts the rounds of all loops of a program together and ends a loop when they
    /// are too many (8 million). With this in it a loop is verified in two rounds, not in all, if what it
    /// keeps from one to the next is in memory. Needs kernel 6.9.
    pub fn may_goto(&mut self, label: Label) {
        self.jumps.push((self.insns.len(), label));
        self.push(Insn::may_goto());
    }

    /// `if left cond right goto label`, on 64 bits.
    pub fn jump_if(&mut self, cond: Cond, left: Reg, right: Reg, label: Label) {
        self.jumps.push((self.insns.len(), label));
        self.push(Insn::jump_reg(cond, left, right));
    }

    /// `if left cond imm goto label`; the immediate is sign-extended.
    pub fn jump_if_imm(&mut self, cond: Cond, left: Reg, imm: i32, label: Label) {
        self.jumps.push((self.insns.len(), label));
        self.push(Insn::jump_imm(cond, left, imm));
    }

    /// Resolves the jumps.
    ///
    /// # Panics
    /// If a label that is jumped to was never placed.
    pub fn finish(self) -> Result<Code, AssembleError> {
        self.draft().whole()
    }
}

fn offset_i16(offset: i32) -> i16 {
    i16::try_from(offset).expect("offsets from a base register fit 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_count_from_the_next_instruction() {
        let mut asm = Assembler::new();
        let end = asm.label();
        asm.jump_if_imm(Cond::Eq, Reg::R1, 0, end);
        asm.mov_imm(Reg::R0, 1);
        asm.place(end);
        asm.exit();
        assert_eq!(asm.finish().map(|c| c.insns[0].off), Ok(1));
    }

    #[test]
    fn what_cannot_be_reached_goes_away() {
        let mut asm = Assembler::new();
        let (middle, end) = (asm.label(), asm.label());
        asm.jump(middle);
        asm.mov_imm(Reg::R0, 1);
        asm.place(middle);
        asm.jump(end);
        asm.mov_imm(Reg::R0, 2);
        asm.place(end);
        asm.exit();
        assert_eq!(asm.finish().map(|c| c.insns.len()), Ok(1));
    }

    #[test]
    fn a_jump_that_does_not_reach_is_an_error() {
        let mut asm = Assembler::new();
        let end = asm.label();
        asm.jump_if_imm(Cond::Eq, Reg::R1, 0, end);
        for _ in 0..40_000 {
            asm.mov_imm(Reg::R0, 1);
        }
        asm.place(end);
        asm.exit();
        let error = asm.finish().map(|_| ());
        assert_eq!(
            error,
            Err(AssembleError::JumpTooFar {
                at: 0,
                distance: 40_000
            })
        );
    }
}
