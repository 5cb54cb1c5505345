//! Actions: one primitive after the other.

use std::collections::HashMap;

use pointsman_p4::interpreter::MAX_ROUNDS;
use pointsman_p4::ir::{Action, Expr, FieldListId, LValue, Op, SourceInfo, UnionId};

use crate::asm::{Alu, Cond, Label, Note, Reg, Size};
use crate::tables::records::arg_words;

use super::Emitter;
use super::cells::Access;
use super::handoff::Running;
use super::layout::{Control, Slot};

const HELPER_PRANDOM: u32 = 7;
/// `egress_spec` of a dropped packet.
pub(super) const DROP_PORT: u64 = 511;

/// The arguments of the action being compiled: R9 points at them.
#[derive(Debug, Clone, Default)]
pub(super) struct Params {
    /// Offset from R9 and width of each.
    pub(super) slots: Vec<(i32, u32)>,
    /// Their names, for listings.
    names: Vec<String>,
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
            names: action.params.iter().map(|p| p.name.clone()).collect(),
        }
    }
}

/// The flow of an action.
struct Body {
    /// Where the primitives are that are jumped to.
    targets: HashMap<u32, Label>,
    end: Label,
    /// Whether it jumps back.
    loops: bool,
    /// Whether it depends on jumps if the control ends with the action.
    exits_by_flag: bool,
}

impl Body {
    fn new(emitter: &mut Emitter<'_>, action: &Action) -> Body {
        let end = emitter.asm.label();
        let mut body = Body {
            targets: HashMap::new(),
            end,
            loops: false,
            exits_by_flag: false,
        };
        for (index, (op, _)) in action.body.iter().enumerate() {
            if let Op::Jump { to } | Op::JumpIfZero { to, .. } = op {
                body.loops |= *to <= index as u32;
                let place = body.targets.entry(*to);
                place.or_insert_with(|| emitter.asm.label());
            }
        }
        body.targets.insert(action.body.len() as u32, end);
        let jumps = body.targets.len() > 1;
        body.exits_by_flag = jumps && action.body.iter().any(|(op, _)| *op == Op::Exit);
        body
    }

    fn target(&self, to: u32) -> Label {
        self.targets[&to]
    }
}

impl Emitter<'_> {
    /// The body of an action. Exit goes to `exit`.
    pub(super) fn action(&mut self, running: Running, exit: Label) {
        let action = &self.program.actions[running.action.index()];
        self.params = Params::in_record(action);
        let body = Body::new(self, action);
        if body.loops || body.exits_by_flag {
            // All of it or nothing: the interpreter counts the rounds of the whole action, and a handoff does
            // not tell of an exit.
            if let Err(constructs) = self.attempt(|e| e.whole_body(running, action, exit)) {
                self.hand_over(running.at(0), constructs);
            }
            return;
        }
        // Exit is looked at when the action ends.
        let mut exits = None;
        for (index, (op, source)) in action.body.iter().enumerate() {
            let before = self.asm.mark();
            self.begin_step(running, index, source, &body);
            let emitted = self.attempt(|e| e.step(index, op, &body));
            match (emitted, exits) {
                (Ok(()), None) if *op == Op::Exit => exits = Some((index, before)),
                (Ok(()), _) => {}
                (Err(constructs), None) => self.hand_over(running.at(index), constructs),
                (Err(constructs), Some((exit, before_exit))) => {
                    // The interpreter must see the exit, too. There are no jumps in between.
                    self.asm.rewind(before_exit);
                    return self.hand_over(running.at(exit), constructs);
                }
            }
        }
        self.asm.place(body.end);
        if exits.is_some() {
            self.asm.jump(exit);
        }
    }

    /// An action with loops, or with an exit that a jump may skip.
    fn whole_body(&mut self, running: Running, action: &Action, exit: Label) {
        let body = Body::new(self, action);
        if body.loops {
            self.asm.store_imm(Size::W, Reg::R7, Control::ROUNDS, 0);
        }
        if body.exits_by_flag {
            self.asm.store_imm(Size::W, Reg::R7, Control::EXITS, 0);
        }
        for (index, (op, source)) in action.body.iter().enumerate() {
            self.begin_step(running, index, source, &body);
            self.step(index, op, &body);
        }
        self.asm.place(body.end);
        if body.exits_by_flag {
            self.asm.load(Size::W, Reg::R0, Reg::R7, Control::EXITS);
            self.asm.jump_if_imm(Cond::Ne, Reg::R0, 0, exit);
        }
    }

    fn begin_step(&mut self, running: Running, index: usize, source: &SourceInfo, body: &Body) {
        if let Some(label) = body.targets.get(&(index as u32)) {
            self.asm.place(*label);
        }
        self.source = source.clone();
        self.asm.note(Note::Statement {
            action: running.action,
            name: self.program.actions[running.action.index()].name.clone(),
            index: index as u32,
            source: source.clone(),
        });
    }

    /// One primitive of an action.
    fn step(&mut self, index: usize, op: &Op, body: &Body) {
        match op {
            Op::Jump { to } if *to <= index as u32 => self.go_back(*to, body),
            Op::Jump { to } => self.asm.jump(body.target(*to)),
            Op::JumpIfZero { condition, to } if *to <= index as u32 => {
                let leaves = self.asm.label();
                self.branch(condition, true, leaves);
                self.go_back(*to, body);
                self.asm.place(leaves);
            }
            Op::JumpIfZero { condition, to } => {
                self.branch(condition, false, body.target(*to));
            }
            Op::Exit if body.exits_by_flag => {
                self.asm.store_imm(Size::W, Reg::R7, Control::EXITS, 1);
            }
            Op::Exit => {}
            op => self.op(op),
        }
    }

    /// Goes back in an action, unless that was too often.
    fn go_back(&mut self, to: u32, body: &Body) {
        if !self.options.may_goto {
            return self.refuse("a loop", "kernel 6.9 or later");
        }
        self.asm.load(Size::W, Reg::R0, Reg::R7, Control::ROUNDS);
        self.asm.alu_imm(Alu::Add, Reg::R0, 1);
        self.asm.store(Size::W, Reg::R7, Control::ROUNDS, Reg::R0);
        self.asm
            .jump_if_imm(Cond::Ge, Reg::R0, MAX_ROUNDS as i32, body.end);
        self.asm.may_goto(body.end);
        self.asm.jump(body.target(to));
    }

    /// Primitives that are allowed anywhere.
    pub(super) fn op(&mut self, op: &Op) {
        match op {
            Op::Assign { target, value } => self.assign(target, value),
            Op::AssignHeader { target, source } => self.assign_header(target, source),
            Op::SetValid(header) => {
                let chosen = self.choose_header(header);
                self.with_header(&chosen, Reg::R1, Self::set_valid);
            }
            Op::SetInvalid(header) => {
                let chosen = self.choose_header(header);
                self.with_header(&chosen, Reg::R1, Self::set_invalid);
            }
            Op::InvalidateUnion(union) => self.invalidate_union(*union),
            Op::AssignUnion { target, source } => {
                let members = |union: UnionId| &self.program.unions[union.index()].members;
                for (target, source) in members(*target).iter().zip(members(*source)) {
                    self.copy_header(*target, *source);
                }
            }
            Op::AssignStack { target, source } => self.copy_stack(*target, *source),
            Op::Push { stack, count } => self.push_front(*stack, *count),
            Op::Pop { stack, count } => self.pop_front(*stack, *count),
            Op::AssignVarbit { target, source } => self.assign_varbit(target, source),
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
                if let Some(plan) = self.plan.meters.get(meter).copied() {
                    let (size, unit) = {
                        let meter = &self.program.meters[meter.index()];
                        (meter.size, meter.unit)
                    };
                    let out = self.asm.label();
                    self.value(index);
                    self.asm.mov_imm(Reg::R1, u64::from(size));
                    self.asm.jump_if(Cond::Ge, Reg::R0, Reg::R1, out);
                    self.meter(plan, unit, target);
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
            // simple_switch has one request for both kinds of clone: the control's end decides.
            Op::Clone {
                session, fields, ..
            } => {
                self.value_of_width(session, 32);
                self.asm.alu_imm(Alu::Add, Reg::R0, 1);
                self.asm
                    .store(Size::W, Reg::R7, Control::CLONE_SESSION, Reg::R0);
                let list = fields.map_or(0, |list| list.0 as i32 + 1);
                self.asm
                    .store_imm(Size::W, Reg::R7, Control::CLONE_LIST, list);
            }
            Op::Digest { list } => {
                self.asm
                    .store_imm(Size::W, Reg::R7, Control::DIGEST, list.0 as i32 + 1);
            }
            Op::Resubmit { fields } => self.start_over(Control::RESUBMIT, *fields),
            Op::Recirculate { fields } => self.start_over(Control::RECIRCULATE, *fields),
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

    fn start_over(&mut self, request: i32, fields: Option<FieldListId>) {
        let list = fields.map_or(1, |list| list.0 as i32 + 2);
        self.asm.store_imm(Size::W, Reg::R7, request, list);
    }

    fn assign(&mut self, target: &LValue, value: &Expr) {
        match target {
            LValue::Field(field) if self.layout.slot(*field) == Slot::Unread => {}
            LValue::Field(field) if self.width(*field) > 64 => {
                self.assign_wide(*field, self.width(*field), value);
            }
            target => {
                self.value(value);
                self.store_to(target, Some(value));
            }
        }
    }

    /// Stores R0, cut to the width of the target; `value` is what is in R0, if an expression says
    /// that it needs no cutting. Overwrites R1 to R5.
    pub(super) fn store_to(&mut self, target: &LValue, value: Option<&Expr>) {
        let cut = |emitter: &mut Self, width: u32| {
            if !value.is_some_and(|v| emitter.interval(v).fits(width)) {
                emitter.keep_low(Reg::R0, width.min(64));
            }
        };
        if let LValue::Field(field) = target {
            cut(self, self.width(*field));
            return self.store_field(*field, Reg::R0, [Reg::R1, Reg::R2]);
        }
        self.asm
            .store(Size::DW, Reg::R7, Control::TEMPORARY2, Reg::R0);
        let chosen = self.choose_field(target);
        let Some(width) = self.chosen_width(&chosen) else {
            return;
        };
        if width > 64 {
            return self.refuse(
                format!("a value of {width} bits for a chosen header"),
                "at most 64 bits",
            );
        }
        self.asm
            .load(Size::DW, Reg::R0, Reg::R7, Control::TEMPORARY2);
        cut(self, width);
        self.with_field(&chosen, Reg::R1, |e, field| {
            e.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
        });
    }

    /// `dst` = an argument of the action.
    pub(super) fn param(&mut self, dst: Reg, index: u32) {
        let Some((offset, width)) = self.params.slots.get(index as usize).copied() else {
            return self.refuse(
                format!("argument {index} outside of an action"),
                "arguments in actions",
            );
        };
        let name = &self.params.names[index as usize];
        self.asm.comment(format!("argument {name}"));
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

    /// `target = low + random % (high - low + 1)`; 0 as the divisor stands for all 64 bits.
    fn random(&mut self, target: &LValue, low: &Expr, high: &Expr) {
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
        self.store_to(target, None);
    }
}

fn primitive_name(op: &Op) -> &'static str {
    match op {
        Op::AssignUnionStack { .. } => "assignment of a stack of header unions",
        Op::Truncate { .. } => "truncate",
        _ => "this primitive",
    }
}
