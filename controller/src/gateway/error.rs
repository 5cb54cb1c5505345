//! What went wrong, as an HTTP status and as JSON:
//! `{"error": {"status": 409, "code": "ABORTED", "message": "app/a is at revision 2, and ..."}}`.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use prost_reflect::MethodDescriptor;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::methods::changes_nothing;

/// An answer that is an error.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    code: Code,
    message: String,
}

impl HttpError {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, message)
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    /// No name, and not SERVICE/METHOD either.
    pub fn no_such_path(path: &str) -> Self {
        Self::not_found(format!(
            "there is nothing at /v1/{path}; GET /v1 shows what there is"
        ))
    }

    /// No such service.
    pub fn no_such_service(service: &str, known: &[String]) -> Self {
        let known = known.join(", ");
        Self::not_found(format!(
            "there is no service {service:?}; there are {known}, and GET /v1 shows their methods"
        ))
    }

    /// No such method.
    pub fn no_such_method(service: &str, method: &str, known: &[String]) -> Self {
        let known = known.join(", ");
        Self::not_found(format!(
            "{service} has no method {method:?}; it has {known}"
        ))
    }

    /// A method that changes something was asked for with GET, or any with what is neither GET nor POST.
    pub fn wrong_verb(verb: &Method, method: &MethodDescriptor) -> Self {
        let verbs = match changes_nothing(method) {
            true => "GET or POST",
            false => "POST",
        };
        let message = format!("{verb} is not possible for {}; use {verbs}", method.name());
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, message)
    }

    /// A path or query is not text.
    pub fn bad_escapes() -> Self {
        Self::bad_request("the path or the query is not UTF-8 behind its percent signs")
    }

    /// A query or path names what the request does not have.
    pub fn no_such_field(field: &str, known: &[String]) -> Self {
        match known {
            [] => Self::bad_request(format!("the request has no field {field:?}")),
            known => {
                let known = known.join(", ");
                Self::bad_request(format!(
                    "the request has no field {field:?}; it has {known}"
                ))
            }
        }
    }

    /// A value is not of its field's type.
    pub fn bad_field(field: &str, value: &str, expected: &str) -> Self {
        Self::bad_request(format!("{field} cannot be {value:?}; give {expected}"))
    }

    /// An id of an event is not one of this stream.
    pub fn bad_event_id(id: &str) -> Self {
        Self::bad_request(format!(
            "Last-Event-ID is {id:?}, which is no id of an event of this stream"
        ))
    }

    /// The body is something else.
    pub fn not_json(kind: &str) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let message = format!("the Content-Type is {kind:?}; send application/json");
        Self::new(status, Code::InvalidArgument, message)
    }

    /// The body is no JSON.
    pub fn bad_json(error: &serde_json::Error) -> Self {
        Self::bad_request(format!("the request is no JSON: {error}"))
    }

    /// The JSON is not the request of the method.
    pub fn bad_message(method: &MethodDescriptor, error: &serde_json::Error) -> Self {
        let name = method.input().name().to_owned();
        Self::bad_request(format!("the request is no {name}: {error}"))
    }

    /// The body does not come.
    pub fn slow_request(limit: Duration) -> Self {
        let message = format!(
            "the request did not come within {} seconds",
            limit.as_secs()
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, message)
    }

    /// The body is too large, or broke off.
    pub fn unread_request(error: &axum::Error, limit: usize) -> Self {
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = cause {
            if error.to_string().contains("length limit") {
                let message = format!(
                    "the request has more than {limit} bytes; send less, or raise the setting api.max_request_bytes"
                );
                return Self::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    Code::ResourceExhausted,
                    message,
                );
            }
            cause = error.source();
        }
        Self::bad_request(format!("the request broke off: {error}"))
    }

    /// An answer cannot be JSON.
    pub fn unwritable(error: &serde_json::Error) -> Self {
        let message = format!("the answer cannot be written as JSON: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message)
    }

    /// Too many streams.
    pub fn too_many_streams(limit: u64) -> Self {
        let message = format!(
            "this controller serves {limit} streams of events already; close some, ask another one, or raise the setting api.event_streams"
        );
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            Code::ResourceExhausted,
            message,
        )
    }

    /// The error as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "error": {
                "status": self.status.as_u16(),
                "code": code_name(self.code),
                "message": self.message,
            }
        })
    }
}

impl From<Status> for HttpError {
    fn from(status: Status) -> Self {
        let message = match status.message() {
            "" => status.code().description(),
            message => message,
        };
        Self::new(http_status(status.code()), status.code(), message)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/json")];
        (self.status, headers, self.to_json().to_string()).into_response()
    }
}

/// As google.rpc.Code has it, but that what is gone is gone.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        Code::OutOfRange => StatusCode::GONE,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn code_name(code: Code) -> &'static str {
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
