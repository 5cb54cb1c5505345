//! What comes before the parser and after the controls: intrinsic metadata, the traffic manager's
//! decisions in simple_switch's order, and sending.
//!
//! A unicast packet runs egress in the same program. Multicast and starting over are the
//! interpreter's; clones and digests are made there while the packet goes on here.

use num_traits::Zero;
use pointsman_p4::interpreter::{Resume, Step};
use pointsman_p4::ir::{ControlKind, Expr, FieldRef, LValue, Op, ParserOp};

use crate::asm::{Alu, Cond, Note, Reg, Size};
use crate::switch::ports::{INTERFACES_OFFSET, LAST_PORT_OFFSET, MAX_INTERFACE};

use super::action::DROP_PORT;
use super::chain::context_and_phv;
use super::event::EventKind;
use super::handoff::{Cause, OUT_OF_BOUNDS, Point};
use super::layout::Control;
use super::{Emitter, Refusal, Trail};

const HELPER_KTIME_GET_NS: u32 = 5;
const HELPER_GET_SMP_PROCESSOR_ID: u32 = 8;
const HELPER_REDIRECT_MAP: u32 = 51;
const HELPER_XDP_GET_BUFF_LEN: u32 = 188;

const CTX_DATA: i32 = 0;
const CTX_DATA_END: i32 = 4;
const CTX_INGRESS_IFINDEX: i32 = 12;

const XDP_DROP: u64 = 1;

impl Emitter<'_> {
    /// R6 and R7, a clean PHV, and the metadata that the switch sets.
    pub(super) fn prologue(&mut self) {
        self.asm.note(Note::stage("prologue"));
        context_and_phv(&mut self.asm, self.maps.phv);
        for at in self.layout.zeroed.clone() {
            self.asm.store_imm(Size::DW, Reg::R7, at, 0);
        }
        self.asm.store_imm(Size::W, Reg::R7, Control::PARSED, 0);
        for request in self.request_words() {
            self.asm.store_imm(Size::W, Reg::R7, request, 0);
        }
        self.asm.call(HELPER_GET_SMP_PROCESSOR_ID);
        self.asm.store(Size::W, Reg::R7, Control::CPU, Reg::R0);
        self.packet_length();
        self.ingress_port();
        self.timestamps();
    }

    /// Most frames are in one piece, and so as long as that: the helper is for those in fragments,
    /// where one can tell, as it takes as long as a whole table.
    fn packet_length(&mut self) {
        let (in_fragments, done) = (self.asm.label(), self.asm.label());
        if let Some(flags) = self.options.frame_flags {
            self.asm.mov(Reg::R1, Reg::R6);
            self.asm.call_kernel(flags.cast);
            self.asm.load(Size::W, Reg::R1, Reg::R0, flags.offset);
            self.asm.alu32_imm(Alu::And, Reg::R1, flags.fragments);
            self.asm.jump_if_imm(Cond::Ne, Reg::R1, 0, in_fragments);
            self.asm.load(Size::W, Reg::R0, Reg::R6, CTX_DATA_END);
            self.asm.load(Size::W, Reg::R1, Reg::R6, CTX_DATA);
            self.asm.alu(Alu::Sub, Reg::R0, Reg::R1);
            self.asm.jump(done);
        }
        self.asm.place(in_fragments);
        self.asm.mov(Reg::R1, Reg::R6);
        self.asm.call(HELPER_XDP_GET_BUFF_LEN);
        self.asm.place(done);
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

    /// The control words that ask for something at the end of a control, or tell of it.
    fn request_words(&self) -> Vec<i32> {
        let asks = |word: i32, asks: fn(&Op) -> bool| self.asks(asks).then_some(word);
        [
            asks(Control::CLONE_SESSION, is_clone),
            asks(Control::DIGEST, is_digest),
            asks(Control::RESUBMIT, |op| matches!(op, Op::Resubmit { .. })),
            asks(Control::RECIRCULATE, |op| {
                matches!(op, Op::Recirculate { .. })
            }),
            self.tracks_length().then_some(Control::GROWN),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Clone, digest, resubmit, multicast, drop, unicast: simple_switch's order.
    pub(super) fn end_of_ingress(&mut self) {
        self.asm.note(Note::stage("end of ingress"));
        let standard = self.program.standard;
        let ingress = ControlKind::Ingress;
        let resubmits = self.askers(ingress, "resubmit", "one pass for each packet", |op| {
            matches!(op, Op::Resubmit { .. })
        });
        let mut constructs = resubmits.clone();
        let group = standard.mcast_grp.filter(|group| {
            let sets = |op: &Op| may_become_other_than_0(op, *group);
            let replicates = self.askers(ingress, "multicast", "unicast", sets);
            let assigned = !replicates.is_empty() || self.parser_sets(*group);
            constructs.extend(replicates);
            assigned
        });
        let (other, unicast) = (self.asm.label(), self.asm.label());
        if !resubmits.is_empty() {
            self.asm.load(Size::W, Reg::R0, Reg::R7, Control::RESUBMIT);
            self.asm.jump_if_imm(Cond::Ne, Reg::R0, 0, other);
        }
        if let Some(group) = group {
            self.load_field(Reg::R0, Reg::R1, group);
            self.asm.jump_if_imm(Cond::Ne, Reg::R0, 0, other);
        }
        self.asm.jump(unicast);
        self.asm.place(other);
        if !resubmits.is_empty() || group.is_some() {
            self.hand_over(Resume::Control(ingress, Step::End), constructs);
        }
        self.asm.place(unicast);
        let mut copies = self.askers(ingress, "a clone", "the packet itself", is_clone);
        copies.extend(self.askers(ingress, "a digest", "the packet itself", is_digest));
        self.copies(ingress, copies);
        self.load_field(Reg::R0, Reg::R1, standard.egress_spec);
        self.asm
            .jump_if_imm(Cond::Eq, Reg::R0, DROP_PORT as i32, self.ends.drop);
        self.store_field(standard.egress_port, Reg::R0, [Reg::R1, Reg::R2]);
        self.asm.mov_imm(Reg::R0, 0);
        self.store_field(standard.egress_spec, Reg::R0, [Reg::R1, Reg::R2]);
        if self.tracks_length()
            && let Some(field) = standard.packet_length
        {
            self.asm.load(Size::W, Reg::R0, Reg::R7, Control::LENGTH);
            self.asm.load(Size::W, Reg::R1, Reg::R7, Control::GROWN);
            self.asm.alu32(Alu::Add, Reg::R0, Reg::R1);
            self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
        }
    }

    pub(super) fn end_of_egress(&mut self) {
        self.asm.note(Note::stage("end of egress"));
        let egress = ControlKind::Egress;
        let recirculates = self.askers(egress, "recirculate", "one pass for each packet", |op| {
            matches!(op, Op::Recirculate { .. })
        });
        if !recirculates.is_empty() {
            let once = self.asm.label();
            self.asm
                .load(Size::W, Reg::R0, Reg::R7, Control::RECIRCULATE);
            self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, once);
            self.hand_over(Resume::Control(egress, Step::End), recirculates);
            self.asm.place(once);
        }
        let copies = self.askers(egress, "a clone", "the packet itself", is_clone);
        self.copies(egress, copies);
        self.load_field(Reg::R0, Reg::R1, self.program.standard.egress_spec);
        self.asm
            .jump_if_imm(Cond::Eq, Reg::R0, DROP_PORT as i32, self.ends.drop);
    }

    /// Has the interpreter make a clone and a digest, if the packet asks for one.
    fn copies(&mut self, control: ControlKind, constructs: Vec<Refusal>) {
        if constructs.is_empty() {
            return;
        }
        let (wanted, none, lost) = (self.asm.label(), self.asm.label(), self.asm.label());
        for word in [Control::CLONE_SESSION, Control::DIGEST] {
            if self.request_words().contains(&word) {
                self.asm.load(Size::W, Reg::R0, Reg::R7, word);
                self.asm.jump_if_imm(Cond::Ne, Reg::R0, 0, wanted);
            }
        }
        self.asm.jump(none);
        self.asm.place(wanted);
        let point = self.point(Point {
            resume: Resume::Control(control, Step::End),
            args: Vec::new(),
            cause: Cause::Constructs(constructs),
        });
        self.asm
            .store_imm(Size::W, Reg::R7, Control::POINT, point as i32);
        self.event(EventKind::Copies, lost);
        self.asm.place(lost);
        // Done: egress may ask for its own.
        self.asm
            .store_imm(Size::W, Reg::R7, Control::CLONE_SESSION, 0);
        self.asm.store_imm(Size::W, Reg::R7, Control::DIGEST, 0);
        self.asm.place(none);
    }

    /// Whether any action asks for something.
    fn asks(&self, asks: impl Fn(&Op) -> bool) -> bool {
        let mut actions = self.program.actions.iter();
        actions.any(|a| a.body.iter().any(|(op, _)| asks(op)))
    }

    fn parser_sets(&self, field: FieldRef) -> bool {
        let states = self.program.parser_states.iter();
        states.flat_map(|s| &s.ops).any(|(op, _)| match op {
            ParserOp::Set { target, .. } => *target == LValue::Field(field),
            ParserOp::Primitive(op) => may_become_other_than_0(op, field),
            _ => false,
        })
    }

    /// Whether egress sees a packet length that the program may have changed.
    pub(super) fn tracks_length(&self) -> bool {
        let standard = &self.program.standard;
        standard
            .packet_length
            .is_some_and(|f| self.read.contains(&f))
            && self.asks(|op| matches!(op, Op::SetValid(_) | Op::SetInvalid(_)))
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
        self.asm.place(self.ends.out_of_bounds);
        self.hand_over_at(OUT_OF_BOUNDS);
        self.asm.place(self.ends.hand_over);
        self.event(EventKind::Handoff, self.ends.drop);

        self.asm.place(self.ends.drop);
        self.asm.mov_imm(Reg::R0, XDP_DROP);
        self.asm.exit();
    }

    /// `dst` = the packet's length after the deparser. Overwrites R1.
    pub(super) fn length_out(&mut self, dst: Reg) {
        self.asm.load(Size::W, dst, Reg::R7, Control::LENGTH);
        self.asm.load(Size::W, Reg::R1, Reg::R7, Control::PARSED);
        self.asm.alu(Alu::Sub, dst, Reg::R1);
        self.asm
            .load(Size::W, Reg::R1, Reg::R7, Control::HEADER_BYTES);
        self.asm.alu(Alu::Add, dst, Reg::R1);
    }
}

fn is_clone(op: &Op) -> bool {
    matches!(op, Op::Clone { .. })
}

fn is_digest(op: &Op) -> bool {
    matches!(op, Op::Digest { .. })
}

/// Whether a primitive can leave something else than 0 in a field.
fn may_become_other_than_0(op: &Op, field: FieldRef) -> bool {
    match op {
        Op::Assign { target, value } => {
            *target == LValue::Field(field) && !matches!(value, Expr::Const(n) if n.is_zero())
        }
        Op::RegisterRead { target, .. }
        | Op::ExecuteMeter { target, .. }
        | Op::Hash { target, .. }
        | Op::Random { target, .. } => *target == LValue::Field(field),
        _ => false,
    }
}
