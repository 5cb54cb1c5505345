//! The stations behind the ports that are not part of the cluster: who they are, where, and by which addresses.
//!
//! [`Hosts`] is a pure core. It is shown copies of ARP, IPv6 neighbour discovery and DHCP; the frames themselves go their way
//! through the pipeline, so learning disturbs nobody. [`crate::discovery`] is its shell.
//!
//! * A host is a MAC address in a VLAN. It has *addresses* (the last to claim an address has it) and *locations*: ports.
//! * **Moves**: a host that is seen at another port is asked for at the old one. If it answers there, it has several
//!   locations; if not, it has moved.
//! * **Expiry**: a location where a host has been silent is asked for the host, three times, and forgotten.
//! * **Floods** of forged sources are bounded: at a port that has as many hosts as it may, a new one takes the place of
//!   one that was seen only for a moment; hosts that stayed are not given up for it.
//! * Nothing is learnt at ports that lead to agents of the cluster, but for what DHCP servers behind them grant.
//! * ARP and neighbour solicitations for configured *gateways* are answered, and with `proxy` those for
//!   known hosts at other ports. The pipeline sees them nevertheless.

mod core;
mod dhcp;
mod read;
mod reply;
#[cfg(test)]
mod tests;

pub use self::core::{Command, Event, Hosts, Statistics};
pub use read::{Heard, Said, Unread, read};
pub use reply::search;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// To all stations.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether it can be that of a station.
    pub fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Who a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId {
    /// Its MAC address.
    pub mac: Mac,
    /// The VLAN of its frames as they came in; 0 if they have no tag.
    pub vlan: u16,
}

/// How an address became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The host used it in ARP.
    Arp,
    /// The host used it in neighbour discovery.
    NeighborDiscovery,
    /// A server gave it to the host.
    Dhcp,
}

impl Source {
    /// As status displays say it.
    pub fn name(self) -> &'static str {
        match self {
            Source::Arp => "arp",
            Source::NeighborDiscovery => "nd",
            Source::Dhcp => "dhcp",
        }
    }
}

/// A host as others see it. Time is that since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Who it is.
    pub id: HostId,
    /// Its addresses, in their order.
    pub addresses: Vec<(IpAddr, Source)>,
    /// Ports and since when, the latest first.
    pub locations: Vec<(u32, Duration)>,
    /// When it was seen first.
    pub first_seen: Duration,
    /// When it was seen last, as of the last change.
    pub last_seen: Duration,
    /// How often it has left a port for another.
    pub moves: u32,
}

/// An address that we answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway {
    /// The address.
    pub ip: IpAddr,
    /// What is answered.
    pub mac: Mac,
    /// In this VLAN; `None` is any.
    pub vlan: Option<u16>,
}

/// How hosts are learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many a port may have.
    pub per_port: usize,
    /// How long one may be silent before it is asked.
    pub idle: Duration,
    /// Addresses that we answer for.
    pub gateways: Vec<Gateway>,
    /// Whether we answer for known hosts, too.
    pub proxy: bool,
}
