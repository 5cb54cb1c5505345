//! Stateful fuzzing of a P4Runtime server: random requests, valid and spoiled, against a model of what the
//! specification says that they do.
//!
//! A *round* starts from an empty pipeline. [`Draw`] makes updates that are valid for the p4info, often about
//! the same few entities; `spoil` makes some of them wrong in one way that it knows the code of.
//! [`Model`] says what has to come of each, and what every read has to answer. [`Wires`] sends packets through
//! the switch and through a reference interpreter that holds the model's entities: the data plane has
//! to do what is read. [`run`] goes round; the first difference ends it and names the seed that leads there.
//!
//! [`mastership`] is another game: two clients that fight for being primary, whose history is checked afterwards.
//!
//! Called by the `p4rt_fuzz` command and by tests. It knows the server by its address only.

mod answer;
mod client;
mod draw;
pub mod history;
pub mod mastership;
mod model;
mod oracle;
mod packets;
mod resource;
mod round;
mod spoil;
mod wires;

pub use client::{Client, Reply};
pub use draw::{Draw, Feature};
pub use model::{Model, Verdict};
pub use round::{Difference, Options, Tally, run};
pub use wires::Wires;
