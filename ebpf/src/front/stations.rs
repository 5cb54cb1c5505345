//! The stations that the agent's own bridges know, as programs look them up: a hash table in shared memory.
//!
//! ```text
//! 0        u16 for each port: 0 if nobody learns there; else the VLAN of frames without a tag, 4095 if they have none
//! 1024     buckets of eight slots; a slot is
//!          u64 the station, 0 if there is none | u32 port | u32: 1 once it was seen since the agent asked last
//! ```
//!
//! The word of the station is stored last and taken away first, so that who finds it finds its port; a reader that
//! is overtaken hands up one frame too many. A station whose bucket is full is not known here: its frames are handed
//! up at the rate of their port, and nothing else comes of it.
//!
//! The agent writes, from one task. Programs write nothing but that a station was seen.

use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::asm::{Alu, Assembler, Cond, Label, Reg, Size};
use crate::switch::ports::MAX_PORTS;
use crate::sys::{Map, MapKind, SharedMemory, SysError};

const PORTS: u32 = 0;
const BUCKETS_AT: u32 = 2 * MAX_PORTS;
const SLOTS: u32 = 8;
const SLOT_BYTES: u32 = 16;
const BUCKET_BYTES: u32 = SLOTS * SLOT_BYTES;
const BUCKET_BITS: u32 = 13;
const MEMORY_BYTES: u32 = BUCKETS_AT + (BUCKET_BYTES << BUCKET_BITS);
const PORT_IN_SLOT: u32 = 8;
const SEEN_IN_SLOT: u32 = 12;
/// Odd, and without a pattern: Fibonacci hashing.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the destination ends and the source begins.
const SOURCE: i32 = 6;
const ETHER_TYPE: i32 = 12;
const TAG: i32 = 14;
const TAGGED_BYTES: i32 = 18;

/// Untagged frames of a port where only tagged ones are learnt from belong here.
pub const NO_VLAN: u16 = 4095;

/// Who sends: a MAC address in a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Station {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// The VLAN of the outermost tag, or of the port if there is none, or one for priority only.
    pub vlan: u16,
}

impl Station {
    /// Who has sent a frame, by a port whose untagged frames belong to a VLAN; `None` of one that is too short, or in the
    /// name of a group.
    pub fn of(frame: &[u8], untagged: u16) -> Option<Station> {
        let mac: [u8; 6] = frame.get(6..12)?.try_into().ok()?;
        let headers: &[u8; TAGGED_BYTES as usize] = frame.first_chunk()?;
        let vlan = match headers[12..14] {
            [0x81, 0x00] | [0x88, 0xa8] => u16::from_be_bytes([headers[14], headers[15]]) & 0xfff,
            _ => 0,
        };
        let vlan = if vlan == 0 { untagged } else { vlan };
        (mac[0] & 1 == 0).then_some(Station { mac, vlan })
    }

    /// As programs have it: the bytes of the address in the order in which they are sent, and the VLAN above them.
    fn word(self) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) | u64::from(self.vlan) << 48 | FULL
    }
}

/// A bit that no VLAN has: the word of a station is never 0.
const FULL: u64 = 1 << 63;

/// The table.
#[derive(Debug)]
pub struct Stations {
    map: Map,
    memory: SharedMemory,
}

impl Stations {
    /// None are known, and nobody learns.
    pub fn new() -> Result<Stations, SysError> {
        let map = Map::create(MapKind::Shared, "stations", MEMORY_BYTES, 1)?;
        let memory = map.memory()?;
        Ok(Stations { map, memory })
    }

    /// Opens a table that was pinned, as it is.
    pub fn open(path: &Path) -> Result<Stations, SysError> {
        let map = Map::open(MapKind::Shared, "stations", MEMORY_BYTES, 1, path)?;
        let memory = map.memory()?;
        Ok(Stations { map, memory })
    }

    /// Keeps it when this process ends.
    pub fn pin(&self, path: &Path) -> Result<(), SysError> {
        self.map.pin(path)
    }

    /// Says whether new stations of a port are handed up, and to which VLAN its frames without a tag belong
    /// ([`NO_VLAN`] if to none).
    pub fn learn(&self, port: u32, untagged: Option<u16>) {
        if port < MAX_PORTS {
            let word = self.memory.u16((PORTS + 2 * port) as usize);
            word.store(untagged.unwrap_or(0), Relaxed);
        }
    }

    /// A station is at this port, and counts as seen. Says whether there was room to note it.
    pub fn put(&self, station: Station, port: u32) -> bool {
        let found = self.find(station.word()).or_else(|| {
            let free = self.slots(station.word());
            free.into_iter().find(|slot| self.word(*slot) == 0)
        });
        let Some(slot) = found else { return false };
        let word = |offset: u32| self.memory.u32((slot + offset) as usize);
        word(PORT_IN_SLOT).store(port, Relaxed);
        word(SEEN_IN_SLOT).store(1, Relaxed);
        let key = self.memory.u64(slot as usize);
        key.store(station.word(), Release);
        true
    }

    /// A station is not known any more.
    pub fn remove(&self, station: Station) {
        if let Some(slot) = self.find(station.word()) {
            self.memory.u64(slot as usize).store(0, Release);
        }
    }

    /// None are known any more.
    pub fn clear(&self) {
        let buckets = 0..1u32 << BUCKET_BITS;
        for slot in buckets.flat_map(|bucket| slots(bucket).into_iter()) {
            self.memory.u64(slot as usize).store(0, Release);
        }
    }

    /// Whether a station has sent something since the last call, or since it was put.
    pub fn take_seen(&self, station: Station) -> bool {
        self.find(station.word()).is_some_and(|slot| {
            let seen = self.memory.u32((slot + SEEN_IN_SLOT) as usize);
            seen.swap(0, Relaxed) != 0
        })
    }

    fn find(&self, word: u64) -> Option<u32> {
        let slots = self.slots(word);
        slots.into_iter().find(|slot| self.word(*slot) == word)
    }

    fn word(&self, slot: u32) -> u64 {
        self.memory.u64(slot as usize).load(Acquire)
    }

    fn slots(&self, word: u64) -> [u32; SLOTS as usize] {
        let hash = word.wrapping_mul(MULTIPLIER) >> (64 - BUCKET_BITS);
        slots(hash as u32)
    }

    /// Looks up who has sent the frame that is from R2 to R3 and came in by port R9. Goes to `goes_on` if it is known
    /// there, or if nobody learns at this port; falls through if it is to be handed up. Overwrites R0 to R5.
    pub(super) fn look_up(&self, asm: &mut Assembler, goes_on: Label) {
        let (untagged, tagged, compare, is_known) =
            (asm.label(), asm.label(), asm.label(), asm.label());
        let is_unknown = asm.label();
        asm.map_value(Reg::R1, self.map.insn_fd(), PORTS);
        asm.alu(Alu::Add, Reg::R1, Reg::R9);
        asm.alu(Alu::Add, Reg::R1, Reg::R9);
        asm.load(Size::H, Reg::R5, Reg::R1, 0);
        asm.jump_if_imm(Cond::Eq, Reg::R5, 0, goes_on);
        asm.load(Size::W, Reg::R2, Reg::R6, 0);
        asm.load(Size::W, Reg::R3, Reg::R6, 4);
        asm.mov(Reg::R1, Reg::R2);
        asm.alu_imm(Alu::Add, Reg::R1, TAGGED_BYTES);
        asm.jump_if(Cond::Gt, Reg::R1, Reg::R3, goes_on);

        // The word: see `Station::word`.
        asm.load(Size::W, Reg::R4, Reg::R2, SOURCE);
        asm.load(Size::H, Reg::R0, Reg::R2, SOURCE + 4);
        asm.mov(Reg::R1, Reg::R4);
        asm.alu_imm(Alu::And, Reg::R1, 1);
        asm.jump_if_imm(Cond::Ne, Reg::R1, 0, goes_on);
        asm.alu_imm(Alu::Lsh, Reg::R0, 32);
        asm.alu(Alu::Or, Reg::R4, Reg::R0);
        asm.load(Size::H, Reg::R0, Reg::R2, ETHER_TYPE);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 0x0081, tagged);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 0xa888, tagged);
        asm.jump(untagged);
        asm.place(tagged);
        asm.load(Size::H, Reg::R0, Reg::R2, TAG);
        asm.be(Reg::R0, Size::H);
        asm.alu_imm(Alu::And, Reg::R0, 0xfff);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 0, untagged);
        asm.mov(Reg::R5, Reg::R0);
        asm.place(untagged);
        asm.alu_imm(Alu::Lsh, Reg::R5, 48);
        asm.alu(Alu::Or, Reg::R4, Reg::R5);
        asm.mov_imm(Reg::R0, FULL);
        asm.alu(Alu::Or, Reg::R4, Reg::R0);

        // R1 becomes the bucket.
        asm.mov(Reg::R5, Reg::R4);
        asm.mov_imm(Reg::R0, MULTIPLIER);
        asm.alu(Alu::Mul, Reg::R5, Reg::R0);
        asm.alu_imm(Alu::Rsh, Reg::R5, (64 - BUCKET_BITS) as i32);
        asm.alu_imm(Alu::Mul, Reg::R5, BUCKET_BYTES as i32);
        asm.map_value(Reg::R1, self.map.insn_fd(), BUCKETS_AT);
        asm.alu(Alu::Add, Reg::R1, Reg::R5);
        for slot in 0..SLOTS {
            let next = asm.label();
            let at = (slot * SLOT_BYTES) as i32;
            asm.load(Size::DW, Reg::R0, Reg::R1, at);
            asm.jump_if(Cond::Ne, Reg::R0, Reg::R4, next);
            asm.alu_imm(Alu::Add, Reg::R1, at);
            asm.jump(compare);
            asm.place(next);
        }
        asm.jump(is_unknown);

        asm.place(compare);
        asm.load(Size::W, Reg::R0, Reg::R1, PORT_IN_SLOT as i32);
        asm.jump_if(Cond::Eq, Reg::R0, Reg::R9, is_known);
        asm.jump(is_unknown);
        asm.place(is_known);
        // Most have been seen: their cache lines stay clean.
        asm.load(Size::W, Reg::R0, Reg::R1, SEEN_IN_SLOT as i32);
        asm.jump_if_imm(Cond::Ne, Reg::R0, 0, goes_on);
        asm.mov_imm(Reg::R0, 1);
        asm.store(Size::W, Reg::R1, SEEN_IN_SLOT as i32, Reg::R0);
        asm.jump(goes_on);
        asm.place(is_unknown);
    }
}

fn slots(bucket: u32) -> [u32; SLOTS as usize] {
    std::array::from_fn(|slot| BUCKETS_AT + bucket * BUCKET_BYTES + slot as u32 * SLOT_BYTES)
}
