//! The walk along every way that a packet can take.

use std::collections::{HashMap, HashSet};

use pointsman_p4::ir::{
    ActionId, BinaryOp, Checksum, Expr, FieldRef, HeaderId, HeaderKind, HeaderRef, Implementation,
    LValue, Node, Op, ParserOp, ParserStateId, Program, Table, UnaryOp,
};

use crate::compile::states::States;
use crate::compile::{order, reads};

/// Fields that have been written, a bit for each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written(Vec<u64>);

impl Written {
    fn add(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn remove(&mut self, bit: usize) {
        self.0[bit / 64] &= !(1 << (bit % 64));
    }

    fn has(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// Keeps what is in both; tells whether something went.
    fn keep_common(&mut self, other: &Written) -> bool {
        let mut is_less = false;
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            let common = *word & other;
            is_less |= common != *word;
            *word = common;
        }
        is_less
    }
}

/// What is written wherever ways meet; nothing has come there yet if it is `None`.
#[derive(Debug, Clone, Default)]
struct Meeting(Option<Written>);

impl Meeting {
    /// Another way leads here; tells whether less is certain now.
    fn add(&mut self, written: &Written) -> bool {
        match &mut self.0 {
            Some(common) => common.keep_common(written),
            None => {
                self.0 = Some(written.clone());
                true
            }
        }
    }
}

/// A node, or the end of the control, and what is written on the way there.
type Way = (Option<Node>, Written);

/// Adds ways to where they lead.
fn lead(ways: &mut Vec<Way>, nodes: &mut HashMap<Node, Meeting>, end: &mut Meeting) {
    for (next, written) in ways.drain(..) {
        let meeting = match next {
            Some(node) => nodes.entry(node).or_default(),
            None => &mut *end,
        };
        meeting.add(&written);
    }
}

pub(super) struct Walk<'a> {
    program: &'a Program,
    /// The bit of each header's first field.
    first_bits: Vec<usize>,
    bits: usize,
    /// Fields that were read where they are not written on all ways.
    pub(super) unset: HashSet<FieldRef>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(program: &'a Program) -> Walk<'a> {
        let mut bits = 0;
        let first_bits = program.headers.iter().map(|header| {
            let first = bits;
            bits += header.fields.len();
            first
        });
        Walk {
            program,
            first_bits: first_bits.collect(),
            bits,
            unset: HashSet::new(),
        }
    }

    /// From the parser to the checksums that are written.
    pub(super) fn program(&mut self) {
        let standard = self.program.standard;
        let mut at = Written(vec![0; self.bits.div_ceil(64)]);
        let from_the_switch = [
            Some(standard.ingress_port),
            standard.packet_length,
            standard.ingress_global_timestamp,
            standard.enq_timestamp,
            standard.egress_global_timestamp,
        ];
        for field in from_the_switch.into_iter().flatten() {
            self.write(&mut at, field);
        }
        at = self.parser(at);
        for checksum in self.program.checksums.iter().filter(|c| c.verify) {
            // Of an invalid header none is verified.
            let mut valid = at.clone();
            self.write_header(&mut valid, checksum.target.header);
            self.checksum(&valid, checksum);
        }
        at = self.control(at, self.program.ingress.start);
        self.end_of_control(&at);
        self.write(&mut at, standard.egress_port);
        self.write(&mut at, standard.egress_spec);
        at = self.control(at, self.program.egress.start);
        self.end_of_control(&at);
        for checksum in self.program.checksums.iter().filter(|c| c.update) {
            self.checksum(&at, checksum);
        }
    }

    /// What the traffic manager reads, and what copies and digests take along.
    fn end_of_control(&mut self, at: &Written) {
        let standard = self.program.standard;
        self.read(at, standard.egress_spec);
        if let Some(group) = standard.mcast_grp {
            self.read(at, group);
        }
        for expr in reads::listed(self.program) {
            self.expr(at, expr);
        }
    }

    fn checksum(&mut self, at: &Written, checksum: &Checksum) {
        let mut within = at.clone();
        if let Some(condition) = &checksum.condition {
            self.expr(at, condition);
            self.assume(&mut within, condition, true);
        }
        let program = self.program;
        reads::calculation_reads(program, checksum.calculation, &mut |field| {
            self.read(&within, field);
        });
    }

    fn parser(&mut self, start: Written) -> Written {
        let mut end = Meeting::default();
        let Some(first) = self.program.parser_start else {
            return start;
        };
        let mut states: HashMap<ParserStateId, Meeting> = HashMap::new();
        states.entry(first).or_default().add(&start);
        // Only states of a loop are gone through more than once.
        for group in States::new(self.program).groups {
            let mut todo = group.clone();
            while let Some(id) = todo.pop() {
                let Some(mut at) = states.get(&id).and_then(|m| m.0.clone()) else {
                    continue;
                };
                let state = &self.program.parser_states[id.index()];
                for (op, _) in &state.ops {
                    self.parser_op(&mut at, op, &mut end);
                }
                for part in &state.key {
                    self.expr(&at, &part.value);
                }
                // Nothing matches, or there is nothing to look ahead at.
                end.add(&at);
                for next in state.transitions.iter().filter_map(|t| t.next) {
                    if states.entry(next).or_default().add(&at) && group.contains(&next) {
                        todo.push(next);
                    }
                }
            }
        }
        end.0.unwrap_or(start)
    }

    /// Any of them can fail, which ends the parser with what was written before.
    fn parser_op(&mut self, at: &mut Written, op: &ParserOp, end: &mut Meeting) {
        end.add(at);
        match op {
            ParserOp::Primitive(op) => return self.op(at, op),
            ParserOp::Set {
                target: LValue::Field(_),
                value,
            } => self.expr(at, value),
            other => {
                let program = self.program;
                reads::parser_op_reads(program, other, &mut |field| self.read(at, field));
            }
        }
        match op {
            ParserOp::Extract(HeaderRef::Header(header))
            | ParserOp::ExtractVarbit {
                header: HeaderRef::Header(header),
                ..
            } => self.write_header(at, *header),
            ParserOp::Set {
                target: LValue::Field(field),
                ..
            } => self.write(at, *field),
            _ => {}
        }
    }

    fn control(&mut self, start: Written, first: Option<Node>) -> Written {
        let mut end = Meeting::default();
        let mut nodes: HashMap<Node, Meeting> = HashMap::new();
        let mut ways = vec![(first, start.clone())];
        for node in order::nodes(self.program, first) {
            lead(&mut ways, &mut nodes, &mut end);
            let Some(at) = nodes.remove(&node).and_then(|m| m.0) else {
                continue;
            };
            match node {
                Node::Table(id) => {
                    let table = &self.program.tables[id.index()];
                    self.table(&at, table, &mut ways);
                }
                Node::Conditional(id) => {
                    let conditional = &self.program.conditionals[id.index()];
                    let condition = &conditional.condition;
                    self.expr(&at, condition);
                    for (next, holds) in [(conditional.then, true), (conditional.otherwise, false)]
                    {
                        let mut branch = at.clone();
                        self.assume(&mut branch, condition, holds);
                        ways.push((next, branch));
                    }
                }
            }
        }
        lead(&mut ways, &mut nodes, &mut end);
        end.0.unwrap_or(start)
    }

    fn table(&mut self, at: &Written, table: &Table, ways: &mut Vec<Way>) {
        let program = self.program;
        for key in &table.key {
            reads::key_reads(program, &key.source, &mut |field| {
                if program.headers[field.header.index()].kind == HeaderKind::Metadata {
                    self.read(at, field);
                }
            });
        }
        if let Implementation::Profile(profile) = table.implementation
            && let Some(selector) = program.action_profiles[profile.index()].selector
        {
            reads::calculation_reads(program, selector.calculation, &mut |field| {
                self.read(at, field);
            });
        }
        let default = table.default.as_ref();
        let only_default = table.key.is_empty()
            && table.implementation == Implementation::Direct
            && default.is_some_and(|d| d.is_const);
        let mut actions: Vec<ActionId> = default.map(|d| d.call.action).into_iter().collect();
        if !only_default {
            actions.extend(&table.actions);
            // No action at all: no default, or a group without members.
            ways.extend([true, false].map(|hit| (table.next.after(hit, None), at.clone())));
        }
        for action in actions {
            let (after, exits) = self.action(at, action);
            for hit in [true, false] {
                ways.push((table.next.after(hit, Some(action)), after.clone()));
            }
            if exits {
                ways.push((None, after));
            }
        }
    }

    /// What is written after an action, and whether it may end the control.
    fn action(&mut self, start: &Written, action: ActionId) -> (Written, bool) {
        let body = &self.program.actions[action.index()].body;
        let mut meetings: HashMap<usize, Meeting> = HashMap::new();
        let mut at = Some(start.clone());
        let mut exits = false;
        for (index, (op, _)) in body.iter().enumerate() {
            if let Some(others) = meetings.get(&index).and_then(|m| m.0.clone()) {
                at = Some(common(at, others));
            }
            let Some(written) = &mut at else { continue };
            match op {
                // A loop: nothing is certain of what is written in it.
                Op::Jump { to } | Op::JumpIfZero { to, .. } if *to as usize <= index => {
                    return (self.any_order(start, action), true);
                }
                Op::Jump { to } => {
                    meetings.entry(*to as usize).or_default().add(written);
                    at = None;
                }
                Op::JumpIfZero { condition, to } => {
                    self.expr(written, condition);
                    let mut jumped = written.clone();
                    self.assume(&mut jumped, condition, false);
                    meetings.entry(*to as usize).or_default().add(&jumped);
                    self.assume(written, condition, true);
                }
                Op::Exit => exits = true,
                op => self.op(written, op),
            }
        }
        let after = match meetings.get(&body.len()).and_then(|m| m.0.clone()) {
            Some(others) => common(at, others),
            None => at.unwrap_or_else(|| start.clone()),
        };
        (after, exits)
    }

    /// Reads everything in an action as if nothing before it were done.
    fn any_order(&mut self, start: &Written, action: ActionId) -> Written {
        for (op, _) in &self.program.actions[action.index()].body {
            self.op(&mut start.clone(), op);
        }
        start.clone()
    }

    fn op(&mut self, at: &mut Written, op: &Op) {
        let program = self.program;
        match op {
            Op::Assign {
                target: LValue::Field(_),
                value,
            } => self.expr(at, value),
            op => reads::op_reads(program, op, &mut |field| self.read(at, field)),
        }
        match op {
            // A meter or register read out of range leaves its target alone.
            Op::Assign { target, .. }
            | Op::AssignVarbit { target, .. }
            | Op::Hash { target, .. }
            | Op::Random { target, .. } => {
                if let LValue::Field(field) = target {
                    self.write(at, *field);
                }
            }
            Op::SetValid(HeaderRef::Header(header)) => self.write_header(at, *header),
            Op::Push { stack, .. } | Op::Pop { stack, .. } => {
                for element in &program.stacks[stack.index()].elements {
                    for field in reads::all_fields(program, *element) {
                        at.remove(self.bit(field));
                    }
                }
            }
            Op::MarkToDrop => {
                self.write(at, program.standard.egress_spec);
                if let Some(group) = program.standard.mcast_grp {
                    self.write(at, group);
                }
            }
            _ => {}
        }
    }

    /// Reads an expression; the right side of `&&` only counts where the left one holds.
    fn expr(&mut self, at: &Written, expr: &Expr) {
        let second = |walk: &mut Self, first: &Expr, holds: bool, expr: &Expr| {
            let mut within = at.clone();
            walk.assume(&mut within, first, holds);
            walk.expr(&within, expr);
        };
        match expr {
            Expr::Binary {
                op: op @ (BinaryOp::And | BinaryOp::Or),
                left,
                right,
            } => {
                self.expr(at, left);
                second(self, left, *op == BinaryOp::And, right);
            }
            Expr::Conditional {
                condition,
                then,
                otherwise,
            } => {
                self.expr(at, condition);
                second(self, condition, true, then);
                second(self, condition, false, otherwise);
            }
            Expr::Unary { arg, .. } => self.expr(at, arg),
            Expr::Binary { left, right, .. } => {
                self.expr(at, left);
                self.expr(at, right);
            }
            other => {
                let program = self.program;
                reads::expr_reads(program, other, &mut |field| self.read(at, field));
            }
        }
    }

    /// Adds the headers that are valid where a condition is true, or false.
    fn assume(&self, at: &mut Written, condition: &Expr, holds: bool) {
        match condition {
            Expr::Valid(HeaderRef::Header(header)) if holds => self.write_header(at, *header),
            Expr::Unary {
                op: UnaryOp::Not,
                arg,
            } => self.assume(at, arg, !holds),
            Expr::Unary {
                op: UnaryOp::ToBool | UnaryOp::ToData,
                arg,
            } => self.assume(at, arg, holds),
            Expr::Binary { op, left, right }
                if (*op == BinaryOp::And && holds) || (*op == BinaryOp::Or && !holds) =>
            {
                self.assume(at, left, holds);
                self.assume(at, right, holds);
            }
            _ => {}
        }
    }

    fn read(&mut self, at: &Written, field: FieldRef) {
        if !at.has(self.bit(field)) {
            self.unset.insert(field);
        }
    }

    fn write(&self, at: &mut Written, field: FieldRef) {
        at.add(self.bit(field));
    }

    fn write_header(&self, at: &mut Written, header: HeaderId) {
        for field in reads::all_fields(self.program, header) {
            at.add(self.bit(field));
        }
    }

    fn bit(&self, field: FieldRef) -> usize {
        self.first_bits[field.header.index()] + field.field as usize
    }
}

fn common(one: Option<Written>, mut other: Written) -> Written {
    if let Some(one) = one {
        other.keep_common(&one);
    }
    other
}
