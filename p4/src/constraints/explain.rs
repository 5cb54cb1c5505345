//! Why a constraint does not hold: the smallest part of it that decides.
//!
//! A conjunction that is false is so because of a part that is false, a disjunction that is true
//! because of one that is true. Going down as long as that is so leaves the part worth showing.

use super::eval::Values;
use super::syntax::{Expr, ExprKind, Logic};
use super::{Constraint, Shape, Subject, Violation};
use crate::dataplane::{Bits, Match};

/// Explains why a constraint that does not hold does not.
pub fn explain(constraint: &Constraint, values: &Values<'_>) -> Violation {
    let part = smallest(&constraint.expr, values);
    let mut named = Vec::new();
    names(part, &mut named);
    let describe = |name: &Named| match name {
        Named::Variable(position) => {
            let variable = &constraint.variables[*position];
            format!(
                "{} = {}",
                variable.name,
                shown(variable.shape, values, *position)
            )
        }
        Named::Priority => format!("::priority = {}", values.priority()),
    };
    Violation {
        owner: constraint.owner.clone(),
        part: constraint.source.quote(part.span),
        line: constraint.source.place(part.span).0,
        must_hold: !values.holds(part),
        values: named.iter().map(describe).collect(),
    }
}

/// The smallest part that makes the whole what it is.
fn smallest<'e>(expr: &'e Expr, values: &Values<'_>) -> &'e Expr {
    let decisive: Vec<&Expr> = match &expr.kind {
        ExprKind::Not(inner) => return smallest(inner, values),
        ExprKind::Logic(operator, left, right) => {
            let (l, r) = (values.holds(left), values.holds(right));
            // The values that decide on either side.
            let (of_left, of_right) = match operator {
                Logic::And => (!l, !r),
                Logic::Or => (l, r),
                Logic::Implies => (!l, r),
            };
            let sides = [(of_left, left), (of_right, right)];
            let sides = sides.into_iter().filter(|(decides, _)| *decides);
            sides.map(|(_, side)| smallest(side, values)).collect()
        }
        _ => return expr,
    };
    decisive.into_iter().min_by_key(|e| size(e)).unwrap_or(expr)
}

/// Expressions in it, itself included.
fn size(expr: &Expr) -> usize {
    1 + children(expr).map(size).sum::<usize>()
}

/// What stands directly within an expression.
fn children(expr: &Expr) -> impl Iterator<Item = &Expr> {
    let (first, second) = match &expr.kind {
        ExprKind::Not(a)
        | ExprKind::Negative(a)
        | ExprKind::Truncate(a, _)
        | ExprKind::Exactly(a, ..) => (Some(a), None),
        ExprKind::Logic(_, a, b) | ExprKind::Compare(_, a, b) => (Some(a), Some(b)),
        _ => (None, None),
    };
    first.into_iter().chain(second).map(|e| &**e)
}

#[derive(PartialEq)]
enum Named {
    Variable(usize),
    Priority,
}

/// What an expression names, each once, in its order.
fn names(expr: &Expr, out: &mut Vec<Named>) {
    let name = match &expr.kind {
        ExprKind::Variable(position) | ExprKind::Field(position, _) => {
            Some(Named::Variable(*position))
        }
        ExprKind::Priority => Some(Named::Priority),
        _ => None,
    };
    out.extend(name.filter(|name| !out.contains(name)));
    children(expr).for_each(|child| names(child, out));
}

/// A value as an entry has it.
fn shown(shape: Shape, values: &Values<'_>, position: usize) -> String {
    let (Shape::Key(_, width) | Shape::Parameter(width)) = shape;
    let value = |bits: &Bits| match width {
        Some(_) => bits.to_string(),
        None => format!("'{}'", String::from_utf8_lossy(bits.as_be_bytes())),
    };
    let matches = match values.0 {
        Subject::Arguments(args) => return value(&args[position]),
        Subject::Entry(matches, _) => matches,
    };
    match &matches[position] {
        Match::Exact(bits) | Match::Optional(Some(bits)) => value(bits),
        Match::Optional(None) => "anything".to_owned(),
        Match::Lpm { prefix_len: 0, .. } => "anything".to_owned(),
        Match::Ternary { mask, .. } if mask.is_zero() => "anything".to_owned(),
        Match::Lpm { value, prefix_len } => format!("{value}/{prefix_len}"),
        Match::Ternary { value, mask } => format!("{value} &&& {mask}"),
        Match::Range { low, high } => format!("{low}..{high}"),
    }
}
