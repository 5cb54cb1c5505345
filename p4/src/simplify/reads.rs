//! Which fields anybody reads: the wire, the switch, P4Runtime, or a statement that matters.

use std::collections::HashSet;

use crate::ir::{
    CalculationId, CalculationInput, Expr, FieldRef, HeaderId, HeaderRef, Implementation,
    KeySource, LValue, Op, ParserOp, Program,
};

use super::dead;
use super::facts::{Facts, candidates, fields, places};
use super::reach::Reach;

/// The fields that are read, in whatever order things run. A store to a field that is not read reads
/// nothing itself.
pub(super) fn of(program: &Program, reach: &Reach, facts: &Facts) -> HashSet<FieldRef> {
    let mut reads = Reads {
        program,
        found: HashSet::new(),
    };
    reads.seen_outside(facts);
    reads.controls(reach);
    // A store begins to matter when its target is found to be read.
    loop {
        let before = reads.found.len();
        reads.statements(reach);
        if reads.found.len() == before {
            return reads.found;
        }
    }
}

struct Reads<'p> {
    program: &'p Program,
    found: HashSet<FieldRef>,
}

impl Reads<'_> {
    /// What leaves with the packet, and what the switch looks at.
    fn seen_outside(&mut self, facts: &Facts) {
        for header in &self.program.deparser.order {
            if facts.can_be_valid(self.program, *header) {
                self.header(*header);
            }
        }
        for field in self.program.standard.fields() {
            self.header(field.header);
        }
        for checksum in &self.program.checksums {
            if !checksum.verify && !checksum.update {
                continue;
            }
            if checksum.verify {
                self.found.insert(checksum.target);
            }
            checksum.condition.iter().for_each(|c| self.expr(c));
            self.calculation(checksum.calculation);
        }
    }

    fn controls(&mut self, reach: &Reach) {
        for id in &reach.conditionals {
            self.expr(&self.program.conditionals[id.index()].condition);
        }
        for id in &reach.tables {
            let table = &self.program.tables[id.index()];
            for key in &table.key {
                if let KeySource::Field(place) = &key.source {
                    self.place(place);
                }
            }
            if let Implementation::Profile(profile) = table.implementation
                && let Some(selector) = self.program.action_profiles[profile.index()].selector
            {
                self.calculation(selector.calculation);
            }
        }
        for id in &reach.states {
            let state = &self.program.parser_states[id.index()];
            state.key.iter().for_each(|part| self.expr(&part.value));
        }
    }

    fn statements(&mut self, reach: &Reach) {
        for id in &reach.states {
            for (op, _) in &self.program.parser_states[id.index()].ops {
                if !dead::is_dead_parser_op(op, &self.found) {
                    self.parser_op(op);
                }
            }
        }
        for id in &reach.actions {
            for (op, _) in &self.program.actions[id.index()].body {
                if !dead::is_dead(self.program, op, &self.found) {
                    self.op(op);
                }
            }
        }
    }

    fn parser_op(&mut self, op: &ParserOp) {
        match op {
            ParserOp::Extract(header) => self.header_ref(header),
            ParserOp::ExtractVarbit { header, length } => {
                self.header_ref(header);
                self.expr(length);
            }
            ParserOp::ExtractUnionNextVarbit { length, .. } | ParserOp::Advance { length } => {
                self.expr(length);
            }
            ParserOp::Set { target, value } => {
                self.target(target);
                self.expr(value);
            }
            ParserOp::Verify { condition, error } => {
                self.expr(condition);
                self.expr(error);
            }
            ParserOp::Primitive(op) => self.op(op),
            ParserOp::ExtractUnionNext { .. } | ParserOp::Shift { .. } => {}
        }
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Assign { target, value } => {
                self.target(target);
                self.expr(value);
            }
            Op::AssignVarbit { target, source } => {
                self.target(target);
                self.place(source);
            }
            Op::AssignHeader { target, source } => {
                self.header_ref(target);
                self.whole(source);
            }
            Op::AssignStack { source: stack, .. }
            | Op::Push { stack, .. }
            | Op::Pop { stack, .. } => {
                let elements = &self.program.stacks[stack.index()].elements;
                elements.iter().for_each(|header| self.header(*header));
            }
            Op::AssignUnion { source, .. } => self.union(*source),
            Op::AssignUnionStack { source, .. } => {
                let unions = &self.program.union_stacks[source.index()].elements;
                unions.iter().for_each(|union| self.union(*union));
            }
            Op::SetValid(header) | Op::SetInvalid(header) => self.header_ref(header),
            Op::JumpIfZero { condition, .. }
            | Op::Assert { condition }
            | Op::Assume { condition } => self.expr(condition),
            Op::Count { index, .. } => self.expr(index),
            Op::ExecuteMeter { index, target, .. } | Op::RegisterRead { index, target, .. } => {
                self.expr(index);
                self.target(target);
            }
            Op::RegisterWrite { index, value, .. } => {
                self.expr(index);
                self.expr(value);
            }
            Op::Hash {
                target,
                base,
                calculation,
                max,
            } => {
                self.target(target);
                self.expr(base);
                self.expr(max);
                self.calculation(*calculation);
            }
            Op::Random { target, low, high } => {
                self.target(target);
                self.expr(low);
                self.expr(high);
            }
            Op::Clone {
                session, fields, ..
            } => {
                self.expr(session);
                self.field_list(*fields);
            }
            Op::Resubmit { fields } | Op::Recirculate { fields } => self.field_list(*fields),
            Op::Digest { list } => {
                let elements = &self.program.learn_lists[list.index()].elements;
                elements.iter().for_each(|(value, _)| self.expr(value));
            }
            Op::Truncate { length } => self.expr(length),
            Op::LogMessage { args, .. } => args.iter().for_each(|arg| self.expr(arg)),
            Op::InvalidateUnion(_) | Op::MarkToDrop | Op::Exit | Op::Jump { .. } => {}
        }
    }

    fn field_list(&mut self, list: Option<crate::ir::FieldListId>) {
        if let Some(list) = list {
            let fields = &self.program.field_lists[list.index()].fields;
            fields.iter().for_each(|field| self.expr(field));
        }
    }

    fn calculation(&mut self, id: CalculationId) {
        for input in &self.program.calculations[id.index()].input {
            match input {
                CalculationInput::Field(field) => {
                    self.found.insert(*field);
                }
                CalculationInput::Header(header) => self.header(*header),
                CalculationInput::Expr { value, .. } => self.expr(value),
                CalculationInput::Payload | CalculationInput::Const { .. } => {}
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Field(field) => {
                self.found.insert(*field);
            }
            Expr::FieldOf { header, field } => {
                let place = LValue::FieldOf {
                    header: header.clone(),
                    field: *field,
                };
                self.place(&place);
            }
            Expr::Valid(header) => self.header_ref(header),
            Expr::Unary { arg, .. } => self.expr(arg),
            Expr::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            Expr::Conditional {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition);
                self.expr(then);
                self.expr(otherwise);
            }
            Expr::HeaderEq(left, right) => {
                self.whole(left);
                self.whole(right);
            }
            Expr::UnionEq(left, right) => {
                self.union(*left);
                self.union(*right);
            }
            Expr::Const(_)
            | Expr::Bool(_)
            | Expr::UnionValid(_)
            | Expr::Param(_)
            | Expr::Lookahead { .. }
            | Expr::StackSize(_)
            | Expr::UnionStackSize(_) => {}
        }
    }

    /// A place that is read.
    fn place(&mut self, place: &LValue) {
        self.found.extend(places(self.program, place));
        self.target(place);
    }

    /// A place that is stored to: only what finds it is read.
    fn target(&mut self, place: &LValue) {
        if let LValue::FieldOf { header, .. } = place {
            self.header_ref(header);
        }
    }

    /// What finds a header.
    fn header_ref(&mut self, header: &HeaderRef) {
        if let HeaderRef::Element { index, .. } | HeaderRef::UnionElement { index, .. } = header {
            self.expr(index);
        }
    }

    /// All of a header that is chosen at run time.
    fn whole(&mut self, header: &HeaderRef) {
        self.header_ref(header);
        for header in candidates(self.program, header) {
            self.header(header);
        }
    }

    fn union(&mut self, union: crate::ir::UnionId) {
        let members = &self.program.unions[union.index()].members;
        members.iter().for_each(|header| self.header(*header));
    }

    fn header(&mut self, header: HeaderId) {
        self.found.extend(fields(self.program, header));
    }
}
