//! What changes from one set of objectives to another.

use std::collections::BTreeMap;

use crate::objective::{Objective, ObjectiveId};

/// The objectives of one device, sorted by what becomes of them. Each list is
/// in the order of kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference<'o> {
    /// In the new set only.
    pub created: Vec<&'o Objective>,
    /// In both, but not the same: the old and the new one.
    pub changed: Vec<(&'o Objective, &'o Objective)>,
    /// The same in both.
    pub unchanged: Vec<&'o Objective>,
    /// In the old set only.
    pub deleted: Vec<&'o Objective>,
}

impl Difference<'_> {
    /// Whether the sets are the same.
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.changed.is_empty() && self.deleted.is_empty()
    }
}

/// Compares two sets of objectives of one device.
pub fn diff<'o>(
    old: impl IntoIterator<Item = &'o Objective>,
    new: impl IntoIterator<Item = &'o Objective>,
) -> Difference<'o> {
    let mut old: BTreeMap<ObjectiveId, &Objective> = old
        .into_iter()
        .map(|objective| (objective.id(), objective))
        .collect();
    let new: BTreeMap<ObjectiveId, &Objective> = new
        .into_iter()
        .map(|objective| (objective.id(), objective))
        .collect();
    let mut difference = Difference::default();
    for (id, objective) in new {
        match old.remove(&id) {
            None => difference.created.push(objective),
            Some(before) if before == objective => difference.unchanged.push(objective),
            Some(before) => difference.changed.push((before, objective)),
        }
    }
    difference.deleted = old.into_values().collect();
    difference
}
