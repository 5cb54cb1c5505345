//! Groups of objectives that a switch applies together: how many fit into one, and who else is in one.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_model::MAX_GROUP;

use super::plan::Overlay;
use super::{DeviceState, Rejection, Revision, Subject};
use crate::objective::{GroupKey, Objective, ObjectiveKey};
use crate::status::Reason;

/// The members of each group of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Groups(BTreeMap<GroupKey, BTreeSet<ObjectiveKey>>);

impl Groups {
    pub(super) fn add(&mut self, objective: &Objective) {
        if let Some(group) = objective.group() {
            let members = self.0.entry(group.clone()).or_default();
            members.insert(objective.key().clone());
        }
    }

    pub(super) fn remove(&mut self, objective: &Objective) {
        if let Some(group) = objective.group()
            && let Some(members) = self.0.get_mut(group)
        {
            members.remove(objective.key());
            if members.is_empty() {
                self.0.remove(group);
            }
        }
    }

    fn members(&self, group: &GroupKey) -> impl Iterator<Item = &ObjectiveKey> {
        self.0.get(group).into_iter().flatten()
    }
}

impl DeviceState {
    /// The members of an objective's group that have changed after a revision: an agent that misses them needs all
    /// of them at a time.
    pub(super) fn changed_with(
        &self,
        key: &ObjectiveKey,
        after: Revision,
    ) -> Vec<(Revision, &ObjectiveKey)> {
        let stored = self.objectives.get(key);
        let Some(group) = stored.and_then(|stored| stored.objective.group()) else {
            return Vec::new();
        };
        let members = self.groups.members(group).filter(|member| *member != key);
        let changed = members.filter_map(|member| {
            let stored = self.objectives.get_key_value(member)?;
            Some((stored.1.revision, stored.0))
        });
        let mut changed: Vec<_> = changed.filter(|(revision, _)| *revision > after).collect();
        changed.sort_unstable();
        changed
    }
}

/// Refuses groups that would be too large.
pub(super) fn check_groups(
    name: &str,
    stored: Option<&DeviceState>,
    overlay: &Overlay,
    rejections: &mut Vec<Rejection>,
) {
    let mut grown: BTreeMap<&GroupKey, (usize, Subject)> = BTreeMap::new();
    for wanted in overlay.values() {
        let Some(group) = wanted.objective.as_ref().and_then(Objective::group) else {
            continue;
        };
        let subject = wanted.index.map_or(Subject::Request, Subject::Objective);
        let grown = grown.entry(group).or_insert((0, subject));
        *grown = (grown.0 + 1, grown.1.max(subject));
    }
    for (group, (changed, last)) in grown {
        let stays = stored
            .into_iter()
            .flat_map(|device| device.groups.members(group));
        let stays = stays.filter(|key| !overlay.contains_key(key)).count();
        if changed + stays > MAX_GROUP {
            let message = format!(
                "group {} of {name} would have {} objectives; at most {MAX_GROUP} are applied together, so make several groups of it",
                group.name,
                changed + stays
            );
            rejections.push(Rejection::new(last, Reason::BadParameters, message).at("group"));
        }
    }
}
