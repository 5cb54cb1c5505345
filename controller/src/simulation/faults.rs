//! What breaks, who wants changes, and how all of it is mended in the end.

use std::time::Duration;

use super::world::{Happening, Purpose, World};
use crate::objective::ObjectiveKey;
use crate::state::tests::{next, spec, with_priority};
use crate::state::{
    ChangeSet, Command, DeviceChange, MastershipCommand, NodeCommand, NodeId, ObjectiveChange,
    Operation,
};

impl World {
    fn any_node(&mut self) -> NodeId {
        let nodes: Vec<_> = self.nodes.keys().copied().collect();
        self.rng.pick(&nodes)
    }

    fn any_device(&mut self) -> String {
        let devices: Vec<_> = self.agents.keys().cloned().collect();
        self.rng.pick(&devices)
    }

    /// Something breaks, or an operator does something, or time plays a trick.
    pub fn fault(&mut self) {
        if self.now >= self.faults_until {
            self.mend();
            return;
        }
        let node = self.any_node();
        match self.rng.below(16) {
            0..=2 => {
                let host_is_well = self.rng.percent(80);
                self.kill(node, host_is_well);
            }
            3..=5 => {
                for node in self.nodes.keys().copied().collect::<Vec<_>>() {
                    self.start(node);
                }
            }
            6 | 7 => self.partition(),
            8 => self.network.sides.clear(),
            9 => {
                let device = self.any_device();
                let everybody = self.rng.percent(30);
                for other in self.nodes.keys().copied().collect::<Vec<_>>() {
                    if everybody || other == node {
                        self.cut(other, &device);
                    }
                }
            }
            10 => self.network.cut.clear(),
            11 => {
                let device = self.any_device();
                let agent = self.agents.get_mut(&device).expect("switches stay");
                match agent.is_up {
                    true => {
                        if let Some(stream) = agent.stop() {
                            self.end_stream(&device, stream);
                        }
                    }
                    false => agent.is_up = true,
                }
            }
            12 | 13 => self.trick(node),
            _ => self.operate(node),
        }
        let delay = self.rng.milliseconds(10, 500);
        self.after(delay, Happening::Fault);
    }

    /// Some nodes reach each other, and the others each other. There may be three sides.
    fn partition(&mut self) {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            let sides = if self.rng.percent(20) { 3 } else { 2 };
            let side = self.rng.below(sides);
            self.network.sides.insert(node, side);
        }
    }

    /// A process does not run for a while, or its clock leaps.
    fn trick(&mut self, id: NodeId) {
        let span = self.rng.milliseconds(20, 1500);
        let is_pause = self.rng.percent(60);
        let now = self.now;
        let node = self.nodes.get_mut(&id).expect("the node exists");
        match is_pause {
            true => node.paused_until = now + span,
            false => {
                node.clock_ahead += span;
                self.checks.leapt(id);
            }
        }
    }

    fn operate(&mut self, node: NodeId) {
        let devices = vec![self.any_device()];
        let command = match self.rng.below(5) {
            0 => Command::Node(NodeCommand::Drain { node }),
            1 | 2 => Command::Node(NodeCommand::Resume { node }),
            3 => Command::Mastership(MastershipCommand::Balance { anew: true }),
            _ => Command::Mastership(MastershipCommand::Set { devices, node }),
        };
        let runs = self.runs();
        if !runs.is_empty() {
            let from = self.rng.pick(&runs);
            self.submit(from, command, Purpose::Operator);
        }
    }

    /// Everything works again.
    fn mend(&mut self) {
        self.network.sides.clear();
        self.network.cut.clear();
        for agent in self.agents.values_mut() {
            agent.is_up = true;
        }
        let now = self.now;
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let node = self.nodes.get_mut(&id).expect("the node exists");
            node.paused_until = node.paused_until.min(now);
            self.start(id);
        }
    }

    /// A client changes objectives of a device, or removes the device, or adds it if it is not there.
    pub fn client(&mut self) {
        if self.now >= self.faults_until {
            return;
        }
        let delay = self.rng.milliseconds(5, 60);
        self.after(delay, Happening::Client);
        let runs = self.runs();
        if runs.is_empty() {
            return;
        }
        let from = self.rng.pick(&runs);
        let device = self.any_device();
        let is_there = self.state_of(from.0).device(&device).is_some();
        let changes = match is_there {
            false => {
                let id = device[1..].parse::<u64>().expect("it is d and a number") + 1;
                devices(DeviceChange::Put(spec(&device, id)))
            }
            true if self.rng.percent(1) => devices(DeviceChange::Remove(device)),
            true => {
                let count = 1 + self.rng.below(3);
                let objectives = (0..count).map(|_| self.change(&device)).collect();
                ChangeSet {
                    objectives,
                    ..ChangeSet::default()
                }
            }
        };
        self.submit(from, Command::Apply(changes), Purpose::Client);
    }

    fn change(&mut self, device: &str) -> ObjectiveChange {
        let name = format!("next{}", self.rng.below(8));
        let operation = match self.rng.percent(25) {
            true => Operation::Delete(ObjectiveKey::next(&name)),
            false => {
                let priority = 1 + self.rng.below(1000) as u32;
                Operation::Put(with_priority(&next(&name), priority))
            }
        };
        ObjectiveChange {
            device: device.to_owned(),
            owner: String::new(),
            operation,
        }
    }

    /// How much longer there are faults.
    pub fn time_with_faults(&self) -> Duration {
        self.faults_until.saturating_sub(self.now)
    }
}

fn devices(change: DeviceChange) -> ChangeSet {
    ChangeSet {
        devices: vec![change],
        ..ChangeSet::default()
    }
}
