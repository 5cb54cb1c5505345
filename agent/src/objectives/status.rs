//! How an objective fares.

use pointsman_proto::pointsman::objective::v1 as pb;
use pointsman_proto::pointsman::objective::v1::{Reason, State};

use crate::pipeliner::Refusal;

/// How an objective fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Applied, pending or failed.
    pub state: State,
    /// Why it is not applied.
    pub reason: Reason,
    /// One sentence for people.
    pub message: String,
    /// Which revision of the objective this is about.
    pub revision: u64,
}

impl Status {
    /// The data plane holds it.
    pub fn applied(revision: u64) -> Status {
        Status {
            state: State::Applied,
            reason: Reason::Unspecified,
            message: String::new(),
            revision,
        }
    }

    /// It waits.
    pub fn pending(revision: u64, reason: Reason, message: impl Into<String>) -> Status {
        Status {
            state: State::Pending,
            reason,
            message: message.into(),
            revision,
        }
    }

    /// The switch refuses it.
    pub fn failed(revision: u64, refusal: Refusal) -> Status {
        let message = match &refusal.field {
            Some(field) => format!("{field}: {}", refusal.message),
            None => refusal.message,
        };
        Status {
            state: State::Failed,
            reason: refusal.reason,
            message,
            revision,
        }
    }
}

impl From<&Status> for pb::Status {
    fn from(status: &Status) -> pb::Status {
        pb::Status {
            state: status.state.into(),
            reason: status.reason.into(),
            message: status.message.clone(),
            revision: status.revision,
        }
    }
}

impl From<&pb::Status> for Status {
    fn from(status: &pb::Status) -> Status {
        Status {
            state: status.state(),
            reason: status.reason(),
            message: status.message.clone(),
            revision: status.revision,
        }
    }
}
