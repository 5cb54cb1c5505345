//! Digests: what the data plane learns, on its way to controllers (`DigestEntry` in the specification).
//!
//! A pure core: [`Digests::step`] takes what came from the data plane and from clients and returns the
//! lists to send. It reads no clock and sends nothing. Its shell is [`crate::agent`], which takes digests
//! from the target and knows who is primary; what is configured is in the switch's
//! [store](crate::switch).
//!
//! # Invariants
//!
//! 1. The messages of a list are distinct, and none of them is in a list that was sent less than
//!    `ack_timeout_ns` ago and not acknowledged.
//! 2. What waits, and what waits to be acknowledged, is bounded; what does not fit is lost and counted.
//! 3. A list that did not leave is forgotten: the same data can be learnt again.
//! 4. A list of a switch in another process is acknowledged there when it is forgotten here, for whatever reason:
//!    so what may be sent again can be learnt again.

mod core;
#[cfg(test)]
mod tests;

pub use self::core::{Command, Digests, Event, List, MAX_LIST_SIZE, MAX_MESSAGES, Message};
