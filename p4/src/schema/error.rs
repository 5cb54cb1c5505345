//! Why a p4info does not fit its program.

use crate::constraints::ConstraintError;
use thiserror::Error;

use super::p4_id_kind;

/// Why a p4info does not fit its program.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// The program has no such object.
    #[error(
        "p4info names {kind} {name}, which the program does not have; \
         p4info and device config must come from the same compilation"
    )]
    NotInProgram {
        /// What kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A reference within p4info leads nowhere.
    #[error("p4info: {from} refers to id {id:#010x} ({}), which p4info does not define", p4_id_kind(*.id))]
    DanglingId {
        /// Who refers.
        from: String,
        /// To what.
        id: u32,
    },
    /// Two objects have one id.
    #[error("p4info gives id {id:#010x} to both {first} and {second}")]
    DuplicateId {
        /// The id.
        id: u32,
        /// Who has it.
        first: String,
        /// Who has it too.
        second: String,
    },
    /// An id is not of its object's kind.
    #[error("p4info gives {kind} {name} id {id:#010x}, which is an id of {}", p4_id_kind(*.id))]
    WrongKind {
        /// What kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its id.
        id: u32,
    },
    /// The object has no preamble, and so neither name nor id.
    #[error("p4info has {0} without a preamble")]
    NoPreamble(&'static str),
    /// A table's key differs.
    #[error(
        "table {table}: p4info has {p4info} match fields, the program {program}; \
         p4info and device config must come from the same compilation"
    )]
    KeyDiffers {
        /// The table.
        table: String,
        /// Fields in p4info.
        p4info: usize,
        /// Fields in the program.
        program: usize,
    },
    /// A reference to what is not there.
    #[error("{owner}: @refers_to({table}, {field}): p4info has no such table or field")]
    Reference {
        /// Who refers.
        owner: String,
        /// To which table.
        table: String,
        /// To which field.
        field: String,
    },
    /// A restriction that makes no sense.
    #[error(transparent)]
    Constraint(Box<ConstraintError>),
    /// A match kind that v1model lacks.
    #[error(
        "table {table}: match field {field} is of kind {kind}; \
         exact, lpm, ternary, range and optional are supported"
    )]
    MatchKind {
        /// The table.
        table: String,
        /// The field.
        field: String,
        /// The kind.
        kind: String,
    },
}

impl From<ConstraintError> for SchemaError {
    fn from(error: ConstraintError) -> SchemaError {
        SchemaError::Constraint(Box::new(error))
    }
}
