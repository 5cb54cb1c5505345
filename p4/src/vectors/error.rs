//! Why recorded data cannot be read.

use std::path::Path;

use thiserror::Error;

use crate::bmv2::ReadError;
use crate::codec::CodecError;
use crate::p4info::P4InfoError;

/// Why recorded data cannot be read.
#[derive(Debug, Error)]
pub enum VectorError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// The system's error.
        error: String,
    },
    /// The program is refused.
    #[error(transparent)]
    Program(#[from] ReadError),
    /// The p4info or a request in text format is refused.
    #[error(transparent)]
    P4Info(#[from] P4InfoError),
    /// An update is refused.
    #[error("update {index}: {error}")]
    Update {
        /// Its position in the request.
        index: usize,
        /// Why.
        error: CodecError,
    },
    /// A line of an STF or golden file cannot be understood.
    #[error("line {line}: {problem}: {text}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// The line.
        text: String,
    },
}

impl VectorError {
    pub(super) fn file(path: &Path, error: &std::io::Error) -> VectorError {
        VectorError::File {
            path: path.display().to_string(),
            error: error.to_string(),
        }
    }
}
