//! `add_to_existing`, `remove_from_existing` and `modify`: a change to a next as the next that it makes.

use pointsman_model::{
    Bucket, Change, Instruction, Name, Next, NextType, Objective, ObjectiveKind, Operation, PortRef,
};
use pointsman_proto::pointsman::objective::v1::Reason;

use super::Refusal;

/// The whole next after `change`, which adds, removes or modifies buckets.
pub fn merge(existing: Option<&Objective>, change: &Change) -> Result<Objective, Refusal> {
    let name = &change.objective.name;
    let bad = |message: String| Refusal::new(Reason::BadParameters, message);
    let ObjectiveKind::Next(part) = &change.objective.kind else {
        return Err(bad(format!(
            "only nexts have buckets to change, and {name} is a {}",
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
        let field = || format!("buckets[{index}]");
        if change.operation == Operation::Modify {
            let position = same_exit(&buckets, bucket, whole.next_type)
                .map_err(|why| bad(format!("next {name} {why}")).at(field()))?;
            buckets[position] = bucket.clone();
            continue;
        }
        let position = buckets.iter().position(|other| same_way(other, bucket));
        match (change.operation, position) {
            (Operation::RemoveFromExisting, Some(position)) => {
                buckets.remove(position);
            }
            (Operation::RemoveFromExisting, None) => {
                return Err(bad(format!("next {name} has no such bucket")).at(field()));
            }
            (_, Some(_)) => {
                let message = format!(
                    "next {name} has this bucket already; `operation: modify` changes its weight"
                );
                return Err(bad(message).at(field()));
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

/// Which bucket goes where `bucket` does: the only one of a simple next, else the one of the same port or next.
fn same_exit(
    buckets: &[Bucket],
    bucket: &Bucket,
    next_type: NextType,
) -> Result<usize, &'static str> {
    let mut same = (0..buckets.len())
        .filter(|other| next_type == NextType::Simple || exit(&buckets[*other]) == exit(bucket));
    match (same.next(), same.next()) {
        (Some(position), None) => Ok(position),
        (None, _) => Err("has no bucket that goes the same way; add it instead"),
        (Some(_), Some(_)) => {
            Err("has several buckets that go the same way; put the whole next instead")
        }
    }
}

fn exit(bucket: &Bucket) -> (Option<&Name>, Option<&PortRef>) {
    let output = bucket.treatment.iter().find_map(|step| match step {
        Instruction::Output(port) => Some(port),
        _ => None,
    });
    (bucket.next.as_ref(), output)
}

/// The weight does not tell buckets apart.
fn same_way(one: &Bucket, other: &Bucket) -> bool {
    one.treatment == other.treatment && one.next == other.next
}
