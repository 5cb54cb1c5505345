//! Why a message is not an entity of the loaded pipeline.

use pointsman_p4::constraints::Violation;
use thiserror::Error;
use tonic::Code;

use crate::schema::TranslationError;

/// Why a message is not an entity of the loaded pipeline. Each says what was refused,
/// where it stands in the update, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A part of the message that must be there is not.
    #[error("{place}: {what} is missing")]
    Missing {
        /// Where.
        place: String,
        /// What.
        what: &'static str,
    },
    /// An id that p4info does not define.
    #[error("{place}: {kind} {id:#010x} is not in p4info; it has {known}")]
    UnknownId {
        /// Where.
        place: String,
        /// What kind of object was expected.
        kind: &'static str,
        /// The id that was given.
        id: u32,
        /// Ids that would be accepted.
        known: String,
    },
    /// A value is empty or has more bits than fit.
    #[error("{place}: value {value} does not fit {width} bits")]
    ValueTooLarge {
        /// Where.
        place: String,
        /// The value that was given.
        value: String,
        /// Bits there are.
        width: u32,
    },
    /// A value that stands for nothing in the program.
    #[error("{place}: {error}")]
    Translation {
        /// Where.
        place: String,
        /// Why.
        error: TranslationError,
    },
    /// An index beyond the end.
    #[error("{place}: index {index} is out of range; it has {size} cells")]
    IndexTooLarge {
        /// The counter, meter or register.
        place: String,
        /// The index that was given.
        index: i64,
        /// Cells there are.
        size: u32,
    },
    /// A value has no bytes.
    #[error("{place}: the value has no bytes; a zero is one zero byte")]
    EmptyValue {
        /// Where.
        place: String,
    },
    /// A match of the wrong kind.
    #[error("{place}: is matched as {expected}, not as {given}")]
    MatchKind {
        /// Where.
        place: String,
        /// The kind in p4info.
        expected: &'static str,
        /// The kind that was given.
        given: &'static str,
    },
    /// Something stands twice where it may stand once.
    #[error("{place}: {what} is given twice")]
    Duplicate {
        /// Where.
        place: String,
        /// What.
        what: String,
    },
    /// A value that the specification does not allow here.
    #[error("{place}: {what}")]
    Invalid {
        /// Where.
        place: String,
        /// What is wrong, and what would be accepted.
        what: String,
    },
    /// More of something than there is room for.
    #[error("{place}: there is no room for {what}; it takes {limit} at most")]
    TooMany {
        /// Where.
        place: String,
        /// What.
        what: String,
        /// How many there can be.
        limit: u64,
    },
    /// The same thing twice in a set.
    #[error("{place}: {what} is there already; give each only once")]
    AlreadyThere {
        /// Where.
        place: String,
        /// What.
        what: String,
    },
    /// The program's own restriction forbids it.
    #[error("{0}")]
    Restricted(Box<Violation>),
    /// An action may not be used in this place.
    #[error("{place}: action {action} {why}")]
    ActionNotAllowed {
        /// Where.
        place: String,
        /// The action's name.
        action: String,
        /// Why not.
        why: &'static str,
    },
    /// The pipeline allows it to nobody.
    #[error("{place}: {what}")]
    NotPermitted {
        /// Where.
        place: String,
        /// What.
        what: String,
    },
    /// Part of P4Runtime that this switch lacks.
    #[error("{what} is not supported")]
    Unsupported {
        /// What.
        what: &'static str,
    },
}

impl DecodeError {
    /// The canonical code that the specification gives to this refusal.
    pub fn code(&self) -> Code {
        match self {
            DecodeError::Missing { .. }
            | DecodeError::UnknownId { .. }
            | DecodeError::MatchKind { .. }
            | DecodeError::Duplicate { .. }
            | DecodeError::Restricted(_)
            | DecodeError::Invalid { .. } => Code::InvalidArgument,
            DecodeError::TooMany { .. } => Code::ResourceExhausted,
            DecodeError::AlreadyThere { .. } => Code::AlreadyExists,
            DecodeError::Translation { error, .. } if !error.is_out_of_range() => {
                Code::InvalidArgument
            }
            DecodeError::ValueTooLarge { .. }
            | DecodeError::Translation { .. }
            | DecodeError::IndexTooLarge { .. }
            | DecodeError::EmptyValue { .. } => Code::OutOfRange,
            DecodeError::ActionNotAllowed { .. } | DecodeError::NotPermitted { .. } => {
                Code::PermissionDenied
            }
            DecodeError::Unsupported { .. } => Code::Unimplemented,
        }
    }
}

impl From<Violation> for DecodeError {
    fn from(violation: Violation) -> DecodeError {
        DecodeError::Restricted(Box::new(violation))
    }
}

pub(super) fn invalid(place: impl Into<String>, what: impl Into<String>) -> DecodeError {
    DecodeError::Invalid {
        place: place.into(),
        what: what.into(),
    }
}
