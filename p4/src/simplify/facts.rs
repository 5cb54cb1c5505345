//! What holds for every packet: metadata that nobody writes stay 0, headers that nobody makes valid
//! stay invalid.

use std::collections::HashSet;

use crate::ir::{
    FieldKind, FieldRef, HeaderId, HeaderKind, HeaderRef, LValue, Op, ParserOp, Program, UnionId,
};

use super::reach::Reach;

/// Collected over everything that can be reached, in whatever order it runs.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Fields that may be anything.
    written: HashSet<FieldRef>,
    /// Headers that may be valid.
    valid: HashSet<HeaderId>,
    /// Unions of which a member may be valid.
    valid_unions: HashSet<UnionId>,
}

impl Facts {
    pub(super) fn of(program: &Program, reach: &Reach) -> Facts {
        let mut facts = Facts::default();
        for (index, header) in program.headers.iter().enumerate() {
            // On the wire, anything can be.
            if header.kind == HeaderKind::Packet {
                facts.write_header(program, HeaderId(index as u32));
            }
        }
        for field in program.standard.fields() {
            facts.write_header(program, field.header);
        }
        let targets = program.meters.iter().filter_map(|meter| meter.target);
        facts.written.extend(targets);
        facts
            .written
            .extend(program.checksums.iter().map(|checksum| checksum.target));
        for id in &reach.states {
            for (op, _) in &program.parser_states[id.index()].ops {
                facts.parser_op(program, op);
            }
        }
        for id in &reach.actions {
            for (op, _) in &program.actions[id.index()].body {
                facts.op(program, op);
            }
        }
        for (index, union) in program.unions.iter().enumerate() {
            if union
                .members
                .iter()
                .any(|member| facts.valid.contains(member))
            {
                facts.valid_unions.insert(UnionId(index as u32));
            }
        }
        facts
    }

    /// Whether a field is 0 in every packet.
    pub(super) fn is_zero(&self, program: &Program, field: FieldRef) -> bool {
        program.field(field).kind != FieldKind::Varbit && !self.written.contains(&field)
    }

    /// Whether a header can be valid; metadata always are.
    pub(super) fn can_be_valid(&self, program: &Program, header: HeaderId) -> bool {
        let is_metadata = program.headers[header.index()].kind == HeaderKind::Metadata;
        is_metadata || self.valid.contains(&header)
    }

    /// Whether a member of a union can be valid.
    pub(super) fn can_union_be_valid(&self, union: UnionId) -> bool {
        self.valid_unions.contains(&union)
    }

    fn parser_op(&mut self, program: &Program, op: &ParserOp) {
        match op {
            ParserOp::Extract(header) | ParserOp::ExtractVarbit { header, .. } => {
                self.fill(program, candidates(program, header));
            }
            ParserOp::ExtractUnionNext { stack, .. }
            | ParserOp::ExtractUnionNextVarbit { stack, .. } => {
                let unions = &program.union_stacks[stack.index()].elements;
                unions
                    .iter()
                    .for_each(|union| self.fill_union(program, *union));
            }
            ParserOp::Set { target, .. } => self.write(program, target),
            ParserOp::Primitive(op) => self.op(program, op),
            ParserOp::Verify { .. } | ParserOp::Advance { .. } | ParserOp::Shift { .. } => {}
        }
    }

    fn op(&mut self, program: &Program, op: &Op) {
        match op {
            Op::Assign { target, .. }
            | Op::AssignVarbit { target, .. }
            | Op::ExecuteMeter { target, .. }
            | Op::RegisterRead { target, .. }
            | Op::Hash { target, .. }
            | Op::Random { target, .. } => self.write(program, target),
            Op::AssignHeader { target: header, .. } | Op::SetValid(header) => {
                self.fill(program, candidates(program, header));
            }
            Op::AssignStack { target: stack, .. }
            | Op::Push { stack, .. }
            | Op::Pop { stack, .. } => {
                self.fill(program, program.stacks[stack.index()].elements.clone());
            }
            Op::AssignUnion { target, .. } => self.fill_union(program, *target),
            Op::AssignUnionStack { target, .. } => {
                let unions = &program.union_stacks[target.index()].elements;
                unions
                    .iter()
                    .for_each(|union| self.fill_union(program, *union));
            }
            // The switch's own fields are written anyway; the others write no field.
            Op::MarkToDrop
            | Op::SetInvalid(_)
            | Op::InvalidateUnion(_)
            | Op::Exit
            | Op::Jump { .. }
            | Op::JumpIfZero { .. }
            | Op::Count { .. }
            | Op::RegisterWrite { .. }
            | Op::Clone { .. }
            | Op::Resubmit { .. }
            | Op::Recirculate { .. }
            | Op::Digest { .. }
            | Op::Truncate { .. }
            | Op::LogMessage { .. }
            | Op::Assert { .. }
            | Op::Assume { .. } => {}
        }
    }

    fn write(&mut self, program: &Program, target: &LValue) {
        self.written.extend(places(program, target));
    }

    fn fill(&mut self, program: &Program, headers: Vec<HeaderId>) {
        for header in headers {
            self.write_header(program, header);
            self.valid.insert(header);
        }
    }

    fn fill_union(&mut self, program: &Program, union: UnionId) {
        self.fill(program, program.unions[union.index()].members.clone());
    }

    fn write_header(&mut self, program: &Program, header: HeaderId) {
        self.written.extend(fields(program, header));
    }
}

/// The headers that a reference can mean.
pub(super) fn candidates(program: &Program, header: &HeaderRef) -> Vec<HeaderId> {
    match header {
        HeaderRef::Header(id) => vec![*id],
        HeaderRef::Element { stack, .. } | HeaderRef::Next(stack) | HeaderRef::Last(stack) => {
            program.stacks[stack.index()].elements.clone()
        }
        HeaderRef::UnionElement { stack, member, .. } => {
            let unions = program.union_stacks[stack.index()].elements.iter();
            let members = unions.map(|union| &program.unions[union.index()].members);
            members
                .filter_map(|m| m.get(*member as usize))
                .copied()
                .collect()
        }
    }
}

/// The fields that a place can mean.
pub(super) fn places(program: &Program, place: &LValue) -> Vec<FieldRef> {
    match place {
        LValue::Field(field) => vec![*field],
        LValue::FieldOf { header, field } => {
            let headers = candidates(program, header).into_iter();
            headers
                .map(|header| FieldRef {
                    header,
                    field: *field,
                })
                .collect()
        }
    }
}

/// All fields of a header.
pub(super) fn fields(program: &Program, header: HeaderId) -> impl Iterator<Item = FieldRef> {
    let count = program.headers[header.index()].fields.len() as u32;
    (0..count).map(move |field| FieldRef { header, field })
}
