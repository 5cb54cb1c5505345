//! What a switch is told changes under traffic: a packet whose entries stay must never miss one, and
//! what changes is seen whole.
#![allow(clippy::unwrap_used)]

mod bed;
mod entries;
mod objects;
#[path = "../support/mod.rs"]
mod support;
mod takeover;
#[path = "../support/until.rs"]
mod until;
