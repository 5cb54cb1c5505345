//! `operation: verify`: whether the switch has a next as it is stated. Changes nothing.

use pointsman_model::{Bucket, Next, NextType, Objective, ObjectiveKind};
use pointsman_proto::pointsman::objective::v1::Reason;

use super::Objectives;
use crate::pipeliner::Refusal;

impl Objectives {
    /// Says what the data plane has otherwise than `stated` has it.
    pub(super) fn verify(&self, stated: &Objective) -> Result<(), Refusal> {
        let name = &stated.name;
        let ObjectiveKind::Next(stated_next) = &stated.kind else {
            let message = format!(
                "only nexts can be verified, and {name} is a {}",
                stated.kind()
            );
            return Err(Refusal::new(Reason::BadParameters, message));
        };
        let held = self.book.objective(&stated.id());
        let Some(ObjectiveKind::Next(held)) = held.map(|held| &held.kind) else {
            let message = format!("the switch has no next {name}");
            return Err(Refusal::new(Reason::NoSuchObjective, message));
        };
        match difference(stated_next, held) {
            Some(what) => {
                let message = format!("next {name} of the switch {what}");
                Err(Refusal::new(Reason::Differs, message))
            }
            None => match self.book.drifts_of(&stated.id()).next() {
                Some(drifted) => {
                    let by = &drifted.drift.by;
                    let message = format!(
                        "an entry of next {name} was changed by {by}; see `pointsman drift`"
                    );
                    Err(Refusal::new(Reason::Differs, message))
                }
                None => Ok(()),
            },
        }
    }
}

/// What `held` has otherwise than `stated`, if anything.
fn difference(stated: &Next, held: &Next) -> Option<String> {
    if stated.next_type != held.next_type {
        let (held, stated) = (held.next_type.name(), stated.next_type.name());
        return Some(format!("is {held}, not {stated}"));
    }
    let missing = stated
        .buckets
        .iter()
        .position(|bucket| !held.buckets.contains(bucket));
    if let Some(position) = missing {
        return Some(format!("has no bucket like number {}", position + 1));
    }
    let unstated = |bucket: &&Bucket| !stated.buckets.contains(bucket);
    match held.buckets.iter().filter(unstated).count() {
        0 => {}
        1 => return Some("has a bucket that is not stated".to_owned()),
        more => return Some(format!("has {more} buckets that are not stated")),
    }
    if stated.next_type == NextType::Failover && stated.buckets != held.buckets {
        return Some("has its buckets in another order".to_owned());
    }
    (stated.meta != held.meta).then(|| format!("has meta {}, not {}", held.meta, stated.meta))
}
