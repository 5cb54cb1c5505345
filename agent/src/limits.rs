//! What the agent takes from its clients at most, in one place.
//!
//! Each is an option of the configuration file (`limits:`). Whoever asks for more is told so
//! with RESOURCE_EXHAUSTED, but where a limit says something else.

use std::fmt;

use serde::Deserialize;
use thiserror::Error;
use tonic::Status;

/// The specification asks servers to take messages of 4 MB.
const LEAST_MESSAGE_BYTES: usize = 4 << 20;

/// Some packets should fit.
const LEAST_QUEUED_BYTES: usize = 1 << 20;

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
    /// Updates of one Write.
    pub write_updates: usize,
    /// Filters of one Read.
    pub read_filters: usize,
    /// Streams of P4Runtime clients.
    pub streams: usize,
    /// Of these, streams of one role.
    pub streams_per_role: usize,
    /// Roles beside the default one. A role that ever had a primary is remembered, also over a
    /// restart.
    pub roles: usize,
    /// Packets and notifications that wait for one client. Those that a slow client has no room for
    /// are lost and counted; what it has to know of mastership is not among them.
    pub packet_in_queue: usize,
    /// Bytes that wait for all clients together; more are lost, too.
    pub queued_bytes: usize,
    /// Packets for controllers that each port may send up in a second. More are dropped in the kernel and
    /// counted, so that a storm at one port leaves the agent its time.
    pub packet_ins_per_port: u32,
    /// The same for packets that take the slow path, and for packets that something is copied of there.
    pub slow_path_per_port: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            requests_per_connection: 256,
            message_bytes: 64 << 20,
            write_updates: 1 << 18,
            read_filters: 1 << 16,
            streams_per_role: 32,
            streams: 256,
            roles: 1024,
            packet_in_queue: 4096,
            queued_bytes: 64 << 20,
            packet_ins_per_port: 50_000,
            slow_path_per_port: 50_000,
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
    fn rows(&self) -> [(&'static str, usize, usize); 12] {
        [
            ("connections", self.connections, 1),
            ("requests_per_connection", self.requests_per_connection, 1),
            ("message_bytes", self.message_bytes, LEAST_MESSAGE_BYTES),
            ("write_updates", self.write_updates, 1),
            ("read_filters", self.read_filters, 1),
            ("streams", self.streams, 1),
            ("streams_per_role", self.streams_per_role, 1),
            ("roles", self.roles, 0),
            ("packet_in_queue", self.packet_in_queue, 1),
            ("queued_bytes", self.queued_bytes, LEAST_QUEUED_BYTES),
            ("packet_ins_per_port", self.packet_ins_per_port as usize, 1),
            ("slow_path_per_port", self.slow_path_per_port as usize, 1),
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

/// More than a request may have: RESOURCE_EXHAUSTED.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the request has {given} {what}, and {limit} is the most (limits.{name}); send several requests"
)]
pub struct TooMuch {
    given: usize,
    what: &'static str,
    limit: usize,
    name: &'static str,
}

impl From<TooMuch> for Status {
    fn from(error: TooMuch) -> Status {
        Status::resource_exhausted(error.to_string())
    }
}

impl Limits {
    /// May a Write have so many updates?
    pub fn check_updates(&self, given: usize) -> Result<(), TooMuch> {
        bounded(given, "updates", self.write_updates, "write_updates")
    }

    /// May a Read have so many filters?
    pub fn check_filters(&self, given: usize) -> Result<(), TooMuch> {
        bounded(given, "entities", self.read_filters, "read_filters")
    }
}

fn bounded(
    given: usize,
    what: &'static str,
    limit: usize,
    name: &'static str,
) -> Result<(), TooMuch> {
    if given <= limit {
        return Ok(());
    }
    Err(TooMuch {
        given,
        what,
        limit,
        name,
    })
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
