//! What an agent has to be sent so that it holds what is wanted now.

use super::{DeviceState, Revision};
use crate::objective::{Objective, ObjectiveKey};

/// One change to send, at its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The objective is wanted like this.
    Put {
        /// The objective.
        objective: Objective,
        /// Its revision.
        revision: Revision,
    },
    /// The objective is no longer wanted.
    Delete {
        /// Which one.
        key: ObjectiveKey,
        /// The revision of the deletion.
        revision: Revision,
    },
}

impl Change {
    /// The revision of the change.
    pub fn revision(&self) -> Revision {
        match self {
            Change::Put { revision, .. } | Change::Delete { revision, .. } => *revision,
        }
    }
}

/// Changes in order of revision, and the revision that an agent is at once it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The changes.
    pub changes: Vec<Change>,
    /// The revision after them.
    pub revision: Revision,
}

impl DeviceState {
    /// Can an agent at `revision` be brought up to date by a tail?
    ///
    /// Not when it is older than what is remembered of deletions, and not when
    /// it claims a future that this cluster never had.
    pub fn has_tail_after(&self, revision: Revision) -> bool {
        (self.horizon..=self.revision).contains(&revision)
    }

    /// At most `limit` changes that follow `revision`.
    pub fn tail_after(&self, revision: Revision, limit: usize) -> Tail {
        let mut following = self.changes.range(revision.next()..);
        let changes: Vec<_> = following
            .by_ref()
            .take(limit)
            .map(|(at, key)| self.change(*at, key))
            .collect();
        let is_last = following.next().is_none();
        let reached = match changes.last() {
            Some(last) if !is_last => last.revision(),
            _ => self.revision.max(revision),
        };
        Tail {
            changes,
            revision: reached,
        }
    }

    /// Everything that is wanted, as changes in order of revision.
    pub fn snapshot(&self) -> Tail {
        let changes = self
            .changes
            .iter()
            .filter(|(_, key)| self.objectives.contains_key(key))
            .map(|(at, key)| self.change(*at, key))
            .collect();
        Tail {
            changes,
            revision: self.revision,
        }
    }

    fn change(&self, revision: Revision, key: &ObjectiveKey) -> Change {
        match self.objectives.get(key) {
            Some(stored) => Change::Put {
                objective: stored.objective.clone(),
                revision,
            },
            None => Change::Delete {
                key: key.clone(),
                revision,
            },
        }
    }
}
