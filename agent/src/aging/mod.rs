//! Idle timeouts: which entries no packet has hit for as long as their controller said (specification, "Idle
//! timeout" and "Table idle timeout notification").
//!
//! A pure core: [`Aging::step`] takes what is written and when entries were last hit, and says which to
//! look at and which to report. It reads no clock and no data plane. Its shell is [`crate::agent`].
//!
//! Hits cost nothing here: an entry is looked at when it would be idle if nothing had hit it since it was
//! last looked at, and not before.
//!
//! # Invariants
//!
//! 1. An entry is reported only if nothing has hit it for its timeout, and again only after another one.
//! 2. Every entry with a timeout has a deadline or is being looked at.
//! 3. An entry's age is not kept over a restart: it counts from when the entry is written again.

mod core;
#[cfg(test)]
mod tests;

pub use self::core::{Aging, Command, Event, MAX_LOOKED_AT, MIN_TIMEOUT};
