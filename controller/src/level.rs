//! What a version of this program understands, so that a cluster can be upgraded one node after the other.
//!
//! A version that adds a command to the replicated log, or gives one another meaning, has the next level. Nodes say
//! theirs when they start; the cluster's is the least of them and never falls (`state`), and nothing that needs a
//! higher one is submitted. So any two versions of neighbouring levels run together, and which of them leads does not
//! matter. A node that is below the cluster's level is refused, because it could not read the log.

/// The level of this version.
pub const LEVEL: u32 = 1;
