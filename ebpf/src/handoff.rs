//! From the memory of a program in the kernel to a packet in the interpreter.
//!
//! An event carries all of the PHV, as [`crate::compile::layout`] lays it out, and the number of the
//! point that the packet left at ([`crate::compile::handoff`]). Pure: called by [`crate::plane`].

use num_bigint::BigUint;
use pointsman_p4::dataplane::Bits;
use pointsman_p4::interpreter::{Handoff, HeaderValues, Packet, Requests, Resume, Step};
use pointsman_p4::ir::{
    FieldKind, FieldListId, FieldRef, Header, HeaderId, HeaderKind, LearnListId, Program, StackId,
};

use crate::compile::handoff::Point;
use crate::compile::layout::{Control, Layout, SCRATCH, Slot};
use crate::switch::events::Event;
use crate::tables::records::arg_words;

/// What an event of a program means.
#[derive(Debug)]
pub struct Decoder {
    layout: Layout,
    points: Vec<Point>,
}

impl Decoder {
    /// For the events of a compiled program.
    pub fn new(layout: Layout, points: Vec<Point>) -> Decoder {
        Decoder { layout, points }
    }

    /// Where packets leave the kernel, by number.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The packet of an event as the program left it; `None` if it is none of this program's.
    pub fn decode(&self, program: &Program, event: &Event) -> Option<Handoff> {
        let point = self.points.get(event.point as usize)?;
        if event.state.len() != self.layout.bytes as usize {
            return None;
        }
        let state = State(&event.state);
        let grown = state.u32(Control::GROWN) as i32;
        let headers = program.headers.iter().enumerate();
        let headers = headers.map(|(i, h)| self.header(state, HeaderId(i as u32), h));
        let stacks = (0..program.stacks.len()).map(|i| self.layout.next(StackId(i as u32)));
        Some(Handoff {
            packet: Packet {
                port: event.ingress_port,
                bytes: event.packet.clone(),
            },
            parsed_bytes: state.u32(Control::PARSED) as usize,
            length: event.packet.len() as i64 + i64::from(grown),
            headers: headers.collect(),
            stack_next: stacks.map(|at| u32::from(state.byte(at))).collect(),
            requests: requests(state),
            resume: resume(state, point),
            version: event.version,
        })
    }

    fn header(&self, state: State<'_>, id: HeaderId, header: &Header) -> HeaderValues {
        let varbit = self.layout.varbit(id);
        let length = varbit.map_or(0, |v| state.u32(v.offset).min(v.max_bytes));
        let fields = header.fields.iter().enumerate().map(|(index, field)| {
            let reference = FieldRef {
                header: id,
                field: index as u32,
            };
            match (field.kind, varbit) {
                (FieldKind::Varbit, Some(v)) => state.bits(v.data(), 0, length * 8),
                _ => state.slot(self.layout.slot(reference)),
            }
        });
        HeaderValues {
            valid: header.kind == HeaderKind::Metadata || state.byte(self.layout.valid(id)) != 0,
            fields: fields.map(|f| Bits::from(&f)).collect(),
            varbit_width: length * 8,
        }
    }
}

fn requests(state: State<'_>) -> Requests {
    let list = |at: i32| {
        let word = state.u32(at).checked_sub(1)?;
        Some(word.checked_sub(1).map(FieldListId))
    };
    let session = state.u32(Control::CLONE_SESSION).checked_sub(1);
    let fields = state.u32(Control::CLONE_LIST).checked_sub(1);
    Requests {
        exit: false,
        clone: session.map(|session| (session, fields.map(FieldListId))),
        digest: state.u32(Control::DIGEST).checked_sub(1).map(LearnListId),
        resubmit: list(Control::RESUBMIT),
        recirculate: list(Control::RECIRCULATE),
    }
}

/// What was known when compiling, and what the packet adds.
fn resume(state: State<'_>, point: &Point) -> Resume {
    let mut resume = point.resume.clone();
    if let Resume::Control(_, Step::Action { hit, args, .. }) = &mut resume {
        *hit = state.u32(Control::HIT) != 0;
        let mut at = SCRATCH;
        for width in &point.args {
            let words = arg_words(*width) as i32;
            args.push(Bits::from(&state.argument(at, *width, words)));
            at += 8 * words;
        }
    }
    resume
}

/// The memory of a program.
#[derive(Clone, Copy)]
struct State<'a>(&'a [u8]);

impl State<'_> {
    fn bytes(&self, at: i32, count: usize) -> &[u8] {
        self.0.get(at as usize..at as usize + count).unwrap_or(&[])
    }

    fn byte(&self, at: i32) -> u8 {
        self.bytes(at, 1).first().copied().unwrap_or(0)
    }

    fn u32(&self, at: i32) -> u32 {
        self.host(at, 4) as u32
    }

    /// A number in the order of the host.
    fn host(&self, at: i32, bytes: usize) -> u64 {
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(self.bytes(at, bytes));
        u64::from_le_bytes(word)
    }

    fn bits(&self, at: i32, bit: u32, width: u32) -> BigUint {
        let span = (bit + width).div_ceil(8);
        let number = BigUint::from_bytes_be(self.bytes(at, span as usize));
        (number >> (span * 8 - bit - width)) & ((BigUint::from(1u8) << width) - 1u8)
    }

    fn slot(&self, slot: Slot) -> BigUint {
        match slot {
            Slot::Unread => BigUint::ZERO,
            Slot::Wire { offset, bit, width } => self.bits(offset, bit, width),
            Slot::Host {
                offset,
                size,
                width,
            } => {
                let number = BigUint::from(self.host(offset, size.bytes() as usize));
                number & ((BigUint::from(1u8) << width) - 1u8)
            }
        }
    }

    /// An argument as records have them: a number, or a longer one from its most significant word.
    fn argument(&self, at: i32, width: u32, words: i32) -> BigUint {
        match words {
            0 => BigUint::ZERO,
            1 => BigUint::from(self.host(at, 8)),
            words => self.bits(at, (words * 64) as u32 - width, width),
        }
    }
}
