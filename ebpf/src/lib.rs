//! P4 in the kernel: the compiler from the typed IR to eBPF instructions, the match
//! tables it shares with the agent, and loading and attaching.

pub mod asm;
pub mod compile;
pub mod front;
pub mod handoff;
pub mod inspect;
mod limits;
pub mod pipeline;
pub mod plan;
pub mod plane;
pub mod rig;
pub mod shared_cells;
pub mod shared_tables;
pub mod switch;
pub mod sys;
pub mod tables;
pub mod ticks;
mod windows;
