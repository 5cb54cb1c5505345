//! The PHV: where headers, metadata and scratch space are in a per-CPU map value.
//!
//! ```text
//! 0     control words, see `Control`
//! 144   scratch: packed keys, hash input, bits looked ahead
//!       validity, one byte for each header        \ zeroed for each packet
//!       next-index, one byte for each stack        |
//!       metadata, one aligned slot for each field  /
//!       headers as on the wire, each followed by padding
//!       varbit fields, see `varbit`
//! ```
//!
//! Metadata fields of up to 64 bits are numbers in host order; longer ones are big-endian,
//! padded in front to a multiple of eight bytes. Headers are padded so that eight bytes can be
//! read from any of their bytes.

use pointsman_p4::ir::{FieldKind, FieldRef, HeaderId, HeaderKind, Program, StackId};

use crate::asm::Size;

use super::varbit::Varbit;

/// Offsets of the control words.
#[derive(Debug)]
pub struct Control;

impl Control {
    /// u32: the parser's position; after it, how many bytes were parsed.
    pub const PARSED: i32 = 0;
    /// u32: bytes of the packet as it came.
    pub const LENGTH: i32 = 4;
    /// u32: this CPU.
    pub const CPU: i32 = 8;
    /// u32: whether the table just applied hit.
    pub const HIT: i32 = 12;
    /// u32: 1 + the clone session asked for.
    pub const CLONE_SESSION: i32 = 16;
    /// u32: the clone's field list + 1.
    pub const CLONE_LIST: i32 = 20;
    /// u32: where the deparser writes.
    pub const EMITTED: i32 = 24;
    /// u32: the port the packet came in by.
    pub const INGRESS_PORT: i32 = 28;
    /// u64: free for expressions and meters.
    pub const TEMPORARY: i32 = 32;
    /// u64: a second one.
    pub const TEMPORARY2: i32 = 40;
    /// u32: bytes of the headers that the deparser emits.
    pub const HEADER_BYTES: i32 = 48;
    /// u32: which element of a stack is meant.
    pub const INDEX: i32 = 52;
    /// u32: where the next program of the chain goes on, see [`super::chain`].
    pub const ENTRY: i32 = 56;
    /// u32: where the interpreter goes on.
    pub const POINT: i32 = 60;
    /// Eight u64: the parts of a transition key that is longer than 64 bits; in controls, for lookups.
    pub const KEY_PARTS: i32 = 64;
    /// u32: 1 + the digest asked for.
    pub const DIGEST: i32 = 128;
    /// u32: 1 to resubmit, 2 + the field list to keep.
    pub const RESUBMIT: i32 = 132;
    /// u32: 1 to recirculate, 2 + the field list to keep.
    pub const RECIRCULATE: i32 = 136;
    /// i32: by how much `setValid` and `setInvalid` changed the packet's length, if that is read.
    pub const GROWN: i32 = 140;
    /// u32: rounds of the parser's or an action's loops.
    pub const ROUNDS: i32 = 144;
    /// u32: whether the action that runs ends its control.
    pub const EXITS: i32 = 148;
}

impl Control {
    /// What is at an offset, for listings.
    pub fn name(offset: i32) -> Option<&'static str> {
        Some(match offset {
            Control::PARSED => "parser position",
            Control::LENGTH => "packet length",
            Control::CPU => "this cpu",
            Control::HIT => "hit",
            Control::CLONE_SESSION => "clone session",
            Control::CLONE_LIST => "clone field list",
            Control::EMITTED => "deparser position",
            Control::INGRESS_PORT => "port it came in by",
            Control::TEMPORARY | Control::TEMPORARY2 => "temporary",
            Control::HEADER_BYTES => "bytes of headers",
            Control::INDEX => "index",
            Control::ENTRY => "entry of the next program",
            Control::POINT => "point of the handoff",
            Control::KEY_PARTS => "select key",
            Control::DIGEST => "digest",
            Control::RESUBMIT => "resubmit field list",
            Control::RECIRCULATE => "recirculate field list",
            Control::GROWN => "bytes added in front",
            Control::ROUNDS => "rounds of a loop",
            Control::EXITS => "exits",
            _ => return None,
        })
    }
}

/// Where scratch space begins.
pub const SCRATCH: i32 = 152;

/// Where a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Bits of a header, from `bit` (0 to 7, from the most significant) of the byte at `offset`.
    Wire {
        /// From R7.
        offset: i32,
        /// In that byte.
        bit: u32,
        /// How many.
        width: u32,
    },
    /// A number in host order.
    Host {
        /// From R7.
        offset: i32,
        /// Bytes.
        size: Size,
        /// Bits that count.
        width: u32,
    },
}

/// Where everything is.
#[derive(Debug)]
pub struct Layout {
    valid: i32,
    next: i32,
    headers: Vec<i32>,
    slots: Vec<Vec<Slot>>,
    varbits: Vec<Option<Varbit>>,
    /// What is zeroed at the start of each packet.
    pub zeroed: std::ops::Range<i32>,
    /// Bytes of the PHV.
    pub bytes: u32,
}

impl Layout {
    /// Lays out a program's headers behind `scratch` bytes.
    pub fn new(program: &Program, scratch: u32) -> Layout {
        let valid = SCRATCH + scratch.next_multiple_of(8) as i32;
        let next = valid + program.headers.len() as i32;
        let mut at = (next + program.stacks.len() as i32 + 7) / 8 * 8;
        let mut headers = vec![0; program.headers.len()];
        let mut slots = vec![Vec::new(); program.headers.len()];
        let mut varbits = vec![None; program.headers.len()];
        let of_kind = |kind| {
            program
                .headers
                .iter()
                .enumerate()
                .filter(move |(_, h)| h.kind == kind)
        };
        for (index, header) in of_kind(HeaderKind::Metadata) {
            headers[index] = at;
            for field in &header.fields {
                let slot = if field.width > 64 || field.kind == FieldKind::Varbit {
                    let bytes = field.width.div_ceil(64) as i32 * 8;
                    let pad = bytes as u32 * 8 - field.width;
                    at = (at + 7) / 8 * 8 + bytes;
                    Slot::Wire {
                        offset: at - bytes + (pad / 8) as i32,
                        bit: pad % 8,
                        width: field.width,
                    }
                } else {
                    let size = Size::covering(field.width.div_ceil(8));
                    let bytes = size.bytes() as i32;
                    at = (at + bytes - 1) / bytes * bytes + bytes;
                    Slot::Host {
                        offset: at - bytes,
                        size,
                        width: field.width,
                    }
                };
                slots[index].push(slot);
            }
        }
        for (index, header) in of_kind(HeaderKind::Packet) {
            at = (at + 7) / 8 * 8;
            headers[index] = at;
            slots[index] = header
                .fields
                .iter()
                .map(|field| Slot::Wire {
                    offset: at + (field.offset / 8) as i32,
                    bit: field.offset % 8,
                    width: field.width,
                })
                .collect();
            at += header.fixed_bits().div_ceil(8) as i32 + 8;
        }
        for (index, header) in program.headers.iter().enumerate() {
            if let Some(field) = header.varbit() {
                at = (at + 7) / 8 * 8;
                let (max_bytes, before) = (field.width.div_ceil(8), field.offset / 8);
                let after = header.fixed_bits() / 8 - before;
                varbits[index] = Some(Varbit {
                    offset: at,
                    max_bytes,
                    before,
                    after,
                });
                at += Varbit::area_bytes(max_bytes);
            }
        }
        let end = (at + 7) / 8 * 8;
        Layout {
            valid,
            next,
            headers,
            slots,
            varbits,
            zeroed: valid..end,
            bytes: end as u32,
        }
    }

    /// Where a field is.
    pub fn slot(&self, field: FieldRef) -> Slot {
        self.slots[field.header.index()][field.field as usize]
    }

    /// Offset of the byte that says whether a header is valid.
    pub fn valid(&self, header: HeaderId) -> i32 {
        self.valid + header.0 as i32
    }

    /// Offset of the byte that is a stack's next-index.
    pub fn next(&self, stack: StackId) -> i32 {
        self.next + stack.0 as i32
    }

    /// Where the varbit field of a header is, if it has one.
    pub fn varbit(&self, header: HeaderId) -> Option<Varbit> {
        self.varbits[header.index()]
    }

    /// Offset of a header's first byte.
    pub fn header(&self, header: HeaderId) -> i32 {
        self.headers[header.index()]
    }
}
