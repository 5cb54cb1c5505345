//! Refusals as gRPC statuses, with P4Runtime's details.

use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::arbitration::ArbitrationError;
use crate::journal::JournalError;

/// How clients know the type of an error detail.
const ERROR_TYPE: &str = "type.googleapis.com/p4.v1.Error";

/// The outcome of one update or filter.
pub fn error(code: Code, message: String) -> p4::Error {
    p4::Error {
        canonical_code: code.into(),
        message,
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
            .map(|error| Any {
                type_url: ERROR_TYPE.to_owned(),
                value: error.encode_to_vec(),
            })
            .collect(),
    };
    Status::with_details(Code::Unknown, message, details.encode_to_vec().into())
}

/// A refusal for want of mastership.
pub fn arbitration(error: &ArbitrationError) -> Status {
    Status::new(error.code(), error.to_string())
}

/// A change that was made but may not survive a restart.
pub fn journal(error: &JournalError) -> Status {
    Status::internal(format!("the change was made, but is not kept: {error}"))
}

/// A request for another switch.
pub fn unknown_device(given: u64, device_id: u64) -> Status {
    arbitration(&ArbitrationError::UnknownDevice { given, device_id })
}

/// A request that needs a pipeline, before there is one.
pub fn no_pipeline() -> Status {
    Status::failed_precondition(
        "no pipeline is set; set one with SetForwardingPipelineConfig, or start the agent with --pipeline",
    )
}
