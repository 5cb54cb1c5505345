//! Applies commands to the state, and says which stored rows a command touched.

use std::collections::BTreeSet;

use super::history::{Past, Replaced};
use super::plan::DeviceEffect;
use super::{
    Acknowledged, ChangeSet, Command, DeviceState, KvRow, NodeId, ObjectiveEffect, Plan, Response,
    Revision, State, Trial, plan,
};
use crate::objective::ObjectiveKey;

/// A row that a store has to write again, or delete if the state no longer has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// The cluster's own row.
    Cluster,
    /// A device without its objectives.
    Device(String),
    /// An objective or its tombstone.
    Objective(String, ObjectiveKey),
    /// What a device's switch has acknowledged, without exceptions.
    Acknowledged(String),
    /// The status of an objective that is not plainly applied.
    Exception(String, ObjectiveKey),
    /// The change set that led to a revision.
    Past(Revision),
    /// A controller.
    Node(NodeId),
    /// Something of the key-value store.
    Kv(KvRow),
    /// All settings.
    Settings,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The answer for whoever sent the command.
    pub response: Response,
    /// Every row that may differ from before, some more than once.
    pub touched: Vec<RowKey>,
}

impl State {
    /// Applies one command. Never fails: a refusal is a response, and changes nothing.
    pub fn apply(&mut self, command: Command) -> Effect {
        match command {
            Command::Initialize(cluster) => {
                if self.cluster.id.is_empty() {
                    self.cluster = cluster;
                }
                Effect {
                    response: Response::Done,
                    touched: vec![RowKey::Cluster],
                }
            }
            Command::Claim { node, devices } => self.claim(node, &devices),
            Command::Apply(changes) => self.apply_changes(&changes),
            Command::Expire {
                device,
                expired,
                time,
            } => self.expire(&device, expired, time),
            Command::Acknowledge { node, reports } => self.acknowledge(node, reports),
            Command::Confirm(revision) => self.confirm(revision),
            Command::Node(command) => self.apply_to_node(command),
            Command::Mastership(command) => self.apply_to_mastership(command),
            Command::Kv(command) => {
                let (response, rows) = self.kv.apply(command, self.settings.kv_limits());
                Effect {
                    response: Response::Kv(response),
                    touched: rows.into_iter().map(RowKey::Kv).collect(),
                }
            }
            Command::Configure(command) => self.settings.configure(command),
            Command::Admission(command) => self.apply_to_admissions(command),
        }
    }

    fn apply_changes(&mut self, changes: &ChangeSet) -> Effect {
        match plan(self, changes) {
            Ok(plan) => self.commit(changes, plan),
            Err(rejections) => Effect {
                response: Response::Rejected(rejections),
                touched: Vec::new(),
            },
        }
    }

    fn commit(&mut self, changes: &ChangeSet, plan: Plan) -> Effect {
        let before = self.revision;
        let mut touched = vec![RowKey::Cluster];
        let mut replaced = Vec::new();
        for effect in plan.devices {
            self.commit_device(effect, &mut touched, &mut replaced);
        }
        self.assign_vacant(&mut touched);
        let mut pruned = Vec::new();
        let mut changed_devices = BTreeSet::new();
        let mut revisions = vec![None; changes.objectives.len()];
        for ObjectiveEffect {
            device: name,
            index,
            key,
            objective,
        } in plan.objectives
        {
            self.revision = self.revision.next();
            let device = self
                .devices
                .get_mut(&name)
                .expect("the plan names existing devices only");
            match index {
                Some(index) => revisions[index] = Some(self.revision),
                None => pruned.push((name.clone(), key.clone())),
            }
            touched.push(RowKey::Objective(name.clone(), key.clone()));
            let (old, forgotten) = match objective {
                Some(objective) => (device.put(objective, self.revision), vec![]),
                None => device.delete(key.clone(), self.revision),
            };
            let forgotten = forgotten.into_iter();
            touched.extend(forgotten.map(|key| RowKey::Objective(name.clone(), key)));
            if !changed_devices.contains(&name) {
                changed_devices.insert(name.clone());
            }
            replaced.push(Replaced::Objective(name, key, old));
        }
        touched.extend(changed_devices.into_iter().map(RowKey::Device));
        if changes.ends_trial {
            self.trial = None;
        }
        if !replaced.is_empty() {
            self.trial = changes.try_until.map(|until| Trial {
                revision: self.revision,
                back_to: before,
                until,
            });
            let past = Past {
                before,
                note: changes.note.clone(),
                summary: plan.summary,
                replaced,
                expired: false,
            };
            touched.push(RowKey::Past(self.revision));
            let forgotten = self
                .history
                .push(self.revision, past, self.settings.change_sets())
                .into_iter();
            touched.extend(forgotten.map(RowKey::Past));
        }
        let named = revisions.into_iter().zip(&changes.objectives);
        let revisions = named.map(|(changed, change)| {
            changed.unwrap_or_else(|| self.revision_of(&change.device, &change.operation.key()))
        });
        let revisions = revisions.collect();
        let response = Response::Applied {
            revision: self.revision,
            outcomes: plan.outcomes,
            revisions,
            pruned,
            summary: plan.summary,
        };
        Effect { response, touched }
    }

    /// The revision rises with each change of a device: change sets are told apart by it, and an agent which knew an
    /// earlier device of a name is below the horizon of the new one and gets a snapshot.
    fn commit_device(
        &mut self,
        effect: DeviceEffect,
        touched: &mut Vec<RowKey>,
        replaced: &mut Vec<Replaced>,
    ) {
        self.revision = self.revision.next();
        match effect {
            DeviceEffect::Put(spec) => {
                let name = spec.name.clone();
                touched.push(RowKey::Device(name.clone()));
                let before = match self.devices.get_mut(&name) {
                    Some(device) => {
                        // Another address may be one that those who have tried do reach.
                        if let Some(held) = &mut device.mastership {
                            held.tried.clear();
                        }
                        // Another switch, which has said nothing yet.
                        forget_acknowledged(device, touched);
                        Some(std::mem::replace(&mut device.spec, spec))
                    }
                    None => {
                        let device = DeviceState::new(spec, self.revision);
                        self.devices.insert(name.clone(), device);
                        None
                    }
                };
                replaced.push(Replaced::Device(name, before));
            }
            DeviceEffect::Remove(name) => {
                let mut device = self
                    .devices
                    .remove(&name)
                    .expect("the plan removes existing devices only");
                forget_acknowledged(&mut device, touched);
                for (key, stored) in device.objectives {
                    touched.push(RowKey::Objective(name.clone(), key.clone()));
                    let objective = Some(stored.objective);
                    replaced.push(Replaced::Objective(name.clone(), key, objective));
                }
                let keys = device.tombstones.into_keys();
                touched.extend(keys.map(|key| RowKey::Objective(name.clone(), key)));
                touched.push(RowKey::Device(name.clone()));
                replaced.push(Replaced::Device(name, Some(device.spec)));
            }
        }
    }

    /// The revision of an objective, or of its deletion; zero if neither is known.
    pub fn revision_of(&self, device: &str, key: &ObjectiveKey) -> Revision {
        self.devices
            .get(device)
            .map_or(Revision::default(), |device| {
                let stored = device.objectives.get(key).map(|stored| stored.revision);
                stored
                    .or_else(|| device.tombstones.get(key).copied())
                    .unwrap_or_default()
            })
    }
}

fn forget_acknowledged(device: &mut DeviceState, touched: &mut Vec<RowKey>) {
    let name = &device.spec.name;
    let exceptions = device.acknowledged.exceptions().keys();
    touched.extend(exceptions.map(|key| RowKey::Exception(name.clone(), key.clone())));
    touched.push(RowKey::Acknowledged(name.clone()));
    device.acknowledged = Acknowledged::default();
}
