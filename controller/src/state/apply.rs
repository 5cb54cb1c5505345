//! Applies commands to the state, and says which stored rows a command touched.

use super::plan::DeviceEffect;
use super::{
    ChangeSet, Command, DeviceState, Mastership, ObjectiveEffect, Plan, Response, Revision, State,
    Term, plan,
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
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The answer for whoever sent the command.
    pub response: Response,
    /// Every row that may differ from before.
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
            Command::Claim { node, devices } => self.claim(node, devices),
            Command::Apply(changes) => self.apply_changes(&changes),
        }
    }

    fn claim(&mut self, node: super::NodeId, names: Vec<String>) -> Effect {
        let mut claimed = Vec::new();
        let mut touched = vec![RowKey::Cluster];
        for name in names {
            let Some(device) = self.devices.get_mut(&name) else {
                continue;
            };
            self.last_term = Term(self.last_term.0 + 1);
            device.mastership = Some(Mastership {
                node,
                term: self.last_term,
            });
            touched.push(RowKey::Device(name.clone()));
            claimed.push((name, self.last_term));
        }
        Effect {
            response: Response::Claimed(claimed),
            touched,
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
        let mut touched = vec![RowKey::Cluster];
        for effect in plan.devices {
            self.commit_device(effect, &mut touched);
        }
        let mut pruned = Vec::new();
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
            if index.is_none() {
                pruned.push((name.clone(), key.clone()));
            }
            touched.push(RowKey::Objective(name.clone(), key.clone()));
            match objective {
                Some(objective) => device.put(objective, self.revision),
                None => {
                    let forgotten = device.delete(key, self.revision);
                    touched.extend(
                        forgotten
                            .into_iter()
                            .map(|key| RowKey::Objective(name.clone(), key)),
                    );
                }
            }
            touched.push(RowKey::Device(name));
        }
        touched.sort_unstable();
        touched.dedup();
        let revisions = changes
            .objectives
            .iter()
            .map(|change| self.revision_of(&change.device, &change.operation.key()));
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

    fn commit_device(&mut self, effect: DeviceEffect, touched: &mut Vec<RowKey>) {
        match effect {
            DeviceEffect::Put(spec) => {
                touched.push(RowKey::Device(spec.name.clone()));
                match self.devices.get_mut(&spec.name) {
                    Some(device) => device.spec = spec,
                    None => {
                        // The revision rises so that an agent which knew an earlier device of
                        // this name is below the horizon and gets a snapshot.
                        self.revision = self.revision.next();
                        let device = DeviceState::new(spec, self.revision);
                        self.devices.insert(device.spec.name.clone(), device);
                    }
                }
            }
            DeviceEffect::Remove(name) => {
                let device = self
                    .devices
                    .remove(&name)
                    .expect("the plan removes existing devices only");
                let keys = device
                    .objectives
                    .into_keys()
                    .chain(device.tombstones.into_keys());
                touched.extend(keys.map(|key| RowKey::Objective(name.clone(), key)));
                touched.push(RowKey::Device(name));
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
