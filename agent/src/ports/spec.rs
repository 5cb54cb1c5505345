//! Ports as operators name them: `eth1`, `1=eth1`, `eth1=1` or `1:uplink=eth1`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A port that an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// The P4 number; `None` is the lowest free one.
    pub number: Option<u32>,
    /// The name that objectives use; `None` is the interface's.
    pub name: Option<String>,
    /// The Linux interface.
    pub interface: String,
}

/// Why a port is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PortSpecError {
    /// The interface is missing, or no interface name.
    #[error(
        "port {text:?}: {name:?} is not an interface name; write INTERFACE, NUMBER=INTERFACE or \
         NUMBER:NAME=INTERFACE, for example eth1, 1=eth1 or 1:uplink=eth1"
    )]
    Interface {
        /// The whole text.
        text: String,
        /// What stands for the interface.
        name: String,
    },
    /// Not a port number.
    #[error("port {text:?}: {number:?} is not a port number; 1 to 510 are")]
    Number {
        /// The whole text.
        text: String,
        /// What stands for the number.
        number: String,
    },
    /// Not a pattern of names.
    #[error(
        "port {text:?}: {why}; write part of the names of the interfaces, for example swp* or eth[1-8]"
    )]
    Pattern {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, &self.name) {
            (Some(number), Some(name)) => write!(f, "{number}:{name}={}", self.interface),
            (Some(number), None) => write!(f, "{number}={}", self.interface),
            (None, _) => f.write_str(&self.interface),
        }
    }
}

impl FromStr for PortSpec {
    type Err = PortSpecError;

    fn from_str(text: &str) -> Result<PortSpec, PortSpecError> {
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let (head, interface) = match text.split_once('=') {
            // Both orders are natural; only one side can be the number.
            Some((left, right)) if is_number(right) && !is_number(left) => (Some(right), left),
            Some((head, interface)) => (Some(head), interface),
            None => (None, text),
        };
        // The kernel's rule: at most 15 bytes, without slashes and white space.
        let valid = (1..=15).contains(&interface.len())
            && !interface.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
        if !valid {
            return Err(PortSpecError::Interface {
                text: text.to_owned(),
                name: interface.to_owned(),
            });
        }
        let (number, name) = match head.map(|head| head.split_once(':').unwrap_or((head, ""))) {
            None => (None, ""),
            Some((number, name)) => {
                let parsed = number.parse().ok().filter(|n| *n != 0);
                let number = parsed.ok_or_else(|| PortSpecError::Number {
                    text: text.to_owned(),
                    number: number.to_owned(),
                })?;
                (Some(number), name)
            }
        };
        Ok(PortSpec {
            number,
            name: (!name.is_empty()).then(|| name.to_owned()),
            interface: interface.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Option<u32>, Option<String>, String), PortSpecError> {
        let spec: PortSpec = text.parse()?;
        Ok((spec.number, spec.name, spec.interface))
    }

    #[test]
    fn number_and_name_may_be_left_out() {
        let eth1 = || "eth1".to_owned();
        assert_eq!(parse("eth1"), Ok((None, None, eth1())));
        assert_eq!(parse("7=eth1"), Ok((Some(7), None, eth1())));
        assert_eq!(parse("eth1=7"), Ok((Some(7), None, eth1())));
        let named = Ok((Some(7), Some("uplink".to_owned()), eth1()));
        assert_eq!(parse("7:uplink=eth1"), named);
    }

    #[test]
    fn what_cannot_be_a_port_is_refused() {
        assert!(matches!(parse("0=eth1"), Err(PortSpecError::Number { .. })));
        assert!(matches!(parse("x=eth1"), Err(PortSpecError::Number { .. })));
        assert!(matches!(parse("1="), Err(PortSpecError::Interface { .. })));
        assert!(matches!(parse("a b"), Err(PortSpecError::Interface { .. })));
    }
}
