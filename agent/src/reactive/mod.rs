//! What the switch installs by itself when it sees the first packet of a station, with no controller at all.
//!
//! A *policy* is configured, not programmed. A [bridge](settings::Bridge) learns which station is behind which port of a
//! VLAN, floods what is for others, and forgets who is silent. [Routes to hosts](settings::HostRoutes) are made for those that
//! are known to be in a subnet, and others are looked for when the first packet for them comes. What a policy wants of the switch it says in flow objectives of
//! its own, whose names begin with `local/`: so it depends on no pipeline, is shown and explained as all objectives are,
//! and survives a restart. **What an operator wants goes before it**: where an objective of a controller needs the
//! same entry for something else, the policy's gives way, says so in its status, and comes back when the other is gone.
//!
//! [`Reactive`] is the pure core: who was seen where, what is wanted therefore, and until when. [`shell`] owns its clock
//! and its task, listens for [new stations](pointsman_ebpf::front::Stations) and to the
//! [inventory](crate::inventory), and passes on what the core wants.
//!
//! # Invariants
//!
//! 1. A station is in at most one place of a VLAN, and only where a port of the bridge is.
//! 2. A port has at most as many stations as it may; more are flooded, not learnt, and those that are there stay.
//! 3. What is installed and not wanted any more is taken away, be it from before a restart.

mod bridge;
mod core;
mod counters;
mod objects;
mod packet;
mod routes;
mod settings;
pub mod shell;
#[cfg(test)]
mod tests;
mod watch;

pub use self::core::{Command, Event, Port, Reactive, Statistics};
pub use counters::Counters;
pub use settings::{Bridge, HostRoutes, Members, Settings, Subnet, Tagging};
