//! Why arbitration refuses.

use thiserror::Error;
use tonic::Code;

use super::core::ElectionId;
use super::role_config::RoleConfigError;

/// Why a stream is ended, or a write refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArbitrationError {
    /// Another switch.
    #[error("device_id {given} is not known here; this switch has device_id {device_id}")]
    UnknownDevice {
        /// What was asked for.
        given: u64,
        /// What there is.
        device_id: u64,
    },
    /// A live stream of the role has this id.
    #[error("election id {election_id} is already used by another stream of this role")]
    DuplicateElectionId {
        /// The id.
        election_id: ElectionId,
    },
    /// The stream spoke for another role or device before.
    #[error(
        "a stream keeps the role and device of its first arbitration message; open another stream"
    )]
    RoleChanged,
    /// What the role may do cannot be so.
    #[error(transparent)]
    RoleConfig(#[from] RoleConfigError),
    /// The role has too many.
    #[error("role {role:?} has {limit} streams already (limits.streams_per_role)")]
    TooManyStreams {
        /// Which role.
        role: String,
        /// How many there may be.
        limit: usize,
    },
    /// There are too many.
    #[error("there are {limit} roles already (limits.roles)")]
    TooManyRoles {
        /// How many there may be.
        limit: usize,
    },
    /// Nobody has spoken for this role.
    #[error(
        "there is no role {role:?}; a stream makes one by naming it in its arbitration message"
    )]
    UnknownRole {
        /// The role.
        role: String,
    },
    /// Not the primary.
    #[error("election id {} is not the primary's{}", show(.given), hint(.highest))]
    NotPrimary {
        /// What the request has.
        given: Option<ElectionId>,
        /// The highest ever seen.
        highest: Option<ElectionId>,
    },
}

fn show(id: &Option<ElectionId>) -> String {
    id.map_or_else(|| "(unset)".to_owned(), |id| id.to_string())
}

fn hint(highest: &Option<ElectionId>) -> String {
    match highest {
        Some(id) => format!("; the highest seen is {id}, open a stream with that or a higher one"),
        None => "; no stream has claimed the role yet, open one with an election id".to_owned(),
    }
}

impl ArbitrationError {
    /// The canonical code that the specification gives to this refusal.
    pub fn code(&self) -> Code {
        match self {
            ArbitrationError::UnknownDevice { .. } => Code::NotFound,
            ArbitrationError::DuplicateElectionId { .. } => Code::InvalidArgument,
            ArbitrationError::RoleChanged => Code::FailedPrecondition,
            ArbitrationError::RoleConfig(_) => Code::InvalidArgument,
            ArbitrationError::TooManyStreams { .. } | ArbitrationError::TooManyRoles { .. } => {
                Code::ResourceExhausted
            }
            ArbitrationError::UnknownRole { .. } => Code::NotFound,
            ArbitrationError::NotPrimary { .. } => Code::PermissionDenied,
        }
    }
}
