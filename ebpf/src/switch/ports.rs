//! The memory that all pipelines of a switch share: which interface is which port, whether it is
//! live, and what was sent by it.
//!
//! ```text
//! 0        one byte for each port: 1 while it can carry packets
//! 512      u16 for each interface index: port + 1, 0 for interfaces that are no port
//! 131584   for each CPU, for each port, u64: packets and bytes that the program sent
//! ```

use std::sync::atomic::Ordering::{Relaxed, Release};

use crate::sys::{Map, MapKind, SharedMemory, SysError};

/// Ports are below this: v1model's port numbers have nine bits.
pub const MAX_PORTS: u32 = 512;
/// The highest interface index that can be a port.
pub const MAX_INTERFACE: u32 = u16::MAX as u32;
/// Offset of the liveness bytes.
pub const LIVE_OFFSET: u32 = 0;
/// Offset of the interface indices.
pub const INTERFACES_OFFSET: u32 = MAX_PORTS;
/// Offset of the statistics.
pub const STATS_OFFSET: u32 = INTERFACES_OFFSET + 2 * (MAX_INTERFACE + 1);
/// Bytes of a port's statistics.
pub const STATS_BYTES: u32 = 16;

/// What the program in the kernel sent by a port. What an interface received and sent in all is
/// netlink's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct PortStats {
    pub tx_packets: u64,
    pub tx_bytes: u64,
}

/// The shared memory of the ports.
#[derive(Debug)]
pub struct Ports {
    map: Map,
    memory: SharedMemory,
    cpus: u32,
}

impl Ports {
    /// Creates it, all ports live, for `cpus` CPUs (a power of two).
    pub fn new(cpus: u32) -> Result<Ports, SysError> {
        let map = Map::create(
            MapKind::Shared,
            "ports",
            STATS_OFFSET + cpus * MAX_PORTS * STATS_BYTES,
            1,
        )?;
        let memory = map.memory()?;
        for port in 0..MAX_PORTS {
            memory.u8((LIVE_OFFSET + port) as usize).store(1, Relaxed);
        }
        Ok(Ports { map, memory, cpus })
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

    /// What was sent by a port, over all CPUs.
    pub fn stats(&self, port: u32) -> PortStats {
        let mut sum = PortStats::default();
        for cpu in 0..self.cpus {
            let at = STATS_OFFSET + (cpu * MAX_PORTS + port % MAX_PORTS) * STATS_BYTES;
            let word = |index: u32| self.memory.u64((at + 8 * index) as usize).load(Relaxed);
            sum.tx_packets += word(0);
            sum.tx_bytes += word(1);
        }
        sum
    }
}
