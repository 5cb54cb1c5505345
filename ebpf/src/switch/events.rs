//! Events on their way from the programs to the agent.
//!
//! Their layout is that of [`crate::compile::output`]. The ring buffer is read without system
//! calls while it has something; its descriptor polls readable when it has.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{Map as AyaMap, MapData, RingBuf};
use thiserror::Error;

use crate::compile::output::{EVENT_HEADER_BYTES, EVENT_VALUES, EVENT_VALUES_OFFSET, EventKind};

use super::Shared;

/// Why the ring buffer cannot be read.
#[derive(Debug, Error)]
#[error("cannot open the ring buffer of packets for the agent: {0}")]
pub struct EventsError(String);

/// A packet for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Why it is here.
    pub kind: EventKind,
    /// The port it came in by.
    pub ingress_port: u32,
    /// The clone session asked for; only of clones.
    pub session: u32,
    /// The clone's field list, if it has one.
    pub field_list: Option<u32>,
    /// The values of its fields; those that it does not have are 0.
    pub values: [u64; EVENT_VALUES],
    /// The packet.
    pub packet: Vec<u8>,
}

/// Reads events. There is one reader of a switch.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl Events {
    /// Opens the ring buffer of a switch.
    pub fn open(shared: &Shared) -> Result<Events, EventsError> {
        let fd = shared
            .events
            .duplicate()
            .map_err(|e| EventsError(e.to_string()))?;
        let data = MapData::from_fd(fd).map_err(|e| EventsError(e.to_string()))?;
        let map = AyaMap::from_map_data(data).map_err(|e| EventsError(e.to_string()))?;
        let ring = RingBuf::try_from(map).map_err(|e| EventsError(e.to_string()))?;
        Ok(Events { ring })
    }

    /// The next event, if there is one now.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            // A record that cannot be read is none of ours.
            if let Some(event) = decode(&item) {
                return Some(event);
            }
        }
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn decode(record: &[u8]) -> Option<Event> {
    let word = |at: usize| {
        record
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_ne_bytes)
    };
    let kind = match word(0)? {
        1 => EventKind::PacketIn,
        2 => EventKind::Clone,
        3 => EventKind::SlowPath,
        4 => EventKind::Replicate,
        _ => return None,
    };
    let mut values = [0; EVENT_VALUES];
    for (index, value) in values.iter_mut().enumerate() {
        let at = EVENT_VALUES_OFFSET + 8 * index;
        *value = u64::from_ne_bytes(record.get(at..at + 8)?.try_into().ok()?);
    }
    let length = word(8)? as usize;
    let packet = record
        .get(EVENT_HEADER_BYTES..EVENT_HEADER_BYTES + length)?
        .to_vec();
    Some(Event {
        kind,
        ingress_port: word(4)?,
        session: word(12)?,
        field_list: word(16)?.checked_sub(1),
        values,
        packet,
    })
}
