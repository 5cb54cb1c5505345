//! How a test ends, and what it says when the server did something else than it should.

use std::fmt::Debug;

use thiserror::Error;
use tonic::{Code, Status};

/// How a test ends.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a requirement is not met, or was not asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The server did something else.
    #[error("{doing}: expected {expected}, saw {seen}")]
    Differs {
        /// What was tried.
        doing: String,
        /// What the specification has.
        expected: String,
        /// What the server did.
        seen: String,
    },
    /// The server says that it does not offer what the specification leaves to it.
    #[error("not offered: {0}")]
    NotOffered(String),
}

impl Failure {
    /// Something else than expected.
    pub fn differs(
        doing: impl Into<String>,
        expected: impl Into<String>,
        seen: impl Into<String>,
    ) -> Failure {
        Failure::Differs {
            doing: doing.into(),
            expected: expected.into(),
            seen: seen.into(),
        }
    }
}

/// The name of a code as the specification writes it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// A status on one line.
pub fn show_status(status: &Status) -> String {
    let message: String = status.message().chars().take(160).collect();
    format!("{} ({message})", code_name(status.code()))
}

/// Several codes, any of which will do.
pub fn show_codes(codes: &[Code]) -> String {
    let names: Vec<_> = codes.iter().map(|&code| code_name(code)).collect();
    names.join(" or ")
}

/// Two values that have to be the same.
pub fn same<T: PartialEq + Debug>(what: &str, seen: T, expected: T) -> Outcome {
    if seen == expected {
        return Ok(());
    }
    Err(Failure::differs(
        what,
        shorten(format!("{expected:?}")),
        shorten(format!("{seen:?}")),
    ))
}

/// Something that has to hold; `seen` says what was seen instead.
pub fn holds(what: &str, expected: &str, holds: bool, seen: impl Debug) -> Outcome {
    if holds {
        return Ok(());
    }
    Err(Failure::differs(
        what,
        expected,
        shorten(format!("{seen:?}")),
    ))
}

/// The answer to an RPC that has to succeed.
pub fn accepted<T>(doing: &str, result: Result<T, Status>) -> Outcome<T> {
    result.map_err(|status| Failure::differs(doing, "OK", show_status(&status)))
}

/// An RPC that has to be refused as a whole, with one of these codes.
pub fn refused<T>(doing: &str, result: Result<T, Status>, codes: &[Code]) -> Outcome {
    match result {
        Err(status) if codes.contains(&status.code()) => Ok(()),
        Err(status) => Err(Failure::differs(
            doing,
            show_codes(codes),
            show_status(&status),
        )),
        Ok(_) => Err(Failure::differs(doing, show_codes(codes), "OK")),
    }
}

/// Long values end in an ellipsis: they stand in a table.
fn shorten(text: String) -> String {
    const LONGEST: usize = 600;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
