//! What the switch does by itself for stations that it sees.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use glob::Pattern;
use pointsman_model::{MacAddr, VlanId};
use serde::Deserialize;
use thiserror::Error;

use super::DiscoveryConfig;
use crate::hosts::{self, Gateway};
use crate::reactive::{Bridge, HostRoutes, Members, Settings, Subnet};

const FRAMES_PER_SECOND: u32 = 1000;
const STATIONS_PER_PORT: usize = 1024;
const MAX_HOSTS: usize = 1024;
const IDLE: Duration = Duration::from_secs(300);

/// Why a policy is not possible. Places count from 1: `bridge 2`.
#[derive(Debug, Error)]
pub enum ReactiveError {
    /// Not a VLAN.
    #[error("reactive: {place}: vlan {vlan} is not possible; 1 to 4094 are")]
    Vlan {
        /// Of which policy.
        place: String,
        /// What was given.
        vlan: u16,
    },
    /// Two bridges of one VLAN.
    #[error(
        "reactive: bridges {first} and {second} are both for VLAN {vlan}; list all ports in one of them"
    )]
    SameVlan {
        /// A bridge.
        first: usize,
        /// Another.
        second: usize,
        /// Their VLAN.
        vlan: VlanId,
    },
    /// No ports.
    #[error(
        "reactive: {place} of VLAN {vlan} has no ports; give it some, for example untagged: [swp1, \"swp2*\"]"
    )]
    NoPorts {
        /// Which policy.
        place: String,
        /// Its VLAN.
        vlan: VlanId,
    },
    /// Not a pattern.
    #[error("reactive: {place}: {pattern:?} is no name of a port, and no pattern of names: {why}")]
    Pattern {
        /// Of which policy.
        place: String,
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A port cannot be both.
    #[error(
        "reactive: {port:?} is untagged in the bridges of VLAN {first} and VLAN {second}; frames without a tag belong to one"
    )]
    UntaggedTwice {
        /// The port.
        port: String,
        /// One VLAN.
        first: VlanId,
        /// Another, or the same.
        second: VlanId,
    },
    /// A port cannot be both.
    #[error(
        "reactive: {port:?} is both tagged and untagged in the bridge of VLAN {vlan}; choose one"
    )]
    BothTagged {
        /// The port.
        port: String,
        /// The VLAN.
        vlan: VlanId,
    },
    /// Not a subnet.
    #[error(
        "reactive: host_routes {subnet}: gateway {text:?} is no address of a subnet; write it with the length of the prefix, \
         for example 10.0.10.1/24 or fd00:10::1/64"
    )]
    Gateway {
        /// Which subnet, counted from 1.
        subnet: usize,
        /// What was given.
        text: String,
    },
    /// Not a MAC address of a station.
    #[error(
        "reactive: host_routes {subnet}: mac {text:?} is not the MAC address of a station, for example 02:00:00:00:00:fe"
    )]
    Mac {
        /// Which subnet, counted from 1.
        subnet: usize,
        /// What was given.
        text: String,
    },
    /// Subnets that have addresses in common.
    #[error(
        "reactive: host_routes {first} and {second} are both for {gateway}; a host is in one subnet"
    )]
    SameSubnet {
        /// A subnet.
        first: usize,
        /// Another.
        second: usize,
        /// An address of both.
        gateway: IpAddr,
    },
    /// Nobody would know of hosts.
    #[error("reactive: host_routes need to know hosts; leave out `hosts: false` in discovery")]
    NoHosts,
    /// A number outside its range.
    #[error("reactive: {what} {found} is not possible; {range} are")]
    Range {
        /// Of what.
        what: &'static str,
        /// What was given.
        found: u64,
        /// What is possible.
        range: &'static str,
    },
}

/// The `reactive` section of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReactiveSection {
    /// Frames of new stations that are looked at in a second, of each port.
    pub frames_per_second: Option<u32>,
    /// Bridges that learn.
    pub bridges: Option<Vec<BridgeSection>>,
    /// Subnets to whose hosts there are routes.
    pub host_routes: Option<Vec<HostRoutesSection>>,
}

/// A subnet to whose hosts there are routes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRoutesSection {
    /// Its VLAN inside the switch.
    pub vlan: u16,
    /// The switch's own address, with the length of the subnet's prefix.
    pub gateway: String,
    /// The MAC address of that.
    pub mac: String,
    /// Ports by name or pattern, whose frames have no tag.
    pub untagged: Option<Vec<String>>,
    /// Ports whose frames have the tag of the VLAN.
    pub tagged: Option<Vec<String>>,
    /// Hosts that may have a route.
    pub max_hosts: Option<usize>,
}

/// A bridge that learns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeSection {
    /// Its VLAN inside the switch.
    pub vlan: u16,
    /// Ports by name or pattern, whose frames have no tag.
    pub untagged: Option<Vec<String>>,
    /// Ports whose frames have the tag of the VLAN.
    pub tagged: Option<Vec<String>>,
    /// Stations that a port may have.
    pub stations_per_port: Option<usize>,
    /// Seconds for which a station may be silent.
    pub idle_seconds: Option<u32>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            frames_per_second: FRAMES_PER_SECOND,
            bridges: Vec::new(),
            host_routes: Vec::new(),
        }
    }
}

impl TryFrom<ReactiveSection> for Settings {
    type Error = ReactiveError;

    fn try_from(section: ReactiveSection) -> Result<Settings, ReactiveError> {
        let frames_per_second = section.frames_per_second.unwrap_or(FRAMES_PER_SECOND);
        if frames_per_second == 0 {
            return Err(ReactiveError::Range {
                what: "frames_per_second",
                found: 0,
                range: "1 and more",
            });
        }
        let sections = section.bridges.unwrap_or_default();
        let mut bridges: Vec<Bridge> = Vec::new();
        let mut untagged: BTreeMap<String, VlanId> = BTreeMap::new();
        for (at, section) in sections.into_iter().enumerate() {
            let bridge = bridge(section, at + 1)?;
            let vlan = bridge.vlan;
            if let Some(first) = bridges.iter().position(|other| other.vlan == vlan) {
                return Err(ReactiveError::SameVlan {
                    first: first + 1,
                    second: at + 1,
                    vlan,
                });
            }
            for port in &bridge.members.untagged {
                let port = port.as_str().to_owned();
                if bridge.members.tagged.iter().any(|p| p.as_str() == port) {
                    return Err(ReactiveError::BothTagged { port, vlan });
                }
                if let Some(first) = untagged.insert(port.clone(), vlan) {
                    return Err(ReactiveError::UntaggedTwice {
                        port,
                        first,
                        second: vlan,
                    });
                }
            }
            bridges.push(bridge);
        }
        let sections = section.host_routes.unwrap_or_default().into_iter();
        let mut host_routes: Vec<HostRoutes> = Vec::new();
        for (at, section) in sections.enumerate() {
            let routes = routes(section, at + 1)?;
            let overlaps = |other: &HostRoutes| {
                let (ours, others) = (routes.subnet, other.subnet);
                ours.has(others.gateway) || others.has(ours.gateway)
            };
            if let Some(first) = host_routes.iter().position(overlaps) {
                return Err(ReactiveError::SameSubnet {
                    first: first + 1,
                    second: at + 1,
                    gateway: routes.subnet.gateway,
                });
            }
            host_routes.push(routes);
        }
        Ok(Settings {
            frames_per_second,
            bridges,
            host_routes,
        })
    }
}

/// The ports of a policy; `place` says which it is.
fn members(
    place: &str,
    vlan: u16,
    untagged: Option<Vec<String>>,
    tagged: Option<Vec<String>>,
) -> Result<(VlanId, Members), ReactiveError> {
    let place = || place.to_owned();
    let vlan = VlanId::new(vlan).ok_or_else(|| ReactiveError::Vlan {
        place: place(),
        vlan,
    })?;
    let patterns = |texts: Option<Vec<String>>| {
        let texts = texts.unwrap_or_default().into_iter();
        let patterns = texts.map(|pattern| {
            Pattern::new(&pattern).map_err(|error| ReactiveError::Pattern {
                place: place(),
                why: error.msg,
                pattern,
            })
        });
        patterns.collect::<Result<Vec<_>, _>>()
    };
    let members = Members {
        untagged: patterns(untagged)?,
        tagged: patterns(tagged)?,
    };
    match members == Members::default() {
        true => Err(ReactiveError::NoPorts {
            place: place(),
            vlan,
        }),
        false => Ok((vlan, members)),
    }
}

fn routes(section: HostRoutesSection, subnet: usize) -> Result<HostRoutes, ReactiveError> {
    let place = format!("host_routes {subnet}");
    let (vlan, members) = members(&place, section.vlan, section.untagged, section.tagged)?;
    let text = section.gateway;
    let parsed = text.split_once('/').and_then(|(gateway, length)| {
        let gateway: IpAddr = gateway.parse().ok()?;
        let bits = if gateway.is_ipv4() { 32 } else { 128 };
        let length = length.parse().ok().filter(|l| (1..=bits).contains(l))?;
        let is_one = !gateway.is_unspecified() && !gateway.is_multicast();
        is_one.then_some(Subnet { gateway, length })
    });
    let parsed = parsed.ok_or(ReactiveError::Gateway { subnet, text })?;
    let text = section.mac;
    let mac = text.parse::<MacAddr>().ok();
    let mac = mac.filter(|mac| hosts::Mac(mac.0).is_station());
    let max_hosts = section.max_hosts.unwrap_or(MAX_HOSTS);
    if !(1..=65_536).contains(&max_hosts) {
        return Err(ReactiveError::Range {
            what: "max_hosts",
            found: max_hosts as u64,
            range: "1 to 65536",
        });
    }
    Ok(HostRoutes {
        vlan,
        members,
        subnet: parsed,
        mac: mac.ok_or(ReactiveError::Mac { subnet, text })?,
        most: max_hosts,
        idle: IDLE,
    })
}

/// Has hosts learnt as policies need it, and their gateways answered for.
pub(super) fn complete(
    settings: &Settings,
    discovery: &mut DiscoveryConfig,
) -> Result<(), ReactiveError> {
    for routes in &settings.host_routes {
        let hosts = discovery.hosts.as_mut().ok_or(ReactiveError::NoHosts)?;
        let gateway = Gateway {
            ip: routes.subnet.gateway,
            mac: hosts::Mac(routes.mac.0),
            vlan: None,
        };
        if !hosts.gateways.contains(&gateway) {
            hosts.gateways.push(gateway);
        }
    }
    Ok(())
}

fn bridge(section: BridgeSection, bridge: usize) -> Result<Bridge, ReactiveError> {
    let place = format!("bridge {bridge}");
    let (vlan, members) = members(&place, section.vlan, section.untagged, section.tagged)?;
    let stations_per_port = section.stations_per_port.unwrap_or(STATIONS_PER_PORT);
    if !(1..=65_536).contains(&stations_per_port) {
        return Err(ReactiveError::Range {
            what: "stations_per_port",
            found: stations_per_port as u64,
            range: "1 to 65536",
        });
    }
    let idle = match section.idle_seconds {
        None => IDLE,
        Some(seconds @ 1..=86_400) => Duration::from_secs(seconds.into()),
        Some(other) => {
            return Err(ReactiveError::Range {
                what: "idle_seconds",
                found: other.into(),
                range: "1 to 86400",
            });
        }
    };
    Ok(Bridge {
        vlan,
        members,
        stations_per_port,
        idle,
    })
}

/// As part of a configuration file; nothing where nothing is done.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Settings::default() {
            return Ok(());
        }
        writeln!(f, "reactive:")?;
        writeln!(f, "  frames_per_second: {}", self.frames_per_second)?;
        let list = |patterns: &[Pattern]| {
            let texts = patterns.iter().map(|p| format!("{:?}", p.as_str()));
            texts.collect::<Vec<_>>().join(", ")
        };
        let policy = |f: &mut fmt::Formatter<'_>, vlan: VlanId, members: &Members| {
            writeln!(f, "    - vlan: {vlan}")?;
            writeln!(f, "      untagged: [{}]", list(&members.untagged))?;
            writeln!(f, "      tagged: [{}]", list(&members.tagged))
        };
        if !self.bridges.is_empty() {
            writeln!(f, "  bridges:")?;
        }
        for bridge in &self.bridges {
            policy(f, bridge.vlan, &bridge.members)?;
            writeln!(f, "      stations_per_port: {}", bridge.stations_per_port)?;
            writeln!(f, "      idle_seconds: {}", bridge.idle.as_secs())?;
        }
        if !self.host_routes.is_empty() {
            writeln!(f, "  host_routes:")?;
        }
        for routes in &self.host_routes {
            policy(f, routes.vlan, &routes.members)?;
            writeln!(f, "      gateway: \"{}\"", routes.subnet)?;
            writeln!(f, "      mac: \"{}\"", routes.mac)?;
            writeln!(f, "      max_hosts: {}", routes.most)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Settings, String> {
        let section: ReactiveSection =
            serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        Settings::try_from(section).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let settings = read("bridges: [{ vlan: 10, untagged: [swp1] }]").expect("it is in order");
        assert_eq!(settings.frames_per_second, FRAMES_PER_SECOND);
        let bridge = &settings.bridges[0];
        assert_eq!((bridge.stations_per_port, bridge.idle), (1024, IDLE));
    }

    #[test]
    fn a_mistake_is_named_with_its_place_and_what_would_be_accepted() {
        let cases = [
            ("bridges: [{ vlan: 0, untagged: [a] }]", "bridge 1: vlan 0"),
            ("bridges: [{ vlan: 1 }]", "bridge 1 of VLAN 1 has no ports"),
            (
                "bridges: [{ vlan: 1, untagged: ['a['] }]",
                "bridge 1: \"a[\"",
            ),
            (
                "bridges: [{ vlan: 1, untagged: [a] }, { vlan: 1, untagged: [b] }]",
                "bridges 1 and 2 are both for VLAN 1",
            ),
            (
                "bridges: [{ vlan: 1, untagged: [a] }, { vlan: 2, untagged: [a] }]",
                "\"a\" is untagged in the bridges of VLAN 1 and VLAN 2",
            ),
            (
                "bridges: [{ vlan: 1, untagged: [a], tagged: [a] }]",
                "\"a\" is both tagged and untagged",
            ),
            (
                "bridges: [{ vlan: 1, untagged: [a], idle_seconds: 0 }]",
                "idle_seconds 0 is not possible; 1 to 86400 are",
            ),
            (
                "host_routes: [{ vlan: 1, gateway: 10.0.0.1, mac: '02:00:00:00:00:01', untagged: [a] }]",
                "host_routes 1: gateway \"10.0.0.1\" is no address of a subnet",
            ),
            (
                "host_routes: [{ vlan: 1, gateway: 10.0.0.1/24, mac: '03:00:00:00:00:01', untagged: [a] }]",
                "is not the MAC address of a station",
            ),
            (
                "host_routes: [{ vlan: 1, gateway: 10.0.0.1/24, mac: '02:00:00:00:00:01' }]",
                "host_routes 1 of VLAN 1 has no ports",
            ),
            (
                "host_routes: [{ vlan: 1, gateway: 10.0.0.1/8, mac: '02:00:00:00:00:01', tagged: [a] },
                               { vlan: 2, gateway: 10.1.0.1/24, mac: '02:00:00:00:00:01', tagged: [a] }]",
                "host_routes 1 and 2 are both for 10.1.0.1",
            ),
            ("frames_per_second: 0", "1 and more are"),
            ("bridges: [{ vlan: 1, ports: [a] }]", "ports"),
        ];
        for (yaml, expected) in cases {
            let error = read(yaml).expect_err(yaml);
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }
}
