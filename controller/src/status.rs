//! How an objective fares on its switch, and the closed list of reasons why it
//! is not applied, or degraded. Shared by the store (refusals), distribution
//! (acknowledgements) and the API.

use pointsman_proto::pointsman::objective::v1 as pb;
use serde::{Deserialize, Serialize};

use crate::state::Revision;

/// Where an objective stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Not in the data plane yet.
    Pending,
    /// The data plane holds it.
    Applied,
    /// The switch refused it.
    Failed,
}

/// The state of one objective at one revision of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it stands.
    pub progress: Progress,
    /// Why it is not applied, or degraded.
    pub reason: Option<Reason>,
    /// One sentence for people; may be empty when applied.
    pub message: String,
    /// The revision of the objective that this is about.
    pub revision: Revision,
    /// The revision of the version that the data plane holds; zero if it holds none.
    pub applied_revision: Revision,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Why something is refused or waits. One to one with the API's reasons.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* $name),* }

        impl Reason {
            /// The reason a message carries, if it carries one.
            pub fn from_proto(reason: pb::Reason) -> Option<Self> {
                match reason {
                    pb::Reason::Unspecified => None,
                    $(pb::Reason::$name => Some(Reason::$name)),*
                }
            }

            /// The reason as messages carry it.
            pub fn to_proto(self) -> pb::Reason {
                match self { $(Reason::$name => pb::Reason::$name),* }
            }
        }
    };
}

reasons! {
    /// The agent does not answer.
    DeviceUnreachable,
    /// The next it refers to is not applied.
    WaitsForNext,
    /// The switch has no pipeline yet.
    NoPipeline,
    /// The loaded pipeline cannot do this.
    UnsupportedByPipeline,
    /// There is no such port.
    UnknownPort,
    /// The request makes no sense in itself.
    BadParameters,
    /// The table that would hold it is full.
    TableFull,
    /// It contradicts something that exists.
    Conflict,
    /// The next to delete is in use.
    NextInUse,
    /// There is no such objective.
    NoSuchObjective,
    /// A fault in Pointsman.
    Internal,
    /// Accepted by the controller and on its way.
    InFlight,
    /// Applied, but degraded: a bucket's port is down.
    PortDown,
    /// Applied, but somebody else has changed or deleted entries of it.
    Drifted,
    /// Another objective or a newer revision has taken its place.
    Superseded,
    /// Its entries are worked out; the switch that is to take them is away.
    SwitchAway,
    /// Its timeout is over.
    Expired,
    /// Another member of its group cannot be applied.
    Group,
    /// It belongs to another application.
    OwnedByAnother,
    /// The switch has something else than was to be verified.
    Differs,
}

impl Status {
    /// Takes a status over from a message; one without state counts as pending.
    pub fn from_proto(status: pb::Status) -> Self {
        let progress = match status.state() {
            pb::State::Applied => Progress::Applied,
            pb::State::Failed => Progress::Failed,
            pb::State::Pending | pb::State::Unspecified => Progress::Pending,
        };
        Self {
            progress,
            reason: Reason::from_proto(status.reason()),
            revision: Revision(status.revision),
            applied_revision: Revision(status.applied_revision),
            message: status.message,
        }
    }

    /// The status as messages carry it.
    pub fn to_proto(&self) -> pb::Status {
        let state = match self.progress {
            Progress::Pending => pb::State::Pending,
            Progress::Applied => pb::State::Applied,
            Progress::Failed => pb::State::Failed,
        };
        let reason = self
            .reason
            .map_or(pb::Reason::Unspecified, Reason::to_proto);
        pb::Status {
            state: state.into(),
            reason: reason.into(),
            message: self.message.clone(),
            revision: self.revision.0,
            applied_revision: self.applied_revision.0,
        }
    }

    /// Pending for a reason.
    pub fn pending(reason: Reason, message: impl Into<String>, revision: Revision) -> Self {
        Self {
            progress: Progress::Pending,
            reason: Some(reason),
            message: message.into(),
            revision,
            applied_revision: Revision(0),
        }
    }

    /// Refused for a reason, before there is a revision.
    pub fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            progress: Progress::Failed,
            ..Self::pending(reason, message, Revision::default())
        }
    }

    /// Is it what is wanted, without a but?
    pub fn is_plainly_applied(&self) -> bool {
        self.progress == Progress::Applied
            && self.reason.is_none()
            && self.message.is_empty()
            && self.applied_revision == self.revision
    }

    /// Has the switch taken it out, because its time was over?
    pub fn is_expired(&self) -> bool {
        self.progress == Progress::Pending && self.reason == Some(Reason::Expired)
    }

    /// Applied at a revision.
    pub fn applied(revision: Revision) -> Self {
        Self {
            progress: Progress::Applied,
            reason: None,
            message: String::new(),
            revision,
            applied_revision: revision,
        }
    }
}
