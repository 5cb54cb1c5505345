//! One device of the replicated state: its objectives, the record of what was
//! deleted, and its mastership.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::groups::Groups;
use super::{Acknowledged, Mastership, Revision};
use crate::objective::{Objective, ObjectiveKey};
use crate::status::Status;

/// How many deletions a device remembers. An agent that missed more is sent a snapshot.
pub(super) const MAX_TOMBSTONES: usize = 4096;

/// What an operator says about a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// Its name in objectives and commands.
    pub name: String,
    /// `host:port` of its agent.
    pub address: String,
    /// The P4Runtime device id.
    pub device_id: u64,
}

/// An objective and the revision that made it what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The objective.
    pub objective: Objective,
    /// Its revision.
    pub revision: Revision,
}

/// A device with everything that is wanted of it.
///
/// Invariants: a key is in `objectives` or in `tombstones`, never in both;
/// `changes` holds exactly the revisions of the two, `groups` the members of the first; every revision in it is
/// above `horizon` or belongs to an objective that is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceState {
    pub(super) spec: DeviceSpec,
    pub(super) mastership: Option<Mastership>,
    /// Deletions up to this revision may be forgotten: a tail can only start here or later.
    pub(super) horizon: Revision,
    /// The latest change to the objectives of this device.
    pub(super) revision: Revision,
    pub(super) objectives: BTreeMap<ObjectiveKey, Stored>,
    pub(super) tombstones: BTreeMap<ObjectiveKey, Revision>,
    /// What its switch has said of them.
    #[serde(default)]
    pub(super) acknowledged: Acknowledged,
    #[serde(skip)]
    pub(super) changes: BTreeMap<Revision, ObjectiveKey>,
    #[serde(skip)]
    pub(super) groups: Groups,
}

impl DeviceState {
    /// A device without objectives; its history starts at `horizon`.
    pub fn new(spec: DeviceSpec, horizon: Revision) -> Self {
        Self {
            spec,
            mastership: None,
            horizon,
            revision: horizon,
            objectives: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            acknowledged: Acknowledged::default(),
            changes: BTreeMap::new(),
            groups: Groups::default(),
        }
    }

    /// The device without its objectives and tombstones, for a store that keeps those row by row.
    pub fn without_rows(&self) -> Self {
        Self {
            spec: self.spec.clone(),
            mastership: self.mastership.clone(),
            horizon: self.horizon,
            revision: self.revision,
            objectives: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            acknowledged: Acknowledged::default(),
            changes: BTreeMap::new(),
            groups: Groups::default(),
        }
    }

    /// Puts back a row that a store kept; [`super::State::restore`] rebuilds the indexes.
    pub fn restore_objective(&mut self, key: ObjectiveKey, stored: Stored) {
        self.objectives.insert(key, stored);
    }

    /// Puts back a tombstone that a store kept.
    pub fn restore_tombstone(&mut self, key: ObjectiveKey, revision: Revision) {
        self.tombstones.insert(key, revision);
    }

    /// Puts back what a store kept of acknowledgements; exceptions are rows of their own.
    pub fn restore_acknowledged(&mut self, acknowledged: Acknowledged) {
        self.acknowledged = acknowledged;
    }

    /// Puts back an exception that a store kept.
    pub fn restore_exception(&mut self, key: ObjectiveKey, status: Status) {
        self.acknowledged.restore(key, status);
    }

    pub(super) fn reindex(&mut self) {
        let alive = self
            .objectives
            .iter()
            .map(|(key, stored)| (stored.revision, key.clone()));
        let gone = self
            .tombstones
            .iter()
            .map(|(key, revision)| (*revision, key.clone()));
        self.changes = alive.chain(gone).collect();
        self.groups = Groups::default();
        for stored in self.objectives.values() {
            self.groups.add(&stored.objective);
        }
    }

    /// What the operator said.
    pub fn spec(&self) -> &DeviceSpec {
        &self.spec
    }

    /// Who writes it.
    pub fn mastership(&self) -> Option<&Mastership> {
        self.mastership.as_ref()
    }

    /// The latest change to its objectives.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Its objectives.
    pub fn objectives(&self) -> &BTreeMap<ObjectiveKey, Stored> {
        &self.objectives
    }

    /// Its objectives that follow one, or all.
    pub fn objectives_after(
        &self,
        last: Option<&ObjectiveKey>,
    ) -> impl Iterator<Item = (&ObjectiveKey, &Stored)> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.objectives
            .range::<ObjectiveKey, _>((from, Bound::Unbounded))
    }

    /// Its deletions that are still remembered.
    pub fn tombstones(&self) -> &BTreeMap<ObjectiveKey, Revision> {
        &self.tombstones
    }

    /// Asserts the invariants above.
    #[cfg(test)]
    pub(super) fn validate(&self) {
        let mut reindexed = self.clone();
        reindexed.reindex();
        assert_eq!(self.changes, reindexed.changes);
        assert_eq!(self.groups, reindexed.groups);
        assert!(
            self.tombstones
                .keys()
                .all(|key| !self.objectives.contains_key(key))
        );
        assert!(
            self.tombstones
                .values()
                .all(|revision| *revision > self.horizon)
        );
        assert!(
            self.changes
                .keys()
                .all(|revision| *revision <= self.revision)
        );
    }

    /// Adds or replaces an objective.
    #[cfg(test)]
    pub fn put_for_test(&mut self, objective: Objective, revision: Revision) {
        self.put(objective, revision);
    }

    fn forget_change(&mut self, key: &ObjectiveKey) {
        if let Some(stored) = self.objectives.get(key) {
            self.groups.remove(&stored.objective);
        }
        let earlier = self
            .objectives
            .get(key)
            .map(|stored| stored.revision)
            .or_else(|| self.tombstones.remove(key));
        if let Some(revision) = earlier {
            self.changes.remove(&revision);
        }
    }

    /// Adds or replaces an objective; returns the one before it.
    pub(super) fn put(&mut self, objective: Objective, revision: Revision) -> Option<Objective> {
        let key = objective.key().clone();
        self.forget_change(&key);
        self.changes.insert(revision, key.clone());
        let stored = Stored {
            objective,
            revision,
        };
        self.revision = revision;
        self.groups.add(&stored.objective);
        let before = self.objectives.insert(key, stored);
        before.map(|before| before.objective)
    }

    /// Deletes an objective; returns it, and the tombstones that were forgotten to make room.
    pub(super) fn delete(
        &mut self,
        key: ObjectiveKey,
        revision: Revision,
    ) -> (Option<Objective>, Vec<ObjectiveKey>) {
        self.forget_change(&key);
        let before = self.objectives.remove(&key);
        let before = before.map(|before| before.objective);
        self.changes.insert(revision, key.clone());
        self.tombstones.insert(key, revision);
        self.revision = revision;
        let forgotten = match self.tombstones.len() > MAX_TOMBSTONES {
            true => self.forget_oldest_tombstones(),
            false => vec![],
        };
        (before, forgotten)
    }

    /// Drops the older half, so that the cost of finding it is paid rarely.
    fn forget_oldest_tombstones(&mut self) -> Vec<ObjectiveKey> {
        let mut by_age: Vec<_> = self
            .tombstones
            .iter()
            .map(|(key, revision)| (*revision, key.clone()))
            .collect();
        by_age.sort_unstable();
        by_age.truncate(MAX_TOMBSTONES / 2);
        for (revision, key) in &by_age {
            self.tombstones.remove(key);
            self.changes.remove(revision);
            self.horizon = self.horizon.max(*revision);
        }
        by_age.into_iter().map(|(_, key)| key).collect()
    }
}
