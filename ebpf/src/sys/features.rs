//! What this kernel can do that older ones cannot.

use std::sync::OnceLock;

use crate::asm::{Assembler, Reg};

use super::program::{Program, ProgramKind};

/// Whether the verifier knows `may_goto` (kernel 6.9), by which a loop is shown to end without
/// going through all its rounds. False too where programs cannot be loaded.
pub fn has_may_goto() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let mut asm = Assembler::new();
        let (round, end) = (asm.label(), asm.label());
        asm.mov_imm(Reg::R0, 0);
        asm.place(round);
        asm.may_goto(end);
        asm.jump(round);
        asm.place(end);
        asm.exit();
        let code = asm.finish().expect("jumps reach");
        Program::load(ProgramKind::Xdp, "probe", &code).is_ok()
    })
}
