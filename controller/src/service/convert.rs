//! Apply requests into change sets, and refusals into messages.

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective_pb;

use crate::clock::seconds_now;
use crate::objective::{Bucket, Kind, Objective, ObjectiveError, ObjectiveKey};
use crate::state::{
    ChangeSet, DeviceChange, DeviceSpec, Note, ObjectiveChange, Operation, Outcome, Rejection,
    Revision, Scope, Subject,
};
use crate::status::Reason;

/// Takes the changes of a request over.
///
/// # Errors
/// Every change that is not well-formed.
pub fn change_set(request: &pb::ApplyRequest) -> Result<ChangeSet, Vec<Rejection>> {
    let mut rejections = Vec::new();
    let devices = request
        .devices
        .iter()
        .enumerate()
        .filter_map(|(index, change)| {
            device_change(change)
                .map_err(|message| rejections.push(bad_parameters(Subject::Device(index), message)))
                .ok()
        });
    let devices = devices.collect();
    let objectives = request
        .objectives
        .iter()
        .enumerate()
        .filter_map(|(index, change)| {
            objective_change(change)
                .map_err(|message| {
                    rejections.push(bad_parameters(Subject::Objective(index), message))
                })
                .ok()
        });
    let objectives = objectives.collect();
    if rejections.is_empty() {
        let note = note(&request.author, &request.reason);
        Ok(ChangeSet {
            devices,
            objectives,
            prune: scopes(&request.prune),
            take_over: request.take_over,
            base: request.base_revision.map(Revision),
            try_until: (request.try_seconds > 0)
                .then(|| note.time + u64::from(request.try_seconds)),
            ends_trial: false,
            note,
        })
    } else {
        Err(rejections)
    }
}

fn scopes(prune: &[pb::Prune]) -> Vec<Scope> {
    let scopes = prune.iter().map(|scope| Scope {
        device: scope.device.clone(),
        owner: scope.owner.clone(),
    });
    scopes.collect()
}

/// What the history says of a request that comes now.
pub fn note(author: &str, reason: &str) -> Note {
    Note {
        time: seconds_now(),
        author: author.to_owned(),
        reason: reason.to_owned(),
    }
}

fn bad_parameters(subject: Subject, message: String) -> Rejection {
    Rejection::new(subject, Reason::BadParameters, message)
}

fn device_change(change: &pb::DeviceChange) -> Result<DeviceChange, String> {
    let spec = change
        .device
        .as_ref()
        .ok_or("the device change names no device")?;
    Ok(match change.remove {
        true => DeviceChange::Remove(spec.name.clone()),
        false => DeviceChange::Put(DeviceSpec {
            name: spec.name.clone(),
            address: spec.address.clone(),
            device_id: spec.device_id,
        }),
    })
}

fn objective_change(change: &pb::ObjectiveChange) -> Result<ObjectiveChange, String> {
    use objective_pb::Operation as Op;
    let device = change.device.clone();
    let change = change
        .change
        .as_ref()
        .ok_or("the objective change has no change")?;
    let operation = change.operation();
    let objective = well_formed(change)?;
    let owner = objective.owner.clone();
    let operation = match operation {
        Op::Put => Objective::from_proto(objective).map(Operation::Put),
        Op::Delete => Objective::key_of(&objective).map(Operation::Delete),
        Op::AddToExisting => {
            let (next, buckets) = buckets_of(objective)?;
            Ok(Operation::AddBuckets { next, buckets })
        }
        Op::RemoveFromExisting => {
            let (next, buckets) = buckets_of(objective)?;
            Ok(Operation::RemoveBuckets { next, buckets })
        }
        Op::Modify => {
            let (next, buckets) = buckets_of(objective)?;
            Ok(Operation::ModifyBuckets { next, buckets })
        }
        Op::Verify => match objective.kind {
            Some(objective_pb::objective::Kind::Next(_)) => {
                Objective::from_proto(objective).map(Operation::Verify)
            }
            _ => return Err(format!("{}: only nexts can be verified", objective.name)),
        },
        Op::Unspecified => return Err("the change has no operation; give put, delete, add_to_existing, remove_from_existing, modify or verify".to_owned()),
    };
    let operation = operation.map_err(|error| error.to_string())?;
    Ok(ObjectiveChange {
        device,
        owner,
        operation,
    })
}

/// The objective in its canonical form, if the model accepts it.
///
/// Whatever client sent it: what the YAML reader would refuse is refused here, and two
/// spellings of one objective are one objective.
fn well_formed(change: &objective_pb::Change) -> Result<objective_pb::Objective, String> {
    let checked = pointsman_model::Change::try_from(change).map_err(|error| {
        let key = change
            .objective
            .as_ref()
            .and_then(|objective| Objective::key_of(objective).ok());
        match key {
            Some(key) => format!("{key}: {error}"),
            None => error.to_string(),
        }
    })?;
    let canonical = objective_pb::Change::from(&checked);
    canonical
        .objective
        .ok_or_else(|| ObjectiveError::Missing.to_string())
}

fn buckets_of(objective: objective_pb::Objective) -> Result<(String, Vec<Bucket>), String> {
    let key = Objective::key_of(&objective).map_err(|error| error.to_string())?;
    match objective.kind {
        Some(objective_pb::objective::Kind::Next(next)) if !next.buckets.is_empty() => Ok((
            key.name,
            next.buckets.into_iter().map(Bucket::from_proto).collect(),
        )),
        Some(objective_pb::objective::Kind::Next(_)) => Err(format!(
            "{key}: there are no buckets to add, remove or modify"
        )),
        _ => Err(format!(
            "{key}: only nexts have buckets to add, remove or modify"
        )),
    }
}

/// A refusal as the API carries it.
pub fn apply_error(rejection: Rejection) -> pb::ApplyError {
    use pb::apply_error::Subject as To;
    let (subject, index) = match rejection.subject {
        Subject::Device(index) => (To::Device, index),
        Subject::Objective(index) => (To::Objective, index),
        Subject::Request => (To::Unspecified, 0),
    };
    pb::ApplyError {
        subject: subject.into(),
        index: u32::try_from(index).expect("a request has fewer than 2^32 changes"),
        reason: rejection.reason.to_proto().into(),
        message: rejection.message,
        field: rejection.field.unwrap_or_default(),
    }
}

/// What a change did, as the API carries it.
pub fn effect(outcome: Outcome) -> pb::Effect {
    match outcome {
        Outcome::Created => pb::Effect::Created,
        Outcome::Changed => pb::Effect::Changed,
        Outcome::Unchanged => pb::Effect::Unchanged,
        Outcome::Deleted => pb::Effect::Deleted,
    }
}

/// What pruning deleted, as the API carries it.
pub fn pruned(device: String, key: ObjectiveKey) -> pb::PrunedObjective {
    pb::PrunedObjective {
        device,
        kind: Kind::to_proto(key.kind).into(),
        name: key.name,
    }
}

/// A device as the API carries it.
pub fn device_spec(spec: &DeviceSpec) -> pb::DeviceSpec {
    pb::DeviceSpec {
        name: spec.name.clone(),
        address: spec.address.clone(),
        device_id: spec.device_id,
    }
}
