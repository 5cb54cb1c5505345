//! Who may write: P4Runtime's client arbitration (specification, section 5).
//!
//! A pure core: [`Arbitration::step`] takes what happened to a stream and returns what to
//! tell whom. It keeps no streams, reads no clock and sends nothing; the stream service of
//! [`crate::p4runtime`] and the objectives service are its shells.
//!
//! # Invariants
//!
//! 1. At most one stream is primary for a role, and its election id is the highest ever seen.
//! 2. The highest id never falls, not even when its stream is gone.
//! 3. A stream that ends promotes nobody.

mod core;
mod error;
mod role_config;
#[cfg(test)]
mod tests;

pub use self::core::{
    Arbitration, Bounds, Command, ElectionId, Event, Kept, Notice, Primary, RoleName, Standing,
    StreamId,
};
pub use self::error::ArbitrationError;
pub use self::role_config::{PacketIns, RoleConfig, RoleConfigError};
