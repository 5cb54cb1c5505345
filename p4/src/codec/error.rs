//! Why a P4Runtime value or entity is refused.

use thiserror::Error;

/// Why a P4Runtime value or entity is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecError {
    /// A value of a type that p4info translates to strings.
    #[error("the type is translated to strings, which is not supported")]
    Strings,
    /// A byte string without bytes.
    #[error("the value is empty; a value of {width} bits has at least one byte")]
    EmptyValue {
        /// Bits of the value.
        width: u32,
    },
    /// A number that does not fit.
    #[error("{value} does not fit {width} bits")]
    TooWide {
        /// The number.
        value: String,
        /// Bits that there are.
        width: u32,
    },
    /// A value that does not fit, of a named field or parameter.
    #[error("{name}: {error}")]
    Of {
        /// The field or parameter.
        name: String,
        /// What is wrong with its value.
        error: Box<CodecError>,
    },
    /// A match that the specification forbids.
    #[error("{field}: {problem}")]
    InvalidMatch {
        /// The field.
        field: String,
        /// The rule it breaks.
        problem: &'static str,
    },
    /// An id that the p4info does not have.
    #[error("the p4info has no {kind} {id:#x}")]
    Unknown {
        /// For example `table`.
        kind: &'static str,
        /// The id.
        id: u32,
    },
    /// An id that some object does not have.
    #[error("{name} has no {kind} {id}")]
    UnknownIn {
        /// The object.
        name: String,
        /// For example `match field`.
        kind: &'static str,
        /// The id.
        id: u32,
    },
    /// An entity that contradicts itself or the p4info.
    #[error("{name}: {problem}")]
    Invalid {
        /// The object.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// An entity that is not part of the forwarding state.
    #[error("a {0} cannot be written")]
    NotWritable(&'static str),
}

impl CodecError {
    /// The same error, of a named field or parameter.
    pub fn of(self, name: &str) -> CodecError {
        CodecError::Of {
            name: name.to_owned(),
            error: Box::new(self),
        }
    }

    /// Whether P4Runtime's code for it is `OUT_OF_RANGE` rather than `INVALID_ARGUMENT`.
    pub fn is_out_of_range(&self) -> bool {
        match self {
            CodecError::EmptyValue { .. } | CodecError::TooWide { .. } => true,
            CodecError::Of { error, .. } => error.is_out_of_range(),
            _ => false,
        }
    }
}
