//! The kernel's tick count as a time on its monotonic clock.
//!
//! The kernel advances `jiffies_64` by the monotonic clock, one for each tick that has passed. So one look
//! at both, and the length of a tick, say when any tick was; to within a tick.

use std::time::Duration;

use crate::asm::{Alu, Assembler, Cond, Reg, Size};
use crate::sys::{Program, ProgramKind, SysError, monotonic_clock, tick_length};

/// `bpf_jiffies64`, which the verifier replaces by the load that it is (kernel 5.6).
pub const HELPER_JIFFIES64: u32 = 118;

/// Where the packet begins and ends, in `struct xdp_md`.
const DATA: i32 = 0;
const DATA_END: i32 = 4;
/// The shortest frame that a test run takes.
const FRAME: [u8; 64] = [0; 64];

/// Ticks and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks {
    /// A tick,
    at_tick: u64,
    /// and when it was.
    at_time: Duration,
    length: Duration,
}

impl Ticks {
    /// Looks at the kernel's count, with a program that tells it.
    pub fn look() -> Result<Ticks, SysError> {
        let mut asm = Assembler::new();
        let end = asm.label();
        asm.mov(Reg::R6, Reg::R1);
        asm.call(HELPER_JIFFIES64);
        asm.load(Size::W, Reg::R1, Reg::R6, DATA);
        asm.load(Size::W, Reg::R2, Reg::R6, DATA_END);
        asm.mov(Reg::R3, Reg::R1);
        asm.alu_imm(Alu::Add, Reg::R3, 8);
        asm.jump_if(Cond::Gt, Reg::R3, Reg::R2, end);
        asm.store(Size::DW, Reg::R1, 0, Reg::R0);
        asm.place(end);
        asm.mov_imm(Reg::R0, 0);
        asm.exit();
        let code = asm.finish().expect("jumps reach");
        let program = Program::load(ProgramKind::Xdp, "ticks", &code)?;
        let run = program.test_run(&FRAME, 1)?;
        let tick = run.frame.first_chunk().expect("a frame keeps its length");
        Ok(Ticks {
            at_tick: u64::from_ne_bytes(*tick),
            at_time: monotonic_clock(),
            length: tick_length(),
        })
    }

    /// When a tick was.
    pub fn time(&self, tick: u64) -> Duration {
        match tick.checked_sub(self.at_tick) {
            Some(later) => self.at_time + self.lasting(later),
            None => self
                .at_time
                .saturating_sub(self.lasting(self.at_tick - tick)),
        }
    }

    /// The tick of now.
    pub fn now(&self) -> u64 {
        let passed = monotonic_clock().saturating_sub(self.at_time);
        let ticks = passed.as_nanos() / self.length.as_nanos();
        self.at_tick + u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    fn lasting(&self, ticks: u64) -> Duration {
        let nanos = u128::from(ticks).saturating_mul(self.length.as_nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_a_time_before_and_after_the_look() {
        let ticks = Ticks {
            at_tick: 1_000,
            at_time: Duration::from_secs(10),
            length: Duration::from_millis(4),
        };
        assert_eq!(ticks.time(1_000), Duration::from_secs(10));
        assert_eq!(ticks.time(1_250), Duration::from_secs(11));
        assert_eq!(ticks.time(750), Duration::from_secs(9));
        assert_eq!(ticks.time(0), Duration::from_secs(6));
    }
}
