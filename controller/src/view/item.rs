//! What switches see of themselves and around them, in the controller's own types.
//!
//! Only what decides something has a type of its own; what is for people is text as the agent says it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Something that an agent has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A port of the switch.
    Port(Arc<Port>),
    /// Somebody who speaks LLDP at a port.
    Link(Arc<Link>),
    /// How full a table is.
    Table(Arc<Table>),
    /// A station behind a port.
    Host(Arc<Host>),
}

/// Which item of a device it is. Hosts, of which there may be very many, come last in the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// By its P4 number.
    Port(u32),
    /// By the port here, and who is there.
    Link(u32, Neighbor),
    /// By its id in p4info.
    Table(u32),
    /// By its addresses on the link.
    Host(HostId),
}

/// A change of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new, or is like this now; with what it adds to the digest.
    Put(Item, u64),
    /// It is gone.
    Gone(Key),
    /// An agent of a later version says something that has no name here.
    Unknown,
}

impl Item {
    /// Which one it is.
    pub fn key(&self) -> Key {
        match self {
            Item::Port(port) => Key::Port(port.number),
            Item::Link(link) => Key::Link(link.local_port, link.neighbor.clone()),
            Item::Table(table) => Key::Table(table.id),
            Item::Host(host) => Key::Host(host.id),
        }
    }
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
    /// The agent does not say.
    Unknown,
}

/// A port without what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its P4 number.
    pub number: u32,
    /// Its name in objectives.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// Whether it works.
    pub state: OperState,
    /// Whether its administrator has taken it up.
    pub admin_up: bool,
    /// Empty if it is not known.
    pub mac: Vec<u8>,
    /// 0 if it is not known.
    pub mtu: u32,
    /// Megabits a second; 0 if it is not known.
    pub speed_mbps: u32,
    /// The kernel's driver.
    pub driver: String,
    /// How packets reach the pipeline.
    pub xdp_mode: String,
    /// What is wrong and what to do; empty if nothing is.
    pub message: String,
}

/// Who is at the other end of a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Neighbor {
    /// An agent of this cluster.
    Cluster {
        /// Its P4Runtime device id.
        device_id: u64,
        /// Its P4 port.
        port: u32,
    },
    /// Anybody else, by the identifiers of IEEE 802.1AB.
    Foreign {
        /// The kind of the chassis id, and the id.
        chassis: (u32, Vec<u8>),
        /// The kind of the port id, and the id.
        port: (u32, Vec<u8>),
    },
}

/// Whether two agents hear each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It is heard, and has not yet said that it hears us.
    Pending,
    /// Both hear each other.
    TwoWay,
    /// It is heard, and does not hear us.
    OneWay,
    /// It is no agent of this cluster.
    Edge,
    /// The agent does not say.
    Unknown,
}

/// Somebody who speaks LLDP at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The P4 port here.
    pub local_port: u32,
    /// Who it is.
    pub neighbor: Neighbor,
    /// Who hears whom.
    pub direction: Direction,
    /// Its signature was checked with a secret key.
    pub is_authenticated: bool,
    /// The boot of a neighbour of this cluster.
    pub boot: u64,
    /// The fingerprint of the other cluster that it is of.
    pub foreign_cluster: String,
    /// What it says of itself.
    pub about: LinkTexts,
}

/// What a neighbour says of itself, for people.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LinkTexts {
    /// Its chassis id.
    pub chassis_id: String,
    /// Its port's id.
    pub port_id: String,
    /// Its port.
    pub port_description: String,
    /// Its name.
    pub system_name: String,
    /// What it is.
    pub system_description: String,
    /// What it does.
    pub capabilities: Vec<String>,
}

/// How full a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its id in p4info.
    pub id: u32,
    /// Its name there.
    pub name: String,
    /// Entries in it.
    pub entries: u64,
    /// Entries that it can hold.
    pub capacity: u64,
}

/// An address on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// It is not six bytes in hexadecimal with colons between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAMac;

impl FromStr for MacAddr {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let mut parts = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let part = parts.next().filter(|part| {
                (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            let part = part.and_then(|part| u8::from_str_radix(part, 16).ok());
            *byte = part.ok_or(NotAMac)?;
        }
        match parts.next() {
            None => Ok(MacAddr(bytes)),
            Some(_) => Err(NotAMac),
        }
    }
}

/// Which host it is, wherever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId {
    /// Its address.
    pub mac: MacAddr,
    /// 0: its frames are untagged.
    pub vlan: u32,
}

/// A station as one switch sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Which it is.
    pub id: HostId,
    /// Its addresses, 4 or 16 bytes, and how each was learnt.
    pub addresses: Vec<(Vec<u8>, String)>,
    /// Its ports, and since when, in seconds since 1970. The latest first.
    pub locations: Vec<(u32, u64)>,
    /// Seconds since 1970.
    pub first_seen: u64,
    /// As of its last change.
    pub last_seen: u64,
    /// How often it went from one port to another.
    pub moves: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_read_as_it_is_written() {
        let mac = MacAddr([2, 0, 0, 0xab, 0, 1]);
        assert_eq!(mac.to_string(), "02:00:00:ab:00:01");
        assert_eq!("02:0:0:AB:0:1".parse(), Ok(mac));
        for wrong in [
            "",
            "02",
            "02:00:00:ab:00",
            "02:00:00:ab:00:01:02",
            "02:00:00:ab:00:+1",
            "leaf1",
        ] {
            assert_eq!(wrong.parse::<MacAddr>(), Err(NotAMac), "{wrong}");
        }
    }
}
