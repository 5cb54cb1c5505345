//! Why a data plane refuses.

use thiserror::Error;

/// Why a data plane refuses. Nothing has changed when it does.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DataPlaneError {
    /// An entry with this key is there.
    #[error("an entry with this key already exists")]
    AlreadyExists,
    /// No such entry.
    #[error("there is no entry with this key")]
    NotFound,
    /// No such member.
    #[error("action profile {profile} has no member {member}")]
    NoSuchMember {
        /// The profile's name.
        profile: String,
        /// The member that was asked for.
        member: u32,
    },
    /// No such group.
    #[error("action profile {profile} has no group {group}")]
    NoSuchGroup {
        /// The profile's name.
        profile: String,
        /// The group that was asked for.
        group: u32,
    },
    /// Something still refers to it.
    #[error("{what} is still in use")]
    InUse {
        /// What was to be removed.
        what: String,
    },
    /// There is no room.
    #[error("{what} is full: it holds {capacity}")]
    Full {
        /// The table, profile or the like.
        what: String,
        /// How much it holds.
        capacity: u64,
    },
    /// There is no memory for what it takes.
    #[error("there is no memory for {what}: {error}. Give the switch more, or do without")]
    NoMemory {
        /// What it takes.
        what: String,
        /// The system's error.
        error: String,
    },
    /// An index beyond the end.
    #[error("index {index} is out of range: {what} has {size} cells")]
    OutOfRange {
        /// The counter, meter or register.
        what: String,
        /// The index that was asked for.
        index: u32,
        /// How many cells there are.
        size: u32,
    },
    /// This data plane cannot do it.
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// Why not, and what would be accepted.
        why: String,
    },
    /// The kernel said no.
    #[error("{what}: {error}")]
    Kernel {
        /// What was tried.
        what: String,
        /// The system's error.
        error: String,
    },
}
