//! Checks that after a change set every next that is referred to exists, and
//! that no next leads back to itself.

use std::collections::BTreeSet;

use super::plan::{Overlay, Wanted};
use super::{DeviceState, Rejection, Subject};
use crate::objective::{Kind, Objective, ObjectiveKey};
use crate::status::Reason;

/// One device as it will be: what the overlay says, else what is stored.
struct After<'a> {
    name: &'a str,
    stored: Option<&'a DeviceState>,
    overlay: &'a Overlay,
}

/// Adds a rejection for each reference that would break.
pub(super) fn check_references(
    name: &str,
    stored: Option<&DeviceState>,
    overlay: &Overlay,
    rejections: &mut Vec<Rejection>,
) {
    let after = After {
        name,
        stored,
        overlay,
    };
    for wanted in overlay.values() {
        let Some(objective) = &wanted.objective else {
            continue;
        };
        rejections.extend(after.check_outgoing(objective, wanted));
    }
    after.check_deleted_nexts(rejections);
}

impl After<'_> {
    fn get(&self, key: &ObjectiveKey) -> Option<&Objective> {
        match self.overlay.get(key) {
            Some(wanted) => wanted.objective.as_ref(),
            None => self
                .stored?
                .objectives()
                .get(key)
                .map(|stored| &stored.objective),
        }
    }

    fn check_outgoing(&self, objective: &Objective, wanted: &Wanted) -> Option<Rejection> {
        let key = objective.key();
        if let Some(missing) = self.missing_next(objective) {
            let message = self.explain_missing(key, missing);
            let rejection = Rejection::new(subject(wanted), Reason::NoSuchObjective, message);
            return Some(rejection.at(path_of_reference(objective, missing)));
        }
        if key.kind == Kind::Next && self.leads_back(objective) {
            let message = format!(
                "{key} of {} leads back to itself; a next may not be reached from its own buckets",
                self.name
            );
            let rejection = Rejection::new(subject(wanted), Reason::BadParameters, message);
            return Some(rejection.at("buckets"));
        }
        None
    }

    fn missing_next<'o>(&self, objective: &'o Objective) -> Option<&'o str> {
        objective
            .references()
            .find(|next| self.get(&ObjectiveKey::next(*next)).is_none())
    }

    fn explain_missing(&self, key: &ObjectiveKey, missing: &str) -> String {
        let next = ObjectiveKey::next(missing);
        let name = self.name;
        match self.overlay.get(&next) {
            Some(Wanted { index: Some(_), .. }) => {
                format!("{key} of {name} refers to next {missing:?}, which this request deletes")
            }
            Some(Wanted { index: None, .. }) => format!(
                "{key} of {name} refers to next {missing:?}, which would be pruned; add it to the request"
            ),
            None => format!(
                "{key} of {name} refers to next {missing:?}, which does not exist{}",
                self.known_nexts()
            ),
        }
    }

    fn known_nexts(&self) -> String {
        let stored = self
            .stored
            .into_iter()
            .flat_map(|device| device.objectives().keys());
        let names: BTreeSet<_> = stored
            .chain(self.overlay.keys())
            .filter(|key| key.kind == Kind::Next && self.get(key).is_some())
            .map(|key| key.name.as_str())
            .take(10)
            .collect();
        if names.is_empty() {
            return "; this device has no nexts".to_owned();
        }
        format!(
            "; nexts of this device: {}",
            names.into_iter().collect::<Vec<_>>().join(", ")
        )
    }

    fn leads_back(&self, start: &Objective) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<String> = start.references().map(str::to_owned).collect();
        while let Some(name) = ahead.pop() {
            if name == start.key().name {
                return true;
            }
            if seen.insert(name.clone())
                && let Some(next) = self.get(&ObjectiveKey::next(name))
            {
                ahead.extend(next.references().map(str::to_owned));
            }
        }
        false
    }

    /// Objectives that the change set does not name may refer to a next it deletes.
    fn check_deleted_nexts(&self, rejections: &mut Vec<Rejection>) {
        let deleted = |name: &str| {
            self.overlay
                .get(&ObjectiveKey::next(name))
                .filter(|wanted| wanted.objective.is_none())
        };
        let deletes_a_next = self
            .overlay
            .iter()
            .any(|(key, wanted)| key.kind == Kind::Next && wanted.objective.is_none());
        if !deletes_a_next {
            return;
        }
        let mut reported = BTreeSet::new();
        for (key, stored) in self
            .stored
            .into_iter()
            .flat_map(|device| device.objectives())
        {
            if self.overlay.contains_key(key) {
                continue;
            }
            for next in stored.objective.references() {
                let Some(wanted) = deleted(next) else {
                    continue;
                };
                if reported.insert(next) {
                    let message = format!(
                        "next/{next} of {} is in use by {key}; delete that as well, or first",
                        self.name
                    );
                    rejections.push(Rejection::new(subject(wanted), Reason::NextInUse, message));
                }
            }
        }
    }
}

/// Where in the YAML form an objective refers to a next.
fn path_of_reference(objective: &Objective, next: &str) -> String {
    match objective
        .buckets()
        .iter()
        .position(|bucket| bucket.next() == Some(next))
    {
        Some(index) => format!("buckets[{index}].next"),
        None => "next".to_owned(),
    }
}

fn subject(wanted: &Wanted) -> Subject {
    wanted.index.map_or(Subject::Request, Subject::Objective)
}
