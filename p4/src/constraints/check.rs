//! What names mean, and whether types fit: [`Node`] to [`Expr`].
//!
//! Types form a small order, and the lower of two is made the higher where they are compared:
//! `int` → `bit<W>` (modulo 2^W) → the match of exactly that value, of any kind and W bits.

use num_bigint::{BigInt, BigUint};
use num_traits::Zero;

use super::error::Fault;
use super::source::Span;
use super::syntax::{Compare, Expr, ExprKind, Field, Node, NodeKind, Type};
use super::{Shape, Variable};
use crate::dataplane::{Bits, Match};
use crate::ir::MatchKind;

type Checked<T> = Result<T, (Span, Fault)>;

/// A constraint that makes sense for a table or action with these keys or parameters.
pub fn check(node: &Node, variables: &[Variable]) -> Checked<Expr> {
    Checker { variables }.truth(node)
}

struct Checker<'a> {
    variables: &'a [Variable],
}

impl Checker<'_> {
    fn truth(&self, node: &Node) -> Checked<Expr> {
        match self.typed(node)? {
            (expr, Type::Bool) => Ok(expr),
            (_, other) => Err(wrong_type(node, other, "a truth value")),
        }
    }

    fn typed(&self, node: &Node) -> Checked<(Expr, Type)> {
        let (kind, of) = match &node.kind {
            NodeKind::Bool(value) => (ExprKind::Bool(*value), Type::Bool),
            NodeKind::Number(number) => (ExprKind::Int(number.clone()), Type::Int),
            NodeKind::Text(text) => {
                let bits = Bits::from_be_bytes(text.as_bytes());
                (ExprKind::Bits(bits), Type::Bits(None))
            }
            NodeKind::Name(name) => self.variable(node, name)?,
            NodeKind::Attribute(name) if name == "priority" && self.of_entries() => {
                (ExprKind::Priority, Type::Int)
            }
            NodeKind::Attribute(name) => {
                return Err((node.span, Fault::Attribute(name.clone())));
            }
            NodeKind::Field(of, field) => self.field(node, of, field)?,
            NodeKind::Not(inner) => (ExprKind::Not(Box::new(self.truth(inner)?)), Type::Bool),
            NodeKind::Negative(inner) => match self.typed(inner)? {
                (
                    Expr {
                        kind: ExprKind::Int(number),
                        ..
                    },
                    Type::Int,
                ) => (ExprKind::Int(-number), Type::Int),
                (inner, Type::Int) => (ExprKind::Negative(Box::new(inner)), Type::Int),
                (_, other) => return Err(wrong_type(inner, other, "a number")),
            },
            NodeKind::Logic(operator, left, right) => {
                let (left, right) = (self.truth(left)?, self.truth(right)?);
                let kind = ExprKind::Logic(*operator, Box::new(left), Box::new(right));
                (kind, Type::Bool)
            }
            NodeKind::Compare(operator, left, right) => {
                (self.compare(node, *operator, left, right)?, Type::Bool)
            }
        };
        let span = node.span;
        Ok((Expr { kind, span }, of))
    }

    /// Actions have parameters and no priority.
    fn of_entries(&self) -> bool {
        let mut shapes = self.variables.iter().map(|v| v.shape);
        shapes.all(|shape| matches!(shape, Shape::Key(..)))
    }

    fn position(&self, node: &Node, name: &str) -> Checked<usize> {
        let found = self.variables.iter().position(|v| v.name == name);
        found.ok_or_else(|| {
            let names = self.variables.iter().map(|v| v.name.as_str());
            let names = names.collect::<Vec<_>>().join(", ");
            let known = match names.is_empty() {
                true => "there are no names to use".to_owned(),
                false => format!("there is {names}"),
            };
            let name = name.to_owned();
            (node.span, Fault::Unknown { name, known })
        })
    }

    fn variable(&self, node: &Node, name: &str) -> Checked<(ExprKind, Type)> {
        let position = self.position(node, name)?;
        let of = match self.variables[position].shape {
            Shape::Key(kind, width) => Type::Match(kind, width),
            Shape::Parameter(width) => Type::Bits(width),
        };
        Ok((ExprKind::Variable(position), of))
    }

    fn field(&self, node: &Node, of: &Node, field: &str) -> Checked<(ExprKind, Type)> {
        let none = |of: Type, known| {
            let field = field.to_owned();
            let of = of.describe();
            (node.span, Fault::Field { of, field, known })
        };
        let (expr, kind, width) = match self.typed(of)? {
            (expr, Type::Match(kind, width)) => (expr, kind, width),
            (_, other) => return Err(none(other, "only keys have fields")),
        };
        let ExprKind::Variable(position) = expr.kind else {
            return Err(none(Type::Match(kind, width), "only keys have fields"));
        };
        let (field, of) = match (kind, field) {
            (MatchKind::Range, "low") => (Field::Low, Type::Bits(width)),
            (MatchKind::Range, "high") => (Field::High, Type::Bits(width)),
            (MatchKind::Range, _) => {
                return Err(none(Type::Match(kind, width), "it has ::low and ::high"));
            }
            (_, "value") => (Field::Value, Type::Bits(width)),
            // Strings have no bits to mask: they are matched or not.
            (MatchKind::Ternary | MatchKind::Optional, "mask") => {
                (Field::Mask(width), Type::Bits(Some(width.unwrap_or(1))))
            }
            (MatchKind::Ternary | MatchKind::Optional, _) => {
                return Err(none(Type::Match(kind, width), "it has ::value and ::mask"));
            }
            (MatchKind::Lpm, "prefix_length") => (Field::PrefixLength, Type::Int),
            (MatchKind::Lpm, _) => {
                let known = "it has ::value and ::prefix_length";
                return Err(none(Type::Match(kind, width), known));
            }
            (MatchKind::Exact, _) => {
                return Err(none(Type::Match(kind, width), "it has ::value"));
            }
        };
        Ok((ExprKind::Field(position, field), of))
    }

    fn compare(
        &self,
        node: &Node,
        operator: Compare,
        left_node: &Node,
        right_node: &Node,
    ) -> Checked<ExprKind> {
        let (left, of_left) = self.typed(left_node)?;
        let (right, of_right) = self.typed(right_node)?;
        let common = higher(of_left, of_right).ok_or_else(|| {
            let (left, right) = (of_left.describe(), of_right.describe());
            (node.span, Fault::Incomparable { left, right })
        })?;
        let has_order = matches!(
            common,
            Type::Int | Type::Bits(Some(_)) | Type::Match(MatchKind::Exact, Some(_))
        );
        if operator.is_ordered() && !has_order {
            return Err((node.span, Fault::Unordered(common.describe())));
        }
        let left = raise(left, of_left, common)?;
        let right = raise(right, of_right, common)?;
        Ok(ExprKind::Compare(operator, Box::new(left), Box::new(right)))
    }
}

fn wrong_type(node: &Node, found: Type, expected: &'static str) -> (Span, Fault) {
    let found = found.describe();
    (node.span, Fault::Type { found, expected })
}

/// The type that both can be compared as.
fn higher(left: Type, right: Type) -> Option<Type> {
    let is_above = |above: Type, below: Type| match (above, below) {
        (Type::Match(_, a), Type::Bits(b)) => a == b,
        (Type::Match(..) | Type::Bits(_), Type::Int) => true,
        _ => false,
    };
    if left == right || is_above(left, right) {
        Some(left)
    } else {
        is_above(right, left).then_some(right)
    }
}

/// Makes an expression one of a higher type. Constants become constants.
fn raise(expr: Expr, from: Type, to: Type) -> Checked<Expr> {
    let span = expr.span;
    let kind = match (from, to) {
        (Type::Int, Type::Bits(width)) => match (expr.kind, width) {
            (ExprKind::Int(number), Some(width)) => ExprKind::Bits(truncate(&number, width)),
            (other, Some(width)) => ExprKind::Truncate(Box::new(Expr { kind: other, span }), width),
            // What has no number in P4Runtime is written as zero: the empty string.
            (ExprKind::Int(number), None) if number.is_zero() => ExprKind::Bits(Bits::zero()),
            (_, None) => {
                let found = "a number other than 0".to_owned();
                let expected = "a string ('...')";
                return Err((span, Fault::Type { found, expected }));
            }
        },
        (Type::Int, Type::Match(_, width)) => {
            let bits = raise(expr, Type::Int, Type::Bits(width))?;
            return raise(bits, Type::Bits(width), to);
        }
        (Type::Bits(_), Type::Match(kind, width)) => match expr.kind {
            ExprKind::Bits(bits) => ExprKind::Match(exactly(bits, kind, width)),
            other => ExprKind::Exactly(Box::new(Expr { kind: other, span }), kind, width),
        },
        _ => expr.kind,
    };
    Ok(Expr { kind, span })
}

/// A number modulo 2^width.
pub fn truncate(number: &BigInt, width: u32) -> Bits {
    let modulus = BigInt::from(BigUint::from(1u8) << width);
    let rest = ((number % &modulus) + &modulus) % &modulus;
    Bits::from(rest.magnitude())
}

/// The match of exactly one value.
pub fn exactly(value: Bits, kind: MatchKind, width: Option<u32>) -> Match {
    match kind {
        MatchKind::Exact => Match::Exact(value),
        MatchKind::Optional => Match::Optional(Some(value)),
        MatchKind::Lpm => Match::Lpm {
            value,
            prefix_len: width.unwrap_or(0),
        },
        MatchKind::Ternary => Match::Ternary {
            value,
            mask: Bits::ones(width.unwrap_or(1)),
        },
        MatchKind::Range => Match::Range {
            low: value.clone(),
            high: value,
        },
    }
}
