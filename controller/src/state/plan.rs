//! Decides what a change set would do, or why it is refused. Changes nothing.
//!
//! The service plans before it asks the agents, to refuse early and for dry
//! runs; the state machine plans again when the command is applied, so that two
//! change sets committed one after the other are each judged on what is there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::groups::check_groups;
use super::inventory::{no_such_device, plan_devices};
use super::references::check_references;
use super::{ChangeSet, DeviceSpec, ObjectiveChange, Operation, Rejection, Scope, State, Subject};
use crate::objective::{Kind, Objective, ObjectiveKey};
use crate::status::Reason;

/// What a change to one objective does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It did not exist.
    Created,
    /// It existed and was different.
    Changed,
    /// It is already like that and keeps its revision.
    Unchanged,
    /// It is deleted.
    Deleted,
}

/// How much a change set does. Objectives and devices are counted apart.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Objectives that did not exist.
    pub created: u32,
    /// Objectives that are now different.
    pub changed: u32,
    /// Objectives that stay as they are.
    pub unchanged: u32,
    /// Objectives that are deleted, pruned ones included.
    pub deleted: u32,
    /// Devices that did not exist.
    pub devices_created: u32,
    /// Devices about which something else is now said.
    pub devices_changed: u32,
    /// Devices that stay as they are.
    pub devices_unchanged: u32,
    /// Devices that are removed.
    pub devices_removed: u32,
}

/// A device that is really changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceEffect {
    /// Added or changed.
    Put(DeviceSpec),
    /// Removed.
    Remove(String),
}

/// An objective that is really changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectiveEffect {
    /// Its device.
    pub device: String,
    /// The change that asks for it; `None` if pruning does.
    pub index: Option<usize>,
    /// Which objective.
    pub key: ObjectiveKey,
    /// What it becomes; `None` if it is deleted.
    pub objective: Option<Objective>,
}

/// What a change set would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Devices that change.
    pub devices: Vec<DeviceEffect>,
    /// Objectives that change, each after what it refers to and before what it let go of.
    pub objectives: Vec<ObjectiveEffect>,
    /// What becomes of each objective change, in order.
    pub outcomes: Vec<Outcome>,
    /// Counts.
    pub summary: Summary,
    /// What the devices are when it is done.
    pub specs: BTreeMap<String, DeviceSpec>,
}

impl Plan {
    /// Whether everything stays as it is.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.objectives.is_empty()
    }
}

/// What one device's objectives become, as far as the change set touches them.
pub(super) type Overlay = BTreeMap<ObjectiveKey, Wanted>;

/// What an objective becomes and who wants that.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) index: Option<usize>,
    pub(super) objective: Option<Objective>,
}

/// Decides what `changes` would do to `state`.
///
/// # Errors
/// Every reason why the change set is refused, in the order of its changes.
pub fn plan(state: &State, changes: &ChangeSet) -> Result<Plan, Vec<Rejection>> {
    let mut rejections: Vec<_> = state.check_trial(changes).into_iter().collect();
    if let Some(base) = changes.base
        && base != state.revision()
    {
        let now = state.revision();
        let message = format!(
            "it was made for revision {base}, and something else has changed since: now is revision {now}; look at that and try again"
        );
        rejections.push(Rejection::new(Subject::Request, Reason::Conflict, message));
    }
    let mut summary = Summary::default();
    let (devices, specs) = plan_devices(state, &changes.devices, &mut summary, &mut rejections);
    let mut overlays = overlays(state, changes, &specs, &mut rejections);
    prune(
        state,
        &changes.prune,
        &specs,
        &mut overlays,
        &mut rejections,
    );
    for (device, overlay) in &overlays {
        check_references(device, state.device(device), overlay, &mut rejections);
        check_groups(device, state.device(device), overlay, &mut rejections);
    }
    if !rejections.is_empty() {
        rejections.sort_by_key(|rejection| rejection.subject);
        return Err(rejections);
    }
    let mut outcomes = vec![Outcome::Unchanged; changes.objectives.len()];
    let mut objectives = Vec::new();
    for (device, overlay) in overlays {
        effects(
            state,
            &device,
            overlay,
            &mut outcomes,
            &mut summary,
            &mut objectives,
        );
    }
    Ok(Plan {
        devices,
        objectives,
        outcomes,
        summary,
        specs,
    })
}

fn overlays(
    state: &State,
    changes: &ChangeSet,
    specs: &BTreeMap<String, DeviceSpec>,
    rejections: &mut Vec<Rejection>,
) -> BTreeMap<String, Overlay> {
    let mut overlays: BTreeMap<String, Overlay> = BTreeMap::new();
    for (index, change) in changes.objectives.iter().enumerate() {
        let mut reject = |reason, message| {
            rejections.push(Rejection::new(Subject::Objective(index), reason, message));
        };
        let (name, key) = (&change.device, change.operation.key());
        if !specs.contains_key(name) {
            reject(Reason::BadParameters, no_such_device(name, specs));
            continue;
        }
        let overlay = overlays.entry(name.clone()).or_default();
        if let Some(Wanted {
            index: Some(earlier),
            ..
        }) = overlay.get(&key)
        {
            reject(
                Reason::BadParameters,
                format!(
                    "{key} of {name} is changed twice, by changes {earlier} and {index} of this request; a name is unique within a device and kind"
                ),
            );
            continue;
        }
        let stored = state
            .device(name)
            .and_then(|device| device.objectives().get(&key));
        let stored = stored.map(|stored| &stored.objective);
        if let Some(stored) = stored.filter(|_| !changes.take_over)
            && let Some(message) = belongs_to_another(name, stored, change)
        {
            let subject = Subject::Objective(index);
            rejections.push(Rejection::new(subject, Reason::OwnedByAnother, message));
            continue;
        }
        let wanted = after(&change.operation, stored);
        match wanted {
            Ok(objective) => {
                overlay.insert(
                    key,
                    Wanted {
                        index: Some(index),
                        objective,
                    },
                );
            }
            Err((reason, why)) => reject(reason, format!("{key} of {name}: {why}")),
        }
    }
    overlays
}

/// Why a change may not be made without taking the objective over, if it may not.
fn belongs_to_another(
    device: &str,
    stored: &Objective,
    change: &ObjectiveChange,
) -> Option<String> {
    let (theirs, ours) = (stored.owner(), change.owner.as_str());
    if theirs == ours || matches!(change.operation, Operation::Verify(_)) {
        return None;
    }
    let who = |owner: &str| match owner {
        "" => "no application".to_owned(),
        owner => format!("application {owner}"),
    };
    Some(format!(
        "{} of {device} belongs to {}, and this change is of {}; change it there, choose another name, or take it over (--take-over)",
        stored.key(),
        who(theirs),
        who(ours)
    ))
}

/// What an operation makes of an objective.
fn after(
    operation: &Operation,
    stored: Option<&Objective>,
) -> Result<Option<Objective>, (Reason, String)> {
    let existing = || {
        stored.ok_or_else(|| {
            (
                Reason::NoSuchObjective,
                "there is no such objective".to_owned(),
            )
        })
    };
    match operation {
        Operation::Put(objective) => Ok(Some(objective.clone())),
        Operation::Delete(_) => existing().map(|_| None),
        Operation::Verify(_) => existing().map(|known| Some(known.clone())),
        Operation::ModifyBuckets { buckets, .. } => {
            let next = existing()?;
            let mut all = next.buckets().to_vec();
            for (position, bucket) in buckets.iter().enumerate() {
                let mut same = all.iter_mut().filter(|known| known.same_exit(bucket));
                match (same.next(), same.next()) {
                    (Some(known), None) => *known = bucket.clone(),
                    (None, _) => {
                        let why = format!(
                            "it has no bucket that goes the same way as number {} of those to modify; add that instead",
                            position + 1
                        );
                        return Err((Reason::NoSuchObjective, why));
                    }
                    (Some(_), Some(_)) => {
                        let why = format!(
                            "it has several buckets that go the same way as number {} of those to modify; put the whole next instead",
                            position + 1
                        );
                        return Err((Reason::Conflict, why));
                    }
                }
            }
            Ok(Some(next.with_buckets(&all)))
        }
        Operation::AddBuckets { buckets, .. } => {
            let next = existing()?;
            let mut all = next.buckets().to_vec();
            for bucket in buckets {
                match all.iter_mut().find(|known| known.same_destination(bucket)) {
                    Some(known) => *known = bucket.clone(),
                    None => all.push(bucket.clone()),
                }
            }
            Ok(Some(next.with_buckets(&all)))
        }
        Operation::RemoveBuckets { buckets, .. } => {
            let next = existing()?;
            let mut left = next.buckets().to_vec();
            for (position, bucket) in buckets.iter().enumerate() {
                let before = left.len();
                left.retain(|known| !known.same_destination(bucket));
                if left.len() == before {
                    let why = format!(
                        "it has no bucket like number {} of those to remove",
                        position + 1
                    );
                    return Err((Reason::NoSuchObjective, why));
                }
            }
            if left.is_empty() {
                let why = "it would be left without buckets; delete it instead".to_owned();
                return Err((Reason::BadParameters, why));
            }
            Ok(Some(next.with_buckets(&left)))
        }
    }
}

fn prune(
    state: &State,
    scopes: &[Scope],
    specs: &BTreeMap<String, DeviceSpec>,
    overlays: &mut BTreeMap<String, Overlay>,
    rejections: &mut Vec<Rejection>,
) {
    for Scope {
        device: name,
        owner,
    } in scopes.iter().collect::<BTreeSet<_>>()
    {
        if !specs.contains_key(name) {
            let message = format!("cannot prune: {}", no_such_device(name, specs));
            rejections.push(Rejection::new(
                Subject::Request,
                Reason::BadParameters,
                message,
            ));
            continue;
        }
        let overlay = overlays.entry(name.clone()).or_default();
        let objectives = state.device(name).into_iter();
        let objectives = objectives.flat_map(|device| device.objectives());
        let owned = objectives.filter(|(_, stored)| stored.objective.owner() == owner);
        for (key, _) in owned {
            overlay.entry(key.clone()).or_insert(Wanted {
                index: None,
                objective: None,
            });
        }
    }
}

fn effects(
    state: &State,
    device: &str,
    overlay: Overlay,
    outcomes: &mut [Outcome],
    summary: &mut Summary,
    all: &mut Vec<ObjectiveEffect>,
) {
    let mut of_device = Vec::new();
    for (key, Wanted { index, objective }) in overlay {
        let stored = state
            .device(device)
            .and_then(|device| device.objectives().get(&key));
        let outcome = match (&objective, stored) {
            (None, _) => Outcome::Deleted,
            (Some(_), None) => Outcome::Created,
            (Some(wanted), Some(stored)) if *wanted == stored.objective => Outcome::Unchanged,
            (Some(_), Some(_)) => Outcome::Changed,
        };
        if let Some(index) = index {
            outcomes[index] = outcome;
        }
        match outcome {
            Outcome::Created => summary.created += 1,
            Outcome::Changed => summary.changed += 1,
            Outcome::Unchanged => summary.unchanged += 1,
            Outcome::Deleted => summary.deleted += 1,
        }
        if outcome != Outcome::Unchanged {
            of_device.push(ObjectiveEffect {
                device: device.to_owned(),
                index,
                key,
                objective,
            });
        }
    }
    of_device.sort_by_key(|effect| (rank(effect), effect.index));
    all.extend(of_device);
}

/// Nexts before what uses them, and the other way round for deletions.
fn rank(effect: &ObjectiveEffect) -> u8 {
    match (&effect.objective, effect.key.kind) {
        (Some(objective), Kind::Next) if objective.references().next().is_none() => 0,
        (Some(_), Kind::Next) => 1,
        (Some(_), Kind::Filter) => 2,
        (Some(_), Kind::Forward) => 3,
        (None, Kind::Forward) => 4,
        (None, Kind::Filter) => 5,
        (None, Kind::Next) => 6,
    }
}
