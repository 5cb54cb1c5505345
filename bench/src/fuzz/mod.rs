//! Differential fuzzing: random entries and packets through the program in the kernel and the reference
//! interpreter, which must send the same packets and count the same.
//!
//! A *round* of a program is a list of steps that its seed determines ([`script()`]): writes ([`writes`]), packets that
//! its parser understands ([`packet`]), some of them spoiled ([`mutate`]), and further writes between them. [`Pair`] does
//! the steps on both planes and finds the first difference, which [`shrink()`] makes small and [`case`] writes down.
//! [`session`] goes round over many programs; [`replay`] does again what was found. [`damage`] breaks programs instead of
//! packets. Called by the `fuzz` command and by tests. Loads programs into the kernel and needs root for it, but
//! no interface.

pub mod case;
pub(crate) mod classes;
pub mod damage;
pub(crate) mod matching;
pub mod mutate;
mod names;
pub mod packet;
mod pair;
pub(crate) mod pool;
mod random;
pub mod replay;
mod report;
mod script;
pub mod session;
mod shrink;
mod step;
mod term;
mod translate;
pub mod writes;

pub use case::CaseFile;
pub use names::NameError;
pub use pair::{CPU_PORT, Difference, Pair};
pub use random::Random;
pub use report::{Found, Outcome, ProgramReport, Report, Tally};
pub use script::{Script, Shape, script};
pub use session::{Options, Subject, run};
pub use shrink::shrink;
pub use step::Step;
