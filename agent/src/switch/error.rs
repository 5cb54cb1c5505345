//! Why the switch refuses an update.

use pointsman_p4::dataplane::DataPlaneError;
use thiserror::Error;
use tonic::Code;

/// Why the switch refuses an update that is well-formed. Nothing of the update is left behind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpdateError {
    /// It is there.
    #[error("{what} already exists; use MODIFY to change it")]
    AlreadyExists {
        /// The entity.
        what: String,
    },
    /// It is not there.
    #[error("{what} does not exist")]
    NotFound {
        /// The entity.
        what: String,
    },
    /// Something else refers to it.
    #[error("{what} is still used by {users} others; remove those first")]
    InUse {
        /// The entity.
        what: String,
        /// How many refer to it.
        users: u32,
    },
    /// A value refers to what is not there (`@refers_to`).
    #[error("{what}: refers to {to}, which is not there; insert that first")]
    RefersToNothing {
        /// The entity.
        what: String,
        /// To what.
        to: String,
    },
    /// A part that stays what it was when the entity was inserted.
    #[error("{what}: {part} cannot be changed, and was inserted as {inserted}")]
    Fixed {
        /// The entity.
        what: String,
        /// Which part.
        part: &'static str,
        /// What it is.
        inserted: u32,
    },
    /// The profile has no room for another member.
    #[error(
        "{what}: there is no room for it; action profile {profile} has room for {size} members"
    )]
    ProfileFull {
        /// The entity.
        what: String,
        /// The profile's name.
        profile: String,
        /// Members that it has room for.
        size: u64,
    },
    /// It is part of the program.
    #[error("{what} is const in the program")]
    Const {
        /// The entity.
        what: String,
    },
    /// It belongs to an objective.
    #[error("{what} belongs to objective {owner}; change or delete that instead")]
    Owned {
        /// The entity.
        what: String,
        /// The objective.
        owner: String,
    },
    /// One-shot groups and members do not go together.
    #[error(
        "action profile {profile} is used with {used}; one profile takes either action sets or \
         members and groups, never both"
    )]
    MixedSelector {
        /// The profile's name.
        profile: String,
        /// What it is used with so far.
        used: &'static str,
    },
    /// The operation makes no sense for it.
    #[error("{what} can only be modified")]
    OnlyModify {
        /// The entity.
        what: String,
    },
    /// The data plane refuses.
    #[error("{what}: {error}")]
    DataPlane {
        /// The entity.
        what: String,
        /// Its reason.
        error: DataPlaneError,
    },
    /// The switch behind this one refuses.
    #[error("{what}: the switch says: {message}")]
    Upstream {
        /// The entity.
        what: String,
        /// The switch's code.
        code: Code,
        /// The switch's words.
        message: String,
    },
    /// An update before or after it failed, so that nothing of its batch stays.
    #[error("rolled back, because update {failed} of the batch failed")]
    RolledBack {
        /// The position of the update that failed, from 1.
        failed: usize,
    },
}

impl UpdateError {
    /// The canonical code that the specification gives to this refusal.
    pub fn code(&self) -> Code {
        match self {
            UpdateError::AlreadyExists { .. } => Code::AlreadyExists,
            UpdateError::NotFound { .. } => Code::NotFound,
            UpdateError::InUse { .. } => Code::FailedPrecondition,
            UpdateError::Const { .. } | UpdateError::Owned { .. } => Code::PermissionDenied,
            UpdateError::MixedSelector { .. }
            | UpdateError::OnlyModify { .. }
            | UpdateError::RefersToNothing { .. }
            | UpdateError::Fixed { .. } => Code::InvalidArgument,
            UpdateError::ProfileFull { .. } => Code::ResourceExhausted,
            UpdateError::DataPlane { error, .. } => data_plane_code(error),
            UpdateError::Upstream { code, .. } => *code,
            UpdateError::RolledBack { .. } => Code::Aborted,
        }
    }

    /// Whether the data plane cannot do it.
    pub fn is_unsupported(&self) -> bool {
        self.code() == Code::Unimplemented
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        self.code() == Code::ResourceExhausted
    }
}

fn data_plane_code(error: &DataPlaneError) -> Code {
    match error {
        DataPlaneError::AlreadyExists => Code::AlreadyExists,
        DataPlaneError::NotFound
        | DataPlaneError::NoSuchMember { .. }
        | DataPlaneError::NoSuchGroup { .. } => Code::NotFound,
        DataPlaneError::InUse { .. } => Code::FailedPrecondition,
        DataPlaneError::Full { .. } | DataPlaneError::NoMemory { .. } => Code::ResourceExhausted,
        DataPlaneError::OutOfRange { .. } => Code::OutOfRange,
        DataPlaneError::Unsupported { .. } => Code::Unimplemented,
        DataPlaneError::Kernel { .. } => Code::Internal,
    }
}
