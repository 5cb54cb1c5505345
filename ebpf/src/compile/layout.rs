//! The PHV: where headers, metadata and scratch space are in a per-CPU map value.
//!
//! ```text
//! 0     control words, see `Control`
//! 144   scratch: packed keys, hash input, bits looked ahead
//!       validity, one byte for each header              \ zeroed for each packet
//!       next-index, one byte for each stack              |
//!       metadata that may be read unwritten              /
//!       all other metadata, headers and varbit fields
//! ```
//!
//! What nobody reads has no place: see `liveness`.
//!
//! Metadata fields of up to 64 bits are numbers in host order; longer ones are big-endian,
//! padded in front to a multiple of eight bytes. Headers are as on the wire, padded so that eight
//! bytes can be read from any of their bytes. Varbit fields are apart, see `varbit`.

use pointsman_p4::ir::{
    Field, FieldKind, FieldRef, Header, HeaderId, HeaderKind, Program, StackId,
};

use crate::asm::Size;

use super::liveness::Liveness;
use super::reads::all_fields;
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
    /// u32: the cell of the meter at hand; in place of [`Control::KEY_PARTS`].
    pub const METER_CELL: i32 = 64;
    /// u64: how much the second bucket of a meter may lack; in place of [`Control::KEY_PARTS`].
    pub const METER_LIMIT: i32 = 72;
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
    /// Nowhere: nobody reads it.
    Unread,
}

/// Where everything is.
#[derive(Debug)]
pub struct Layout {
    valid: Vec<i32>,
    next: i32,
    headers: Vec<Option<i32>>,
    slots: Vec<Vec<Slot>>,
    varbits: Vec<Option<Varbit>>,
    /// Where the words of eight bytes are that are zeroed at the start of each packet.
    pub zeroed: Vec<i32>,
    /// Bytes of the PHV.
    pub bytes: u32,
}

impl Layout {
    /// Lays out a program's headers behind `scratch` bytes.
    pub fn new(program: &Program, scratch: u32) -> Layout {
        let live = Liveness::new(program);
        let headers = program.headers.len();
        let start = SCRATCH + scratch.next_multiple_of(8) as i32;
        let mut layout = Layout {
            // The first byte is that of all headers that are never valid.
            valid: vec![start; headers],
            next: 0,
            headers: vec![None; headers],
            slots: program
                .headers
                .iter()
                .map(|h| vec![Slot::Unread; h.fields.len()])
                .collect(),
            varbits: vec![None; headers],
            zeroed: Vec::new(),
            bytes: 0,
        };
        let mut at = start + 1;
        for id in ids(program).filter(|id| live.is_used(*id)) {
            layout.valid[id.index()] = at;
            at += 1;
        }
        layout.next = at;
        at += program.stacks.len() as i32;
        at = layout.place_metadata(program, &live, at, true);
        layout.zeroed.extend((start..at).step_by(8));
        at = layout.place_metadata(program, &live, at, false);
        for id in ids(program).filter(|id| live.is_used(*id)) {
            let header = &program.headers[id.index()];
            if header.kind == HeaderKind::Packet {
                at = layout.place_header(id, header, at);
                let unset = all_fields(program, id).filter(|field| live.is_read_unset(*field));
                layout.zero_header(id, &unset.map(|f| program.field(f)).collect::<Vec<_>>());
            }
        }
        layout.zeroed.sort_unstable();
        layout.zeroed.dedup();
        layout.bytes = at as u32;
        layout
    }

    /// Places what must be zeroed, or what need not, from `at` on. Returns the end, a multiple of eight.
    fn place_metadata(&mut self, program: &Program, live: &Liveness, at: i32, zeroed: bool) -> i32 {
        let mut at = at;
        let fields = ids(program).flat_map(|header| all_fields(program, header));
        let mut metadata: Vec<FieldRef> = fields
            .filter(|f| program.headers[f.header.index()].kind == HeaderKind::Metadata)
            .filter(|f| live.is_read(*f) && live.is_read_unset(*f) == zeroed)
            .collect();
        // By size, so that there is no room between them.
        metadata.sort_by_key(|field| host_size(program, *field).map_or(16, Size::bytes));
        for field in metadata {
            self.slots[field.header.index()][field.field as usize] =
                metadata_slot(program, field, &mut at);
        }
        (at + 7) / 8 * 8
    }

    fn place_header(&mut self, id: HeaderId, header: &Header, at: i32) -> i32 {
        let start = (at + 7) / 8 * 8;
        self.headers[id.index()] = Some(start);
        let slots = header.fields.iter().map(|field| Slot::Wire {
            offset: start + (field.offset / 8) as i32,
            bit: field.offset % 8,
            width: field.width,
        });
        self.slots[id.index()] = slots.collect();
        let end = start + header.fixed_bits().div_ceil(8) as i32 + 8;
        let end = (end + 7) / 8 * 8;
        let Some(field) = header.varbit() else {
            return end;
        };
        let (max_bytes, before) = (field.width.div_ceil(8), field.offset / 8);
        self.varbits[id.index()] = Some(Varbit {
            offset: end,
            max_bytes,
            before,
            after: header.fixed_bits() / 8 - before,
        });
        (end + Varbit::area_bytes(max_bytes) + 7) / 8 * 8
    }

    /// Has the words with these fields of a header zeroed.
    fn zero_header(&mut self, id: HeaderId, fields: &[&Field]) {
        for field in fields {
            let (start, bits) = match (field.kind, self.varbits[id.index()]) {
                (FieldKind::Varbit, Some(varbit)) => {
                    let bytes = varbit.data() - varbit.offset + varbit.max_bytes as i32;
                    (varbit.offset, bytes as u32 * 8)
                }
                _ => (self.header(id), field.offset + field.width),
            };
            let first = match field.kind {
                FieldKind::Varbit => 0,
                _ => field.offset / 64,
            };
            self.zeroed
                .extend((first..bits.div_ceil(64)).map(|word| start + 8 * word as i32));
        }
    }

    /// Where a field is.
    pub fn slot(&self, field: FieldRef) -> Slot {
        self.slots[field.header.index()][field.field as usize]
    }

    /// Offset of the byte that says whether a header is valid.
    pub fn valid(&self, header: HeaderId) -> i32 {
        self.valid[header.index()]
    }

    /// Whether it is a header on the wire that the program uses.
    pub fn has(&self, header: HeaderId) -> bool {
        self.headers[header.index()].is_some()
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
    ///
    /// # Panics
    /// If the layout does not [have](Layout::has) it.
    pub fn header(&self, header: HeaderId) -> i32 {
        self.headers[header.index()].expect("headers on the wire that are used have a place")
    }
}

fn ids(program: &Program) -> impl Iterator<Item = HeaderId> + use<> {
    (0..program.headers.len() as u32).map(HeaderId)
}

/// The size of a field of metadata that is kept as a number.
fn host_size(program: &Program, field: FieldRef) -> Option<Size> {
    let field = program.field(field);
    let is_number = field.width <= 64 && field.kind != FieldKind::Varbit;
    is_number.then(|| Size::covering(field.width.div_ceil(8)))
}

fn metadata_slot(program: &Program, field: FieldRef, at: &mut i32) -> Slot {
    let width = program.field(field).width;
    let Some(size) = host_size(program, field) else {
        let bytes = width.div_ceil(64) as i32 * 8;
        let pad = bytes as u32 * 8 - width;
        *at = (*at + 7) / 8 * 8 + bytes;
        return Slot::Wire {
            offset: *at - bytes + (pad / 8) as i32,
            bit: pad % 8,
            width,
        };
    };
    let bytes = size.bytes() as i32;
    *at = (*at + bytes - 1) / bytes * bytes + bytes;
    Slot::Host {
        offset: *at - bytes,
        size,
        width,
    }
}
