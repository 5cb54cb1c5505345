//! Random sequences of everything that changes what a switch holds: objectives applied, deleted, pruned and rolled back through
//! a controller, ports that go down and come up, agents that are stopped or killed, controllers that are restarted, and P4Runtime
//! clients that write entries of their own and to those of objectives.
//!
//! ```text
//!   draw ──► step ──► bed (controller, agent, ports) ──► what the switch says it holds ─┐
//!              └────► model (objectives, foreign entries) ──► expected entries ─────────┴─► shape: the same, up to ids?
//! ```
//!
//! What is expected comes of the final objectives alone, on a book that has seen nothing else, so that whatever the switch keeps
//! of the past is found: a group, a next or an entry that was left behind, or one that is missing. At the end everything is
//! deleted; then only foreign entries may be there, and the next objective gets the first id again.
//!
//! Called by `src/bin/sequences.rs`. Needs a network namespace of its own.

mod bed;
mod clients;
mod draw;
mod expected;
mod model;
mod run;
mod shape;

pub use run::{Options, Report, run};
