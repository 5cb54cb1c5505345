//! Runs actions: primitives on a packet in flight and on the switch's state.

use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;

use crate::ir::{Action, HeaderId, LValue, Op, Program};

use super::State;
use super::eval::Eval;
use super::flight::Flight;
use super::phv::truncate;
use super::state::count;
use super::trace::TraceStep;

/// How often one call of an action goes back to an earlier primitive; `for` loops can be endless. The
/// action ends there.
pub const MAX_ROUNDS: u32 = 1 << 14;

/// The port that stands for dropping.
pub(super) const DROP_PORT: u32 = 511;

/// Runs an action with its arguments.
pub(super) fn run(
    program: &Program,
    state: &mut State,
    flight: &mut Flight,
    action: &Action,
    args: &[BigInt],
) {
    run_from(program, state, flight, action, args, 0);
}

/// Runs an action from a primitive on.
pub(super) fn run_from(
    program: &Program,
    state: &mut State,
    flight: &mut Flight,
    action: &Action,
    args: &[BigInt],
    op: u32,
) {
    let mut at = op as usize;
    let mut rounds = 0;
    while let Some((op, _)) = action.body.get(at) {
        let mut next = at + 1;
        match op {
            Op::Jump { to } => next = *to as usize,
            Op::JumpIfZero { condition, to } => {
                let eval = eval(program, flight, args);
                if !eval.truth(condition) {
                    next = *to as usize;
                }
            }
            other => Runner {
                program,
                state,
                flight,
                args,
            }
            .run(other),
        }
        if next <= at {
            rounds += 1;
            if rounds == MAX_ROUNDS {
                state.anomalies.cut_off += 1;
                return;
            }
        }
        at = next;
    }
}

/// Runs one primitive outside an action.
pub(super) fn primitive(program: &Program, state: &mut State, flight: &mut Flight, op: &Op) {
    Runner {
        program,
        state,
        flight,
        args: &[],
    }
    .run(op);
}

fn eval<'a>(program: &'a Program, flight: &'a Flight, args: &'a [BigInt]) -> Eval<'a> {
    Eval {
        program,
        phv: &flight.phv,
        args,
        ahead: &[],
    }
}

struct Runner<'a> {
    program: &'a Program,
    state: &'a mut State,
    flight: &'a mut Flight,
    args: &'a [BigInt],
}

impl Runner<'_> {
    fn eval(&self) -> Eval<'_> {
        eval(self.program, self.flight, self.args)
    }

    fn value(&self, expr: &crate::ir::Expr) -> BigInt {
        self.eval().value(expr)
    }

    /// An index; one that is negative or too large is out of range of everything.
    fn index(&self, expr: &crate::ir::Expr) -> u32 {
        self.value(expr).to_u32().unwrap_or(u32::MAX)
    }

    fn header(&self, header: &crate::ir::HeaderRef) -> Option<HeaderId> {
        self.eval().header(header)
    }

    fn store(&mut self, target: &LValue, value: &BigInt) {
        match self.eval().place(target) {
            Some(field) => self.flight.phv.set(self.program, field, value),
            None => self.state.anomalies.lost_writes += 1,
        }
    }

    fn run(&mut self, op: &Op) {
        let program = self.program;
        match op {
            Op::Assign { target, value } => {
                let value = self.value(value);
                self.store(target, &value);
            }
            Op::AssignVarbit { target, source } => {
                let eval = self.eval();
                if let (Some(target), Some(source)) = (eval.place(target), eval.place(source)) {
                    self.flight.phv.copy_varbit(target, source);
                }
            }
            Op::AssignHeader { target, source } => {
                if let (Some(to), Some(from)) = (self.header(target), self.header(source)) {
                    self.flight.phv.assign_header(program, to, from);
                }
            }
            Op::AssignStack { target, source } => {
                let (to, from) = (
                    &program.stacks[target.index()].elements,
                    &program.stacks[source.index()].elements,
                );
                self.copy_headers(to, from);
                let next = self.flight.phv.next(*source);
                self.flight.phv.set_next(*target, next);
            }
            Op::AssignUnion { target, source } => {
                let unions = &program.unions;
                self.copy_union(
                    &unions[target.index()].members,
                    &unions[source.index()].members,
                );
            }
            Op::AssignUnionStack { target, source } => {
                let stacks = &program.union_stacks;
                let (to, from) = (&stacks[target.index()], &stacks[source.index()]);
                for (to, from) in to.elements.iter().zip(&from.elements) {
                    let unions = &program.unions;
                    self.copy_union(&unions[to.index()].members, &unions[from.index()].members);
                }
                let next = self.flight.phv.union_next(*source);
                self.flight.phv.set_union_next(*target, next);
            }
            Op::SetValid(header) => {
                if let Some(id) = self.header(header)
                    && self.flight.phv.set_valid(program, id)
                {
                    self.flight.length += i64::from(self.flight.phv.wire_bytes(program, id));
                }
            }
            Op::SetInvalid(header) => {
                if let Some(id) = self.header(header)
                    && self.flight.phv.set_invalid(id)
                {
                    self.flight.length -= i64::from(self.flight.phv.wire_bytes(program, id));
                }
            }
            Op::InvalidateUnion(union) => {
                for member in &program.unions[union.index()].members {
                    self.flight.phv.set_invalid(*member);
                }
            }
            Op::Push { stack, count } => self.flight.phv.push_front(program, *stack, *count),
            Op::Pop { stack, count } => self.flight.phv.pop_front(program, *stack, *count),
            Op::MarkToDrop => {
                let standard = &program.standard;
                let phv = &mut self.flight.phv;
                phv.set_standard(program, Some(standard.egress_spec), u64::from(DROP_PORT));
                phv.set_standard(program, standard.mcast_grp, 0);
                self.state.note(|| TraceStep::MarkedToDrop);
            }
            Op::Exit => self.flight.requests.exit = true,
            // Jumps are the business of `run`: a parser has none.
            Op::Jump { .. } | Op::JumpIfZero { .. } => {}
            Op::Clone {
                session, fields, ..
            } => {
                // BMv2 has one request for both kinds: it is served at the end of the control.
                self.flight.requests.clone = Some((self.index(session), *fields));
            }
            Op::Resubmit { fields } => self.flight.requests.resubmit = Some(*fields),
            Op::Recirculate { fields } => self.flight.requests.recirculate = Some(*fields),
            Op::Digest { list } => self.flight.requests.digest = Some(*list),
            Op::Truncate { length } => {
                let limit = self.value(length).to_usize().unwrap_or(usize::MAX);
                self.flight.cut_to(limit);
            }
            Op::LogMessage { format, args } => {
                let args: Vec<String> = args.iter().map(|a| self.value(a).to_string()).collect();
                tracing::debug!(format, ?args, "log_msg");
            }
            Op::Assert { condition } | Op::Assume { condition } => {
                if !self.eval().truth(condition) {
                    self.state.anomalies.failed_assertions += 1;
                }
            }
            other => self.run_extern(other),
        }
    }

    /// Counters, meters, registers, hashes and random numbers.
    fn run_extern(&mut self, op: &Op) {
        let program = self.program;
        match op {
            Op::Count { counter, index } => {
                let index = self.index(index);
                if index < program.counters[counter.index()].size && !self.state.is_trial() {
                    let length = self.flight.ingress_length;
                    let cell = self.state.counters.entry((*counter, index)).or_default();
                    count(cell, length);
                }
            }
            Op::ExecuteMeter {
                meter,
                index,
                target,
            } => {
                let index = self.index(index);
                if index < program.meters[meter.index()].size {
                    let unit = program.meters[meter.index()].unit;
                    let length = self.flight.ingress_length;
                    let color = self.state.meter(*meter, index, unit, length) as u8;
                    self.store(target, &BigInt::from(color));
                }
            }
            Op::RegisterRead {
                target,
                register,
                index,
            } => {
                let index = self.index(index);
                if index < program.registers[register.index()].size {
                    let value = self.state.register(*register, index);
                    self.state.note(|| TraceStep::RegisterRead {
                        register: *register,
                        index,
                        value: value.clone(),
                    });
                    self.store(target, &BigInt::from(value));
                }
            }
            Op::RegisterWrite {
                register,
                index,
                value,
            } => {
                let index = self.index(index);
                let declared = &program.registers[register.index()];
                if index < declared.size {
                    let value = truncate(&self.value(value), declared.width);
                    self.state.note(|| TraceStep::RegisterWrite {
                        register: *register,
                        index,
                        value: value.clone(),
                    });
                    self.state.set_register(*register, index, value);
                }
            }
            Op::Hash {
                target,
                base,
                calculation,
                max,
            } => {
                let base = self.value(base).to_u64().unwrap_or_default();
                let max = self.value(max).to_u64().unwrap_or(u64::MAX).max(1);
                let hash = self.state.calculate(program, self.flight, *calculation);
                let value = (hash % max).wrapping_add(base);
                self.store(target, &BigInt::from(value));
            }
            Op::Random { target, low, high } => {
                let (low, high) = (self.value(low), self.value(high));
                let span = &high - &low + 1u8;
                if span.sign() == num_bigint::Sign::Plus {
                    self.state.note(|| TraceStep::Random);
                    let random = BigInt::from(self.state.random());
                    self.store(target, &(low + random % span));
                }
            }
            _ => {}
        }
    }

    fn copy_headers(&mut self, to: &[HeaderId], from: &[HeaderId]) {
        for (to, from) in to.iter().zip(from) {
            self.flight.phv.assign_header(self.program, *to, *from);
        }
    }

    /// Members that are invalid go first, so that they do not take the valid one with them.
    fn copy_union(&mut self, to: &[HeaderId], from: &[HeaderId]) {
        for member in to {
            self.flight.phv.set_invalid(*member);
        }
        for (to, from) in to.iter().zip(from) {
            if self.flight.phv.is_valid(*from) {
                self.flight.phv.assign_header(self.program, *to, *from);
            }
        }
    }
}

/// The arguments of an action as numbers.
pub(super) fn numbers<'a>(args: impl IntoIterator<Item = &'a BigUint>) -> Vec<BigInt> {
    args.into_iter().map(|a| BigInt::from(a.clone())).collect()
}
