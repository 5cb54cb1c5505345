//! What an agent has to be sent so that it holds what is wanted now.

use std::collections::BTreeSet;

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

    /// At most `limit` changes that follow `revision`, and with each those of its group that do so as well: they are
    /// applied together, so they are never in two batches only.
    pub fn tail_after(&self, revision: Revision, limit: usize) -> Tail {
        let mut following = self.changes.range(revision.next()..).peekable();
        let mut changes = Vec::new();
        let mut reached = revision;
        let mut ahead = BTreeSet::new();
        for (at, key) in following.by_ref().take(limit) {
            reached = *at;
            if ahead.remove(at) {
                continue;
            }
            changes.push(self.change(*at, key));
            let group = self.changed_with(key, *at).into_iter();
            let group = group.filter(|(at, _)| ahead.insert(*at));
            changes.extend(group.map(|(at, key)| self.change(at, key)));
        }
        if following.peek().is_none() {
            reached = self.revision.max(revision);
        }
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
