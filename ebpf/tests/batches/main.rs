//! Batches that packets see all of or nothing, while packets run.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "shared with the tests of single changes")]
#[path = "../churn/bed.rs"]
mod bed;
mod contents;
mod mixes;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/until.rs"]
mod until;
