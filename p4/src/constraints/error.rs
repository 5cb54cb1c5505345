//! What is wrong with a constraint, and why an entry violates one.

use std::fmt;

use thiserror::Error;

/// A constraint that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{annotation} of {owner}, line {line}, column {column}: {fault}")]
pub struct ConstraintError {
    /// `@entry_restriction` or `@action_restriction`.
    pub annotation: &'static str,
    /// The table or action.
    pub owner: String,
    /// From 1, in the annotation; in the program where `@line(__LINE__)` stands before it.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a constraint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The annotation is no string.
    #[error("the constraint must stand in quotation marks: (\"...\")")]
    NotQuoted,
    /// A character that begins no word of the language.
    #[error("{0:?} has no meaning here")]
    Character(char),
    /// A comment or string without an end.
    #[error("the {0} that starts here has no end")]
    Unterminated(&'static str),
    /// Something else must stand here.
    #[error("{found} stands where {expected} is expected")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// Two operators that do not say which comes first.
    #[error("{0} after {1} is ambiguous; use parentheses")]
    Ambiguous(&'static str, &'static str),
    /// More parentheses and negations within each other than are read.
    #[error("it is nested more than {0} levels deep")]
    TooDeep(usize),
    /// An address that is none.
    #[error("'{text}' is no {kind} address")]
    Address {
        /// `ipv4`, `ipv6` or `mac`.
        kind: &'static str,
        /// What stands there.
        text: String,
    },
    /// A name that nothing has.
    #[error("there is no {name}; {known}")]
    Unknown {
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// An attribute that entries lack.
    #[error("entries have no attribute ::{0}; there is ::priority")]
    Attribute(String),
    /// A field that a value lacks.
    #[error("{of} has no ::{field}; {known}")]
    Field {
        /// What was asked.
        of: String,
        /// For what.
        field: String,
        /// What it has.
        known: &'static str,
    },
    /// A value of another type.
    #[error("{found} stands where {expected} is expected")]
    Type {
        /// The type that it has.
        found: String,
        /// The type that it must have.
        expected: &'static str,
    },
    /// Two types that cannot be compared.
    #[error("{left} cannot be compared with {right}")]
    Incomparable {
        /// On the left.
        left: String,
        /// On the right.
        right: String,
    },
    /// A type without an order.
    #[error("{0} has no order; compare its ::fields, or use == and !=")]
    Unordered(String),
}

/// Why an entry may not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The table or action.
    pub owner: String,
    /// The smallest part of the constraint that decides.
    pub part: String,
    /// Its line in the annotation, from 1.
    pub line: usize,
    /// Whether that part must hold and does not, or must not and does.
    pub must_hold: bool,
    /// The values that the part names, as `name = value`.
    pub values: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let must = match self.must_hold {
            true => "must satisfy",
            false => "must not satisfy",
        };
        let Violation {
            owner, part, line, ..
        } = self;
        write!(
            f,
            "{owner}: {must} `{part}` (line {line} of its restriction)"
        )?;
        match self.values.as_slice() {
            [] => Ok(()),
            values => write!(f, ", but has {}", values.join(", ")),
        }
    }
}

impl std::error::Error for Violation {}
