//! What was changed, when and by whom, and how things were before: `history`, and the way back.
//!
//! Each change set that changes something leaves one [`Past`] behind, with what it replaced. Going back to a
//! revision is a change set like any other ([`State::back_to`]), so that it is checked, distributed and
//! remembered like any other, and can be taken back itself. What is far back is forgotten: see the setting
//! `history.change_sets` and [`MAX_REPLACED`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    ChangeSet, DeviceChange, DeviceSpec, ObjectiveChange, Operation, Revision, State, Summary,
};
use crate::objective::{Objective, ObjectiveKey};

/// Objectives and devices that they replaced, of all together; the latest change set is
/// remembered however large it is.
pub(super) const MAX_REPLACED: usize = 500_000;

/// What whoever asks for a change says of it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it came, in seconds since 1970.
    pub time: u64,
    /// Who asks, in words of his own; not verified.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// A change set that was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The revision before it.
    pub before: Revision,
    /// What was said of it.
    pub note: Note,
    /// How much it did.
    pub summary: Summary,
    pub(super) replaced: Vec<Replaced>,
    /// Nobody asked for it: what was deleted had a timeout that was over.
    #[serde(default)]
    pub(super) expired: bool,
}

/// Something as it was before a change; `None` if it was not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Replaced {
    Device(String, Option<DeviceSpec>),
    Objective(String, ObjectiveKey, Option<Objective>),
}

/// An objective before and after a change; `None` where it was not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectiveDifference {
    /// Its device.
    pub device: String,
    /// Which objective.
    pub key: ObjectiveKey,
    /// As it was.
    pub before: Option<Objective>,
    /// As it became.
    pub after: Option<Objective>,
}

/// A device before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceDifference {
    /// Its name.
    pub name: String,
    /// As it was.
    pub before: Option<DeviceSpec>,
    /// As it became.
    pub after: Option<DeviceSpec>,
}

/// All that a change set did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Differences {
    /// Of devices, by name.
    pub devices: Vec<DeviceDifference>,
    /// Of objectives, by device and key.
    pub objectives: Vec<ObjectiveDifference>,
}

/// Why there is no way back to a revision.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HistoryError {
    /// It is no state that was ever committed, or one that is forgotten.
    #[error(
        "revision {wanted} is not one to go back to; {}",
        match .oldest {
            Some(oldest) => format!("the history goes from {oldest} to {latest}, and has the revisions that `pointsman history` shows"),
            None => "nothing has been changed yet".to_owned(),
        }
    )]
    Unknown {
        /// What was asked for.
        wanted: Revision,
        /// The oldest to which there is a way back.
        oldest: Option<Revision>,
        /// What is now.
        latest: Revision,
    },
}

/// Committed change sets by the revision after them, as far as they are remembered.
///
/// Invariant: each begins at the revision at which the one before it ended.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub(super) past: BTreeMap<Revision, Past>,
}

impl History {
    /// What a store has kept.
    pub fn restore(past: BTreeMap<Revision, Past>) -> History {
        History { past }
    }

    /// All that is remembered, oldest first, by the revision after it.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Revision, &Past)> {
        self.past.iter().map(|(revision, past)| (*revision, past))
    }

    /// The change set that led to a revision.
    pub fn get(&self, revision: Revision) -> Option<&Past> {
        self.past.get(&revision)
    }

    /// Remembers a change set. Returns the revisions of those that are forgotten for it.
    pub(super) fn push(
        &mut self,
        revision: Revision,
        past: Past,
        change_sets: usize,
    ) -> Vec<Revision> {
        self.past.insert(revision, past);
        let mut replaced: usize = self.past.values().map(|past| past.replaced.len()).sum();
        let mut forgotten = Vec::new();
        while self.past.len() > 1
            && (self.past.len() > change_sets || replaced > MAX_REPLACED)
            && let Some((revision, past)) = self.past.pop_first()
        {
            replaced -= past.replaced.len();
            forgotten.push(revision);
        }
        forgotten
    }

    /// How things were at a revision, as far as they were changed since.
    fn at(&self, revision: Revision) -> Replacements<'_> {
        let mut then = Replacements::default();
        // The oldest change after it says how something was.
        for (_, past) in self.past.range(revision.next()..).rev() {
            then.add(&past.replaced);
        }
        then
    }
}

/// What is to be put in the place of what there is.
#[derive(Default)]
struct Replacements<'a> {
    devices: BTreeMap<&'a str, Option<&'a DeviceSpec>>,
    objectives: BTreeMap<(&'a str, &'a ObjectiveKey), Option<&'a Objective>>,
}

impl<'a> Replacements<'a> {
    fn add(&mut self, replaced: &'a [Replaced]) {
        for replaced in replaced {
            match replaced {
                Replaced::Device(name, spec) => {
                    self.devices.insert(name, spec.as_ref());
                }
                Replaced::Objective(device, key, objective) => {
                    self.objectives.insert((device, key), objective.as_ref());
                }
            }
        }
    }
}

impl State {
    /// The change set that leads back to a revision. It is good only as long as nothing else changes.
    ///
    /// # Errors
    /// If that revision is not the end of a change set, or is forgotten.
    pub fn back_to(&self, revision: Revision, note: Note) -> Result<ChangeSet, HistoryError> {
        let past = &self.history.past;
        let oldest = past.values().next().map(|past| past.before);
        if oldest != Some(revision) && !past.contains_key(&revision) {
            return Err(HistoryError::Unknown {
                wanted: revision,
                oldest,
                latest: self.revision,
            });
        }
        let then = self.history.at(revision);
        let mut changes = ChangeSet {
            base: Some(self.revision),
            note,
            ends_trial: self.trial.is_some_and(|trial| trial.back_to == revision),
            // What was another application's then is so again.
            take_over: true,
            ..ChangeSet::default()
        };
        for (name, before) in then.devices {
            match (before, self.device(name)) {
                (Some(spec), now) if now.map(|now| now.spec()) != Some(spec) => {
                    changes.devices.push(DeviceChange::Put(spec.clone()));
                }
                (None, Some(_)) => changes.devices.push(DeviceChange::Remove(name.to_owned())),
                _ => {}
            }
        }
        let removed = |name: &str| {
            let mut changes = changes.devices.iter();
            changes.any(|change| matches!(change, DeviceChange::Remove(removed) if removed == name))
        };
        let objectives = then.objectives.into_iter();
        let gone = self.gone_by_themselves();
        let objectives = objectives.filter(|(of, _)| !gone.contains(of));
        // Those of a device go with it.
        let objectives = objectives.filter(|((device, _), _)| !removed(device));
        let objectives = objectives.filter_map(|((device, key), before)| {
            let now = self.objective(device, key);
            let operation = match (before, now) {
                (Some(before), now) if now != Some(before) => Operation::Put(before.clone()),
                (None, Some(_)) => Operation::Delete(key.clone()),
                _ => return None,
            };
            Some(ObjectiveChange {
                device: device.to_owned(),
                owner: before.map(Objective::owner).unwrap_or_default().to_owned(),
                operation,
            })
        });
        changes.objectives = objectives.collect();
        Ok(changes)
    }

    /// What the change set did that led to a revision; `None` if none that is remembered did.
    pub fn differences(&self, revision: Revision) -> Option<Differences> {
        let past = self.history.get(revision)?;
        let mut did = Replacements::default();
        did.add(&past.replaced);
        let later = self.history.at(revision);
        let devices = did.devices.into_iter().map(|(name, before)| {
            let now = || self.device(name).map(|device| device.spec());
            DeviceDifference {
                name: name.to_owned(),
                before: before.cloned(),
                after: later
                    .devices
                    .get(name)
                    .copied()
                    .unwrap_or_else(now)
                    .cloned(),
            }
        });
        let objectives = did.objectives.into_iter().map(|((device, key), before)| {
            let now = || self.objective(device, key);
            let after = later.objectives.get(&(device, key)).copied();
            ObjectiveDifference {
                device: device.to_owned(),
                key: key.clone(),
                before: before.cloned(),
                after: after.unwrap_or_else(now).cloned(),
            }
        });
        Some(Differences {
            devices: devices.collect(),
            objectives: objectives.collect(),
        })
    }

    fn objective(&self, device: &str, key: &ObjectiveKey) -> Option<&Objective> {
        let stored = self.device(device)?.objectives().get(key);
        stored.map(|stored| &stored.objective)
    }
}
