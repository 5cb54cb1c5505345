//! How an objective fares.

use pointsman_proto::pointsman::objective::v1 as pb;
use pointsman_proto::pointsman::objective::v1::{Reason, State};

use crate::pipeliner::Refusal;

/// How an objective fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Applied, pending or failed.
    pub state: State,
    /// Why it is not applied, or not wholly of use.
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

    /// The data plane holds it, and some of it is of no use for now.
    pub fn degraded(revision: u64, message: String) -> Status {
        Status {
            reason: Reason::PortDown,
            message,
            ..Status::applied(revision)
        }
    }

    /// Whether that is so.
    pub fn is_degraded(&self) -> bool {
        self.state == State::Applied && self.reason == Reason::PortDown
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
