//! Evenness: no node is master of two devices more than another, unless an operator or a fault wants it so.
//!
//! Moving a device costs its switch nothing but a new session, yet each move is a change that somebody may look at, so
//! whoever leads waits until things have been quiet for a while (`crate::liveness`) before it submits
//! [`super::MastershipCommand::Balance`]; and because a balanced cluster is one in which no move makes it more even,
//! balancing comes to rest.

use super::{DeviceState, NodeId, RowKey, State};

/// One device goes from one node to another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Move {
    device: String,
    to: NodeId,
}

impl State {
    /// Would balancing move anything?
    pub fn is_balanced(&self) -> bool {
        self.next_move().is_none()
    }

    pub(super) fn balance(&mut self, anew: bool, touched: &mut Vec<RowKey>) {
        if anew {
            for (name, device) in &mut self.devices {
                let held = device.mastership.as_mut();
                if held.is_some_and(|held| held.preferred.take().is_some()) {
                    touched.push(RowKey::Device(name.clone()));
                }
            }
        }
        let mut has_moved = false;
        while let Some(Move { device, to }) = self.next_move() {
            self.give(&device, to, touched);
            has_moved = true;
        }
        if has_moved {
            self.assign_all(touched);
        }
    }

    /// A device that is not where an operator wants it, else one of the busiest node for the idlest.
    ///
    /// The first kind is never undone by the second, and each of the second makes the sum of the squares of the loads
    /// smaller, so there is a last one.
    fn next_move(&self) -> Option<Move> {
        let candidates = self.candidates();
        let is_displaced = |(_, device): &(&String, &DeviceState)| {
            let held = device.mastership();
            held.is_some_and(|held| {
                let preferred = held.preferred.filter(|node| candidates.contains(node));
                preferred.is_some_and(|node| node != held.node && !held.tried.contains(&node))
            })
        };
        if let Some((name, device)) = self.devices.iter().find(is_displaced) {
            let to = device.mastership()?.preferred?;
            return Some(Move {
                device: name.clone(),
                to,
            });
        }
        let loads = candidates.iter().map(|node| (self.load_of(*node), *node));
        let mut loads: Vec<_> = loads.collect();
        loads.sort_unstable();
        let (least, to) = *loads.first()?;
        let busier = loads.iter().rev().filter(|(load, _)| *load >= least + 2);
        let mut movable = busier.filter_map(|(_, from)| self.movable(*from, to));
        movable.next().map(|device| Move { device, to })
    }

    /// The last device of a node that nobody has chosen it for and that the other one has not failed to reach.
    fn movable(&self, from: NodeId, to: NodeId) -> Option<String> {
        let can_move = |(_, device): &(&String, &DeviceState)| {
            let held = device.mastership();
            held.is_some_and(|held| {
                held.node == from && held.preferred != Some(from) && !held.tried.contains(&to)
            })
        };
        let device = self.devices.iter().rev().find(can_move);
        device.map(|(name, _)| name.clone())
    }
}
