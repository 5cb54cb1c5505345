//! Events on their way from the programs to the agent.
//!
//! Their layout is that of [`crate::compile::event`]. The ring buffer is read without system calls while it has
//! something; its descriptor polls readable when it has.
//!
//! To wake a reader costs whoever forwards the packet many times what handing it up does (an interrupt, of the CPU
//! that it runs on). So a reader that looks by itself says so ([`Events::wake`]), and is woken again only after it has
//! said that it sleeps ([`Events::sleep`]).
//!
//! ```text
//! reader: "I sleep" | full barrier | is anything reserved that is not read? Then it is awake again
//! program: reserve a record | full barrier | does the reader sleep? | submit, and wake it if it does
//! ```
//!
//! One of the two sees what the other has done, so no packet waits for the next one to come.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::fence;

use aya::maps::{Map as AyaMap, MapData, RingBuf};
use thiserror::Error;

use crate::compile::event::{EVENT_HEADER_BYTES, EventKind};
use crate::sys::RingPositions;

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
    /// The pipeline that it comes from.
    pub pipeline: u32,
    /// The version of the tables that it went through.
    pub version: u32,
    /// Where the packet left the kernel; nothing for a packet-in.
    pub point: u32,
    /// The PHV as it was then; empty for a packet-in.
    pub state: Vec<u8>,
    /// The packet.
    pub packet: Vec<u8>,
}

/// Reads events. There is one reader of a switch.
pub struct Events {
    ring: RingBuf<MapData>,
    positions: RingPositions,
    shared: Arc<Shared>,
}

impl Events {
    /// Opens the ring buffer of a switch. The reader sleeps, whatever the last one did.
    pub fn open(shared: &Arc<Shared>) -> Result<Events, EventsError> {
        fn refused(error: impl ToString) -> EventsError {
            EventsError(error.to_string())
        }
        let fd = shared.events.duplicate().map_err(refused)?;
        let data = MapData::from_fd(fd).map_err(refused)?;
        let map = AyaMap::from_map_data(data).map_err(refused)?;
        let ring = RingBuf::try_from(map).map_err(refused)?;
        let positions = shared.events.ring_positions().map_err(refused)?;
        shared.ports.set_awake(false);
        Ok(Events {
            ring,
            positions,
            shared: Arc::clone(shared),
        })
    }

    /// Says that the reader looks by itself from now on, and need not be woken.
    pub fn wake(&self) {
        self.shared.ports.set_awake(true);
    }

    /// Says that the reader is to be woken from now on, if there is nothing left to read. Says whether it is so: if
    /// not, the next event is there or is just being written, and the reader is awake.
    pub fn sleep(&self) -> bool {
        self.shared.ports.set_awake(false);
        fence(SeqCst);
        let sleeps = self.positions.is_drained();
        if !sleeps {
            self.wake();
        }
        sleeps
    }

    /// Throws the next event away, unread. Says whether there was one.
    pub fn discard(&mut self) -> bool {
        self.ring.next().is_some()
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
        2 => EventKind::Copies,
        3 => EventKind::Handoff,
        _ => return None,
    };
    let (length, state) = (word(8)? as usize, word(12)? as usize);
    let packet_at = EVENT_HEADER_BYTES + state;
    Some(Event {
        kind,
        ingress_port: word(4)?,
        pipeline: word(16)?,
        point: word(20)?,
        version: word(24)?,
        state: record.get(EVENT_HEADER_BYTES..packet_at)?.to_vec(),
        packet: record.get(packet_at..packet_at + length)?.to_vec(),
    })
}
