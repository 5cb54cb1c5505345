//! What the agent takes from its clients at most, in one place.
//!
//! Each is an option of the configuration file (`limits:`). Whoever asks for more is told so
//! with RESOURCE_EXHAUSTED, but where a limit says something else.

use std::fmt;

use serde::Deserialize;
use thiserror::Error;

/// The specification asks servers to take messages of 4 MB.
const LEAST_MESSAGE_BYTES: usize = 4 << 20;

/// The limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at a time, handshakes included. More are closed as they come; their clients
    /// see UNAVAILABLE.
    pub connections: usize,
    /// Requests under way on one connection, streams included. A client knows this number and
    /// keeps more back until others have ended.
    pub requests_per_connection: usize,
    /// Bytes of a message that a client sends.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            requests_per_connection: 256,
            message_bytes: 64 << 20,
        }
    }
}

/// Why limits are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("limits.{name} is {value}; {least} is the least that works")]
pub struct LimitError {
    name: &'static str,
    value: usize,
    least: usize,
}

impl Limits {
    /// Name, value and least value of each.
    fn rows(&self) -> [(&'static str, usize, usize); 3] {
        [
            ("connections", self.connections, 1),
            ("requests_per_connection", self.requests_per_connection, 1),
            ("message_bytes", self.message_bytes, LEAST_MESSAGE_BYTES),
        ]
    }

    /// Are they enough to work with?
    pub fn check(&self) -> Result<(), LimitError> {
        match self.rows().iter().find(|(_, value, least)| value < least) {
            None => Ok(()),
            Some(&(name, value, least)) => Err(LimitError { name, value, least }),
        }
    }
}

/// As a section of a configuration file.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "limits:")?;
        self.rows()
            .iter()
            .try_for_each(|(name, value, _)| writeln!(f, "  {name}: {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_smaller_than_the_specification_asks_for_are_refused_by_name() {
        let limits = Limits {
            message_bytes: 1 << 20,
            ..Limits::default()
        };
        let error = limits.check().expect_err("too small").to_string();
        assert_eq!(
            error,
            "limits.message_bytes is 1048576; 4194304 is the least that works"
        );
        assert_eq!(Limits::default().check(), Ok(()));
    }
}
