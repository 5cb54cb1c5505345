//! Statements that nobody notices.

use std::collections::HashSet;

use num_traits::Zero;

use crate::ir::{Expr, FieldRef, HashAlgorithm, LValue, Op, ParserOp, Program, SourceInfo};

use super::fold::{constant, looks_ahead};

/// Takes out what does nothing. In actions something that does nothing takes its place.
pub(super) fn remove(program: &mut Program, read: &HashSet<FieldRef>) {
    let shapes = program.clone();
    for action in &mut program.actions {
        for (op, _) in &mut action.body {
            if is_dead(&shapes, op, read) {
                *op = nothing();
            }
        }
        settle_jumps(&mut action.body);
    }
    for state in &mut program.parser_states {
        state.ops.retain(|(op, _)| !is_dead_parser_op(op, read));
    }
}

/// What stands where a statement was.
fn nothing() -> Op {
    Op::Assume {
        condition: Expr::Bool(true),
    }
}

/// Whether a statement is one that was taken out, or might as well be.
pub(super) fn is_nothing(op: &Op) -> bool {
    *op == nothing()
}

/// Whether a statement only stores to a field that is not read.
pub(super) fn is_dead(program: &Program, op: &Op, read: &HashSet<FieldRef>) -> bool {
    let target = match op {
        Op::Assign { target, .. } | Op::RegisterRead { target, .. } | Op::Random { target, .. } => {
            target
        }
        Op::Hash {
            target,
            calculation,
            ..
        } => {
            let algorithm = program.calculations[calculation.index()].algorithm;
            match algorithm {
                // The next call depends on this one.
                HashAlgorithm::RoundRobin | HashAlgorithm::RoundRobinConsistent => return false,
                _ => target,
            }
        }
        _ => return false,
    };
    is_unread(target, read)
}

/// The same in a parser, where looking ahead may fail.
pub(super) fn is_dead_parser_op(op: &ParserOp, read: &HashSet<FieldRef>) -> bool {
    match op {
        ParserOp::Set { target, value } => is_unread(target, read) && !looks_ahead(value),
        _ => false,
    }
}

fn is_unread(target: &LValue, read: &HashSet<FieldRef>) -> bool {
    matches!(target, LValue::Field(field) if !read.contains(field))
}

/// Jumps that always or never jump, those over nothing, and what is never jumped to.
fn settle_jumps(body: &mut [(Op, SourceInfo)]) {
    for (op, _) in body.iter_mut() {
        if let Op::JumpIfZero { condition, to } = op
            && let Some(value) = constant(condition)
        {
            *op = match value.is_zero() {
                true => Op::Jump { to: *to },
                false => nothing(),
            };
        }
    }
    let reachable = reachable(body);
    for (index, (op, _)) in body.iter_mut().enumerate() {
        if !reachable.contains(&index) {
            *op = nothing();
        }
    }
    for index in 0..body.len() {
        let (Op::Jump { to } | Op::JumpIfZero { to, .. }) = &body[index].0 else {
            continue;
        };
        let skipped = body.get(index + 1..*to as usize);
        if skipped.is_some_and(|ops| ops.iter().all(|(op, _)| is_nothing(op))) {
            body[index].0 = nothing();
        }
    }
}

fn reachable(body: &[(Op, SourceInfo)]) -> HashSet<usize> {
    let mut reachable = HashSet::new();
    let mut todo = vec![0];
    while let Some(at) = todo.pop() {
        let Some((op, _)) = body.get(at) else {
            continue;
        };
        if !reachable.insert(at) {
            continue;
        }
        match op {
            Op::Jump { to } => todo.push(*to as usize),
            Op::JumpIfZero { to, .. } => todo.extend([at + 1, *to as usize]),
            _ => todo.push(at + 1),
        }
    }
    reachable
}
