//! Who reaches whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::NodeId;

/// The network between controllers, and from them to the switches.
#[derive(Debug, Default)]
pub struct Network {
    /// Controllers of different sides do not reach each other; those that are not named are on side 0.
    pub sides: BTreeMap<NodeId, usize>,
    /// Controllers that do not reach a switch.
    pub cut: BTreeSet<(NodeId, String)>,
}

impl Network {
    fn side(&self, node: NodeId) -> usize {
        self.sides.get(&node).copied().unwrap_or_default()
    }

    /// Do these controllers reach each other?
    pub fn connects(&self, one: NodeId, other: NodeId) -> bool {
        self.side(one) == self.side(other)
    }

    /// Does a controller reach a switch?
    pub fn reaches(&self, node: NodeId, device: &str) -> bool {
        !self.cut.contains(&(node, device.to_owned()))
    }
}
