//! What is configured, checked.

use std::time::Duration;

use glob::Pattern;
use pointsman_model::VlanId;

/// All policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Frames of new stations that are looked at in a second, of each port.
    pub frames_per_second: u32,
    /// One for each VLAN at most.
    pub bridges: Vec<Bridge>,
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
