//! A program as a chain of several that lead to each other by tail calls: for what is longer than a
//! jump reaches, or more than the verifier follows in one piece.
//!
//! Everything that outlives a section is in the PHV, so a tail call loses nothing: the number of the entry
//! travels in `Control::ENTRY`, and the next program finds context and PHV as the first one did. The
//! programs are in an array of this pipeline's own, so that a packet stays in the pipeline that it began
//! in when the switch is led to another.

use crate::asm::{
    Alu, AssembleError, Assembler, Code, Cond, Cut, Draft, Glue, Label, Note, Reg, Size,
};
use crate::sys::MapFd;

use super::handoff::Point;
use super::layout::{Control, Layout};

const HELPER_MAP_LOOKUP: u32 = 1;
const HELPER_TAIL_CALL: u32 = 12;
const XDP_ABORTED: u64 = 0;

/// The kernel ends a packet's 34th tail call (`MAX_TAIL_CALL_CNT`), and the root program's is the first.
pub const MAX_PROGRAMS: u32 = 33;

/// A first guess at how long the programs may be into which one is cut that the kernel does not take whole.
pub const PROGRAM_INSTRUCTIONS: usize = 24_000;

/// A compiled program, not laid out yet.
#[derive(Debug)]
pub struct Compiled {
    pub(super) draft: Draft,
    pub(super) phv: MapFd,
    /// Where packets leave for the interpreter, by the number in their event.
    pub points: Vec<Point>,
    /// Where the PHV keeps what.
    pub layout: Layout,
}

/// Through the array of a pipeline's own programs.
struct TailCalls {
    phv: MapFd,
    array: MapFd,
}

impl Compiled {
    /// Instructions, without those between programs.
    pub fn instructions(&self) -> usize {
        self.draft.instructions()
    }

    /// As one program, as long as jumps reach.
    pub fn whole(&self) -> Result<Code, AssembleError> {
        self.draft.whole()
    }

    /// As programs of about that many instructions, which lead to each other through an array with
    /// room for [`MAX_PROGRAMS`].
    pub fn chain(&self, instructions: usize, array: MapFd) -> Result<Vec<Code>, AssembleError> {
        let cut = Cut {
            instructions,
            programs: MAX_PROGRAMS as usize,
        };
        let glue = TailCalls {
            phv: self.phv,
            array,
        };
        self.draft.chain(cut, &glue)
    }
}

impl Glue for TailCalls {
    fn enter(&self, asm: &mut Assembler) {
        asm.note(Note::stage("entry"));
        context_and_phv(asm, self.phv);
        asm.load(Size::W, Reg::R0, Reg::R7, Control::ENTRY);
    }

    fn entry(&self, asm: &mut Assembler, number: u32, place: Label) {
        asm.jump_if_imm(Cond::Eq, Reg::R0, number as i32, place);
    }

    fn leave(&self, asm: &mut Assembler, program: usize, number: u32) {
        asm.note(Note::stage("tail call"));
        asm.store_imm(Size::W, Reg::R7, Control::ENTRY, number as i32);
        asm.mov(Reg::R1, Reg::R6);
        asm.map(Reg::R2, self.array);
        asm.mov_imm(Reg::R3, program as u64);
        asm.call(HELPER_TAIL_CALL);
        // The array is full while a program of it can run.
        asm.mov_imm(Reg::R0, XDP_ABORTED);
        asm.exit();
    }
}

/// R6 = the context, R7 = the PHV. A program begins with it.
pub(super) fn context_and_phv(asm: &mut Assembler, phv: MapFd) {
    let found = asm.label();
    asm.mov(Reg::R6, Reg::R1);
    asm.store_imm(Size::DW, Reg::R10, -8, 0);
    asm.mov(Reg::R2, Reg::R10);
    asm.alu_imm(Alu::Add, Reg::R2, -8);
    asm.map(Reg::R1, phv);
    asm.call(HELPER_MAP_LOOKUP);
    asm.jump_if_imm(Cond::Ne, Reg::R0, 0, found);
    asm.mov_imm(Reg::R0, XDP_ABORTED);
    asm.exit();
    asm.place(found);
    asm.mov(Reg::R7, Reg::R0);
}
