//! Each table structure by itself: its writer here, its emitted reader in the kernel.
#![allow(clippy::unwrap_used)]

mod bed;
mod concurrent;
mod limits;
mod model;
mod properties;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/until.rs"]
mod until;
mod value_sets;
