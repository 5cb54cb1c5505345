//! The ports there are, and what follows from a change of a link.

use std::collections::BTreeMap;

use thiserror::Error;

use super::pattern::{PortPattern, number_of};
use super::spec::PortSpec;
use super::watch::Link;
use crate::target::{Attachment, Interface, TargetError};

/// The highest number of a port: `egress_spec` has nine bits in v1model, and 511 drops.
const LAST_PORT: u32 = 510;

/// Why a port cannot be added or found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PortError {
    /// Another port has the number.
    #[error("port number {number} is taken by {name}")]
    NumberTaken {
        /// The number.
        number: u32,
        /// Who has it.
        name: String,
    },
    /// The number is out of range or the CPU port's.
    #[error("port number {number} cannot be used; 1 to 510 can, but for the CPU port {cpu_port}")]
    BadNumber {
        /// The number.
        number: u32,
        /// The CPU port.
        cpu_port: u32,
    },
    /// Another port has the name.
    #[error("port name {name:?} is taken by port {number}")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        number: u32,
    },
    /// Another port has the interface.
    #[error("interface {interface} is port {number} already")]
    InterfaceTaken {
        /// The interface.
        interface: String,
        /// Which port it is.
        number: u32,
    },
    /// There is no free number.
    #[error("all {LAST_PORT} port numbers are in use")]
    Full,
    /// It would be back at once.
    #[error(
        "port {number} is there because its interface {interface} fits the pattern {pattern}; take the \
         pattern out of the configuration, or the interface away"
    )]
    OfPattern {
        /// The port.
        number: u32,
        /// Its interface.
        interface: String,
        /// The pattern.
        pattern: String,
    },
    /// There is no such port.
    #[error("there is no port {port}; there are {known}")]
    Unknown {
        /// What was asked for.
        port: String,
        /// What there is.
        known: String,
    },
}

/// Where a port comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The configuration, which is read at every start.
    Configured,
    /// A request while the agent ran, which is kept.
    Requested,
    /// An interface whose name fits a configured pattern. Its number is kept.
    Found,
}

/// A port.
#[derive(Debug, Clone)]
pub struct Port {
    /// Its P4 number.
    pub number: u32,
    /// Its name in objectives.
    pub name: String,
    /// Its Linux interface.
    pub interface: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What is known of the interface; `None` while it does not exist.
    pub link: Option<Link>,
    /// Whether packets reach the pipeline.
    pub state: PortState,
}

/// Whether packets reach the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortState {
    /// The interface does not exist.
    NoInterface,
    /// The target has it.
    Attached(Attachment),
    /// The target does not want it.
    Refused(String),
}

impl Port {
    /// Whether the port can carry packets.
    pub fn is_up(&self) -> bool {
        matches!(self.state, PortState::Attached(_)) && self.link.as_ref().is_some_and(|l| l.up)
    }

    /// What is wrong and what to do; nothing if nothing is.
    pub fn message(&self) -> String {
        match &self.state {
            PortState::NoInterface => format!(
                "interface {} does not exist; the port comes up when it does",
                self.interface
            ),
            PortState::Refused(why) => why.clone(),
            PortState::Attached(_) if !self.is_up() => {
                let taken_up = self.link.as_ref().is_some_and(|link| link.admin_up);
                match taken_up {
                    true => format!("interface {0} has no link; is its peer up?", self.interface),
                    false => format!(
                        "interface {0} is not up; `ip link set dev {0} up` takes it up",
                        self.interface
                    ),
                }
            }
            PortState::Attached(_) => String::new(),
        }
    }
}

/// What the target must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortCommand {
    /// The port is there from now on, and keeps its number.
    Keep {
        /// The port.
        number: u32,
    },
    /// Attach, and report with [`Ports::attached`].
    Attach {
        /// The port.
        number: u32,
        /// To what.
        interface: Interface,
    },
    /// Let go of the interface, which may be gone.
    Detach {
        /// The port.
        number: u32,
    },
    /// It can carry packets from now on, or cannot any more. [`Liveness`](super::Liveness) has told the
    /// data plane.
    Turned {
        /// The port.
        number: u32,
        /// Whether it can carry packets.
        up: bool,
    },
}

/// The ports there are.
#[derive(Debug)]
pub struct Ports {
    cpu_port: u32,
    patterns: Vec<PortPattern>,
    by_number: BTreeMap<u32, Port>,
}

impl Ports {
    /// No ports but the CPU's.
    pub fn new(cpu_port: u32) -> Ports {
        Ports {
            cpu_port,
            patterns: Vec::new(),
            by_number: BTreeMap::new(),
        }
    }

    /// Makes a port of every interface whose name fits, from now on.
    pub fn add_pattern(&mut self, pattern: PortPattern) {
        self.patterns.push(pattern);
    }

    /// The pattern that an interface's name fits.
    pub fn pattern_of(&self, interface: &str) -> Option<&PortPattern> {
        self.patterns.iter().find(|p| p.matches(interface))
    }

    /// The CPU port, which has no interface.
    pub fn cpu_port(&self) -> u32 {
        self.cpu_port
    }

    /// Every number that a port can have.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let cpu_port = self.cpu_port;
        (1..=LAST_PORT).filter(move |number| *number != cpu_port)
    }

    /// All ports, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Port> {
        self.by_number.values()
    }

    /// The port of a number.
    pub fn by_number(&self, number: u32) -> Result<&Port, PortError> {
        self.by_number
            .get(&number)
            .ok_or_else(|| self.unknown(number.to_string()))
    }

    /// The port of a name.
    pub fn by_name(&self, name: &str) -> Result<&Port, PortError> {
        let found = self.iter().find(|port| port.name == name);
        found.ok_or_else(|| self.unknown(format!("{name:?}")))
    }

    fn unknown(&self, port: String) -> PortError {
        let known: Vec<_> = self
            .iter()
            .map(|p| format!("{} ({})", p.number, p.name))
            .collect();
        PortError::Unknown {
            port,
            known: match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            },
        }
    }

    /// Adds a port; it has no interface until a link fact says so. Returns its number.
    pub fn add(&mut self, spec: PortSpec, origin: Origin) -> Result<u32, PortError> {
        let number = match spec.number {
            Some(number) => number,
            None => self.free_number()?,
        };
        if number == 0 || number > LAST_PORT || number == self.cpu_port {
            return Err(PortError::BadNumber {
                number,
                cpu_port: self.cpu_port,
            });
        }
        let name = spec.name.unwrap_or_else(|| spec.interface.clone());
        for port in self.iter() {
            if port.number == number {
                return Err(PortError::NumberTaken {
                    number,
                    name: port.name.clone(),
                });
            }
            if port.name == name {
                return Err(PortError::NameTaken {
                    name,
                    number: port.number,
                });
            }
            if port.interface == spec.interface {
                return Err(PortError::InterfaceTaken {
                    interface: spec.interface,
                    number: port.number,
                });
            }
        }
        let port = Port {
            number,
            name,
            interface: spec.interface,
            origin,
            link: None,
            state: PortState::NoInterface,
        };
        self.by_number.insert(number, port);
        Ok(number)
    }

    fn free_number(&self) -> Result<u32, PortError> {
        let mut numbers = 1..=LAST_PORT;
        let free = numbers.find(|number| self.is_free(*number));
        free.ok_or(PortError::Full)
    }

    fn is_free(&self, number: u32) -> bool {
        let is_number = (1..=LAST_PORT).contains(&number) && number != self.cpu_port;
        is_number && !self.by_number.contains_key(&number)
    }

    /// Adds a port for an interface that has none, if a pattern says so.
    fn find(&mut self, link: &Link) -> Result<Option<u32>, PortError> {
        let is_port = self.iter().any(|port| port.interface == link.name);
        if is_port || !link.is_ethernet || self.pattern_of(&link.name).is_none() {
            return Ok(None);
        }
        let number = number_of(&link.name).filter(|number| self.is_free(*number));
        let spec = PortSpec {
            number,
            name: None,
            interface: link.name.clone(),
        };
        self.add(spec, Origin::Found).map(Some)
    }

    /// Forgets a port.
    pub fn remove(&mut self, number: u32) -> Result<(Port, Vec<PortCommand>), PortError> {
        if let Some(port) = self.by_number.get(&number)
            && port.link.is_some()
            && let Some(pattern) = self.pattern_of(&port.interface)
        {
            return Err(PortError::OfPattern {
                number,
                interface: port.interface.clone(),
                pattern: pattern.to_string(),
            });
        }
        match self.by_number.remove(&number) {
            None => Err(self.unknown(number.to_string())),
            Some(port) => {
                let mut commands = vec![PortCommand::Turned { number, up: false }];
                if port.link.is_some() {
                    commands.push(PortCommand::Detach { number });
                }
                Ok((port, commands))
            }
        }
    }

    /// An interface is there, or has changed.
    pub fn link_changed(&mut self, link: &Link) -> Vec<PortCommand> {
        let mut commands = match self.find(link) {
            Ok(found) => Vec::from_iter(found.map(|number| PortCommand::Keep { number })),
            Err(error) => {
                tracing::warn!(interface = link.name, %error, "an interface is not made a port");
                Vec::new()
            }
        };
        for port in self.by_number.values_mut() {
            let number = port.number;
            let known = port.link.as_ref().map(|l| l.index);
            // The kernel reuses names: another index is another interface.
            let gone =
                known.is_some_and(|index| (index == link.index) != (port.interface == link.name));
            if gone {
                commands.extend(port.lose());
            }
            if port.interface != link.name {
                continue;
            }
            let was_up = port.is_up();
            let is_new = port.link.is_none();
            // The target may take it now, for instance with another MTU.
            let is_changed = port.link.as_ref().is_some_and(|known| !known.is_same(link));
            let is_refused = matches!(port.state, PortState::Refused(_));
            port.link = Some(link.clone());
            if is_new || is_refused && is_changed {
                commands.push(PortCommand::Attach {
                    number,
                    interface: Interface {
                        name: link.name.clone(),
                        index: link.index,
                    },
                });
            } else if was_up != port.is_up() {
                commands.push(PortCommand::Turned {
                    number,
                    up: port.is_up(),
                });
            }
        }
        commands
    }

    /// An interface is gone.
    pub fn link_gone(&mut self, index: u32) -> Vec<PortCommand> {
        let ports = self.by_number.values_mut();
        let lost = ports.filter(|p| p.link.as_ref().is_some_and(|l| l.index == index));
        lost.flat_map(Port::lose).collect()
    }

    /// How an attachment went.
    pub fn attached(
        &mut self,
        number: u32,
        result: Result<Attachment, TargetError>,
    ) -> Vec<PortCommand> {
        let Some(port) = self.by_number.get_mut(&number) else {
            return Vec::new();
        };
        port.state = match result {
            Ok(attachment) => PortState::Attached(attachment),
            Err(error) => PortState::Refused(error.to_string()),
        };
        vec![PortCommand::Turned {
            number,
            up: port.is_up(),
        }]
    }
}

impl Port {
    fn lose(&mut self) -> Vec<PortCommand> {
        self.link = None;
        self.state = PortState::NoInterface;
        let number = self.number;
        vec![
            PortCommand::Turned { number, up: false },
            PortCommand::Detach { number },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::PortRequest;
    use super::*;

    fn link(name: &str, index: u32, up: bool) -> Link {
        Link {
            index,
            name: name.to_owned(),
            admin_up: up,
            up,
            is_ethernet: true,
            mac: vec![2, 0, 0, 0, 0, 1],
            mtu: 1500,
            counters: Default::default(),
        }
    }

    fn ports(specs: &[&str]) -> Ports {
        let mut ports = Ports::new(255);
        for spec in specs {
            let spec = spec.parse().expect("a port");
            ports
                .add(spec, Origin::Configured)
                .expect("the port is free");
        }
        ports
    }

    #[test]
    fn a_port_is_attached_when_its_interface_appears_and_comes_up_with_its_link() {
        let mut ports = ports(&["1=eth1"]);
        assert!(ports.link_changed(&link("other", 4, true)).is_empty());
        let commands = ports.link_changed(&link("eth1", 5, false));
        assert!(matches!(
            commands[..],
            [PortCommand::Attach { number: 1, .. }]
        ));
        let commands = ports.attached(1, Ok(Attachment::Native));
        assert_eq!(
            commands,
            [PortCommand::Turned {
                number: 1,
                up: false
            }]
        );
        let commands = ports.link_changed(&link("eth1", 5, true));
        assert_eq!(
            commands,
            [PortCommand::Turned {
                number: 1,
                up: true
            }]
        );
        assert!(ports.link_changed(&link("eth1", 5, true)).is_empty());
        assert_eq!(ports.by_number(1).expect("there is one").message(), "");
    }

    #[test]
    fn a_refused_interface_is_tried_again_when_something_about_it_changes() {
        let mut ports = ports(&["1=eth1"]);
        ports.link_changed(&link("eth1", 5, true));
        let refused = TargetError::Unsupported("the MTU is too large".to_owned());
        ports.attached(1, Err(refused));
        assert!(ports.link_changed(&link("eth1", 5, true)).is_empty());
        let smaller = Link {
            mtu: 1400,
            ..link("eth1", 5, true)
        };
        let commands = ports.link_changed(&smaller);
        assert!(matches!(
            commands[..],
            [PortCommand::Attach { number: 1, .. }]
        ));
    }

    #[test]
    fn an_interface_that_is_made_anew_is_attached_anew() {
        let mut ports = ports(&["1=eth1"]);
        ports.link_changed(&link("eth1", 5, true));
        ports.attached(1, Ok(Attachment::Native));
        let commands = ports.link_changed(&link("eth1", 9, true));
        assert!(matches!(
            commands[..],
            [
                PortCommand::Turned {
                    number: 1,
                    up: false
                },
                PortCommand::Detach { number: 1 },
                PortCommand::Attach { number: 1, .. }
            ]
        ));
        assert_eq!(ports.link_gone(9).len(), 2);
        assert!(
            ports
                .by_number(1)
                .expect("it stays")
                .message()
                .contains("does not exist")
        );
    }

    fn found(ports: &mut Ports, name: &str, index: u32) -> Option<u32> {
        match ports.link_changed(&link(name, index, true))[..] {
            [
                PortCommand::Keep { number },
                PortCommand::Attach {
                    number: attached, ..
                },
            ] => {
                assert_eq!(number, attached);
                Some(number)
            }
            [] => None,
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_interface_that_fits_a_pattern_is_a_port_by_its_number_if_that_is_free() {
        let mut ports = ports(&["2=eth1"]);
        let Ok(PortRequest::Every(pattern)) = "swp*".parse() else {
            panic!("it is a pattern");
        };
        ports.add_pattern(pattern);
        assert_eq!(found(&mut ports, "swp49", 5), Some(49));
        assert_eq!(found(&mut ports, "swp2", 6), Some(1));
        assert_eq!(found(&mut ports, "swp255", 7), Some(3));
        assert_eq!(found(&mut ports, "other7", 8), None);
        let loopback = Link {
            is_ethernet: false,
            ..link("swp9", 9, true)
        };
        assert!(ports.link_changed(&loopback).is_empty());
    }

    #[test]
    fn a_found_port_keeps_its_number_while_its_interface_is_away_and_goes_only_then() {
        let mut ports = ports(&[]);
        let Ok(PortRequest::Every(pattern)) = "swp*".parse() else {
            panic!("it is a pattern");
        };
        ports.add_pattern(pattern);
        assert_eq!(found(&mut ports, "swp4", 5), Some(4));
        let error = ports.remove(4).expect_err("it would be back");
        assert!(error.to_string().contains("swp*"), "{error}");
        ports.link_gone(5);
        let commands = ports.link_changed(&link("swp4", 6, true));
        assert!(matches!(
            commands[..],
            [PortCommand::Attach { number: 4, .. }]
        ));
        ports.link_gone(6);
        let (port, _) = ports.remove(4).expect("its interface is away");
        assert_eq!(port.origin, Origin::Found);
    }

    #[test]
    fn numbers_names_and_interfaces_are_unique() {
        let mut ports = ports(&["eth1", "eth2"]);
        assert_eq!(ports.by_name("eth2").map(|p| p.number), Ok(2));
        let mut add = |spec: &str| ports.add(spec.parse().expect("a port"), Origin::Requested);
        assert!(matches!(add("2=eth3"), Err(PortError::NumberTaken { .. })));
        assert!(matches!(add("3=eth2"), Err(PortError::NameTaken { .. })));
        assert!(matches!(
            add("3:x=eth2"),
            Err(PortError::InterfaceTaken { .. })
        ));
        assert!(matches!(add("255=eth4"), Err(PortError::BadNumber { .. })));
        let unknown = ports.by_name("eth9").expect_err("there is none");
        assert_eq!(
            unknown.to_string(),
            "there is no port \"eth9\"; there are 1 (eth1), 2 (eth2)"
        );
    }
}
