//! What is configured, checked.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use glob::Pattern;
use pointsman_model::{Field, MacAddr, Match, VlanId};

use super::objects::address;

/// All policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Frames of new stations that are looked at in a second, of each port.
    pub frames_per_second: u32,
    /// One for each VLAN at most.
    pub bridges: Vec<Bridge>,
    /// One for each subnet.
    pub host_routes: Vec<HostRoutes>,
}

/// Routes to the hosts of a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoutes {
    /// Their VLAN inside the switch.
    pub vlan: VlanId,
    /// Their ports.
    pub members: Members,
    /// The subnet, and the switch's own address in it.
    pub subnet: Subnet,
    /// The MAC address of that.
    pub mac: MacAddr,
    /// Hosts that may have a route.
    pub most: usize,
    /// How long hosts of before a restart have to be seen again.
    pub idle: Duration,
}

/// A subnet, by an address in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The switch's own address.
    pub gateway: IpAddr,
    /// Bits that all addresses of the subnet have in common; at least 1.
    pub length: u8,
}

impl Subnet {
    /// Whether an address is in it.
    pub fn has(self, ip: IpAddr) -> bool {
        match (self.gateway, ip) {
            (IpAddr::V4(ours), IpAddr::V4(ip)) => {
                (u32::from(ours) ^ u32::from(ip)).leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V6(ours), IpAddr::V6(ip)) => {
                (u128::from(ours) ^ u128::from(ip)).leading_zeros() >= u32::from(self.length)
            }
            _ => false,
        }
    }

    /// It as objectives match it.
    pub(super) fn criterion(self) -> (Field, Match) {
        let (field, matching) = address(self.gateway);
        let bits = if self.gateway.is_ipv4() { 32 } else { 128 };
        let Match::Exact(value) = matching else {
            return (field, matching);
        };
        match bits - u32::from(self.length) {
            0 => (field, Match::Exact(value)),
            host => {
                let value = value >> host << host;
                let length = self.length;
                (field, Match::Prefix { value, length })
            }
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.gateway, self.length)
    }
}

/// A bridge that learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its VLAN inside the switch.
    pub vlan: VlanId,
    /// Its ports.
    pub members: Members,
    /// Stations that a port may have.
    pub stations_per_port: usize,
    /// A station that is silent for that long is forgotten, at the latest after twice as long.
    pub idle: Duration,
}

/// The ports of a policy, by patterns of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Frames come and leave without a tag.
    pub untagged: Vec<Pattern>,
    /// Frames come and leave with the tag of the VLAN.
    pub tagged: Vec<Pattern>,
}

/// How frames of a VLAN come and leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagging {
    /// Without a tag.
    Untagged,
    /// With the tag of the VLAN.
    Tagged,
}

impl Members {
    /// How frames of the VLAN come and leave by the port of that name; `None` if they do not.
    pub fn tagging(&self, port: &str) -> Option<Tagging> {
        let has = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(port));
        match (has(&self.untagged), has(&self.tagged)) {
            (true, _) => Some(Tagging::Untagged),
            (false, true) => Some(Tagging::Tagged),
            (false, false) => None,
        }
    }
}
