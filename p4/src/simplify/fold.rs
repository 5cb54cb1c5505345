//! Expressions that have the same value for every packet.

use num_bigint::{BigInt, Sign};
use num_traits::{One, ToPrimitive, Zero};

use crate::interpreter::eval as arithmetic;
use crate::ir::{
    BinaryOp, CalculationInput, Expr, FieldKind, HeaderRef, LValue, Op, ParserOp, Program, UnaryOp,
};

use super::facts::Facts;

/// Folds every expression that is computed for a packet.
pub(super) fn program(program: &mut Program, facts: &Facts) {
    let shapes = program.clone();
    let fold = Fold {
        program: &shapes,
        facts,
    };
    for (op, _) in program
        .actions
        .iter_mut()
        .flat_map(|action| &mut action.body)
    {
        fold.op(op);
    }
    for (op, _) in program
        .parser_states
        .iter_mut()
        .flat_map(|state| &mut state.ops)
    {
        match op {
            ParserOp::Set { value, .. } => fold.expr(value),
            ParserOp::Primitive(op) => fold.op(op),
            _ => {}
        }
    }
    for branch in &mut program.conditionals {
        fold.expr(&mut branch.condition);
    }
    for input in program.calculations.iter_mut().flat_map(|c| &mut c.input) {
        if let CalculationInput::Expr { value, .. } = input {
            fold.expr(value);
        }
    }
    for checksum in &mut program.checksums {
        let Some(condition) = &mut checksum.condition else {
            continue;
        };
        fold.expr(condition);
        match constant(condition).map(|value| value.is_zero()) {
            Some(true) => (checksum.verify, checksum.update) = (false, false),
            Some(false) => checksum.condition = None,
            None => {}
        }
    }
}

/// The value of an expression that is written down.
pub(super) fn constant(expr: &Expr) -> Option<BigInt> {
    match expr {
        Expr::Const(value) => Some(value.clone()),
        Expr::Bool(value) => Some(BigInt::from(u8::from(*value))),
        _ => None,
    }
}

/// Whether computing it can end the parser.
pub(super) fn looks_ahead(expr: &Expr) -> bool {
    match expr {
        Expr::Lookahead { .. } => true,
        Expr::Unary { arg, .. } => looks_ahead(arg),
        Expr::Binary { left, right, .. } => looks_ahead(left) || looks_ahead(right),
        Expr::Conditional {
            condition,
            then,
            otherwise,
        } => [condition, then, otherwise]
            .into_iter()
            .any(|e| looks_ahead(e)),
        _ => false,
    }
}

/// Longer numbers than any field holds are not computed ahead.
const MAX_BITS: u64 = 1 << 16;

struct Fold<'a> {
    program: &'a Program,
    facts: &'a Facts,
}

impl Fold<'_> {
    fn op(&self, op: &mut Op) {
        match op {
            Op::Assign { target, value } => {
                self.place(target);
                self.expr(value);
            }
            Op::RegisterRead { index, .. }
            | Op::Count { index, .. }
            | Op::ExecuteMeter { index, .. } => self.expr(index),
            Op::RegisterWrite { index, value, .. } => {
                self.expr(index);
                self.expr(value);
            }
            Op::Hash { base, max, .. } => {
                self.expr(base);
                self.expr(max);
            }
            Op::Random { low, high, .. } => {
                self.expr(low);
                self.expr(high);
            }
            Op::JumpIfZero { condition, .. }
            | Op::Assert { condition }
            | Op::Assume { condition } => self.expr(condition),
            Op::Clone { session, .. } => self.expr(session),
            Op::Truncate { length } => self.expr(length),
            _ => {}
        }
    }

    fn place(&self, place: &mut LValue) {
        if let LValue::FieldOf {
            header: HeaderRef::Element { index, .. } | HeaderRef::UnionElement { index, .. },
            ..
        } = place
        {
            self.expr(index);
        }
    }

    fn expr(&self, expr: &mut Expr) {
        match expr {
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
            _ => {}
        }
        if let Some(folded) = self.folded(expr) {
            *expr = folded;
        }
    }

    /// What an expression of folded operands becomes, if it becomes something else.
    fn folded(&self, expr: &Expr) -> Option<Expr> {
        let can_be_valid = |header: &HeaderRef| match header {
            HeaderRef::Header(id) => self.facts.can_be_valid(self.program, *id),
            _ => true,
        };
        match expr {
            Expr::Field(field) if self.facts.is_zero(self.program, *field) => {
                Some(Expr::Const(BigInt::zero()))
            }
            Expr::Valid(header) if !can_be_valid(header) => Some(Expr::Bool(false)),
            Expr::HeaderEq(a, b) if !can_be_valid(a) || !can_be_valid(b) => Some(Expr::Bool(false)),
            Expr::UnionValid(union) if !self.facts.can_union_be_valid(*union) => {
                Some(Expr::Bool(false))
            }
            Expr::Unary { op, arg } => self.unary(*op, arg),
            Expr::Binary { op, left, right } => self.binary(*op, left, right),
            Expr::Conditional {
                condition,
                then,
                otherwise,
            } => match constant(condition) {
                Some(value) if value.is_zero() => Some((**otherwise).clone()),
                Some(_) => Some((**then).clone()),
                None if then == otherwise && !looks_ahead(condition) => Some((**then).clone()),
                None => None,
            },
            _ => None,
        }
    }

    fn unary(&self, op: UnaryOp, arg: &Expr) -> Option<Expr> {
        if let Some(value) = constant(arg) {
            let value = arithmetic::unary(op, value);
            return Some(match op {
                UnaryOp::Not | UnaryOp::ToBool => Expr::Bool(!value.is_zero()),
                UnaryOp::Negate | UnaryOp::BitNot | UnaryOp::ToData => Expr::Const(value),
            });
        }
        match (op, arg) {
            (
                UnaryOp::Not,
                Expr::Unary {
                    op: UnaryOp::Not,
                    arg,
                },
            )
            | (
                UnaryOp::ToBool,
                Expr::Unary {
                    op: UnaryOp::ToData,
                    arg,
                },
            ) if is_boolean(arg) => Some((**arg).clone()),
            _ => None,
        }
    }

    fn binary(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Option<Expr> {
        let constants = (constant(left), constant(right));
        if let (Some(left), Some(right)) = &constants {
            let value = arithmetic::binary(op, left, right);
            if value.bits() > MAX_BITS {
                return None;
            }
            return Some(if gives_boolean(op) {
                Expr::Bool(!value.is_zero())
            } else {
                Expr::Const(value)
            });
        }
        let (known, other) = match constants {
            (Some(known), None) => (known, right),
            (None, Some(known)) => (known, left),
            _ => return None,
        };
        let is_right = std::ptr::eq(other, left);
        let keep = || Some(other.clone());
        let replace = |by: Expr| (!looks_ahead(other)).then_some(by);
        match op {
            BinaryOp::And if known.is_zero() => replace(Expr::Bool(false)),
            BinaryOp::And if is_boolean(other) => keep(),
            BinaryOp::Or if !known.is_zero() => replace(Expr::Bool(true)),
            BinaryOp::Or if is_boolean(other) => keep(),
            BinaryOp::Add | BinaryOp::BitOr | BinaryOp::BitXor if known.is_zero() => keep(),
            BinaryOp::Sub | BinaryOp::Shl | BinaryOp::Shr if is_right && known.is_zero() => keep(),
            BinaryOp::BitAnd if known.is_zero() => replace(Expr::Const(BigInt::zero())),
            BinaryOp::BitAnd if self.is_within(other, &known) => keep(),
            BinaryOp::BitAnd => match other {
                Expr::Binary {
                    op: BinaryOp::BitAnd,
                    left,
                    right,
                } => {
                    let mask = known & constant(right)?;
                    let right = Box::new(Expr::Const(mask));
                    let left = left.clone();
                    Some(Expr::Binary { op, left, right })
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a mask leaves a value as it is.
    fn is_within(&self, expr: &Expr, mask: &BigInt) -> bool {
        let Some(bits) = self.bits(expr) else {
            return false;
        };
        let all = (BigInt::one() << bits) - BigInt::one();
        (mask & &all) == all
    }

    /// A number of bits that a value never exceeds; `None` if it may be negative, or of any size.
    fn bits(&self, expr: &Expr) -> Option<u64> {
        match expr {
            Expr::Const(value) => (value.sign() != Sign::Minus).then(|| value.bits()),
            Expr::Field(field) => {
                let field = self.program.field(*field);
                (field.kind == FieldKind::Unsigned).then_some(field.width.into())
            }
            Expr::Lookahead { width, .. } => Some((*width).into()),
            Expr::Unary {
                op: UnaryOp::ToData,
                ..
            } => Some(1),
            Expr::Binary { op, left, right } => match op {
                BinaryOp::BitAnd => match (self.bits(left), self.bits(right)) {
                    (Some(left), Some(right)) => Some(left.min(right)),
                    (one, other) => one.or(other),
                },
                BinaryOp::BitOr | BinaryOp::BitXor => Some(self.bits(left)?.max(self.bits(right)?)),
                BinaryOp::Add => Some(self.bits(left)?.max(self.bits(right)?) + 1),
                BinaryOp::Shr => {
                    let by = constant(right)?.to_u64()?;
                    Some(self.bits(left)?.saturating_sub(by))
                }
                BinaryOp::Shl => {
                    let by = constant(right)?.to_u64().filter(|by| *by < MAX_BITS)?;
                    Some(self.bits(left)? + by)
                }
                _ => None,
            },
            expr if is_boolean(expr) => Some(1),
            _ => None,
        }
    }
}

fn gives_boolean(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Eq
            | BinaryOp::Ne
            | BinaryOp::Lt
            | BinaryOp::Le
            | BinaryOp::Gt
            | BinaryOp::Ge
            | BinaryOp::And
            | BinaryOp::Or
    )
}

fn is_boolean(expr: &Expr) -> bool {
    match expr {
        Expr::Bool(_)
        | Expr::Valid(_)
        | Expr::UnionValid(_)
        | Expr::HeaderEq(..)
        | Expr::UnionEq(..) => true,
        Expr::Unary { op, .. } => matches!(op, UnaryOp::Not | UnaryOp::ToBool),
        Expr::Binary { op, .. } => gives_boolean(*op),
        _ => false,
    }
}
