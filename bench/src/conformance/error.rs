//! Why nothing can be run.

use thiserror::Error;

/// Why nothing can be run.
#[derive(Debug, Error)]
pub enum ConformanceError {
    /// A directory cannot be read.
    #[error("cannot read the directory {path}: {error}")]
    Directory {
        /// The directory.
        path: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// There is nothing to run.
    #[error(
        "there is no program in {path} or below: expected bmv2.json and p4info.txtpb, there or up to two directories above"
    )]
    NoProgram {
        /// The directory.
        path: String,
    },
}
