//! Which values an expression can have: interval arithmetic on unbounded integers.
//!
//! It decides whether a 64-bit register holds a value or only its low bits, see [`super::expr`].

use num_bigint::BigInt;
use num_traits::{One, ToPrimitive, Zero};
use pointsman_p4::ir::{BinaryOp, Expr, FieldKind, FieldRef, HeaderRef, UnaryOp};

use crate::asm::Cond;

use super::Emitter;

/// What values an expression can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) low: BigInt,
    pub(super) high: BigInt,
}

impl Interval {
    /// Unsigned numbers of that many bits.
    pub(super) fn bits(width: u32) -> Interval {
        Interval {
            low: BigInt::zero(),
            high: (BigInt::one() << width) - 1,
        }
    }

    /// Two's complement numbers of that many bits.
    pub(super) fn signed(width: u32) -> Interval {
        let half = BigInt::one() << (width - 1);
        Interval {
            low: -half.clone(),
            high: half - 1,
        }
    }

    /// A register holds the value itself, unsigned.
    pub(super) fn is_unsigned64(&self) -> bool {
        self.low >= BigInt::zero() && self.high.bits() <= 64
    }

    /// A register holds the value itself, signed.
    pub(super) fn is_signed64(&self) -> bool {
        let limits = Interval::signed(64);
        self.low >= limits.low && self.high <= limits.high
    }

    /// All values have at most that many bits and none is negative.
    pub(super) fn fits(&self, width: u32) -> bool {
        self.low >= BigInt::zero() && self.high.bits() <= u64::from(width)
    }

    fn corners(&self, other: &Interval, f: impl Fn(&BigInt, &BigInt) -> BigInt) -> Interval {
        let all = [
            f(&self.low, &other.low),
            f(&self.low, &other.high),
            f(&self.high, &other.low),
            f(&self.high, &other.high),
        ];
        let low = all.iter().min().cloned().unwrap_or_default();
        let high = all.into_iter().max().unwrap_or_default();
        Interval { low, high }
    }

    fn union(&self, other: &Interval) -> Interval {
        Interval {
            low: self.low.clone().min(other.low.clone()),
            high: self.high.clone().max(other.high.clone()),
        }
    }
}

impl Emitter<'_> {
    /// Whether a register holds 0 or 1 for it.
    pub(super) fn is_truth(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Bool(_) | Expr::Valid(_) | Expr::UnionValid(_) => true,
            Expr::Unary {
                op: UnaryOp::Not | UnaryOp::ToBool,
                ..
            } => true,
            Expr::Unary {
                op: UnaryOp::ToData,
                arg,
            } => self.is_truth(arg),
            Expr::Binary { op, .. } => {
                comparison(*op).is_some() || matches!(op, BinaryOp::And | BinaryOp::Or)
            }
            _ => false,
        }
    }

    /// What values an expression can have.
    pub(super) fn interval(&self, expr: &Expr) -> Interval {
        let truth = Interval::bits(1);
        match expr {
            Expr::Const(value) => Interval {
                low: value.clone(),
                high: value.clone(),
            },
            Expr::Field(field) => {
                let field = self.program.field(*field);
                match field.kind {
                    FieldKind::Signed => Interval::signed(field.width.max(1)),
                    _ => Interval::bits(field.width),
                }
            }
            Expr::FieldOf { header, field } => {
                let first = match header {
                    HeaderRef::Header(header) => Some(*header),
                    HeaderRef::Element { stack, .. }
                    | HeaderRef::Next(stack)
                    | HeaderRef::Last(stack) => {
                        self.program.stacks[stack.index()].elements.first().copied()
                    }
                    HeaderRef::UnionElement { stack, member, .. } => {
                        let union = self.program.union_stacks[stack.index()].elements.first();
                        union.map(|u| self.program.unions[u.index()].members[*member as usize])
                    }
                };
                match first {
                    // An index out of range reads 0, which each of these includes.
                    Some(header) => self.interval(&Expr::Field(FieldRef {
                        header,
                        field: *field,
                    })),
                    None => truth,
                }
            }
            Expr::StackSize(_) => Interval::bits(8),
            Expr::Param(index) => Interval::bits(self.param_width(*index)),
            Expr::Lookahead { width, .. } => Interval::bits(*width),
            Expr::Unary { op, arg } => match op {
                UnaryOp::Negate => {
                    let arg = self.interval(arg);
                    Interval {
                        low: -arg.high,
                        high: -arg.low,
                    }
                }
                UnaryOp::BitNot => {
                    let arg = self.interval(arg);
                    Interval {
                        low: -arg.high - 1,
                        high: -arg.low - 1,
                    }
                }
                UnaryOp::ToData if !self.is_truth(arg) => self.interval(arg),
                _ => truth,
            },
            Expr::Binary { op, left, right } => self.interval_of(*op, left, right),
            Expr::Conditional {
                then, otherwise, ..
            } => self.interval(then).union(&self.interval(otherwise)),
            _ => truth,
        }
    }

    fn interval_of(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Interval {
        let (l, r) = (self.interval(left), self.interval(right));
        let zero = BigInt::zero();
        let known_shift = |r: &Interval| {
            (r.low == r.high)
                .then(|| r.low.to_u32())
                .flatten()
                .filter(|s| *s <= 4096)
        };
        match op {
            BinaryOp::Add => Interval {
                low: l.low + r.low,
                high: l.high + r.high,
            },
            BinaryOp::Sub => Interval {
                low: l.low - r.high,
                high: l.high - r.low,
            },
            BinaryOp::Mul => l.corners(&r, |a, b| a * b),
            BinaryOp::Shl => match known_shift(&r) {
                Some(shift) => Interval {
                    low: l.low << shift,
                    high: l.high << shift,
                },
                // As large as it gets: nobody may rely on it.
                None => Interval {
                    low: l.low << 256,
                    high: l.high << 256,
                },
            },
            BinaryOp::Shr => match known_shift(&r) {
                Some(shift) => Interval {
                    low: l.low >> shift,
                    high: l.high >> shift,
                },
                None => Interval {
                    low: l.low.min(zero.clone()),
                    high: l.high.max(zero),
                },
            },
            BinaryOp::BitAnd => match (l.low >= zero, r.low >= zero) {
                (true, true) => Interval {
                    low: zero,
                    high: l.high.min(r.high),
                },
                (true, false) => Interval {
                    low: zero,
                    high: l.high,
                },
                (false, true) => Interval {
                    low: zero,
                    high: r.high,
                },
                (false, false) => signed_union(&l, &r),
            },
            BinaryOp::BitOr | BinaryOp::BitXor => {
                if l.low >= zero && r.low >= zero {
                    Interval::bits(l.high.bits().max(r.high.bits()) as u32)
                } else {
                    signed_union(&l, &r)
                }
            }
            BinaryOp::Div => Interval {
                low: l.low.min(zero.clone()),
                high: l.high.max(zero),
            },
            BinaryOp::Mod => Interval {
                low: zero,
                high: r.high.max(BigInt::one()),
            },
            BinaryOp::TwoComplement => match r.high.to_u32() {
                Some(width @ 1..=4096) => Interval::signed(width),
                _ => l,
            },
            BinaryOp::SaturateSigned => match r.high.to_u32() {
                Some(width @ 1..=4096) => Interval::signed(width),
                _ => l,
            },
            BinaryOp::SaturateUnsigned => match r.high.to_u32() {
                Some(width @ 1..=4096) => Interval::bits(width),
                _ => l,
            },
            _ => Interval::bits(1),
        }
    }
}

fn signed_union(l: &Interval, r: &Interval) -> Interval {
    let bits = [&l.low, &l.high, &r.low, &r.high]
        .iter()
        .map(|n| n.bits())
        .max()
        .unwrap_or(0);
    Interval::signed(bits as u32 + 1)
}

/// The conditions for unsigned and signed operands.
pub(super) fn comparison(op: BinaryOp) -> Option<(Cond, Cond)> {
    Some(match op {
        BinaryOp::Eq => (Cond::Eq, Cond::Eq),
        BinaryOp::Ne => (Cond::Ne, Cond::Ne),
        BinaryOp::Lt => (Cond::Lt, Cond::Slt),
        BinaryOp::Le => (Cond::Le, Cond::Sle),
        BinaryOp::Gt => (Cond::Gt, Cond::Sgt),
        BinaryOp::Ge => (Cond::Ge, Cond::Sge),
        _ => return None,
    })
}
