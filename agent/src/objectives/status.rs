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
    /// The revision of the version that the data plane holds, which may be an older one; 0 if it holds none.
    pub applied_revision: u64,
}

impl Status {
    /// The data plane holds it.
    pub fn applied(revision: u64) -> Status {
        Status {
            state: State::Applied,
            reason: Reason::Unspecified,
            message: String::new(),
            revision,
            applied_revision: revision,
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

    /// The data plane held it, until somebody else changed or deleted some of it.
    pub fn drifted(revision: u64, message: String) -> Status {
        Status {
            reason: Reason::Drifted,
            message,
            ..Status::applied(revision)
        }
    }

    /// Whether a port is down that it uses.
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
            applied_revision: 0,
        }
    }

    /// It cannot be realised: for now, or at all.
    pub fn refused(revision: u64, refusal: Refusal) -> Status {
        match refusal.reason {
            Reason::WaitsForNext | Reason::NoPipeline | Reason::SwitchAway => {
                Status::pending(revision, refusal.reason, refusal.message)
            }
            _ => Status::failed(revision, refusal),
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
            applied_revision: 0,
        }
    }
}

impl Status {
    /// Another objective has taken its place for now.
    pub fn superseded(revision: u64, message: String) -> Status {
        Status::failed(revision, Refusal::new(Reason::Superseded, message))
    }

    /// What the data plane holds stays, and this cannot be done with it.
    pub fn failing(&self, refusal: Refusal) -> Status {
        Status {
            applied_revision: self.applied_revision,
            ..Status::failed(self.revision, refusal)
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
            applied_revision: status.applied_revision,
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
            applied_revision: status.applied_revision,
        }
    }
}
