//! What a port looks at before the pipeline: frames of the protocols that the agent itself speaks.
//!
//! The root program ends in a tail call to the pipeline. Before that, `program` tells LLDP, ARP, IPv6 neighbour
//! discovery and DHCP from all other frames, by the headers and without a lookup, and puts a *copy* of each
//! on a ring buffer of its own, or *takes* it, as the agent has asked for. So what the agent learns of its
//! neighbours depends on no P4 program, and what it does not ask for costs the pipeline nothing.
//!
//! A frame of any other kind pays for the comparison of its EtherType, and for IP of its protocol. Copies
//! are limited for each kind and port, so that a storm at one port leaves room for the others; what is
//! beyond the limit, or finds the ring buffer full, is counted, and goes its way through the pipeline.
//!
//! A bridge that is the agent's own learns from all frames, whatever they are: the program looks their senders up in
//! [`Stations`], and hands up the headers of those that are not where they are known to be.
//!
//! ```text
//! 0        u32 for each kind: 0 not asked for, 1 copied, 2 taken
//! 32       u32 for each kind: how many frames of a port are copied in a window
//! 64       u64 for each kind: frames that found the ring buffer full
//! 128      for each kind, for each port: the cell of its window, see `windows`
//! ```

mod frames;
mod kind;
mod program;
mod stations;

pub use frames::{Frames, FramesError, LocalFrame};
pub use kind::{LocalKind, is_link_local};
pub(crate) use program::emit;
pub use stations::{NO_VLAN, Station, Stations};

use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::switch::ports::MAX_PORTS;
use crate::sys::{Map, MapFd, MapKind, SharedMemory, SysError};
use crate::windows::{self, CELL_BYTES};

const KINDS: u32 = LocalKind::ALL.len() as u32;
const WANTED: u32 = 0;
const LIMITS: u32 = 32;
const FULL: u32 = 64;
const CELLS: u32 = 128;
/// The word of a kind that is taken.
const TAKE: u32 = 2;
const MEMORY_BYTES: u32 = CELLS + KINDS * MAX_PORTS * CELL_BYTES;
const RING_BYTES: u32 = 1 << 20;

/// What becomes of frames of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// They are the pipeline's alone.
    #[default]
    No,
    /// The agent gets a copy.
    Copy,
    /// The agent gets them, and the pipeline does not. Of LLDP those to the group addresses that no
    /// bridge forwards; others are the pipeline's.
    Take,
}

/// Frames that the agent did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// The agent reads too slowly.
    pub full: u64,
    /// More came at one port than are let through.
    pub limited: u64,
}

/// The memory, the ring buffer, and the stations that are known.
#[derive(Debug)]
pub struct Front {
    map: Map,
    memory: SharedMemory,
    ring: Map,
    /// Who is where, as far as the agent's own bridges know.
    pub stations: Stations,
}

impl Front {
    /// Nothing is asked for.
    pub fn new() -> Result<Front, SysError> {
        let map = Map::create(MapKind::Shared, "front", MEMORY_BYTES, 1)?;
        let memory = map.memory()?;
        Ok(Front {
            map,
            memory,
            ring: Map::create(MapKind::RingBuffer, "local", RING_BYTES, 1)?,
            stations: Stations::new()?,
        })
    }

    /// Opens one that was pinned; what was asked for goes on.
    pub fn open(memory: &Path, ring: &Path, stations: &Path) -> Result<Front, SysError> {
        let map = Map::open(MapKind::Shared, "front", MEMORY_BYTES, 1, memory)?;
        let memory = map.memory()?;
        Ok(Front {
            map,
            memory,
            ring: Map::open(MapKind::RingBuffer, "local", RING_BYTES, 1, ring)?,
            stations: Stations::open(stations)?,
        })
    }

    /// Keeps all of it when this process ends.
    pub fn pin(&self, memory: &Path, ring: &Path, stations: &Path) -> Result<(), SysError> {
        self.map.pin(memory)?;
        self.ring.pin(ring)?;
        self.stations.pin(stations)
    }

    /// Asks for frames of a kind, at most about so many a second from each port.
    pub fn want(&self, kind: LocalKind, wanted: Wanted, per_second: u32) {
        let at = 4 * kind as usize;
        let limit = windows::in_window(per_second);
        self.memory.u32(LIMITS as usize + at).store(limit, Relaxed);
        let word = match wanted {
            Wanted::No => 0,
            Wanted::Copy => 1,
            Wanted::Take => TAKE,
        };
        self.memory.u32(WANTED as usize + at).store(word, Release);
    }

    /// Whether the pipeline does not see this frame, which is of that kind.
    pub fn takes(&self, kind: LocalKind, frame: &[u8]) -> bool {
        let wanted = self.memory.u32(WANTED as usize + 4 * kind as usize);
        let is_for_bridges = kind == LocalKind::Lldp && !is_link_local(frame);
        wanted.load(Acquire) == TAKE && !is_for_bridges
    }

    /// Frames of a kind that were asked for and did not come, since the start.
    pub fn lost(&self, kind: LocalKind) -> Lost {
        let full = self.memory.u64(FULL as usize + 8 * kind as usize);
        let limited = (0..MAX_PORTS).map(|port| {
            let cell = CELLS + (kind as u32 * MAX_PORTS + port) * CELL_BYTES;
            self.memory
                .u64((cell + windows::BEYOND) as usize)
                .load(Relaxed)
        });
        Lost {
            full: full.load(Relaxed),
            limited: limited.sum(),
        }
    }

    /// Where the frames are read. There is one reader.
    pub fn frames(&self) -> Result<Frames, FramesError> {
        Frames::open(&self.ring)
    }

    fn memory_fd(&self) -> MapFd {
        self.map.insn_fd()
    }

    fn ring_fd(&self) -> MapFd {
        self.ring.insn_fd()
    }
}
