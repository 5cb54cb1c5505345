//! What an expression is for an entry.

use std::borrow::Cow;
use std::cmp::Ordering;

use num_bigint::BigInt;

use super::Subject;
use super::check::{exactly, truncate};
use super::syntax::{Compare, Expr, ExprKind, Field, Logic};
use crate::dataplane::{Bits, Match};

/// The values of an entry or an action's arguments.
pub struct Values<'a>(pub Subject<'a>);

/// What an expression is. The parts of an entry are borrowed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value<'v> {
    Bool(bool),
    Int(Cow<'v, BigInt>),
    Bits(Cow<'v, Bits>),
    Match(Cow<'v, Match>),
}

/// Expressions were checked, so that types and positions fit.
const CHECKED: &str = "the constraint was checked against its table or action";

impl Values<'_> {
    /// Whether an expression of truth values is true.
    pub fn holds(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Bool(value) => *value,
            ExprKind::Not(inner) => !self.holds(inner),
            ExprKind::Logic(Logic::And, left, right) => self.holds(left) && self.holds(right),
            ExprKind::Logic(Logic::Or, left, right) => self.holds(left) || self.holds(right),
            ExprKind::Logic(Logic::Implies, left, right) => !self.holds(left) || self.holds(right),
            ExprKind::Compare(operator, left, right) => {
                let order = self.value(left).cmp(&self.value(right));
                match operator {
                    Compare::Equal => order == Ordering::Equal,
                    Compare::NotEqual => order != Ordering::Equal,
                    Compare::Greater => order == Ordering::Greater,
                    Compare::GreaterOrEqual => order != Ordering::Less,
                    Compare::Less => order == Ordering::Less,
                    Compare::LessOrEqual => order != Ordering::Greater,
                }
            }
            _ => panic!("{CHECKED}"),
        }
    }

    fn value<'v>(&'v self, expr: &'v Expr) -> Value<'v> {
        match &expr.kind {
            ExprKind::Int(number) => Value::Int(Cow::Borrowed(number)),
            ExprKind::Bits(bits) => Value::Bits(Cow::Borrowed(bits)),
            ExprKind::Match(value) => Value::Match(Cow::Borrowed(value)),
            ExprKind::Variable(position) => match self.0 {
                Subject::Entry(matches, _) => Value::Match(Cow::Borrowed(&matches[*position])),
                Subject::Arguments(args) => Value::Bits(Cow::Borrowed(&args[*position])),
            },
            ExprKind::Priority => Value::Int(Cow::Owned(BigInt::from(self.priority()))),
            ExprKind::Field(position, field) => self.field(*position, *field),
            ExprKind::Negative(inner) => Value::Int(Cow::Owned(-self.int(inner).into_owned())),
            ExprKind::Truncate(inner, width) => {
                Value::Bits(Cow::Owned(truncate(&self.int(inner), *width)))
            }
            ExprKind::Exactly(inner, kind, width) => match self.value(inner) {
                Value::Bits(bits) => {
                    Value::Match(Cow::Owned(exactly(bits.into_owned(), *kind, *width)))
                }
                _ => panic!("{CHECKED}"),
            },
            ExprKind::Bool(_) | ExprKind::Not(_) | ExprKind::Logic(..) | ExprKind::Compare(..) => {
                Value::Bool(self.holds(expr))
            }
        }
    }

    /// The priority of an entry.
    pub fn priority(&self) -> i32 {
        match self.0 {
            Subject::Entry(_, priority) => priority,
            Subject::Arguments(_) => 0,
        }
    }

    fn int<'v>(&'v self, expr: &'v Expr) -> Cow<'v, BigInt> {
        match self.value(expr) {
            Value::Int(number) => number,
            _ => panic!("{CHECKED}"),
        }
    }

    fn field(&self, position: usize, field: Field) -> Value<'_> {
        let Subject::Entry(matches, _) = self.0 else {
            panic!("{CHECKED}");
        };
        let mask = |width: Option<u32>| Cow::Owned(Bits::ones(width.unwrap_or(1)));
        Value::Bits(match (field, &matches[position]) {
            (Field::Value, Match::Exact(value) | Match::Optional(Some(value))) => {
                Cow::Borrowed(value)
            }
            (Field::Value, Match::Lpm { value, .. } | Match::Ternary { value, .. }) => {
                Cow::Borrowed(value)
            }
            (Field::Value, Match::Optional(None)) => Cow::Owned(Bits::zero()),
            (Field::Mask(_), Match::Ternary { mask, .. }) => Cow::Borrowed(mask),
            (Field::Mask(width), Match::Optional(Some(_))) => mask(width),
            (Field::Mask(_), Match::Optional(None)) => Cow::Owned(Bits::zero()),
            (Field::Low, Match::Range { low, .. }) => Cow::Borrowed(low),
            (Field::High, Match::Range { high, .. }) => Cow::Borrowed(high),
            (Field::PrefixLength, Match::Lpm { prefix_len, .. }) => {
                return Value::Int(Cow::Owned(BigInt::from(*prefix_len)));
            }
            _ => panic!("{CHECKED}"),
        })
    }
}
