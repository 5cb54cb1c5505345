//! Who may write which device. Every device has at most one master, and standbys in the order in which they would
//! follow it; every other node has no part in it.
//!
//! Decided here and nowhere else, by applying commands: each replica comes to the same answer, and whatever changes the
//! nodes or the devices assigns masters in the very same commit. Each assignment has a term of its own, from which the
//! P4Runtime election id is derived ([`State::election_id`]), so that the switch itself refuses every earlier master.
//! Evenness is another matter: see `super::balance`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::nodes::{done, refused};
use super::{BootId, DeviceState, Effect, NodeId, RowKey, State, Term};

/// Who writes a device, since which term, and who would be next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mastership {
    /// The master.
    pub node: NodeId,
    /// The term of this assignment.
    pub term: Term,
    /// Who follows, in order.
    #[serde(default)]
    pub standbys: Vec<NodeId>,
    /// Who could not reach the device since somebody last did.
    #[serde(default)]
    pub tried: Vec<NodeId>,
    /// Whom an operator has chosen.
    #[serde(default)]
    pub preferred: Option<NodeId>,
}

/// A node's part in a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It writes the device.
    Master,
    /// It would follow the master.
    Standby,
    /// Neither.
    None,
}

/// Something that happened between masters and devices, or that an operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MastershipCommand {
    /// The master cannot reach the device. Submitted by it.
    Unreachable {
        /// The device.
        device: String,
        /// Its master.
        node: NodeId,
        /// In this term.
        term: Term,
    },
    /// The node reaches the device. Submitted by it, for a device that was handed on or is offline.
    Reached {
        /// The device.
        device: String,
        /// Who reaches it.
        node: NodeId,
    },
    /// The switch has refused the master's term; it needs a later one. Submitted by it.
    Renew {
        /// The device.
        device: String,
        /// Its master.
        node: NodeId,
        /// The term that was refused.
        term: Term,
    },
    /// An operator chooses the master of devices.
    Set {
        /// The devices.
        devices: Vec<String>,
        /// The master that they shall have, also after any balancing.
        node: NodeId,
    },
    /// Devices are moved until every node is master of as many as any other, give or take one.
    Balance {
        /// What operators have chosen is forgotten.
        anew: bool,
    },
}

impl Mastership {
    /// Nobody can reach the device: it was handed on to everybody who was there, and the last one has kept it.
    pub fn is_offline(&self) -> bool {
        self.tried.contains(&self.node)
    }

    /// A node that has not tried yet could take it over.
    pub fn can_be_handed_on(&self) -> bool {
        let has_not_tried = |node: &NodeId| !self.tried.contains(node);
        self.standbys.iter().any(has_not_tried)
    }

    /// Who follows if the master goes: the first standby that has not failed to reach the device, else the first.
    fn successor(&self) -> Option<NodeId> {
        let has_not_tried = |node: &&NodeId| !self.tried.contains(node);
        let untried = self.standbys.iter().find(has_not_tried);
        untried.or(self.standbys.first()).copied()
    }
}

impl DeviceState {
    /// The part of a node in this device.
    pub fn role_of(&self, node: NodeId) -> Role {
        match &self.mastership {
            Some(held) if held.node == node => Role::Master,
            Some(held) if held.standbys.contains(&node) => Role::Standby,
            _ => Role::None,
        }
    }
}

impl State {
    pub(super) fn apply_to_mastership(&mut self, command: MastershipCommand) -> Effect {
        let mut touched = Vec::new();
        match command {
            MastershipCommand::Unreachable { device, node, term } => {
                self.hand_on(&device, node, term, &mut touched);
            }
            MastershipCommand::Reached { device, node } => {
                self.reached(&device, node, &mut touched);
            }
            MastershipCommand::Renew { device, node, term } => {
                if self.is_master(&device, node, term) {
                    self.give(&device, node, &mut touched);
                }
            }
            MastershipCommand::Set { devices, node } => return self.choose(&devices, node),
            MastershipCommand::Balance { anew } => self.balance(anew, &mut touched),
        }
        done(touched)
    }

    /// Is this node the device's master in this term?
    pub fn is_master(&self, device: &str, node: NodeId, term: Term) -> bool {
        let held = self.device(device).and_then(DeviceState::mastership);
        held.is_some_and(|held| held.node == node && held.term == term)
    }

    /// Is this process its master?
    pub fn is_mastered_by(&self, device: &str, node: NodeId, boot: BootId) -> bool {
        let is_process = self.node(node).is_some_and(|node| node.boot == boot);
        is_process && self.master_of(device) == Some(node)
    }

    fn hand_on(&mut self, name: &str, node: NodeId, term: Term, touched: &mut Vec<RowKey>) {
        if !self.is_master(name, node, term) {
            return;
        }
        let Some(held) = self.mastership_mut(name) else {
            return;
        };
        if !held.tried.contains(&node) {
            held.tried.push(node);
            touched.push(RowKey::Device(name.to_owned()));
        }
        if let Some(next) = held.successor().filter(|_| held.can_be_handed_on()) {
            self.give(name, next, touched);
        }
    }

    fn reached(&mut self, name: &str, node: NodeId, touched: &mut Vec<RowKey>) {
        let Some(held) = self.mastership_mut(name) else {
            return;
        };
        let is_master = held.node == node;
        let takes_over = held.is_offline() && held.standbys.contains(&node);
        if held.tried.is_empty() || !(is_master || takes_over) {
            return;
        }
        held.tried.clear();
        touched.push(RowKey::Device(name.to_owned()));
        if !is_master {
            self.give(name, node, touched);
        }
    }

    fn choose(&mut self, names: &[String], node: NodeId) -> Effect {
        if !self.nodes.contains_key(&node) {
            return refused(self.no_such_node(node));
        }
        if !self.candidates().contains(&node) {
            let name = self.name_of_node(node);
            return refused(format!(
                "{name} is down or drained and can be master of nothing; choose another node, or resume it first"
            ));
        }
        let is_unknown = |name: &&String| !self.devices.contains_key(*name);
        if let Some(unknown) = names.iter().find(is_unknown) {
            let known: Vec<_> = self.devices.keys().take(10).cloned().collect();
            return refused(format!(
                "there is no device {unknown:?}; known devices: {}",
                known.join(", ")
            ));
        }
        let mut touched = Vec::new();
        for name in names {
            if let Some(held) = self.mastership_mut(name) {
                held.tried.clear();
            }
            if self.master_of(name) != Some(node) {
                self.give(name, node, &mut touched);
            }
            if let Some(held) = self.mastership_mut(name) {
                held.preferred = Some(node);
            }
            touched.push(RowKey::Device(name.clone()));
        }
        done(touched)
    }

    /// Makes a node the master of devices, as stores of a single node did when they started.
    pub(super) fn claim(&mut self, node: NodeId, names: &[String]) -> Effect {
        let mut touched = Vec::new();
        for name in names {
            self.give(name, node, &mut touched);
        }
        done(touched)
    }

    /// A node is gone: its devices go to their first standbys, and it is nobody's standby.
    pub(super) fn replace_master(&mut self, gone: NodeId, touched: &mut Vec<RowKey>) {
        let mut orphans = Vec::new();
        for (name, device) in &mut self.devices {
            let Some(held) = &mut device.mastership else {
                continue;
            };
            if held.standbys.contains(&gone) {
                held.standbys.retain(|node| *node != gone);
                touched.push(RowKey::Device(name.clone()));
            }
            if held.node == gone {
                orphans.push((name.clone(), held.successor()));
            }
        }
        for (name, successor) in orphans {
            match successor {
                Some(successor) => self.give(&name, successor, touched),
                None => {
                    if let Some(device) = self.devices.get_mut(&name) {
                        device.mastership = None;
                    }
                    touched.push(RowKey::Device(name));
                }
            }
        }
    }

    /// Another process of a node, or none ever again: what it could not reach says nothing any more.
    pub(super) fn forget_tries(&mut self, of: NodeId, touched: &mut Vec<RowKey>) {
        for (name, device) in &mut self.devices {
            let held = device.mastership.as_mut();
            if let Some(held) = held.filter(|held| held.tried.contains(&of)) {
                held.tried.retain(|node| *node != of);
                touched.push(RowKey::Device(name.clone()));
            }
        }
    }

    /// Gives every device whose master may not be one, or that has none, a master, and every device its standbys.
    pub(super) fn assign_all(&mut self, touched: &mut Vec<RowKey>) {
        let candidates = self.candidates();
        for device in self.devices.values_mut() {
            let may_stay = |held: &Mastership| candidates.contains(&held.node);
            if !candidates.is_empty() {
                device.mastership = device.mastership.take().filter(may_stay);
            }
        }
        self.assign_vacant(touched);
        let mut seen: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (name, device) in &mut self.devices {
            let Some(held) = &mut device.mastership else {
                continue;
            };
            let nth = seen.entry(held.node).or_default();
            let standbys = standbys(&candidates, held.node, *nth);
            *nth += 1;
            if held.standbys != standbys {
                held.standbys = standbys;
                touched.push(RowKey::Device(name.clone()));
            }
        }
    }

    /// Gives every device without a master one: whoever has the fewest.
    pub(super) fn assign_vacant(&mut self, touched: &mut Vec<RowKey>) {
        let candidates = self.candidates();
        let is_vacant = |(_, device): &(&String, &DeviceState)| device.mastership.is_none();
        let vacant = self.devices.iter().filter(is_vacant);
        let vacant: Vec<_> = vacant.map(|(name, _)| name.clone()).collect();
        if vacant.is_empty() || candidates.is_empty() {
            return;
        }
        let mut loads: Vec<_> = candidates
            .iter()
            .map(|node| (self.load_of(*node), *node))
            .collect();
        for name in vacant {
            let least = loads.iter_mut().min().expect("there is a candidate");
            least.0 += 1;
            let node = least.1;
            self.give(&name, node, touched);
        }
    }

    /// How many devices a node is master of.
    pub(super) fn load_of(&self, node: NodeId) -> usize {
        let held = |device: &&DeviceState| device.role_of(node) == Role::Master;
        self.devices.values().filter(held).count()
    }

    /// Makes a node the master of a device, in a new term.
    pub(super) fn give(&mut self, name: &str, node: NodeId, touched: &mut Vec<RowKey>) {
        let candidates = self.candidates();
        let nth = self.load_of(node);
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        self.last_term = Term(self.last_term.0 + 1);
        let (tried, preferred) = match device.mastership.take() {
            Some(before) => (before.tried, before.preferred),
            None => (Vec::new(), None),
        };
        device.mastership = Some(Mastership {
            node,
            term: self.last_term,
            standbys: standbys(&candidates, node, nth),
            tried,
            preferred,
        });
        touched.extend([RowKey::Cluster, RowKey::Device(name.to_owned())]);
    }

    fn master_of(&self, device: &str) -> Option<NodeId> {
        let held = self.device(device).and_then(DeviceState::mastership);
        held.map(|held| held.node)
    }

    pub(super) fn mastership_mut(&mut self, device: &str) -> Option<&mut Mastership> {
        self.devices.get_mut(device)?.mastership.as_mut()
    }
}

/// Everybody but the master, in an order that differs from one of its devices to the next, so that what it leaves
/// is spread evenly.
fn standbys(candidates: &[NodeId], master: NodeId, nth: usize) -> Vec<NodeId> {
    let others = candidates.iter().filter(|node| **node != master);
    let mut others: Vec<_> = others.copied().collect();
    if !others.is_empty() {
        let by = nth % others.len();
        others.rotate_left(by);
    }
    others
}
