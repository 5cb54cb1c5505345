//! What the switch does by itself for stations that it sees.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use glob::Pattern;
use pointsman_model::VlanId;
use serde::Deserialize;
use thiserror::Error;

use crate::reactive::{Bridge, Members, Settings};

const FRAMES_PER_SECOND: u32 = 1000;
const STATIONS_PER_PORT: usize = 1024;
const IDLE: Duration = Duration::from_secs(300);

/// Why a policy is not possible. `bridge` counts from 1.
#[derive(Debug, Error)]
pub enum ReactiveError {
    /// Not a VLAN.
    #[error("reactive: bridge {bridge}: vlan {vlan} is not possible; 1 to 4094 are")]
    Vlan {
        /// Which bridge.
        bridge: usize,
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
    /// Nothing to bridge.
    #[error(
        "reactive: bridge {bridge} of VLAN {vlan} has no ports; give it some, for example untagged: [swp1, \"swp2*\"]"
    )]
    NoPorts {
        /// Which bridge.
        bridge: usize,
        /// Its VLAN.
        vlan: VlanId,
    },
    /// Not a pattern.
    #[error(
        "reactive: bridge {bridge}: {pattern:?} is no name of a port, and no pattern of names: {why}"
    )]
    Pattern {
        /// Which bridge.
        bridge: usize,
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
        Ok(Settings {
            frames_per_second,
            bridges,
        })
    }
}

fn bridge(section: BridgeSection, bridge: usize) -> Result<Bridge, ReactiveError> {
    let vlan = section.vlan;
    let vlan = VlanId::new(vlan).ok_or(ReactiveError::Vlan { bridge, vlan })?;
    let patterns = |texts: Option<Vec<String>>| {
        let texts = texts.unwrap_or_default().into_iter();
        let patterns = texts.map(|pattern| {
            Pattern::new(&pattern).map_err(|error| ReactiveError::Pattern {
                bridge,
                why: error.msg,
                pattern,
            })
        });
        patterns.collect::<Result<Vec<_>, _>>()
    };
    let members = Members {
        untagged: patterns(section.untagged)?,
        tagged: patterns(section.tagged)?,
    };
    if members == Members::default() {
        return Err(ReactiveError::NoPorts { bridge, vlan });
    }
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
        if !self.bridges.is_empty() {
            writeln!(f, "  bridges:")?;
        }
        for bridge in &self.bridges {
            let list = |patterns: &[Pattern]| {
                let texts: Vec<_> = patterns
                    .iter()
                    .map(|p| format!("{:?}", p.as_str()))
                    .collect();
                texts.join(", ")
            };
            writeln!(f, "    - vlan: {}", bridge.vlan)?;
            writeln!(f, "      untagged: [{}]", list(&bridge.members.untagged))?;
            writeln!(f, "      tagged: [{}]", list(&bridge.members.tagged))?;
            writeln!(f, "      stations_per_port: {}", bridge.stations_per_port)?;
            writeln!(f, "      idle_seconds: {}", bridge.idle.as_secs())?;
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
            ("frames_per_second: 0", "1 and more are"),
            ("bridges: [{ vlan: 1, ports: [a] }]", "ports"),
        ];
        for (yaml, expected) in cases {
            let error = read(yaml).expect_err(yaml);
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }
}
