//! Ports that are asked for by the look of their interfaces' names: `swp*` is every such interface there is,
//! now and later.

use std::fmt;
use std::str::FromStr;

use glob::Pattern;

use super::spec::{PortSpec, PortSpecError};

/// What an operator asks for: a port, or one for each interface whose name fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRequest {
    /// This one, whether its interface exists or not.
    One(PortSpec),
    /// As many as there are.
    Every(PortPattern),
}

/// Names of interfaces: `*` is any number of characters, `?` one, `[abc]` one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPattern(Pattern);

impl PortPattern {
    /// Whether an interface is meant.
    pub fn matches(&self, interface: &str) -> bool {
        self.0.matches(interface)
    }
}

/// The number that an interface's name ends with, by which its port goes if nobody else does: `swp49` is 49.
pub(super) fn number_of(interface: &str) -> Option<u32> {
    let stem = interface.trim_end_matches(|c: char| c.is_ascii_digit());
    interface[stem.len()..].parse().ok()
}

impl fmt::Display for PortPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Display for PortRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortRequest::One(port) => port.fmt(f),
            PortRequest::Every(pattern) => pattern.fmt(f),
        }
    }
}

impl FromStr for PortRequest {
    type Err = PortSpecError;

    fn from_str(text: &str) -> Result<PortRequest, PortSpecError> {
        if !text.contains(['*', '?', '[']) {
            return text.parse().map(PortRequest::One);
        }
        let refused = |why: &str| PortSpecError::Pattern {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        if text.contains('=') {
            return Err(refused(
                "a pattern has no number of its own: ports are numbered as their interfaces are",
            ));
        }
        let pattern = Pattern::new(text).map_err(|error| refused(error.msg))?;
        Ok(PortRequest::Every(PortPattern(pattern)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PortPattern {
        match text.parse() {
            Ok(PortRequest::Every(pattern)) => pattern,
            other => panic!("{text} is a pattern, not {other:?}"),
        }
    }

    #[test]
    fn a_pattern_stands_for_interfaces() {
        assert!(pattern("swp*").matches("swp49"));
        assert!(!pattern("swp*").matches("eth0"));
        assert!(pattern("eth[12]").matches("eth2"));
        assert!(!pattern("eth?").matches("eth10"));
        assert!(matches!("eth1".parse(), Ok(PortRequest::One(_))));
    }

    #[test]
    fn what_cannot_be_a_pattern_is_refused_with_the_reason() {
        let refusal = |text: &str| {
            let parsed: Result<PortRequest, PortSpecError> = text.parse();
            parsed.expect_err("it is refused").to_string()
        };
        assert!(refusal("1=swp*").contains("no number of its own"));
        assert!(refusal("swp[1").contains("port \"swp[1\""));
    }

    #[test]
    fn a_port_goes_by_the_number_of_its_interface() {
        assert_eq!(number_of("swp49"), Some(49));
        assert_eq!(number_of("enp3s0f1"), Some(1));
        assert_eq!(number_of("wan"), None);
        assert_eq!(number_of("a99999999999"), None);
    }
}
