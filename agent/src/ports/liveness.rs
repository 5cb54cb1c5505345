//! Which ports can carry packets: what links do, against what is attached to which. Pure.
//!
//! Beside [`Ports`](super::Ports), which knows all of a port, and for which an event waits until nobody
//! writes to the switch. This is the little that the data plane must know of a dead link at once.

use std::collections::BTreeMap;

use super::watch::LinkEvent;

/// A port that can carry packets from now on, or cannot any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turned {
    /// The port.
    pub port: u32,
    /// Whether it can.
    pub up: bool,
}

/// Links, and the ports that are attached to them. Both by the kernel's number of the interface.
#[derive(Debug, Default)]
pub struct Liveness {
    /// Whether each interface has a link.
    links: BTreeMap<u32, bool>,
    interfaces: BTreeMap<u32, u32>,
}

impl Liveness {
    /// A link has changed, or is gone: what becomes of the ports on it.
    pub fn link_event(&mut self, event: &LinkEvent) -> Vec<Turned> {
        let (index, up) = match event {
            LinkEvent::Changed(link) => (link.index, link.up),
            LinkEvent::Gone { index } => (*index, false),
        };
        let before = match event {
            LinkEvent::Changed(_) => self.links.insert(index, up),
            LinkEvent::Gone { .. } => self.links.remove(&index),
        };
        if before == Some(up) {
            return Vec::new();
        }
        let on_it = self.interfaces.iter().filter(|(_, i)| **i == index);
        on_it.map(|(port, _)| Turned { port: *port, up }).collect()
    }

    /// A port is attached to an interface.
    pub fn attached(&mut self, port: u32, index: u32) -> Turned {
        self.interfaces.insert(port, index);
        let up = self.links.get(&index).copied().unwrap_or(false);
        Turned { port, up }
    }

    /// A port has no interface any more.
    pub fn detached(&mut self, port: u32) -> Turned {
        self.interfaces.remove(&port);
        Turned { port, up: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Link;

    fn link(index: u32, up: bool) -> LinkEvent {
        LinkEvent::Changed(Link {
            index,
            name: format!("eth{index}"),
            up,
            admin_up: up,
            is_ethernet: true,
            mac: Vec::new(),
            mtu: 1500,
            counters: Default::default(),
        })
    }

    fn turned(port: u32, up: bool) -> Turned {
        Turned { port, up }
    }

    #[test]
    fn a_port_is_live_while_it_is_attached_and_its_link_is_up() {
        let mut liveness = Liveness::default();
        assert_eq!(liveness.link_event(&link(7, true)), []);
        assert_eq!(liveness.attached(1, 7), turned(1, true));
        assert_eq!(liveness.attached(2, 8), turned(2, false));
        assert_eq!(liveness.link_event(&link(7, true)), []);
        assert_eq!(liveness.link_event(&link(7, false)), [turned(1, false)]);
        assert_eq!(liveness.link_event(&link(7, true)), [turned(1, true)]);
        assert_eq!(liveness.link_event(&link(8, true)), [turned(2, true)]);
        let gone = LinkEvent::Gone { index: 8 };
        assert_eq!(liveness.link_event(&gone), [turned(2, false)]);
        assert_eq!(liveness.detached(1), turned(1, false));
        assert_eq!(liveness.link_event(&link(7, false)), []);
    }
}
