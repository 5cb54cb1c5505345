//! What can be in the inventory.

use crate::hosts::{Host, HostId};
use crate::lldp::{Neighbor, NeighborId};
use crate::ports::{Port, PortState};

/// Something that is observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A port of this switch.
    Port(PortItem),
    /// Somebody who speaks LLDP at a port.
    Link(Neighbor),
    /// A station behind a port.
    Host(Host),
    /// A table of the pipeline.
    Table(TableItem),
}

/// Which item it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// By its P4 number.
    Port(u32),
    /// By our port, and who is there.
    Link(u32, NeighborId),
    /// By its addresses on the link.
    Host(HostId),
    /// By its id in p4info.
    Table(u32),
}

impl Item {
    /// Which one it is.
    pub fn key(&self) -> Key {
        match self {
            Item::Port(port) => Key::Port(port.number),
            Item::Link(neighbor) => Key::Link(neighbor.local_port, neighbor.id.clone()),
            Item::Host(host) => Key::Host(host.id),
            Item::Table(table) => Key::Table(table.id),
        }
    }
}

/// How full a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableItem {
    /// Its id in p4info.
    pub id: u32,
    /// Its name there.
    pub name: String,
    /// Entries in it.
    pub entries: u64,
    /// Entries that it can hold.
    pub capacity: u64,
}

/// Whether a port works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperState {
    /// It can carry packets.
    Up,
    /// It has no link.
    Down,
    /// The interface does not exist, or cannot be attached.
    Unavailable,
}

/// A port without what it counts, which changes all the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortItem {
    /// Its P4 number.
    pub number: u32,
    /// Its name in objectives.
    pub name: String,
    /// Its Linux interface.
    pub interface: String,
    /// Whether its administrator has taken it up.
    pub admin_up: bool,
    /// Whether it works.
    pub state: OperState,
    /// Empty if it is not known.
    pub mac: Vec<u8>,
    /// 0 if it is not known.
    pub mtu: u32,
    /// How packets reach the pipeline.
    pub xdp_mode: &'static str,
    /// What is wrong and what to do; empty if nothing is.
    pub message: String,
}

impl From<&Port> for PortItem {
    fn from(port: &Port) -> PortItem {
        let (state, xdp_mode) = match &port.state {
            PortState::NoInterface | PortState::Refused(_) => (OperState::Unavailable, "none"),
            PortState::Attached(attachment) if port.is_up() => (OperState::Up, attachment.name()),
            PortState::Attached(attachment) => (OperState::Down, attachment.name()),
        };
        let link = port.link.as_ref();
        PortItem {
            number: port.number,
            name: port.name.clone(),
            interface: port.interface.clone(),
            admin_up: link.is_some_and(|link| link.admin_up),
            state,
            mac: link.map(|link| link.mac.clone()).unwrap_or_default(),
            mtu: link.map_or(0, |link| link.mtu),
            xdp_mode,
            message: port.message(),
        }
    }
}
