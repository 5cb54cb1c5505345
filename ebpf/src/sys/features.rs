//! What this kernel can do that older ones cannot.

use std::sync::OnceLock;

use crate::asm::{Assembler, Reg, Size};

use super::btf::Btf;
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

/// Where the kernel keeps whether a frame has fragments, which `struct xdp_md` does not show: a frame
/// without any is as long as its linear part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameFlags {
    /// The number of `bpf_cast_to_kern_ctx`, which makes the context a `struct xdp_buff` and
    /// costs nothing.
    pub cast: u32,
    /// Offset of the flags in there.
    pub offset: i32,
    /// The flag that says that there are fragments.
    pub fragments: i32,
}

/// Where those flags are (kernel 6.2, with BTF); `None` where they cannot be read.
pub fn frame_flags() -> Option<FrameFlags> {
    static ANSWER: OnceLock<Option<FrameFlags>> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let btf = Btf::of_the_kernel()?;
        let flags = FrameFlags {
            cast: btf.function("bpf_cast_to_kern_ctx")?,
            offset: btf.member("xdp_buff", "flags")? as i32,
            fragments: btf.enumerator("xdp_buff_flags", "XDP_FLAGS_HAS_FRAGS")? as i32,
        };
        let mut asm = Assembler::new();
        asm.call_kernel(flags.cast);
        asm.load(Size::W, Reg::R0, Reg::R0, flags.offset);
        asm.exit();
        let code = asm.finish().expect("there are no jumps");
        Program::load(ProgramKind::Xdp, "probe", &code)
            .is_ok()
            .then_some(flags)
    })
}
