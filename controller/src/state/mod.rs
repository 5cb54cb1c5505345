//! The replicated state: devices, their flow objectives with revisions, and who
//! may write which device.
//!
//! Pure: [`State::apply`] takes a [`Command`] and nothing else, so every replica
//! that applies the same commands holds the same state. What switches acknowledge
//! is here, in bulk; what else is observed of them (ports, links, hosts) is not. `raft`
//! replicates and stores this state, `service` and `distribution` read it.

mod acks;
#[cfg(test)]
mod acks_tests;
mod admission;
mod apply;
mod balance;
mod command;
mod device;
mod expiry;
mod groups;
mod history;
#[cfg(test)]
mod history_tests;
mod inventory;
pub mod kv;
#[cfg(test)]
mod lives_tests;
mod mastership;
#[cfg(test)]
mod mastership_tests;
mod nodes;
mod plan;
mod references;
pub mod settings;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod trial;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use acks::{Acknowledged, Report, Said, SessionFault, Wish};
pub use admission::{AdmissionCommand, Admissions};
pub use apply::{Effect, RowKey};
pub use command::{
    ChangeSet, Command, DeviceChange, NodeId, ObjectiveChange, Operation, Rejection, Response,
    Scope, Subject,
};
pub use device::{DeviceSpec, DeviceState, Stored};
pub use expiry::Expired;
pub use history::{
    DeviceDifference, Differences, History, HistoryError, Note, ObjectiveDifference, Past,
};
pub use kv::{Kv, KvCommand, KvResponse, KvRow, KvRows};
pub use mastership::{Mastership, MastershipCommand, Role};
pub use nodes::{BootId, Duty, Node, NodeCommand, NodeSpec, Presence};
pub use plan::{ObjectiveEffect, Outcome, Plan, Summary, plan};
pub use settings::{ConfigureCommand, Settings};
pub use tail::{Change, Tail};
pub use trial::Trial;

/// A point in the history of all changes of this cluster; rises by one for each.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Revision(pub u64);

impl Revision {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A period of mastership. No two assignments of any devices ever get the same one.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Term(pub u64);

/// What names a cluster and orders it among others that ever held the same switches.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Random, chosen once; empty until the cluster is initialized.
    pub id: String,
    /// Seconds since 1970 when it was initialized: the high half of every
    /// election id, so that a cluster which replaces a lost one can take the
    /// switches over although its terms start again at one.
    pub epoch: u64,
}

/// Everything that is replicated.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    cluster: Cluster,
    revision: Revision,
    last_term: Term,
    devices: BTreeMap<String, DeviceState>,
    #[serde(default)]
    nodes: BTreeMap<NodeId, Node>,
    #[serde(default)]
    history: History,
    #[serde(default)]
    trial: Option<Trial>,
    #[serde(default)]
    kv: Kv,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    admissions: Admissions,
    #[serde(default)]
    level: u32,
}

/// The part of the state that is neither a device's nor an objective's.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    cluster: Cluster,
    revision: Revision,
    last_term: Term,
    #[serde(default)]
    trial: Option<Trial>,
    #[serde(default)]
    admissions: Admissions,
    #[serde(default)]
    level: u32,
}

impl State {
    /// Builds a state from what a store kept, its indexes included.
    pub fn restore(
        row: ClusterRow,
        devices: BTreeMap<String, DeviceState>,
        history: History,
    ) -> Self {
        let ClusterRow {
            cluster,
            revision,
            last_term,
            trial,
            admissions,
            level,
        } = row;
        let state = Self {
            cluster,
            revision,
            last_term,
            devices,
            nodes: BTreeMap::new(),
            history,
            trial,
            kv: Kv::default(),
            settings: Settings::default(),
            admissions,
            level,
        };
        state.reindexed()
    }

    /// The same with its indexes, which are not part of what is stored or sent.
    #[must_use]
    pub fn reindexed(mut self) -> Self {
        for device in self.devices.values_mut() {
            device.reindex();
        }
        self.kv.reindex();
        self
    }

    /// The same with what applications keep, and with what is set.
    #[must_use]
    pub fn with_applications(self, kv: Kv, settings: Settings) -> Self {
        Self {
            kv,
            settings,
            ..self
        }
    }

    /// The cluster's own part, for a store to keep.
    pub fn cluster_row(&self) -> ClusterRow {
        ClusterRow {
            cluster: self.cluster.clone(),
            revision: self.revision,
            last_term: self.last_term,
            trial: self.trial,
            admissions: self.admissions.clone(),
            level: self.level,
        }
    }

    /// Which cluster this is.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The revision of the latest change.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// All devices by name.
    pub fn devices(&self) -> &BTreeMap<String, DeviceState> {
        &self.devices
    }

    /// One device.
    pub fn device(&self, name: &str) -> Option<&DeviceState> {
        self.devices.get(name)
    }

    /// What was changed.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The key-value store of applications.
    pub fn kv(&self) -> &Kv {
        &self.kv
    }

    /// What is set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The election id of a term: the cluster's epoch above, the term below.
    ///
    /// A term never repeats within a cluster, and a later cluster has a later
    /// epoch, so the switch fences every earlier master by number alone.
    pub fn election_id(&self, term: Term) -> ElectionId {
        ElectionId {
            high: self.cluster.epoch,
            low: term.0,
        }
    }
}

/// A P4Runtime election id: 128 bits in two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElectionId {
    /// The upper 64 bits.
    pub high: u64,
    /// The lower 64 bits.
    pub low: u64,
}
