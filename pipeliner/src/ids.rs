//! The numbers that objectives have inside the pipeline: next ids and multicast group ids.
//!
//! They are part of the state that an agent keeps: after a restart the same objective has the
//! same id, so that the entries that are still in the data plane are the ones it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use pointsman_model::ObjectiveId;
use pointsman_proto::pointsman::objective::v1::Reason;
use serde::{Deserialize, Serialize};

use super::Refusal;

/// Which numbers are whose. Keys are objectives as text, for instance `next spines`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    nexts: Numbers,
    groups: Numbers,
}

/// What an id is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdKind {
    /// `$next_id`
    Next,
    /// `$group_id`
    Group,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, u32>", into = "BTreeMap<String, u32>")]
struct Numbers {
    by_owner: BTreeMap<String, u32>,
    used: BTreeSet<u32>,
}

impl Ids {
    fn of(&self, kind: IdKind) -> &Numbers {
        match kind {
            IdKind::Next => &self.nexts,
            IdKind::Group => &self.groups,
        }
    }

    /// The id that `owner` has.
    pub(super) fn get(&self, kind: IdKind, owner: &ObjectiveId) -> Option<u32> {
        self.of(kind).by_owner.get(&owner.to_string()).copied()
    }

    /// The id that `owner` has, or the one that it would get: the lowest that is free.
    pub(super) fn get_or_free(
        &self,
        kind: IdKind,
        owner: &ObjectiveId,
        range: &RangeInclusive<u32>,
    ) -> Result<u32, Refusal> {
        // An id of before may lie outside the range of another pipeline.
        if let Some(id) = self.get(kind, owner).filter(|id| range.contains(id)) {
            return Ok(id);
        }
        self.of(kind).lowest_free(range).ok_or_else(|| {
            let count = range.end() - range.start() + 1;
            let message = format!("all {count} ids for {owner} are in use");
            Refusal::new(Reason::TableFull, message)
        })
    }

    /// Records that `owner` has `id`, or none.
    pub(super) fn assign(&mut self, kind: IdKind, owner: &ObjectiveId, id: Option<u32>) {
        let numbers = match kind {
            IdKind::Next => &mut self.nexts,
            IdKind::Group => &mut self.groups,
        };
        if let Some(before) = numbers.by_owner.remove(&owner.to_string()) {
            numbers.used.remove(&before);
        }
        if let Some(id) = id {
            numbers.used.insert(id);
            numbers.by_owner.insert(owner.to_string(), id);
        }
    }

    /// Frees what `owner` has.
    pub(super) fn release(&mut self, owner: &ObjectiveId) {
        self.assign(IdKind::Next, owner, None);
        self.assign(IdKind::Group, owner, None);
    }
}

impl Numbers {
    fn lowest_free(&self, range: &RangeInclusive<u32>) -> Option<u32> {
        let mut candidate = *range.start();
        for used in self.used.range(range.clone()) {
            if *used != candidate {
                break;
            }
            candidate = candidate.checked_add(1)?;
        }
        range.contains(&candidate).then_some(candidate)
    }
}

impl From<BTreeMap<String, u32>> for Numbers {
    fn from(by_owner: BTreeMap<String, u32>) -> Numbers {
        let used = by_owner.values().copied().collect();
        Numbers { by_owner, used }
    }
}

impl From<Numbers> for BTreeMap<String, u32> {
    fn from(numbers: Numbers) -> BTreeMap<String, u32> {
        numbers.by_owner
    }
}

#[cfg(test)]
mod tests {
    use pointsman_model::{Kind, Name};

    use super::*;

    fn next(name: &str) -> ObjectiveId {
        let name = Name::new(name).expect("a name");
        ObjectiveId {
            kind: Kind::Next,
            name,
        }
    }

    #[test]
    fn the_lowest_free_id_is_given_and_kept() {
        let mut ids = Ids::default();
        let range = 1..=3;
        for (name, expected) in [("a", 1), ("b", 2), ("c", 3)] {
            let id = ids
                .get_or_free(IdKind::Next, &next(name), &range)
                .expect("one is free");
            assert_eq!(id, expected);
            ids.assign(IdKind::Next, &next(name), Some(id));
        }
        assert!(ids.get_or_free(IdKind::Next, &next("d"), &range).is_err());
        ids.release(&next("b"));
        assert_eq!(ids.get_or_free(IdKind::Next, &next("d"), &range), Ok(2));
        assert_eq!(ids.get_or_free(IdKind::Next, &next("c"), &range), Ok(3));
    }

    #[test]
    fn ids_survive_being_written_down() {
        let mut ids = Ids::default();
        ids.assign(IdKind::Next, &next("a"), Some(7));
        ids.assign(IdKind::Group, &next("a"), Some(2));
        let text = serde_json::to_string(&ids).expect("ids are JSON");
        assert_eq!(text, r#"{"nexts":{"next a":7},"groups":{"next a":2}}"#);
        assert_eq!(
            serde_json::from_str::<Ids>(&text).expect("the same ids"),
            ids
        );
    }
}
