//! Actions: one primitive after the other.

use std::collections::HashMap;

use num_traits::ToPrimitive;
use pointsman_p4::ir::{Action, CloneSource, Expr, FieldRef, HeaderId, LValue, Op, Program};

use crate::asm::{Alu, Cond, Label, Reg, Size};
use crate::tables::cells::{COUNTER_BYTES, CounterPlan, METER_BYTES, METER_TIME_SHIFT, MeterPlan};
use crate::tables::records::arg_words;

use super::Emitter;
use super::layout::{Control, Slot};

const HELPER_KTIME_GET_NS: u32 = 5;
const HELPER_PRANDOM: u32 = 7;
/// How often a meter's bucket is tried again when another CPU was faster.
const METER_ATTEMPTS: u32 = 4;

/// `egress_spec` of a dropped packet.
pub(super) const DROP_PORT: u64 = 511;

/// The arguments of the action being compiled: R9 points at them.
#[derive(Debug, Clone, Default)]
pub(super) struct Params {
    /// Offset from R9 and width of each.
    slots: Vec<(i32, u32)>,
}

impl Params {
    /// Arguments in a record.
    pub(super) fn in_record(action: &Action) -> Params {
        let mut offset = 0;
        let slots = action.params.iter().map(|param| {
            let at = offset;
            offset += 8 * arg_words(param.width) as i32;
            (at, param.width)
        });
        Params {
            slots: slots.collect(),
        }
    }
}

impl Emitter<'_> {
    /// The body of an action. Exit goes to `exit`.
    pub(super) fn action(&mut self, action: &Action, exit: Label) {
        self.params = Params::in_record(action);
        let targets: HashMap<u32, Label> = action
            .body
            .iter()
            .filter_map(|(op, _)| match op {
                Op::Jump { to } | Op::JumpIfZero { to, .. } => Some(*to),
                _ => None,
            })
            .map(|to| (to, self.asm.label()))
            .collect();
        let mut exits = false;
        for (index, (op, source)) in action.body.iter().enumerate() {
            if let Op::Jump { to } | Op::JumpIfZero { to, .. } = op
                && *to <= index as u32
            {
                self.source = source.clone();
                return self.refuse(
                    format!("a loop in {}", action.name),
                    "loops that p4c unrolls",
                );
            }
            if let Some(label) = targets.get(&(index as u32)) {
                self.asm.place(*label);
            }
            self.source = source.clone();
            self.asm.note(format!("{} ({source})", action.name));
            match op {
                Op::Jump { to } => self.asm.jump(targets[to]),
                Op::JumpIfZero { condition, to } => self.branch(condition, false, targets[to]),
                Op::Exit => exits = true,
                op => self.op(op),
            }
        }
        if let Some(label) = targets.get(&(action.body.len() as u32)) {
            self.asm.place(*label);
        }
        // Exit is looked at when the action ends. One under a jump would need a flag.
        if exits {
            if !targets.is_empty() {
                self.refuse(
                    format!("a conditional exit in {}", action.name),
                    "an unconditional exit",
                );
            }
            self.asm.jump(exit);
        }
    }

    /// Primitives that are allowed anywhere.
    pub(super) fn op(&mut self, op: &Op) {
        match op {
            Op::Assign { target, value } => self.assign(target, value),
            Op::AssignHeader { target, source } => {
                let (target, source) = (self.fixed_header(target), self.fixed_header(source));
                if let (Some(target), Some(source)) = (target, source) {
                    self.copy_header(target, source);
                }
            }
            Op::SetValid(header) => {
                if let Some(header) = self.fixed_header(header) {
                    self.set_valid(header);
                }
            }
            Op::SetInvalid(header) => {
                if let Some(header) = self.fixed_header(header) {
                    self.asm
                        .store_imm(Size::B, Reg::R7, self.layout.valid(header), 0);
                }
            }
            Op::MarkToDrop => {
                self.asm.mov_imm(Reg::R0, DROP_PORT);
                self.store_field(
                    self.program.standard.egress_spec,
                    Reg::R0,
                    [Reg::R1, Reg::R2],
                );
                if let Some(group) = self.program.standard.mcast_grp {
                    self.asm.mov_imm(Reg::R0, 0);
                    self.store_field(group, Reg::R0, [Reg::R1, Reg::R2]);
                }
            }
            Op::Count { counter, index } => {
                // p4c leaves a direct counter's call in the action; the table counts the hit.
                if let Some(plan) = self.plan.counters.get(counter).copied() {
                    let size = self.program.counters[counter.index()].size;
                    self.count_indirect(plan, size, index);
                }
            }
            Op::ExecuteMeter {
                meter,
                index,
                target,
            } => {
                let field = self.fixed_field(target);
                if let (Some(plan), Some(field)) = (self.plan.meters.get(meter).copied(), field) {
                    let (size, unit) = {
                        let meter = &self.program.meters[meter.index()];
                        (meter.size, meter.unit)
                    };
                    let out = self.asm.label();
                    self.value(index);
                    self.asm.mov_imm(Reg::R1, u64::from(size));
                    self.asm.jump_if(Cond::Ge, Reg::R0, Reg::R1, out);
                    self.meter(plan, unit, field);
                    self.asm.place(out);
                }
            }
            Op::RegisterRead {
                target,
                register,
                index,
            } => {
                self.register_access(*register, index, Access::Read(target));
            }
            Op::RegisterWrite {
                register,
                index,
                value,
            } => {
                self.register_access(*register, index, Access::Write(value));
            }
            Op::Hash {
                target,
                base,
                calculation,
                max,
            } => {
                self.hash_into(target, base, *calculation, max);
            }
            Op::Random { target, low, high } => self.random(target, low, high),
            Op::Clone {
                source: CloneSource::Ingress,
                session,
                fields,
            } => {
                self.value_of_width(session, 32);
                self.asm.alu_imm(Alu::Add, Reg::R0, 1);
                self.asm
                    .store(Size::W, Reg::R7, Control::CLONE_SESSION, Reg::R0);
                let list = fields.map_or(0, |list| list.0 as i32 + 1);
                self.asm
                    .store_imm(Size::W, Reg::R7, Control::CLONE_LIST, list);
            }
            Op::Assume { .. } | Op::Assert { .. } | Op::LogMessage { .. } => {}
            Op::Exit | Op::Jump { .. } | Op::JumpIfZero { .. } => {
                self.refuse("a jump outside of an action", "straight code");
            }
            other => {
                let name = primitive_name(other);
                self.refuse(
                    format!("the primitive {name}"),
                    "primitives that keep one packet one packet",
                );
            }
        }
    }

    fn assign(&mut self, target: &LValue, value: &Expr) {
        let Some(field) = self.fixed_field(target) else {
            return;
        };
        let width = self.width(field);
        if width <= 64 {
            self.value_of_width(value, width);
            return self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
        }
        match value {
            Expr::Field(source) if self.width(*source) == width => {
                self.copy_bits(field, Source::Field(*source), width);
            }
            Expr::Param(index) if self.param_width(*index) == width => {
                let (offset, _) = self.params.slots[*index as usize];
                let pad = arg_words(width) as i32 * 8 - width.div_ceil(8) as i32;
                self.copy_bits(field, Source::Record(offset + pad), width);
            }
            Expr::Const(constant) if constant.to_u64().is_some() => {
                self.asm
                    .mov_imm(Reg::R0, constant.to_u64().expect("just checked"));
                self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
            }
            _ => self.refuse(
                format!(
                    "a computation of {width} bits for {}",
                    self.program.field_name(field)
                ),
                "a copy, or at most 64 bits",
            ),
        }
    }

    /// Copies a long field byte by byte; both must begin at a byte.
    fn copy_bits(&mut self, target: FieldRef, source: Source, width: u32) {
        let Slot::Wire {
            offset: to, bit: 0, ..
        } = self.layout.slot(target)
        else {
            return self.refuse(
                "a long field that does not begin at a byte",
                "fields aligned to bytes",
            );
        };
        let (base, from) = match source {
            Source::Record(offset) => (Reg::R9, offset),
            Source::Field(field) => match self.layout.slot(field) {
                Slot::Wire { offset, bit: 0, .. } => (Reg::R7, offset),
                _ => {
                    return self.refuse(
                        "a long field that does not begin at a byte",
                        "fields aligned to bytes",
                    );
                }
            },
        };
        if !width.is_multiple_of(8) {
            return self.refuse(format!("a copy of {width} bits"), "whole bytes");
        }
        self.copy_bytes(base, from, Reg::R7, to, width / 8);
    }

    /// Copies bytes through R0.
    pub(super) fn copy_bytes(&mut self, from: Reg, from_at: i32, to: Reg, to_at: i32, bytes: u32) {
        let mut done = 0;
        while done < bytes {
            let size = match bytes - done {
                8.. => Size::DW,
                4..=7 => Size::W,
                2..=3 => Size::H,
                _ => Size::B,
            };
            self.asm.load(size, Reg::R0, from, from_at + done as i32);
            self.asm.store(size, to, to_at + done as i32, Reg::R0);
            done += size.bytes();
        }
    }

    fn copy_header(&mut self, target: HeaderId, source: HeaderId) {
        let bytes = self.program.headers[source.index()].fixed_bits() / 8;
        let (invalid, done) = (self.asm.label(), self.asm.label());
        self.asm
            .load(Size::B, Reg::R1, Reg::R7, self.layout.valid(source));
        self.asm.jump_if_imm(Cond::Eq, Reg::R1, 0, invalid);
        self.copy_bytes(
            Reg::R7,
            self.layout.header(source),
            Reg::R7,
            self.layout.header(target),
            bytes,
        );
        self.asm
            .store_imm(Size::B, Reg::R7, self.layout.valid(target), 1);
        self.asm.jump(done);
        self.asm.place(invalid);
        self.asm
            .store_imm(Size::B, Reg::R7, self.layout.valid(target), 0);
        self.asm.place(done);
    }

    fn set_valid(&mut self, header: HeaderId) {
        let already = self.asm.label();
        self.asm
            .load(Size::B, Reg::R1, Reg::R7, self.layout.valid(header));
        self.asm.jump_if_imm(Cond::Ne, Reg::R1, 0, already);
        let start = self.layout.header(header);
        let end = start
            + self.program.headers[header.index()]
                .fixed_bits()
                .div_ceil(8) as i32;
        for at in (start..end).step_by(8) {
            self.asm.store_imm(Size::DW, Reg::R7, at, 0);
        }
        self.asm
            .store_imm(Size::B, Reg::R7, self.layout.valid(header), 1);
        self.asm.place(already);
    }

    /// `dst` = an argument of the action.
    pub(super) fn param(&mut self, dst: Reg, index: u32) {
        let Some((offset, width)) = self.params.slots.get(index as usize).copied() else {
            return self.refuse(
                format!("argument {index} outside of an action"),
                "arguments in actions",
            );
        };
        if width <= 64 {
            self.asm.load(Size::DW, dst, Reg::R9, offset);
        } else {
            // The low 64 bits of a big-endian number.
            self.asm.load(
                Size::DW,
                dst,
                Reg::R9,
                offset + 8 * (arg_words(width) as i32 - 1),
            );
            self.asm.be(dst, Size::DW);
        }
    }

    pub(super) fn param_width(&self, index: u32) -> u32 {
        self.params
            .slots
            .get(index as usize)
            .map_or(64, |(_, width)| *width)
    }

    fn count_indirect(&mut self, plan: CounterPlan, size: u32, index: &Expr) {
        let out = self.asm.label();
        self.value(index);
        self.asm.mov_imm(Reg::R1, u64::from(size));
        self.asm.jump_if(Cond::Ge, Reg::R0, Reg::R1, out);
        self.count(plan);
        self.asm.place(out);
    }

    /// Counts the packet in cell R0. Overwrites R0 to R3.
    pub(super) fn count(&mut self, plan: CounterPlan) {
        self.asm
            .alu32_imm(Alu::And, Reg::R0, (plan.cells - 1) as i32);
        self.asm.alu_imm(Alu::Mul, Reg::R0, COUNTER_BYTES as i32);
        self.asm.load(Size::W, Reg::R1, Reg::R7, Control::CPU);
        self.asm.alu_imm(Alu::And, Reg::R1, (plan.cpus - 1) as i32);
        self.asm
            .alu_imm(Alu::Mul, Reg::R1, (plan.cells * COUNTER_BYTES) as i32);
        self.arena(Reg::R2, plan.offset);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R0);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R1);
        self.asm.load(Size::DW, Reg::R3, Reg::R2, 0);
        self.asm.alu_imm(Alu::Add, Reg::R3, 1);
        self.asm.store(Size::DW, Reg::R2, 0, Reg::R3);
        self.asm.load(Size::DW, Reg::R3, Reg::R2, 8);
        self.asm.load(Size::W, Reg::R0, Reg::R7, Control::LENGTH);
        self.asm.alu(Alu::Add, Reg::R3, Reg::R0);
        self.asm.store(Size::DW, Reg::R2, 8, Reg::R3);
    }

    /// Meters the packet by cell R0 and stores the colour. Overwrites R0 to R5 and R8.
    pub(super) fn meter(
        &mut self,
        plan: MeterPlan,
        unit: pointsman_p4::ir::MeterUnit,
        target: FieldRef,
    ) {
        let (enabled, red, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm
            .alu32_imm(Alu::And, Reg::R0, (plan.cells - 1) as i32);
        self.asm.alu_imm(Alu::Mul, Reg::R0, METER_BYTES as i32);
        self.arena(Reg::R8, plan.offset);
        self.asm.alu(Alu::Add, Reg::R8, Reg::R0);
        self.asm.load(Size::DW, Reg::R1, Reg::R8, 0);
        self.asm.jump_if_imm(Cond::Ne, Reg::R1, 0, enabled);
        self.asm.mov_imm(Reg::R0, 0);
        self.asm.jump(done);

        self.asm.place(enabled);
        self.asm.call(HELPER_KTIME_GET_NS);
        self.asm.alu_imm(Alu::Lsh, Reg::R0, METER_TIME_SHIFT as i32);
        self.asm
            .store(Size::DW, Reg::R7, Control::TEMPORARY, Reg::R0);
        // Red: not even the peak bucket has room. Yellow: only that one has.
        self.bucket(24, 48, unit, red);
        let yellow = self.asm.label();
        self.bucket(8, 40, unit, yellow);
        self.asm.mov_imm(Reg::R0, 0);
        self.asm.jump(done);
        self.asm.place(yellow);
        self.asm.mov_imm(Reg::R0, 1);
        self.asm.jump(done);
        self.asm.place(red);
        self.asm.mov_imm(Reg::R0, 2);
        self.asm.place(done);
        self.store_field(target, Reg::R0, [Reg::R1, Reg::R2]);
    }

    /// Takes the packet from one bucket of the meter at R8, or goes to `full`. The rate is at
    /// `rate`, the burst after it, the time at which it is full again at `state`.
    fn bucket(&mut self, rate: i32, state: i32, unit: pointsman_p4::ir::MeterUnit, full: Label) {
        let taken = self.asm.label();
        for _ in 0..METER_ATTEMPTS {
            let behind = self.asm.label();
            // R3 = how far the full-again time is ahead; one in the past counts as now.
            self.asm
                .load(Size::DW, Reg::R4, Reg::R7, Control::TEMPORARY);
            self.asm.load(Size::DW, Reg::R0, Reg::R8, state);
            self.asm.load(Size::DW, Reg::R5, Reg::R8, rate + 8);
            self.asm.mov(Reg::R3, Reg::R0);
            self.asm.alu(Alu::Sub, Reg::R3, Reg::R4);
            self.asm.jump_if(Cond::Le, Reg::R3, Reg::R5, behind);
            self.asm.mov_imm(Reg::R3, 0);
            self.asm.place(behind);
            self.asm.load(Size::DW, Reg::R1, Reg::R8, rate);
            if unit == pointsman_p4::ir::MeterUnit::Bytes {
                self.asm.load(Size::W, Reg::R2, Reg::R7, Control::LENGTH);
                self.asm.alu(Alu::Mul, Reg::R1, Reg::R2);
            }
            self.asm.alu(Alu::Add, Reg::R3, Reg::R1);
            self.asm.jump_if(Cond::Gt, Reg::R3, Reg::R5, full);
            self.asm.alu(Alu::Add, Reg::R3, Reg::R4);
            self.asm.mov(Reg::R1, Reg::R0);
            self.asm.cmpxchg64(Reg::R8, state, Reg::R3);
            self.asm.jump_if(Cond::Eq, Reg::R0, Reg::R1, taken);
        }
        self.asm.place(taken);
    }

    fn register_access(
        &mut self,
        register: pointsman_p4::ir::RegisterId,
        index: &Expr,
        access: Access<'_>,
    ) {
        let (size, width) = {
            let register = &self.program.registers[register.index()];
            (register.size, register.width)
        };
        if width > 64 {
            let name = self.program.registers[register.index()].name.clone();
            return self.refuse(
                format!("the register {name} of {width} bits"),
                "at most 64 bits",
            );
        }
        let (offset, cells) = self.plan.registers[&register];
        let out = self.asm.label();
        self.value(index);
        self.asm.mov_imm(Reg::R1, u64::from(size));
        self.asm.jump_if(Cond::Ge, Reg::R0, Reg::R1, out);
        self.asm.alu32_imm(Alu::And, Reg::R0, (cells - 1) as i32);
        self.asm.alu_imm(Alu::Lsh, Reg::R0, 3);
        self.arena(Reg::R8, offset);
        self.asm.alu(Alu::Add, Reg::R8, Reg::R0);
        match access {
            Access::Read(target) => {
                if let Some(field) = self.fixed_field(target) {
                    self.asm.load(Size::DW, Reg::R0, Reg::R8, 0);
                    if self.width(field) < width {
                        self.keep_low(Reg::R0, self.width(field));
                    }
                    self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
                }
            }
            Access::Write(value) => {
                self.value_of_width(value, width);
                self.asm.store(Size::DW, Reg::R8, 0, Reg::R0);
            }
        }
        self.asm.place(out);
    }

    /// `target = low + random % (high - low + 1)`; 0 as the divisor stands for all 64 bits.
    fn random(&mut self, target: &LValue, low: &Expr, high: &Expr) {
        let Some(field) = self.fixed_field(target) else {
            return;
        };
        self.value(low);
        self.asm
            .store(Size::DW, Reg::R7, Control::TEMPORARY, Reg::R0);
        self.value(high);
        self.asm
            .store(Size::DW, Reg::R7, Control::TEMPORARY2, Reg::R0);
        self.asm.call(HELPER_PRANDOM);
        self.asm.mov(Reg::R8, Reg::R0);
        self.asm.call(HELPER_PRANDOM);
        self.asm.alu_imm(Alu::Lsh, Reg::R8, 32);
        self.asm.alu(Alu::Or, Reg::R0, Reg::R8);
        self.asm
            .load(Size::DW, Reg::R1, Reg::R7, Control::TEMPORARY);
        self.asm
            .load(Size::DW, Reg::R2, Reg::R7, Control::TEMPORARY2);
        self.asm.alu(Alu::Sub, Reg::R2, Reg::R1);
        self.asm.alu_imm(Alu::Add, Reg::R2, 1);
        let all = self.asm.label();
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, 0, all);
        self.asm.alu(Alu::Mod, Reg::R0, Reg::R2);
        self.asm.place(all);
        self.asm.alu(Alu::Add, Reg::R0, Reg::R1);
        self.keep_low(Reg::R0, self.width(field));
        self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
    }
}

enum Source {
    Field(FieldRef),
    Record(i32),
}

enum Access<'e> {
    Read(&'e LValue),
    Write(&'e Expr),
}

fn primitive_name(op: &Op) -> &'static str {
    match op {
        Op::AssignVarbit { .. } => "assignment of a varbit field",
        Op::AssignStack { .. } => "assignment of a header stack",
        Op::AssignUnion { .. } | Op::AssignUnionStack { .. } => "assignment of a header union",
        Op::InvalidateUnion(_) => "setInvalid of a header union",
        Op::Push { .. } => "push_front",
        Op::Pop { .. } => "pop_front",
        Op::Clone { .. } => "clone from egress",
        Op::Resubmit { .. } => "resubmit",
        Op::Recirculate { .. } => "recirculate",
        Op::Digest { .. } => "digest",
        Op::Truncate { .. } => "truncate",
        _ => "this primitive",
    }
}

/// Whether a program clones from ingress anywhere.
pub(super) fn clones(program: &Program) -> bool {
    let is_clone = |op: &Op| {
        matches!(
            op,
            Op::Clone {
                source: CloneSource::Ingress,
                ..
            }
        )
    };
    program
        .actions
        .iter()
        .any(|a| a.body.iter().any(|(op, _)| is_clone(op)))
}
