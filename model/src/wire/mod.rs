//! Objectives to and from `pointsman.objective.v1`.
//!
//! Encoding cannot fail. Decoding refuses what the YAML reader would refuse, so that an agent can
//! trust a typed objective wherever it came from.

mod decode;
mod encode;

use crate::attributes::Period;
use crate::field::Field;
use crate::matching::MatchError;
use crate::validate::Fault;

/// Why a message is not an objective.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A message or enum value that must be there is not, or is not known here.
    #[error("{0} is missing or unknown")]
    Missing(&'static str),
    /// Not the name of an objective.
    #[error("`{0}` is not a name of an objective")]
    Name(String),
    /// No field has that name.
    #[error("there is no field `{0}`")]
    UnknownField(String),
    /// Two criteria about one field.
    #[error("{0} is matched twice")]
    Twice(Field),
    /// The value does not fit the field.
    #[error("{field}: {error}")]
    Value {
        /// The field.
        field: Field,
        /// What is wrong.
        error: MatchError,
    },
    /// Two matches on one field of the pipeline.
    #[error("{field} of table {table} is matched twice")]
    P4Twice {
        /// The table.
        table: String,
        /// The match field.
        field: String,
    },
    /// A field of the pipeline is not matched like that.
    #[error("{place}: {error}")]
    P4Value {
        /// The table and the match field.
        place: String,
        /// What is wrong.
        error: MatchError,
    },
    /// A forward or bucket names a next more than once, as `next` or `group`.
    #[error("more than one next is named")]
    TwoNexts,
    /// Filters send packets nowhere.
    #[error("a filter cannot name a group")]
    GroupInFilter,
    /// An argument of an action is there twice.
    #[error("the argument `{0}` is given twice")]
    ArgumentTwice(String),
    /// The field cannot be rewritten.
    #[error("{0} cannot be set")]
    NotSettable(Field),
    /// More bytes than any field has.
    #[error("a value of {0} bytes is longer than any field")]
    TooLong(usize),
    /// A number outside its range.
    #[error("{what} is {found}; it must be at most {max}")]
    Range {
        /// Of what.
        what: &'static str,
        /// The number.
        found: u64,
        /// The largest accepted.
        max: u64,
    },
    /// A timeout that is too short or too long.
    #[error("a timeout of {0} ms; it must be from {min} to {max}", min = Period::MIN, max = Period::MAX)]
    Timeout(u64),
    /// Each value is in order, but not together.
    #[error("{0}")]
    Fault(Fault),
}
