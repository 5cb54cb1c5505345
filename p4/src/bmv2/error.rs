//! Why a BMv2 JSON file is refused.

use std::fmt;

use thiserror::Error;

use crate::ir::SourceInfo;

/// Why a BMv2 JSON file is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The text is not JSON.
    #[error("the pipeline is not JSON: line {line}, column {column}: {message}")]
    NotJson {
        /// Line of the JSON text, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the JSON parser says.
        message: String,
    },
    /// Something in the program is wrong or not supported.
    #[error("{problem}; {place}")]
    Program {
        /// What is wrong.
        problem: Problem,
        /// Where.
        place: Box<Place>,
    },
}

/// What is wrong with one place of the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A value has another type than the format says, or is missing.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What the format wants.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A reference to something that does not exist.
    #[error("there is no {kind} {name:?}")]
    Unknown {
        /// For example `header`.
        kind: &'static str,
        /// The name or id that was referred to.
        name: String,
    },
    /// Two things have one name.
    #[error("there are two {kind}s named {name:?}")]
    Duplicate {
        /// For example `header`.
        kind: &'static str,
        /// Their name.
        name: String,
    },
    /// A construct that Pointsman does not run.
    #[error("{construct} is not supported")]
    Unsupported {
        /// The construct, by the name the user knows it by.
        construct: String,
    },
    /// A value that contradicts the format or the rest of the program.
    #[error("{0}")]
    Invalid(String),
}

/// Where something stands, in the JSON and in the P4 source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// For example `pipelines[0].tables[3].key[1]`.
    pub path: String,
    /// The name of the innermost named thing around it; empty if there is none.
    pub name: String,
    /// The P4 source of the innermost thing that has one.
    pub source: SourceInfo,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}", self.path)?;
        if !self.name.is_empty() {
            write!(f, " in {:?}", self.name)?;
        }
        if !self.source.file.is_empty() {
            write!(f, ", from {}", self.source)?;
        }
        Ok(())
    }
}
