//! The controllers of the cluster as the replicated state knows them: what each says of itself, whether it is heard,
//! and whether it may be master of anything.
//!
//! Who votes is the consensus' own membership (`crate::raft`); whether a node is heard is found out by
//! `crate::liveness`, which submits the commands here. Applying one reassigns devices in the same step
//! (`super::mastership`), so that a fail-over is one commit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Effect, NodeId, Rejection, Response, RowKey, State, Subject};
use crate::status::Reason;

/// One run of a node's process: drawn at random when it starts.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct BootId(pub u64);

/// What a node says of itself when it starts.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// What people call it.
    pub name: String,
    /// `host:port` for the other nodes.
    #[serde(default)]
    pub peer_address: String,
    /// `host:port` for programs.
    #[serde(default)]
    pub api_address: String,
    /// The version of its program.
    #[serde(default)]
    pub version: String,
    /// Up to which level it understands commands; see [`State::level`].
    #[serde(default)]
    pub level: u32,
}

/// Is the process there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// It is heard.
    Up,
    /// It is not heard any more; it may be again.
    Down,
    /// It has said that it ends. Only another process of the node can be up.
    Left,
}

/// May the node be master?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Duty {
    /// Of any device.
    InService,
    /// Only of devices that nobody else could be master of.
    Drained,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it says of itself.
    pub spec: NodeSpec,
    /// Its latest process.
    pub boot: BootId,
    /// Is that process there?
    pub presence: Presence,
    /// May it be master?
    pub duty: Duty,
}

/// Something that happened to a node, or that an operator wants of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeCommand {
    /// A process of it has started. Submitted by the node itself.
    Start {
        /// The node.
        node: NodeId,
        /// The process.
        boot: BootId,
        /// What it says of itself.
        spec: NodeSpec,
    },
    /// It is heard again. Submitted by whoever leads.
    Heard {
        /// The node.
        node: NodeId,
        /// The process that is heard.
        boot: BootId,
    },
    /// It is not heard any more. Submitted by whoever leads.
    Lost {
        /// The node.
        node: NodeId,
        /// The process that is meant: one that has started since is not lost.
        boot: BootId,
    },
    /// It is about to end. Submitted by the node itself.
    Leave {
        /// The node.
        node: NodeId,
        /// The process that ends.
        boot: BootId,
    },
    /// It shall be master of nothing until it is taken back into service.
    Drain {
        /// The node.
        node: NodeId,
    },
    /// It may be master again.
    Resume {
        /// The node.
        node: NodeId,
    },
    /// It is no node of the cluster any more.
    Remove {
        /// The node.
        node: NodeId,
    },
}

impl State {
    /// The nodes that have ever started and were not removed, by id.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Node> {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The node of a name.
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        let named = |(_, node): &(&NodeId, &Node)| node.spec.name == name;
        self.nodes.iter().find(named).map(|(id, _)| *id)
    }

    /// The level up to which every node understands commands. One that a node does not understand
    /// must not be submitted. It never falls: what needs it may be in the log.
    pub fn level(&self) -> u32 {
        self.level
    }

    fn raise_level(&mut self, touched: &mut Vec<RowKey>) {
        let levels = self.nodes.values().map(|node| node.spec.level);
        let least = levels.min().unwrap_or_default();
        if least > self.level {
            self.level = least;
            touched.push(RowKey::Cluster);
        }
    }

    /// Puts back the nodes that a store kept.
    #[must_use]
    pub fn with_nodes(self, nodes: BTreeMap<NodeId, Node>) -> Self {
        Self { nodes, ..self }
    }

    pub(super) fn apply_to_node(&mut self, command: NodeCommand) -> Effect {
        match command {
            NodeCommand::Start { node, boot, spec } => self.start_node(node, boot, spec),
            NodeCommand::Heard { node, boot } => {
                self.set_presence(node, boot, Presence::Down, Presence::Up)
            }
            NodeCommand::Lost { node, boot } => {
                self.set_presence(node, boot, Presence::Up, Presence::Down)
            }
            NodeCommand::Leave { node, boot } => {
                self.set_presence(node, boot, Presence::Up, Presence::Left)
            }
            NodeCommand::Drain { node } => self.drain_node(node),
            NodeCommand::Resume { node } => self.set_duty(node, Duty::InService),
            NodeCommand::Remove { node } => self.remove_node(node),
        }
    }

    /// Another process is another master: what the one before it was master of is assigned anew.
    fn start_node(&mut self, id: NodeId, boot: BootId, spec: NodeSpec) -> Effect {
        if self.admissions().is_removed(id) {
            return refused(format!(
                "node {id} was taken out of the cluster; it can come back with `pointsman-controller join` and an empty data directory only"
            ));
        }
        if spec.level < self.level {
            return refused(format!(
                "the cluster works at level {}, and node {id} understands level {}; install a newer version on it",
                self.level, spec.level
            ));
        }
        let mut touched = vec![RowKey::Node(id)];
        let before = self.nodes.remove(&id);
        let duty = before.as_ref().map_or(Duty::InService, |node| node.duty);
        let is_other_process = before.is_none_or(|node| node.boot != boot);
        if is_other_process {
            self.forget_tries(id, &mut touched);
            self.replace_master(id, &mut touched);
        }
        let node = Node {
            spec,
            boot,
            presence: Presence::Up,
            duty,
        };
        self.nodes.insert(id, node);
        self.raise_level(&mut touched);
        self.assign_all(&mut touched);
        done(touched)
    }

    fn set_presence(&mut self, id: NodeId, boot: BootId, from: Presence, to: Presence) -> Effect {
        let node = self.nodes.get_mut(&id);
        let Some(node) = node.filter(|node| node.boot == boot && node.presence == from) else {
            return done(vec![]);
        };
        node.presence = to;
        let mut touched = vec![RowKey::Node(id)];
        if to != Presence::Up {
            self.replace_master(id, &mut touched);
        }
        self.assign_all(&mut touched);
        done(touched)
    }

    fn drain_node(&mut self, id: NodeId) -> Effect {
        let takes_over = |other: &NodeId| *other != id;
        let in_service = self.in_service();
        if self.nodes.contains_key(&id) && !in_service.iter().any(takes_over) {
            let name = self.name_of_node(id);
            return refused(format!(
                "no other node that is up could take the devices of {name} over; start another node, or resume a drained one, first"
            ));
        }
        self.set_duty(id, Duty::Drained)
    }

    fn set_duty(&mut self, id: NodeId, duty: Duty) -> Effect {
        let Some(node) = self.nodes.get_mut(&id) else {
            return refused(self.no_such_node(id));
        };
        if node.duty == duty {
            return done(vec![]);
        }
        node.duty = duty;
        let mut touched = vec![RowKey::Node(id)];
        if duty == Duty::Drained {
            self.replace_master(id, &mut touched);
        }
        self.assign_all(&mut touched);
        done(touched)
    }

    fn remove_node(&mut self, id: NodeId) -> Effect {
        if self.nodes.remove(&id).is_none() {
            return refused(self.no_such_node(id));
        }
        let mut touched = vec![RowKey::Node(id)];
        self.forget_tries(id, &mut touched);
        self.raise_level(&mut touched);
        self.replace_master(id, &mut touched);
        self.assign_all(&mut touched);
        done(touched)
    }

    /// The nodes that are up and not drained, by id.
    pub(super) fn in_service(&self) -> Vec<NodeId> {
        let serves = |node: &Node| node.presence == Presence::Up && node.duty == Duty::InService;
        let nodes = self.nodes.iter().filter(|(_, node)| serves(node));
        nodes.map(|(id, _)| *id).collect()
    }

    /// Those that may be master: the nodes in service or, if there are none, the drained ones that are up.
    pub(super) fn candidates(&self) -> Vec<NodeId> {
        let in_service = self.in_service();
        if !in_service.is_empty() {
            return in_service;
        }
        let up = self.nodes.iter();
        let up = up.filter(|(_, node)| node.presence == Presence::Up);
        up.map(|(id, _)| *id).collect()
    }

    /// How a node is called: by its name, or by its id as long as it has not said it.
    pub fn name_of_node(&self, id: NodeId) -> String {
        match self.nodes.get(&id) {
            Some(node) if !node.spec.name.is_empty() => node.spec.name.clone(),
            _ => format!("node {id}"),
        }
    }

    pub(super) fn no_such_node(&self, id: NodeId) -> String {
        let known: Vec<_> = self.nodes.keys().map(|id| self.name_of_node(*id)).collect();
        format!(
            "there is no node {id} in this cluster; its nodes are {}",
            known.join(", ")
        )
    }
}

pub(super) fn done(mut touched: Vec<RowKey>) -> Effect {
    touched.sort_unstable();
    touched.dedup();
    Effect {
        response: Response::Done,
        touched,
    }
}

pub(super) fn refused(message: String) -> Effect {
    let rejection = Rejection::new(Subject::Request, Reason::Conflict, message);
    Effect {
        response: Response::Rejected(vec![rejection]),
        touched: Vec::new(),
    }
}
