//! What an agent has said about objectives. Soft state: an agent says it all
//! again when it is connected again.

use std::collections::BTreeMap;

use crate::objective::ObjectiveKey;
use crate::state::{Expired, Revision};
use crate::status::{Progress, Reason, Status};

/// One acknowledgement. No status means that the objective is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Which objective.
    pub key: ObjectiveKey,
    /// How it fares, if it is there.
    pub status: Option<Status>,
}

/// The latest acknowledgement of each objective of a device.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Statuses {
    by_key: BTreeMap<ObjectiveKey, Status>,
    taken: Revision,
}

impl Statuses {
    /// Takes acknowledgements in. Older ones never replace newer ones.
    pub fn record(&mut self, acks: Vec<Ack>, taken: Revision) {
        for Ack { key, status } in acks {
            match status {
                None => drop(self.by_key.remove(&key)),
                Some(status) => {
                    let known = self.by_key.get(&key);
                    if known.is_none_or(|known| known.revision <= status.revision) {
                        self.by_key.insert(key, status);
                    }
                }
            }
        }
        self.taken = self.taken.max(taken);
    }

    /// What the switch has let expire and still knows of: the controller has yet to forget it.
    pub fn expired(&self) -> Expired {
        let expired = self.by_key.iter().filter(|(_, status)| is_expired(status));
        let expired = expired.map(|(key, status)| (key.clone(), status.revision));
        expired.collect()
    }

    /// Forgets everything, because the agent's state is not what it was.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What the agent said about the objective since it is wanted like that; `None` if nothing yet.
    pub fn get(&self, wish: &Wish<'_>) -> Option<Status> {
        let Wish {
            key,
            revision,
            is_present,
        } = *wish;
        match self.by_key.get(key) {
            Some(status) if status.revision >= revision => Some(status.clone()),
            // A deletion is acknowledged by the absence of a status.
            None if !is_present && self.taken >= revision => Some(Status::applied(revision)),
            _ => None,
        }
    }
}

/// What of this has expired.
pub fn expired(acks: &[Ack]) -> Expired {
    let statuses = acks
        .iter()
        .filter_map(|ack| Some((ack, ack.status.as_ref()?)));
    let expired = statuses.filter(|(_, status)| is_expired(status));
    let expired = expired.map(|(ack, status)| (ack.key.clone(), status.revision));
    expired.collect()
}

fn is_expired(status: &Status) -> bool {
    status.progress == Progress::Pending && status.reason == Some(Reason::Expired)
}

/// What is wanted of one objective, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// The objective.
    pub key: &'a ObjectiveKey,
    /// The revision that made it so.
    pub revision: Revision,
    /// It shall be there; else it shall be gone.
    pub is_present: bool,
}

/// The status while no session for the device has begun.
pub fn not_started(revision: Revision) -> Status {
    Status::pending(
        Reason::InFlight,
        "accepted; the device is about to be connected",
        revision,
    )
}
