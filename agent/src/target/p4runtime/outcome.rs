//! What a server's answer to a batch says of each update. Pure.
//!
//! The specification asks for one `p4.Error` for each update. Some servers send none, or stop at the first failure and say
//! ABORTED of the rest; the caller is told what has to be asked again.

use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use prost::Message;
use tonic::{Code, Status};

/// What became of one update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was applied.
    Done,
    /// It was refused.
    Refused {
        /// The server's canonical code.
        code: Code,
        /// The server's words.
        message: String,
    },
    /// The server did not come to it.
    NotTried,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BatchOutcome {
    /// One for each update.
    Known(Vec<Outcome>),
    /// Some may have been applied; the server does not say which.
    Unknown,
    /// None was applied: the server would not take the batch.
    Rejected {
        /// The server's code.
        code: Code,
        /// The server's words.
        message: String,
    },
    /// The server is away; some may have been applied.
    Away(String),
    /// Another client is primary; none was applied.
    NotPrimary,
}

/// Reads the answer to a batch of `updates`.
pub(super) fn of(updates: usize, result: Result<(), Status>) -> BatchOutcome {
    let status = match result {
        Ok(()) => return BatchOutcome::Known(vec![Outcome::Done; updates]),
        Err(status) => status,
    };
    if let Some(errors) = details(&status).filter(|errors| errors.len() == updates) {
        return BatchOutcome::Known(each(errors));
    }
    let message = status.message().to_owned();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => BatchOutcome::Away(message),
        Code::PermissionDenied => BatchOutcome::NotPrimary,
        code @ (Code::Unimplemented
        | Code::FailedPrecondition
        | Code::ResourceExhausted
        | Code::Unauthenticated)
            if updates > 1 =>
        {
            BatchOutcome::Rejected { code, message }
        }
        code if updates == 1 => BatchOutcome::Known(vec![Outcome::Refused { code, message }]),
        _ => BatchOutcome::Unknown,
    }
}

fn each(errors: Vec<p4::Error>) -> Vec<Outcome> {
    let mut failed = false;
    let errors = errors.into_iter();
    let outcomes = errors.map(|error| match Code::from_i32(error.canonical_code) {
        Code::Ok => Outcome::Done,
        Code::Aborted if failed => Outcome::NotTried,
        code => {
            failed = true;
            Outcome::Refused {
                code,
                message: error.message,
            }
        }
    });
    outcomes.collect()
}

/// The errors in a status, if they can be read.
fn details(status: &Status) -> Option<Vec<p4::Error>> {
    let details = rpc::Status::decode(status.details()).ok()?;
    let errors = details.details.iter();
    errors
        .map(|any| p4::Error::decode(any.value.as_slice()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p4runtime::status::batch;

    fn error(code: Code) -> p4::Error {
        p4::Error {
            canonical_code: code.into(),
            message: "no".to_owned(),
            ..p4::Error::default()
        }
    }

    fn refused(code: Code) -> Outcome {
        Outcome::Refused {
            code,
            message: "no".to_owned(),
        }
    }

    #[test]
    fn each_update_has_the_error_that_the_server_gave_it() {
        let errors = [Code::Ok, Code::NotFound, Code::Ok].map(error);
        let known = vec![Outcome::Done, refused(Code::NotFound), Outcome::Done];
        assert_eq!(of(3, Err(batch(&errors))), BatchOutcome::Known(known));
        let done = vec![Outcome::Done; 2];
        assert_eq!(of(2, Ok(())), BatchOutcome::Known(done));
    }

    #[test]
    fn what_comes_after_a_failure_and_is_aborted_was_not_tried() {
        let codes = [Code::Ok, Code::AlreadyExists, Code::Aborted, Code::Aborted];
        let errors = codes.map(error);
        let known = vec![
            Outcome::Done,
            refused(Code::AlreadyExists),
            Outcome::NotTried,
            Outcome::NotTried,
        ];
        assert_eq!(of(4, Err(batch(&errors))), BatchOutcome::Known(known));
    }

    #[test]
    fn a_failure_without_details_says_nothing_of_a_batch_and_all_of_a_single_update() {
        let status = || Err(Status::unknown("no"));
        assert_eq!(of(2, status()), BatchOutcome::Unknown);
        let known = vec![refused(Code::Unknown)];
        assert_eq!(of(1, status()), BatchOutcome::Known(known));
        let denied = Err(Status::permission_denied("no"));
        assert_eq!(of(1, denied), BatchOutcome::NotPrimary);
        let away = BatchOutcome::Away("gone".to_owned());
        assert_eq!(of(2, Err(Status::unavailable("gone"))), away);
    }
}
