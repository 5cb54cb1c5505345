//! Why a p4info is refused.

use thiserror::Error;

/// Why a p4info is refused, alone or beside a program.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum P4InfoError {
    /// The text is not protobuf text format, or not of that message.
    #[error("not a {message} in protobuf text format: {error}")]
    Text {
        /// The message that was expected.
        message: &'static str,
        /// What the parser says, with the place.
        error: String,
    },
    /// An object without id or name.
    #[error("a {kind} of the p4info has no id or no name")]
    NoPreamble {
        /// For example `table`.
        kind: &'static str,
    },
    /// Two objects with one id.
    #[error("two objects of the p4info have the id {id}")]
    DuplicateId {
        /// Their id.
        id: u32,
    },
    /// An object that refers to one that does not exist.
    #[error("{name} refers to the {kind} {id}, which the p4info does not have")]
    Dangling {
        /// Who refers.
        name: String,
        /// For example `action`.
        kind: &'static str,
        /// To what.
        id: u32,
    },
    /// An object that the program does not have.
    #[error(
        "the p4info has a {kind} {name}, which the program lacks; are they of one compilation?"
    )]
    NotInProgram {
        /// For example `table`.
        kind: &'static str,
        /// Its fully qualified name.
        name: String,
    },
    /// An object that the program describes differently.
    #[error(
        "{what}: the p4info says {p4info}, the program {program}; are they of one compilation?"
    )]
    Mismatch {
        /// What they disagree about, for example `the width of the field x of table y`.
        what: String,
        /// What the p4info says.
        p4info: String,
        /// What the program says.
        program: String,
    },
    /// A feature of P4Runtime that Pointsman does not have.
    #[error("{what} of {name} is not supported")]
    Unsupported {
        /// The feature.
        what: String,
        /// Who asks for it.
        name: String,
    },
}
