//! Which fields a construct of the IR reads. Pure; what follows from it is in [`super::liveness`].

use std::collections::HashSet;

use pointsman_p4::ir::{
    CalculationId, CalculationInput, Expr, FieldRef, HeaderId, HeaderKind, HeaderRef, KeySource,
    LValue, Op, ParserOp, Program,
};

/// The fields that the program reads anywhere: in expressions, keys, hashes and lists.
pub fn fields_read(program: &Program) -> HashSet<FieldRef> {
    let mut read = HashSet::new();
    let mut found = |field| {
        read.insert(field);
    };
    for (op, _) in program.actions.iter().flat_map(|a| &a.body) {
        op_reads(program, op, &mut found);
    }
    for state in &program.parser_states {
        for (op, _) in &state.ops {
            parser_op_reads(program, op, &mut found);
        }
        for part in &state.key {
            expr_reads(program, &part.value, &mut found);
        }
    }
    for conditional in &program.conditionals {
        expr_reads(program, &conditional.condition, &mut found);
    }
    for key in program.tables.iter().flat_map(|t| &t.key) {
        key_reads(program, &key.source, &mut found);
    }
    for id in 0..program.calculations.len() {
        calculation_reads(program, CalculationId(id as u32), &mut found);
    }
    for checksum in &program.checksums {
        if let Some(condition) = &checksum.condition {
            expr_reads(program, condition, &mut found);
        }
        if checksum.verify {
            found(checksum.target);
        }
    }
    for expr in listed(program) {
        expr_reads(program, expr, &mut found);
    }
    read
}

/// What clones, digests and packets that start over keep.
pub(super) fn listed(program: &Program) -> impl Iterator<Item = &Expr> {
    let kept = program.field_lists.iter().flat_map(|l| &l.fields);
    let learnt = program.learn_lists.iter().flat_map(|l| &l.elements);
    kept.chain(learnt.map(|(expr, _)| expr))
}

/// What a primitive reads.
pub(super) fn op_reads(program: &Program, op: &Op, found: &mut dyn FnMut(FieldRef)) {
    for expr in op_exprs(op) {
        expr_reads(program, expr, found);
    }
    for header in op_headers(op) {
        index_reads(program, header, found);
    }
    match op {
        Op::AssignVarbit { source, .. } => place_reads(program, source, found),
        // Of a header only the bytes count, and whoever reads those is somewhere else.
        Op::AssignHeader { source, .. } => {
            for header in candidates(program, source) {
                if program.headers[header.index()].kind == HeaderKind::Metadata {
                    all_fields(program, header).for_each(&mut *found);
                }
            }
        }
        Op::Hash { calculation, .. } => calculation_reads(program, *calculation, found),
        _ => {}
    }
}

/// The expressions that a primitive evaluates.
fn op_exprs(op: &Op) -> Vec<&Expr> {
    match op {
        Op::Assign { value, .. } => vec![value],
        Op::JumpIfZero { condition, .. } | Op::Assert { condition } | Op::Assume { condition } => {
            vec![condition]
        }
        Op::Count { index, .. }
        | Op::ExecuteMeter { index, .. }
        | Op::RegisterRead { index, .. } => {
            vec![index]
        }
        Op::RegisterWrite { index, value, .. } => vec![index, value],
        Op::Hash { base, max, .. } => vec![base, max],
        Op::Random { low, high, .. } => vec![low, high],
        Op::Clone { session, .. } => vec![session],
        Op::Truncate { length } => vec![length],
        Op::LogMessage { args, .. } => args.iter().collect(),
        _ => Vec::new(),
    }
}

/// The headers that a primitive chooses.
fn op_headers(op: &Op) -> Vec<&HeaderRef> {
    match op {
        Op::SetValid(header) | Op::SetInvalid(header) => vec![header],
        Op::AssignHeader { target, source } => vec![target, source],
        Op::Assign { target, .. }
        | Op::AssignVarbit { target, .. }
        | Op::ExecuteMeter { target, .. }
        | Op::RegisterRead { target, .. }
        | Op::Hash { target, .. }
        | Op::Random { target, .. } => match target {
            LValue::Field(_) => Vec::new(),
            LValue::FieldOf { header, .. } => vec![header],
        },
        _ => Vec::new(),
    }
}

/// What an operation of the parser reads.
pub(super) fn parser_op_reads(program: &Program, op: &ParserOp, found: &mut dyn FnMut(FieldRef)) {
    match op {
        ParserOp::ExtractVarbit { header, length } => {
            index_reads(program, header, found);
            expr_reads(program, length, found);
        }
        ParserOp::ExtractUnionNextVarbit { length, .. } | ParserOp::Advance { length } => {
            expr_reads(program, length, found);
        }
        ParserOp::Set { target, value } => {
            if let LValue::FieldOf { header, .. } = target {
                index_reads(program, header, found);
            }
            expr_reads(program, value, found);
        }
        ParserOp::Verify { condition, error } => {
            expr_reads(program, condition, found);
            expr_reads(program, error, found);
        }
        ParserOp::Primitive(op) => op_reads(program, op, found),
        ParserOp::Extract(header) => index_reads(program, header, found),
        ParserOp::ExtractUnionNext { .. } | ParserOp::Shift { .. } => {}
    }
}

/// What a hash or checksum is made of.
pub(super) fn calculation_reads(
    program: &Program,
    id: CalculationId,
    found: &mut dyn FnMut(FieldRef),
) {
    for input in &program.calculations[id.index()].input {
        match input {
            CalculationInput::Field(field) => found(*field),
            CalculationInput::Header(header) => {
                all_fields(program, *header).for_each(&mut *found);
            }
            CalculationInput::Expr { value, .. } => expr_reads(program, value, found),
            CalculationInput::Payload | CalculationInput::Const { .. } => {}
        }
    }
}

/// What part of a table's key reads.
pub(super) fn key_reads(program: &Program, key: &KeySource, found: &mut dyn FnMut(FieldRef)) {
    match key {
        KeySource::Field(place) => place_reads(program, place, found),
        KeySource::Valid(header) => index_reads(program, header, found),
        KeySource::UnionValid(_) => {}
    }
}

/// What reading a place reads: the field, and what says which header it is in.
fn place_reads(program: &Program, place: &LValue, found: &mut dyn FnMut(FieldRef)) {
    match place {
        LValue::Field(field) => found(*field),
        LValue::FieldOf { header, field } => {
            index_reads(program, header, found);
            for header in candidates(program, header) {
                found(FieldRef {
                    header,
                    field: *field,
                });
            }
        }
    }
}

/// What an expression reads.
pub(super) fn expr_reads(program: &Program, expr: &Expr, found: &mut dyn FnMut(FieldRef)) {
    match expr {
        Expr::Field(field) => found(*field),
        Expr::FieldOf { header, field } => {
            let place = LValue::FieldOf {
                header: header.clone(),
                field: *field,
            };
            place_reads(program, &place, found);
        }
        Expr::Valid(header) => index_reads(program, header, found),
        Expr::Unary { arg, .. } => expr_reads(program, arg, found),
        Expr::Binary { left, right, .. } => {
            expr_reads(program, left, found);
            expr_reads(program, right, found);
        }
        Expr::Conditional {
            condition,
            then,
            otherwise,
        } => {
            for expr in [condition, then, otherwise] {
                expr_reads(program, expr, found);
            }
        }
        Expr::HeaderEq(left, right) => {
            for header in [left, right] {
                index_reads(program, header, found);
                for header in candidates(program, header) {
                    all_fields(program, header).for_each(&mut *found);
                }
            }
        }
        Expr::UnionEq(left, right) => {
            for union in [left, right] {
                for member in &program.unions[union.index()].members {
                    all_fields(program, *member).for_each(&mut *found);
                }
            }
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

fn index_reads(program: &Program, header: &HeaderRef, found: &mut dyn FnMut(FieldRef)) {
    if let HeaderRef::Element { index, .. } | HeaderRef::UnionElement { index, .. } = header {
        expr_reads(program, index, found);
    }
}

/// The headers that a reference may mean.
pub(super) fn candidates(program: &Program, header: &HeaderRef) -> Vec<HeaderId> {
    match header {
        HeaderRef::Header(header) => vec![*header],
        HeaderRef::Element { stack, .. } | HeaderRef::Next(stack) | HeaderRef::Last(stack) => {
            program.stacks[stack.index()].elements.clone()
        }
        HeaderRef::UnionElement { stack, member, .. } => {
            let unions = &program.union_stacks[stack.index()].elements;
            let members = unions
                .iter()
                .map(|union| &program.unions[union.index()].members);
            members
                .filter_map(|members| members.get(*member as usize).copied())
                .collect()
        }
    }
}

/// The fields of a header.
pub(super) fn all_fields(program: &Program, header: HeaderId) -> impl Iterator<Item = FieldRef> {
    let count = program.headers[header.index()].fields.len() as u32;
    (0..count).map(move |field| FieldRef { header, field })
}
