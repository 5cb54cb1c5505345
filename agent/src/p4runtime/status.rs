//! Refusals as gRPC statuses, with P4Runtime's details.

use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use super::reason::{Reason, SPACE};
use crate::arbitration::ArbitrationError;
use crate::journal::JournalError;
use crate::target::relay::RelayError;

/// What a status may take of a client's metadata, before base64 makes it a third longer: gRPC
/// libraries accept about 8 KiB unless told otherwise, and a longer reply reaches them as none.
const METADATA_BYTES: usize = 5 << 10;
/// What an error takes without its message.
const DETAIL_BYTES: usize = 42;
/// What our own code takes beside its message.
const SPACE_BYTES: usize = 16;
/// How clients know the type of an error detail.
const ERROR_TYPE: &str = "type.googleapis.com/p4.v1.Error";

/// The outcome of one update or filter that is refused.
pub fn error(reason: Reason, code: Code, message: String) -> p4::Error {
    p4::Error {
        canonical_code: code.into(),
        message,
        space: SPACE.to_owned(),
        code: reason.code(),
        ..p4::Error::default()
    }
}

/// A request of which some parts failed: UNKNOWN, with one error for each part, in order.
pub fn batch(errors: &[p4::Error]) -> Status {
    let failed = errors.iter().filter(|e| e.canonical_code != 0);
    let first = failed.clone().next().map_or("", |e| e.message.as_str());
    let message = format!(
        "{} of {} failed; the first: {first}",
        failed.count(),
        errors.len()
    );
    let details = rpc::Status {
        code: Code::Unknown.into(),
        message: message.clone(),
        details: errors
            .iter()
            .zip(messages_that_fit(errors))
            .map(|(error, message)| Any {
                type_url: ERROR_TYPE.to_owned(),
                value: match message {
                    Some(_) => error.encode_to_vec(),
                    None => p4::Error {
                        canonical_code: error.canonical_code,
                        ..p4::Error::default()
                    }
                    .encode_to_vec(),
                },
            })
            .collect(),
    };
    Status::with_details(Code::Unknown, message, details.encode_to_vec().into())
}

/// The messages of errors in order, as many as fit into a client's metadata with our own codes; then
/// none. Every error keeps its canonical code.
fn messages_that_fit(errors: &[p4::Error]) -> impl Iterator<Item = Option<&str>> {
    let codes = errors.len() * DETAIL_BYTES;
    let mut left = METADATA_BYTES.saturating_sub(codes);
    errors.iter().map(
        move |error| match left.checked_sub(error.message.len() + SPACE_BYTES) {
            Some(rest) => {
                left = rest;
                Some(error.message.as_str())
            }
            None => {
                left = 0;
                None
            }
        },
    )
}

/// A refusal for want of mastership.
pub fn arbitration(error: &ArbitrationError) -> Status {
    Status::new(error.code(), error.to_string())
}

/// A change that was made but may not survive a restart.
pub fn journal(error: &JournalError) -> Status {
    Status::internal(format!("the change was made, but is not kept: {error}"))
}

/// A switch in another process that was not asked, or refuses.
pub fn relay(error: &RelayError) -> Status {
    Status::new(error.code(), error.to_string())
}

/// A request for another switch.
pub fn unknown_device(given: u64, device_id: u64) -> Status {
    arbitration(&ArbitrationError::UnknownDevice { given, device_id })
}

/// A request that needs a pipeline, before there is one.
pub fn no_pipeline() -> Status {
    Status::failed_precondition(
        "no forwarding pipeline config is set; set one with SetForwardingPipelineConfig, or start the agent with --pipeline",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_failures_fit_into_what_clients_accept() {
        let message = "table acl: an entry with this key already exists; MODIFY changes it";
        let errors = vec![
            error(
                Reason::AlreadyExists,
                Code::AlreadyExists,
                message.to_owned()
            );
            100
        ];
        let status = batch(&errors);
        assert!(status.details().len() * 4 / 3 < 8 << 10);
        let details = rpc::Status::decode(status.details()).expect("our own encoding");
        assert_eq!(details.details.len(), 100);
        let decoded = |index: usize| {
            p4::Error::decode(details.details[index].value.as_slice()).expect("our own encoding")
        };
        assert_eq!(decoded(0).message, message);
        assert_eq!(
            (decoded(0).space.as_str(), decoded(0).code),
            ("pointsman", 20)
        );
        assert_eq!(decoded(99).canonical_code, Code::AlreadyExists as i32);
        assert_eq!(decoded(99).message, "");
    }
}
