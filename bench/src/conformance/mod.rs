//! Recorded packets through a data plane: does it give the packets that BMv2 gives?
//!
//! Finds programs with p4c's STF files and golden files below a directory ([`find`]), loads each into
//! a [`Target`], sends the packets and compares what leaves, and what counters and registers hold
//! afterwards ([`run`]). A program that the target
//! refuses by name is neither passed nor failed. The `stf` command prints the [`Report`]; a test
//! holds the refusals to a list. Nothing here opens a socket or a network device.

mod difference;
mod error;
mod exchange;
mod find;
mod report;
mod run;
mod state;
mod table;
mod target;

pub use difference::{Difference, hex};
pub use error::ConformanceError;
pub use find::{Kind, Suite, VectorFile, find};
pub use report::{Failure, FileReport, Outcome, Report, Score, SlowUse, Totals};
pub use run::run;
pub use state::{StateDifference, compare_state, reads_the_clock};
pub use target::Target;
