//! What comes before the parser and after the controls: intrinsic metadata, the traffic manager's
//! decisions in simple_switch's order, and sending.
//!
//! A unicast packet runs egress in the same program. One for the control plane, a clone, and a packet
//! that XDP cannot handle alone become events on a ring buffer:
//!
//! ```text
//! u32 kind | u32 port | u32 length | u32 clone session | u32 field list + 1 | u32 unused
//! eight u64: the values of the field list
//! the packet, `length` bytes
//! ```

use pointsman_p4::ir::{FieldRef, LValue, Op};

use crate::asm::{Alu, Cond, Label, Note, Reg, Size};
use crate::switch::ports::{INTERFACES_OFFSET, LAST_PORT_OFFSET, MAX_INTERFACE};

use super::action::{DROP_PORT, clones};
use super::chain::context_and_phv;
use super::layout::Control;
use super::{Emitter, Trail};

const HELPER_KTIME_GET_NS: u32 = 5;
const HELPER_GET_SMP_PROCESSOR_ID: u32 = 8;
const HELPER_REDIRECT_MAP: u32 = 51;
const HELPER_RINGBUF_RESERVE: u32 = 131;
const HELPER_RINGBUF_SUBMIT: u32 = 132;
const HELPER_RINGBUF_DISCARD: u32 = 133;
const HELPER_XDP_GET_BUFF_LEN: u32 = 188;
const HELPER_XDP_LOAD_BYTES: u32 = 189;

const CTX_INGRESS_IFINDEX: i32 = 12;

const XDP_DROP: u64 = 1;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// A packet for the control plane, as it leaves by the CPU port.
    PacketIn = 1,
    /// A packet as it came in, of which a clone session makes copies.
    Clone = 2,
    /// A packet as it came in, to be forwarded by the interpreter.
    SlowPath = 3,
    /// The same, but ingress has run and has counted it: only what comes after is missing.
    Replicate = 4,
}

/// Bytes before the packet.
pub const EVENT_HEADER_BYTES: usize = 88;
/// Where the values of a field list begin.
pub const EVENT_VALUES_OFFSET: usize = 24;
/// Values of a field list that an event holds.
pub const EVENT_VALUES: usize = 8;
/// Room for packets, smallest first: a record's size must be known when it is reserved.
const EVENT_CLASSES: [i32; 3] = [256, 2048, 9728];

impl Emitter<'_> {
    /// R6 and R7, a clean PHV, and the metadata that the switch sets.
    pub(super) fn prologue(&mut self) {
        self.asm.note(Note::stage("prologue"));
        context_and_phv(&mut self.asm, self.maps.phv);
        for at in self.layout.zeroed.clone().step_by(8) {
            self.asm.store_imm(Size::DW, Reg::R7, at, 0);
        }
        self.asm.store_imm(Size::W, Reg::R7, Control::PARSED, 0);
        self.asm
            .store_imm(Size::W, Reg::R7, Control::CLONE_SESSION, 0);
        self.asm.call(HELPER_GET_SMP_PROCESSOR_ID);
        self.asm.store(Size::W, Reg::R7, Control::CPU, Reg::R0);
        self.packet_length();
        self.ingress_port();
        self.timestamps();
    }

    fn packet_length(&mut self) {
        self.asm.mov(Reg::R1, Reg::R6);
        self.asm.call(HELPER_XDP_GET_BUFF_LEN);
        self.asm.store(Size::W, Reg::R7, Control::LENGTH, Reg::R0);
        if let Some(field) = self.program.standard.packet_length {
            self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
        }
    }

    fn ingress_port(&mut self) {
        self.asm
            .load(Size::W, Reg::R1, Reg::R6, CTX_INGRESS_IFINDEX);
        self.asm
            .jump_if_imm(Cond::Gt, Reg::R1, MAX_INTERFACE as i32, self.ends.drop);
        self.asm.alu_imm(Alu::Lsh, Reg::R1, 1);
        self.asm
            .map_value(Reg::R2, self.maps.ports, INTERFACES_OFFSET);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R1);
        self.asm.load(Size::H, Reg::R0, Reg::R2, 0);
        self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, self.ends.drop);
        self.asm.alu_imm(Alu::Sub, Reg::R0, 1);
        self.asm
            .store(Size::W, Reg::R7, Control::INGRESS_PORT, Reg::R0);
        self.store_field(
            self.program.standard.ingress_port,
            Reg::R0,
            [Reg::R1, Reg::R2],
        );
    }

    /// Microseconds of the monotonic clock, if anybody reads them.
    fn timestamps(&mut self) {
        let standard = &self.program.standard;
        let fields = [
            standard.ingress_global_timestamp,
            standard.enq_timestamp,
            standard.egress_global_timestamp,
        ];
        let read: Vec<FieldRef> = fields
            .into_iter()
            .flatten()
            .filter(|f| self.read.contains(f))
            .collect();
        if read.is_empty() {
            return;
        }
        self.asm.call(HELPER_KTIME_GET_NS);
        self.asm.alu_imm(Alu::Div, Reg::R0, 1000);
        self.asm.mov(Reg::R8, Reg::R0);
        for field in read {
            self.asm.mov(Reg::R0, Reg::R8);
            self.keep_low(Reg::R0, self.width(field));
            self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
        }
    }

    /// Multicast, clone, drop, unicast. simple_switch clones before it replicates; no output tells.
    pub(super) fn end_of_ingress(&mut self) {
        self.asm.note(Note::stage("end of ingress"));
        let standard = self.program.standard;
        // The interpreter makes the clones of what it replicates, too.
        if let Some(group) = standard.mcast_grp
            && self.is_assigned(group)
        {
            self.load_field(Reg::R0, Reg::R1, group);
            self.asm
                .jump_if_imm(Cond::Ne, Reg::R0, 0, self.ends.replicate);
        }
        if clones(self.program) {
            let none = self.asm.label();
            self.asm
                .load(Size::W, Reg::R0, Reg::R7, Control::CLONE_SESSION);
            self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, none);
            self.event(EventKind::Clone, none);
            self.asm.place(none);
        }
        self.load_field(Reg::R0, Reg::R1, standard.egress_spec);
        self.asm
            .jump_if_imm(Cond::Eq, Reg::R0, DROP_PORT as i32, self.ends.drop);
        self.store_field(standard.egress_port, Reg::R0, [Reg::R1, Reg::R2]);
        self.asm.mov_imm(Reg::R0, 0);
        self.store_field(standard.egress_spec, Reg::R0, [Reg::R1, Reg::R2]);
    }

    fn is_assigned(&self, field: FieldRef) -> bool {
        self.program
            .actions
            .iter()
            .flat_map(|a| &a.body)
            .any(|(op, _)| {
                matches!(op, Op::Assign { target: LValue::Field(f), .. }
                | Op::RegisterRead { target: LValue::Field(f), .. }
                | Op::Hash { target: LValue::Field(f), .. }
                | Op::Random { target: LValue::Field(f), .. } if *f == field)
            })
    }

    pub(super) fn end_of_egress(&mut self) {
        self.asm.note(Note::stage("end of egress"));
        self.load_field(Reg::R0, Reg::R1, self.program.standard.egress_spec);
        self.asm
            .jump_if_imm(Cond::Eq, Reg::R0, DROP_PORT as i32, self.ends.drop);
    }

    /// Sends the packet, and emits the places that everything else jumps to.
    pub(super) fn transmit(&mut self) {
        self.asm.note(Note::stage("transmit"));
        let to_cpu = self.asm.label();
        self.load_field(Reg::R8, Reg::R1, self.program.standard.egress_port);
        self.asm
            .jump_if_imm(Cond::Eq, Reg::R8, self.options.cpu_port as i32, to_cpu);
        if self.options.trail == Trail::LastPort {
            self.asm
                .map_value(Reg::R1, self.maps.ports, LAST_PORT_OFFSET);
            self.asm.store(Size::W, Reg::R1, 0, Reg::R8);
        }
        self.asm.map(Reg::R1, self.maps.devmap);
        self.asm.mov(Reg::R2, Reg::R8);
        self.asm.mov_imm(Reg::R3, XDP_DROP);
        self.asm.call(HELPER_REDIRECT_MAP);
        self.asm.exit();

        self.asm.place(to_cpu);
        self.event(EventKind::PacketIn, self.ends.drop);
        self.asm.jump(self.ends.drop);

        self.asm.shared_section();
        self.asm.note(Note::stage("slow path"));
        self.asm.place(self.ends.slow_path);
        self.event(EventKind::SlowPath, self.ends.drop);
        self.asm.jump(self.ends.drop);
        self.asm.place(self.ends.replicate);
        self.event(EventKind::Replicate, self.ends.drop);

        self.asm.place(self.ends.drop);
        self.asm.mov_imm(Reg::R0, XDP_DROP);
        self.asm.exit();
    }

    /// `dst` = the packet's length after the deparser. Overwrites R1.
    fn length_out(&mut self, dst: Reg) {
        self.asm.load(Size::W, dst, Reg::R7, Control::LENGTH);
        self.asm.load(Size::W, Reg::R1, Reg::R7, Control::PARSED);
        self.asm.alu(Alu::Sub, dst, Reg::R1);
        self.asm
            .load(Size::W, Reg::R1, Reg::R7, Control::HEADER_BYTES);
        self.asm.alu(Alu::Add, dst, Reg::R1);
    }

    /// Puts the packet as it is now on the ring buffer. Goes to `lost` if there is no room.
    fn event(&mut self, kind: EventKind, lost: Label) {
        let done = self.asm.label();
        if kind == EventKind::PacketIn {
            self.length_out(Reg::R8);
        } else {
            self.asm.load(Size::W, Reg::R8, Reg::R7, Control::LENGTH);
        }
        for room in EVENT_CLASSES {
            let (larger, discard) = (self.asm.label(), self.asm.label());
            self.asm.jump_if_imm(Cond::Gt, Reg::R8, room, larger);
            self.asm.jump_if_imm(Cond::Eq, Reg::R8, 0, lost);
            self.asm.map(Reg::R1, self.maps.events);
            self.asm
                .mov_imm(Reg::R2, EVENT_HEADER_BYTES as u64 + room as u64);
            self.asm.mov_imm(Reg::R3, 0);
            self.asm.call(HELPER_RINGBUF_RESERVE);
            self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, lost);
            self.asm.mov(Reg::R9, Reg::R0);
            self.event_header(kind);
            self.asm.mov(Reg::R1, Reg::R6);
            self.asm.mov_imm(Reg::R2, 0);
            self.asm.mov(Reg::R3, Reg::R9);
            self.asm
                .alu_imm(Alu::Add, Reg::R3, EVENT_HEADER_BYTES as i32);
            self.asm.mov(Reg::R4, Reg::R8);
            self.asm.call(HELPER_XDP_LOAD_BYTES);
            self.asm.jump_if_imm(Cond::Ne, Reg::R0, 0, discard);
            self.asm.mov(Reg::R1, Reg::R9);
            self.asm.mov_imm(Reg::R2, 0);
            self.asm.call(HELPER_RINGBUF_SUBMIT);
            self.asm.jump(done);
            self.asm.place(discard);
            self.asm.mov(Reg::R1, Reg::R9);
            self.asm.mov_imm(Reg::R2, 0);
            self.asm.call(HELPER_RINGBUF_DISCARD);
            self.asm.jump(lost);
            self.asm.place(larger);
        }
        self.asm.jump(lost);
        self.asm.place(done);
    }

    /// Fills the record at R9.
    fn event_header(&mut self, kind: EventKind) {
        self.asm.store_imm(Size::W, Reg::R9, 0, kind as i32);
        self.asm
            .load(Size::W, Reg::R1, Reg::R7, Control::INGRESS_PORT);
        self.asm.store(Size::W, Reg::R9, 4, Reg::R1);
        self.asm.store(Size::W, Reg::R9, 8, Reg::R8);
        if kind != EventKind::Clone {
            self.asm.store_imm(Size::W, Reg::R9, 16, 0);
            return;
        }
        self.asm
            .load(Size::W, Reg::R1, Reg::R7, Control::CLONE_SESSION);
        self.asm.alu_imm(Alu::Sub, Reg::R1, 1);
        self.asm.store(Size::W, Reg::R9, 12, Reg::R1);
        self.asm
            .load(Size::W, Reg::R1, Reg::R7, Control::CLONE_LIST);
        self.asm.store(Size::W, Reg::R9, 16, Reg::R1);
        for (index, list) in self.program.field_lists.iter().enumerate() {
            let other = self.asm.label();
            self.asm
                .load(Size::W, Reg::R1, Reg::R7, Control::CLONE_LIST);
            self.asm
                .jump_if_imm(Cond::Ne, Reg::R1, index as i32 + 1, other);
            if list.fields.len() > EVENT_VALUES {
                self.refuse(
                    format!(
                        "the field list {} of {} fields",
                        list.name,
                        list.fields.len()
                    ),
                    "at most 8 fields",
                );
            }
            for (position, field) in list.fields.iter().take(EVENT_VALUES).enumerate() {
                self.value(field);
                let at = EVENT_VALUES_OFFSET as i32 + 8 * position as i32;
                self.asm.store(Size::DW, Reg::R9, at, Reg::R0);
            }
            self.asm.place(other);
        }
    }
}
