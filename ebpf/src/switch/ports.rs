//! The memory that all pipelines of a switch share: which interface is which port, and whether it
//! is live.
//!
//! ```text
//! 0        one byte for each port: 1 while it can carry packets
//! 512      u16 for each interface index: port + 1, 0 for interfaces that are no port
//! 131584   u32: the port that a packet left by last, if the program writes it down
//! 131592   u64: packets for the agent that were lost because the ring buffer was full
//! 131600   u32: how many pipelines there were
//! 131608   u32 for each kind of event: how many packets of a port are handed up in a window
//! 131620   u32: 1 while whoever reads the ring buffer looks by itself and need not be woken
//! 131624   for each kind, for each port: the cell of its window, see `windows`
//! ```
//!
//! What an interface received and sent is netlink's to say.

use std::path::Path;
use std::sync::atomic::Ordering::{Relaxed, Release};

use crate::compile::event::EventKind;
use crate::sys::{Map, MapKind, SharedMemory, SysError};
use crate::windows::{self, CELL_BYTES};

/// Ports are below this: v1model's port numbers have nine bits.
pub const MAX_PORTS: u32 = 512;
/// The highest interface index that can be a port.
pub const MAX_INTERFACE: u32 = u16::MAX as u32;
/// Offset of the liveness bytes.
pub const LIVE_OFFSET: u32 = 0;
/// Offset of the interface indices.
pub const INTERFACES_OFFSET: u32 = MAX_PORTS;
/// Offset of the port that a packet left by last, see [`Trail`](crate::compile::Trail).
pub const LAST_PORT_OFFSET: u32 = INTERFACES_OFFSET + 2 * (MAX_INTERFACE + 1);

/// Offset of the number of lost events.
pub const LOST_EVENTS_OFFSET: u32 = LAST_PORT_OFFSET + 8;

/// Offset of the number of the next pipeline.
const PIPELINES_OFFSET: u32 = LOST_EVENTS_OFFSET + 8;
const LIMITS_OFFSET: u32 = PIPELINES_OFFSET + 8;
/// Offset of whether the reader of the ring buffer is awake. Its values are flags of `bpf_ringbuf_submit`.
pub(crate) const AWAKE_OFFSET: u32 = LIMITS_OFFSET + 12;
const CELLS_OFFSET: u32 = LIMITS_OFFSET + 16;
const BYTES: u32 = CELLS_OFFSET + EventKind::ALL.len() as u32 * MAX_PORTS * CELL_BYTES;

/// Offset of how many packets of a kind are handed up in a window, from one port.
pub(crate) const fn limit_offset(kind: EventKind) -> u32 {
    LIMITS_OFFSET + 4 * (kind as u32 - 1)
}

/// Offset of the first port's cell of a kind.
pub(crate) const fn cells_offset(kind: EventKind) -> u32 {
    CELLS_OFFSET + (kind as u32 - 1) * MAX_PORTS * CELL_BYTES
}

/// The shared memory of the ports.
#[derive(Debug)]
pub struct Ports {
    map: Map,
    memory: SharedMemory,
}

impl Ports {
    /// Creates it, all ports live, and nothing limited.
    pub fn new() -> Result<Ports, SysError> {
        let map = Map::create(MapKind::Shared, "ports", BYTES, 1)?;
        let memory = map.memory()?;
        for port in 0..MAX_PORTS {
            memory.u8((LIVE_OFFSET + port) as usize).store(1, Relaxed);
        }
        let ports = Ports { map, memory };
        for kind in EventKind::ALL {
            ports.limit(kind, None);
        }
        Ok(ports)
    }

    /// Opens one that was pinned, as it is.
    pub fn open(path: &Path) -> Result<Ports, SysError> {
        let map = Map::open(MapKind::Shared, "ports", BYTES, 1, path)?;
        let memory = map.memory()?;
        Ok(Ports { map, memory })
    }

    /// The number of a new pipeline: no other of this switch has it.
    pub fn number_pipeline(&self) -> u32 {
        let next = self.memory.u32(PIPELINES_OFFSET as usize);
        next.fetch_add(1, Relaxed)
    }

    /// The map, for programs.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Says which port packets from an interface come in by.
    pub fn set_interface(&self, interface: u32, port: Option<u32>) {
        let at = (INTERFACES_OFFSET + 2 * interface) as usize;
        self.memory
            .u16(at)
            .store(port.map_or(0, |p| p as u16 + 1), Release);
    }

    /// Says whether a port can carry packets.
    pub fn set_live(&self, port: u32, live: bool) {
        if port < MAX_PORTS {
            self.memory
                .u8((LIVE_OFFSET + port) as usize)
                .store(u8::from(live), Release);
        }
    }

    /// Whether a port can carry packets.
    pub fn is_live(&self, port: u32) -> bool {
        port < MAX_PORTS && self.memory.u8((LIVE_OFFSET + port) as usize).load(Relaxed) != 0
    }

    /// The interfaces that are ports, with their ports.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, u32)> {
        let port = |interface: u32| {
            let at = (INTERFACES_OFFSET + 2 * interface) as usize;
            self.memory.u16(at).load(Relaxed)
        };
        let interfaces = (0..=MAX_INTERFACE).map(move |interface| (interface, port(interface)));
        let ports = interfaces.filter(|(_, port)| *port != 0);
        ports.map(|(interface, port)| (interface, u32::from(port) - 1))
    }

    /// Says how many packets of a kind each port may hand up in a second, about.
    pub fn limit(&self, kind: EventKind, per_second: Option<u32>) {
        let limit = per_second.map_or(u32::MAX, windows::in_window);
        let word = self.memory.u32(limit_offset(kind) as usize);
        word.store(limit, Relaxed);
    }

    /// Says whether the reader of the ring buffer is awake: then packets that are handed up wake nobody.
    pub(super) fn set_awake(&self, awake: bool) {
        // `BPF_RB_NO_WAKEUP` is 1.
        let word = self.memory.u32(AWAKE_OFFSET as usize);
        word.store(u32::from(awake), Relaxed);
    }

    /// Packets that were not handed up because their port had handed up as many as it may.
    pub fn limited(&self, kind: EventKind) -> u64 {
        let beyond = (0..MAX_PORTS).map(|port| {
            let cell = cells_offset(kind) + port * CELL_BYTES;
            let word = self.memory.u64((cell + windows::BEYOND) as usize);
            word.load(Relaxed)
        });
        beyond.sum()
    }

    /// Packets for the agent that were lost because the ring buffer was full.
    pub fn lost_events(&self) -> u64 {
        self.memory.u64(LOST_EVENTS_OFFSET as usize).load(Relaxed)
    }

    /// The port that a packet left by last, by a program that writes it down.
    pub fn last_port(&self) -> u32 {
        self.memory.u32(LAST_PORT_OFFSET as usize).load(Relaxed)
    }
}
