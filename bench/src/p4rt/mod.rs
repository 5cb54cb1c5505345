//! Conformance to P4Runtime: each requirement of the specification with its section and its test,
//! asked of any server by its address.
//!
//! A requirement is one line in the table at the top of a file in [`chapters`] and a function below
//! it. Tests see a server as its clients do: they set programs of their own ([`program`]), write and
//! read entities by name ([`entry`]), and send packets by the stream ([`probe`]). Nothing here knows
//! an implementation; that is what the lists of known failures are for.
//!
//! Called by `src/bin/p4rt_conformance.rs`, and by `tests/p4rt_conformance.rs` with our agent.

pub mod answer;
pub mod chapters;
pub mod client;
pub mod entry;
pub mod failure;
pub mod known;
pub mod probe;
pub mod program;
pub mod report;
pub mod requirement;
pub mod run;
pub mod sections;
pub mod stream;
pub mod test;
pub mod writer;
