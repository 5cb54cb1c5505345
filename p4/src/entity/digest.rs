//! How digests are sent.

use crate::ir::LearnListId;

/// That a digest is sent, and how (`DigestEntry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestEntry {
    /// The digest.
    pub digest: LearnListId,
    /// How it is sent.
    pub config: DigestConfig,
}

/// How a digest is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DigestConfig {
    /// How long a message may wait for others; 0 does not let it wait.
    pub max_timeout_ns: u64,
    /// Messages in a list at most; 0 leaves that to the switch.
    pub max_list_size: u32,
    /// How long the same is not sent again while nobody acknowledges it; 0 sends it again at once.
    pub ack_timeout_ns: u64,
}
