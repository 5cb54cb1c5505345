//! The commands that change the replicated state, and what they answer.

use serde::{Deserialize, Serialize};

use super::{
    AdmissionCommand, Cluster, ConfigureCommand, DeviceSpec, Expired, KvCommand, KvResponse,
    MastershipCommand, NodeCommand, Note, Report, Revision, Summary,
};
use crate::objective::{Bucket, Objective, ObjectiveKey};
use crate::status::Reason;

use super::plan::Outcome;

/// A controller node. Never reused: a wiped node comes back under a new one.
pub type NodeId = u64;

/// A change to the replicated state. One command is one entry of the Raft log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Names the cluster; does nothing once it has a name.
    Initialize(Cluster),
    /// Makes a node the master of devices, each under a new term. In the logs of earlier versions;
    /// nothing submits it any more.
    Claim {
        /// The new master.
        node: NodeId,
        /// The devices; unknown ones are passed over.
        devices: Vec<String>,
    },
    /// Changes devices and objectives, all or nothing.
    Apply(ChangeSet),
    /// Forgets what has expired on a device.
    Expire {
        /// The device.
        device: String,
        /// What has, in which version.
        expired: Expired,
        /// When, in seconds since 1970.
        time: u64,
    },
    /// What the switches of a node have acknowledged.
    Acknowledge {
        /// The node that is their master.
        node: NodeId,
        /// One for each switch that has said something.
        reports: Vec<Report>,
    },
    /// Keeps what is on trial: the change set that led to this revision, or whichever it is.
    Confirm(Option<Revision>),
    /// Something happened to a controller, or is wanted of it.
    Node(NodeCommand),
    /// Something happened between masters and devices, or is wanted of them.
    Mastership(MastershipCommand),
    /// Changes the key-value store of applications.
    Kv(KvCommand),
    /// Changes settings.
    Configure(ConfigureCommand),
    /// Something about who may become a node.
    Admission(AdmissionCommand),
}

/// Changes that are made together or not at all.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// Changes to devices; they come first.
    pub devices: Vec<DeviceChange>,
    /// Changes to objectives.
    pub objectives: Vec<ObjectiveChange>,
    /// What `objectives` does not name of these is deleted.
    #[serde(default)]
    pub prune: Vec<Scope>,
    /// Objectives of other applications may be changed, and become those of whoever puts them.
    #[serde(default)]
    pub take_over: bool,
    /// The revision that it was made for: it is refused at any other one.
    #[serde(default)]
    pub base: Option<Revision>,
    /// What the history says of it.
    #[serde(default)]
    pub note: Note,
    /// When it is taken back unless it is confirmed, in seconds since 1970.
    #[serde(default)]
    pub try_until: Option<u64>,
    /// It takes back what is on trial.
    #[serde(default)]
    pub ends_trial: bool,
}

/// The objectives that one application has on one device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    /// The device.
    pub device: String,
    /// The application; empty for those that belong to none.
    pub owner: String,
}

/// A change to one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChange {
    /// Adds it or replaces what is said about it.
    Put(DeviceSpec),
    /// Forgets it and its objectives. Its switch goes on forwarding as it does.
    Remove(String),
}

impl DeviceChange {
    /// The device it is about.
    pub fn name(&self) -> &str {
        match self {
            DeviceChange::Put(spec) => &spec.name,
            DeviceChange::Remove(name) => name,
        }
    }
}

/// A change to one objective of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectiveChange {
    /// The device.
    pub device: String,
    /// The application that asks; empty for none.
    #[serde(default)]
    pub owner: String,
    /// What to do.
    pub operation: Operation,
}

/// What to do to an objective.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Add it, or replace the one of that key.
    Put(Objective),
    /// Delete it.
    Delete(ObjectiveKey),
    /// Add buckets to a next.
    AddBuckets {
        /// Its name.
        next: String,
        /// The buckets to add.
        buckets: Vec<Bucket>,
    },
    /// Take buckets out of a next.
    RemoveBuckets {
        /// Its name.
        next: String,
        /// The buckets to take out; their weights do not matter.
        buckets: Vec<Bucket>,
    },
    /// Put buckets in the place of those of a next that go the same way.
    ModifyBuckets {
        /// Its name.
        next: String,
        /// What they become.
        buckets: Vec<Bucket>,
    },
    /// Change nothing; the switch is asked whether it has the next like this.
    Verify(Objective),
}

impl Operation {
    /// The objective it is about.
    pub fn key(&self) -> ObjectiveKey {
        match self {
            Operation::Put(objective) | Operation::Verify(objective) => objective.key().clone(),
            Operation::Delete(key) => key.clone(),
            Operation::AddBuckets { next, .. }
            | Operation::RemoveBuckets { next, .. }
            | Operation::ModifyBuckets { next, .. } => ObjectiveKey::next(next),
        }
    }
}

/// Which part of a change set a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// The device change of that index.
    Device(usize),
    /// The objective change of that index.
    Objective(usize),
    /// The change set as a whole.
    Request,
}

/// Why a change set is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// What it is about.
    pub subject: Subject,
    /// The kind of reason.
    pub reason: Reason,
    /// One sentence: what, where, why, and what would be accepted.
    pub message: String,
    /// The field that it is about, as a name or path in the YAML form.
    pub field: Option<String>,
}

impl Rejection {
    /// A refusal of a change as a whole.
    pub fn new(subject: Subject, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            subject,
            reason,
            message: message.into(),
            field: None,
        }
    }

    /// The same, about one field of it.
    #[must_use]
    pub fn at(self, field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// There was nothing to do, or it needs no answer.
    Done,
    /// The change set was committed.
    Applied {
        /// The revision after it.
        revision: Revision,
        /// What became of each objective change, in order.
        outcomes: Vec<Outcome>,
        /// The revision of each objective that was named, in order.
        revisions: Vec<Revision>,
        /// What pruning deleted.
        pruned: Vec<(String, ObjectiveKey)>,
        /// Counts.
        summary: Summary,
    },
    /// A node may come in.
    Admitted {
        /// What it is called.
        name: String,
    },
    /// The change set that led to this revision is on trial no more.
    Confirmed(Revision),
    /// The change set was refused and changed nothing.
    Rejected(Vec<Rejection>),
    /// What the key-value store answers.
    Kv(KvResponse),
    /// The settings are at this revision; changed, if that is what was wanted.
    Configured {
        /// Not, if they were at another revision than expected, or too many.
        accepted: bool,
        /// Their revision now.
        revision: u64,
    },
}
