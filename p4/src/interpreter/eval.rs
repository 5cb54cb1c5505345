//! Expressions on unbounded integers; booleans are 1 and 0.

use num_bigint::{BigInt, Sign};
use num_traits::{One, ToPrimitive, Zero};

use crate::ir::{BinaryOp, Expr, FieldRef, HeaderId, HeaderRef, LValue, Program, UnaryOp};

use super::bits;
use super::phv::Phv;

/// Longest shift that is computed: beyond any field, so that the result is 0 where it is stored.
const MAX_SHIFT: u64 = 1 << 17;

/// What an expression can look at.
#[derive(Clone, Copy)]
pub(super) struct Eval<'a> {
    pub(super) program: &'a Program,
    pub(super) phv: &'a Phv,
    /// Arguments of the action around; none elsewhere.
    pub(super) args: &'a [BigInt],
    /// The bytes ahead of the parser; none elsewhere.
    pub(super) ahead: &'a [u8],
}

/// A lookahead beyond the end of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooShort;

impl Eval<'_> {
    /// The value of an expression in which no lookahead can occur; one that does reads 0.
    pub(super) fn value(&self, expr: &Expr) -> BigInt {
        self.try_value(expr).unwrap_or_default()
    }

    /// Whether an expression is true, or not zero.
    pub(super) fn truth(&self, expr: &Expr) -> bool {
        !self.value(expr).is_zero()
    }

    /// The value of an expression.
    pub(super) fn try_value(&self, expr: &Expr) -> Result<BigInt, TooShort> {
        Ok(match expr {
            Expr::Const(value) => value.clone(),
            Expr::Bool(value) => truth(*value),
            Expr::Field(field) => self.phv.number(self.program, *field),
            Expr::FieldOf { header, field } => match self.header(header) {
                Some(header) => self.phv.number(
                    self.program,
                    FieldRef {
                        header,
                        field: *field,
                    },
                ),
                None => BigInt::zero(),
            },
            Expr::Valid(header) => truth(self.header(header).is_some_and(|h| self.phv.is_valid(h))),
            Expr::UnionValid(union) => truth(self.phv.is_union_valid(self.program, *union)),
            Expr::Param(index) => self.args.get(*index as usize).cloned().unwrap_or_default(),
            Expr::Lookahead { offset, width } => {
                BigInt::from(bits::read(self.ahead, *offset as usize, *width).ok_or(TooShort)?)
            }
            Expr::StackSize(stack) => BigInt::from(self.phv.next(*stack)),
            Expr::UnionStackSize(stack) => BigInt::from(self.phv.union_next(*stack)),
            Expr::Unary { op, arg } => unary(*op, self.try_value(arg)?),
            Expr::Binary { op, left, right } => {
                binary(*op, &self.try_value(left)?, &self.try_value(right)?)
            }
            Expr::Conditional {
                condition,
                then,
                otherwise,
            } => {
                let chosen = match self.try_value(condition)?.is_zero() {
                    false => then,
                    true => otherwise,
                };
                self.try_value(chosen)?
            }
            Expr::HeaderEq(a, b) => truth(match (self.header(a), self.header(b)) {
                (Some(a), Some(b)) => self.phv.headers_equal(a, b),
                _ => false,
            }),
            Expr::UnionEq(a, b) => {
                let unions = &self.program.unions;
                let pairs = unions[a.index()]
                    .members
                    .iter()
                    .zip(&unions[b.index()].members);
                let equal = pairs.into_iter().all(|(a, b)| {
                    let (valid, other) = (self.phv.is_valid(*a), self.phv.is_valid(*b));
                    valid == other && (!valid || self.phv.headers_equal(*a, *b))
                });
                truth(equal)
            }
        })
    }

    /// The header that is meant; `None` if an index is out of range or a stack empty or full.
    pub(super) fn header(&self, header: &HeaderRef) -> Option<HeaderId> {
        let stacks = &self.program.stacks;
        match header {
            HeaderRef::Header(id) => Some(*id),
            HeaderRef::Element { stack, index } => {
                let index = self.value(index).to_usize()?;
                stacks[stack.index()].elements.get(index).copied()
            }
            HeaderRef::Next(stack) => stacks[stack.index()]
                .elements
                .get(self.phv.next(*stack) as usize)
                .copied(),
            HeaderRef::Last(stack) => {
                let last = self.phv.next(*stack).checked_sub(1)?;
                stacks[stack.index()].elements.get(last as usize).copied()
            }
            HeaderRef::UnionElement {
                stack,
                index,
                member,
            } => {
                let index = self.value(index).to_usize()?;
                let union = self.program.union_stacks[stack.index()]
                    .elements
                    .get(index)?;
                let members = &self.program.unions[union.index()].members;
                members.get(*member as usize).copied()
            }
        }
    }

    /// The field that is meant; `None` where [`Eval::header`] is.
    pub(super) fn place(&self, target: &LValue) -> Option<FieldRef> {
        match target {
            LValue::Field(field) => Some(*field),
            LValue::FieldOf { header, field } => Some(FieldRef {
                header: self.header(header)?,
                field: *field,
            }),
        }
    }
}

fn truth(value: bool) -> BigInt {
    BigInt::from(u8::from(value))
}

/// What an operator makes of a value.
pub(crate) fn unary(op: UnaryOp, arg: BigInt) -> BigInt {
    match op {
        UnaryOp::Negate => -arg,
        UnaryOp::BitNot => !arg,
        UnaryOp::Not => truth(arg.is_zero()),
        UnaryOp::ToBool => truth(!arg.is_zero()),
        UnaryOp::ToData => arg,
    }
}

/// What an operator makes of two values.
pub(crate) fn binary(op: BinaryOp, left: &BigInt, right: &BigInt) -> BigInt {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div if right.is_zero() => BigInt::zero(),
        BinaryOp::Div => left / right,
        BinaryOp::Mod if right.is_zero() => BigInt::zero(),
        BinaryOp::Mod => left % right,
        BinaryOp::Shl => match shift_width(right) {
            Some(width) => left << width,
            None => BigInt::zero(),
        },
        BinaryOp::Shr => match shift_width(right) {
            Some(width) => left >> width,
            None if left.sign() == Sign::Minus => -BigInt::one(),
            None => BigInt::zero(),
        },
        BinaryOp::BitAnd => left & right,
        BinaryOp::BitOr => left | right,
        BinaryOp::BitXor => left ^ right,
        BinaryOp::Eq => truth(left == right),
        BinaryOp::Ne => truth(left != right),
        BinaryOp::Lt => truth(left < right),
        BinaryOp::Le => truth(left <= right),
        BinaryOp::Gt => truth(left > right),
        BinaryOp::Ge => truth(left >= right),
        BinaryOp::And => truth(!left.is_zero() && !right.is_zero()),
        BinaryOp::Or => truth(!left.is_zero() || !right.is_zero()),
        BinaryOp::TwoComplement => with_width(right, |one, width| {
            let cut = left & ((one << width) - one);
            if cut >= one << (width - 1) {
                cut - (one << width)
            } else {
                cut
            }
        }),
        BinaryOp::SaturateSigned => with_width(right, |one, width| {
            let limit = one << (width - 1);
            left.clone().clamp(-&limit, limit - one)
        }),
        BinaryOp::SaturateUnsigned => with_width(right, |one, width| {
            left.clone().clamp(BigInt::zero(), (one << width) - one)
        }),
    }
}

/// `None` for a shift beyond any field.
fn shift_width(right: &BigInt) -> Option<u64> {
    right.to_u64().filter(|width| *width <= MAX_SHIFT)
}

/// A width of 0, or one beyond any field, gives 0.
fn with_width(right: &BigInt, compute: impl Fn(&BigInt, u64) -> BigInt) -> BigInt {
    match shift_width(right) {
        None | Some(0) => BigInt::zero(),
        Some(width) => compute(&BigInt::one(), width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(op: BinaryOp, left: i64, right: i64) -> i64 {
        let value = binary(op, &BigInt::from(left), &BigInt::from(right));
        value.to_i64().unwrap()
    }

    #[test]
    fn two_complement_wraps_and_saturation_stops() {
        assert_eq!(compute(BinaryOp::TwoComplement, -129, 8), 127);
        assert_eq!(compute(BinaryOp::TwoComplement, 255, 8), -1);
        assert_eq!(compute(BinaryOp::SaturateSigned, 200, 8), 127);
        assert_eq!(compute(BinaryOp::SaturateSigned, -200, 8), -128);
        assert_eq!(compute(BinaryOp::SaturateUnsigned, 300, 8), 255);
        assert_eq!(compute(BinaryOp::SaturateUnsigned, -1, 8), 0);
    }

    #[test]
    fn shifts_beyond_any_field_are_bounded() {
        assert_eq!(compute(BinaryOp::Shl, 1, i64::MAX), 0);
        assert_eq!(compute(BinaryOp::Shr, 1, i64::MAX), 0);
        assert_eq!(compute(BinaryOp::Shr, -1, i64::MAX), -1);
    }

    #[test]
    fn division_by_zero_is_zero() {
        assert_eq!(compute(BinaryOp::Div, 7, 0), 0);
        assert_eq!(compute(BinaryOp::Mod, 7, 0), 0);
    }
}
