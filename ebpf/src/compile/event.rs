//! Packets for the agent, on a ring buffer.
//!
//! ```text
//! u32 kind | u32 port | u32 bytes of the packet | u32 bytes of the state | u32 pipeline | u32 point
//! u32 version of the tables | unused
//! the state: all of the PHV (see `layout`); a packet-in has none
//! the packet: a packet-in as it leaves by the CPU port, else as it came
//! ```

use crate::asm::{Alu, Cond, Label, Reg, Size};
use crate::switch::ports::{
    AWAKE_OFFSET, LOST_EVENTS_OFFSET, MAX_PORTS, cells_offset, limit_offset,
};
use crate::windows::{self, CELL_BYTES};

use super::Emitter;
use super::layout::Control;

const HELPER_RINGBUF_RESERVE: u32 = 131;
const HELPER_RINGBUF_SUBMIT: u32 = 132;
const HELPER_RINGBUF_DISCARD: u32 = 133;
const HELPER_XDP_LOAD_BYTES: u32 = 189;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// A packet for the control plane.
    PacketIn = 1,
    /// A packet whose clone and digest are to be made; it goes on in the kernel.
    Copies = 2,
    /// A packet that goes on in the interpreter.
    Handoff = 3,
}

impl EventKind {
    /// All of them, in the order of their numbers, which begin at 1.
    pub const ALL: [EventKind; 3] = [EventKind::PacketIn, EventKind::Copies, EventKind::Handoff];
}

/// Bytes before the state.
pub const EVENT_HEADER_BYTES: usize = 32;
/// Room for packets, smallest first: a record's size must be known when it is reserved.
const EVENT_CLASSES: [i32; 3] = [256, 2048, 9728];

impl Emitter<'_> {
    /// Puts the packet as it is now on the ring buffer. Goes to `lost` if there is no room, and counts it.
    /// Overwrites everything but R6 and R7.
    pub(super) fn event(&mut self, kind: EventKind, lost: Label) {
        let (fill, full, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        let state = match kind {
            EventKind::PacketIn => 0,
            EventKind::Copies | EventKind::Handoff => self.layout.bytes,
        };
        if kind == EventKind::PacketIn {
            self.length_out(Reg::R8);
        } else {
            self.asm.load(Size::W, Reg::R8, Reg::R7, Control::LENGTH);
        }
        self.asm.jump_if_imm(Cond::Eq, Reg::R8, 0, lost);
        self.within_limit(kind, lost);
        for room in EVENT_CLASSES {
            let larger = self.asm.label();
            self.asm.jump_if_imm(Cond::Gt, Reg::R8, room, larger);
            self.asm.map(Reg::R1, self.maps.events);
            let bytes = EVENT_HEADER_BYTES as u64 + u64::from(state) + room as u64;
            self.asm.mov_imm(Reg::R2, bytes);
            self.asm.mov_imm(Reg::R3, 0);
            self.asm.call(HELPER_RINGBUF_RESERVE);
            self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, full);
            self.asm.mov(Reg::R9, Reg::R0);
            self.asm.jump(fill);
            self.asm.place(larger);
        }
        self.asm.place(full);
        self.asm
            .map_value(Reg::R1, self.maps.ports, LOST_EVENTS_OFFSET);
        self.asm.mov_imm(Reg::R2, 1);
        self.asm.atomic_add64(Reg::R1, 0, Reg::R2);
        self.asm.jump(lost);

        // Verified once for each size of the record: R9 and R8 know theirs.
        self.asm.place(fill);
        let discard = self.asm.label();
        self.event_header(kind, state);
        let header = EVENT_HEADER_BYTES as i32;
        self.copy_bytes(Reg::R7, 0, Reg::R9, header, state);
        self.asm.mov(Reg::R1, Reg::R6);
        self.asm.mov_imm(Reg::R2, 0);
        self.asm.mov(Reg::R3, Reg::R9);
        self.asm.alu_imm(Alu::Add, Reg::R3, header + state as i32);
        self.asm.mov(Reg::R4, Reg::R8);
        self.asm.call(HELPER_XDP_LOAD_BYTES);
        self.asm.jump_if_imm(Cond::Ne, Reg::R0, 0, discard);
        // The reader looks at the ring buffer once more after it has said that it sleeps. So this has to be read
        // after what is reserved can be seen: by an atomic operation.
        self.asm.map_value(Reg::R1, self.maps.ports, AWAKE_OFFSET);
        self.asm.mov_imm(Reg::R2, 0);
        self.asm.fetch_add32(Reg::R1, 0, Reg::R2);
        self.asm.mov(Reg::R1, Reg::R9);
        self.asm.call(HELPER_RINGBUF_SUBMIT);
        self.asm.jump(done);
        self.asm.place(discard);
        self.asm.mov(Reg::R1, Reg::R9);
        self.asm.mov_imm(Reg::R2, 0);
        self.asm.call(HELPER_RINGBUF_DISCARD);
        self.asm.jump(lost);
        self.asm.place(done);
    }

    /// Goes to `lost` if the port that the packet came in by has handed up as many as it may. Keeps R6 to R8.
    fn within_limit(&mut self, kind: EventKind, lost: Label) {
        windows::now(&mut self.asm);
        self.asm
            .load(Size::W, Reg::R2, Reg::R7, Control::INGRESS_PORT);
        // It is one, which the verifier cannot know.
        self.asm.alu_imm(Alu::And, Reg::R2, MAX_PORTS as i32 - 1);
        self.asm.alu_imm(Alu::Mul, Reg::R2, CELL_BYTES as i32);
        self.asm
            .map_value(Reg::R4, self.maps.ports, limit_offset(kind));
        self.asm.load(Size::W, Reg::R4, Reg::R4, 0);
        self.asm
            .map_value(Reg::R1, self.maps.ports, cells_offset(kind));
        self.asm.alu(Alu::Add, Reg::R1, Reg::R2);
        windows::count(&mut self.asm, lost);
    }

    /// Fills the header of the record at R9.
    fn event_header(&mut self, kind: EventKind, state: u32) {
        self.asm.store_imm(Size::W, Reg::R9, 0, kind as i32);
        self.asm
            .load(Size::W, Reg::R1, Reg::R7, Control::INGRESS_PORT);
        self.asm.store(Size::W, Reg::R9, 4, Reg::R1);
        self.asm.store(Size::W, Reg::R9, 8, Reg::R8);
        self.asm.store_imm(Size::W, Reg::R9, 12, state as i32);
        self.asm
            .store_imm(Size::W, Reg::R9, 16, self.pipeline as i32);
        self.asm.load(Size::W, Reg::R1, Reg::R7, Control::POINT);
        self.asm.store(Size::W, Reg::R9, 20, Reg::R1);
        self.tables(Reg::R1, self.plan.version);
        self.asm.load(Size::W, Reg::R1, Reg::R1, 0);
        self.asm.store(Size::W, Reg::R9, 24, Reg::R1);
    }
}
