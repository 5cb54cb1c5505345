//! `add_to_existing` and `remove_from_existing`: a change to a next as the next that it makes.

use pointsman_model::{Bucket, Change, Next, Objective, ObjectiveKind, Operation};
use pointsman_proto::pointsman::objective::v1::Reason;

use super::Refusal;

/// The whole next after `change`, which adds or removes buckets.
pub fn merge(existing: Option<&Objective>, change: &Change) -> Result<Objective, Refusal> {
    let name = &change.objective.name;
    let bad = |message: String| Refusal::new(Reason::BadParameters, message);
    let ObjectiveKind::Next(part) = &change.objective.kind else {
        return Err(bad(format!(
            "only nexts can be added to, and {name} is a {}",
            change.objective.kind()
        )));
    };
    let Some((existing, ObjectiveKind::Next(whole))) =
        existing.map(|objective| (objective, &objective.kind))
    else {
        let message = format!("there is no next {name} to change; put it first");
        return Err(Refusal::new(Reason::NoSuchObjective, message));
    };
    if part.next_type != whole.next_type {
        let message = format!(
            "next {name} is {}, not {}",
            whole.next_type.name(),
            part.next_type.name()
        );
        return Err(bad(message).at("type"));
    }
    let mut buckets = whole.buckets.clone();
    for (index, bucket) in part.buckets.iter().enumerate() {
        let position = buckets.iter().position(|other| same_way(other, bucket));
        match (change.operation, position) {
            (Operation::RemoveFromExisting, Some(position)) => {
                buckets.remove(position);
            }
            (Operation::RemoveFromExisting, None) => {
                return Err(
                    bad(format!("next {name} has no such bucket")).at(format!("buckets[{index}]"))
                );
            }
            (_, Some(_)) => {
                let message = format!(
                    "next {name} has this bucket already; put the whole next to change its weight"
                );
                return Err(bad(message).at(format!("buckets[{index}]")));
            }
            (_, None) => buckets.push(bucket.clone()),
        }
    }
    if buckets.is_empty() {
        return Err(bad(format!(
            "next {name} would have no buckets left; delete it instead"
        )));
    }
    let next = Next {
        buckets,
        ..whole.clone()
    };
    Ok(Objective {
        kind: ObjectiveKind::Next(next),
        ..existing.clone()
    })
}

/// The weight does not tell buckets apart.
fn same_way(one: &Bucket, other: &Bucket) -> bool {
    one.treatment == other.treatment && one.next == other.next
}
