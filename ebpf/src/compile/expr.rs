//! Expressions on 64-bit registers.
//!
//! BMv2 computes on unbounded integers. A register holds a value modulo 2^64; interval
//! arithmetic tells whether it is the value itself, unsigned or signed, which is what comparisons,
//! divisions and shifts to the right need. p4c masks wherever P4's types say so, so almost everything
//! fits; an expression that does not is refused.

use num_bigint::BigInt;
use num_traits::ToPrimitive;
use pointsman_p4::ir::{BinaryOp, Expr, FieldKind, FieldRef, HeaderRef, UnaryOp};

use crate::asm::{Alu, Cond, Label, Reg, Size};

use super::Emitter;
use super::interval::{Interval, comparison};
use super::stack::Chosen;

/// Registers that hold intermediate values, in the order they are taken.
const VALUES: [Reg; 6] = [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
/// Values beyond this one go to the stack: an operation needs two more registers to work in.
const LAST: usize = 3;
const STACK_BYTES: i32 = 480;

/// How two registers compare as the numbers they stand for.
enum Ordering64 {
    Unsigned,
    Signed,
}

impl Emitter<'_> {
    /// R0 = the value of an expression, modulo 2^64. Overwrites R1 to R5.
    pub(super) fn value(&mut self, expr: &Expr) {
        self.eval(expr, 0);
    }

    /// R0 = the value of an expression cut to `width` bits (at most 64).
    pub(super) fn value_of_width(&mut self, expr: &Expr, width: u32) {
        self.eval(expr, 0);
        if !self.interval(expr).fits(width) {
            self.keep_low(Reg::R0, width);
        }
    }

    /// Jumps to `label` if a condition is `wanted`. Overwrites R0 to R5.
    pub(super) fn branch(&mut self, condition: &Expr, wanted: bool, label: Label) {
        match condition {
            Expr::Bool(value) => {
                if *value == wanted {
                    self.asm.jump(label);
                }
            }
            Expr::Unary {
                op: UnaryOp::Not,
                arg,
            } => self.branch(arg, !wanted, label),
            Expr::Unary {
                op: UnaryOp::ToBool | UnaryOp::ToData,
                arg,
            } if self.is_truth(arg) => {
                self.branch(arg, wanted, label);
            }
            Expr::Binary {
                op: op @ (BinaryOp::And | BinaryOp::Or),
                left,
                right,
            } => {
                if (*op == BinaryOp::And) == wanted {
                    let skip = self.asm.label();
                    self.branch(left, !wanted, skip);
                    self.branch(right, wanted, label);
                    self.asm.place(skip);
                } else {
                    self.branch(left, wanted, label);
                    self.branch(right, wanted, label);
                }
            }
            Expr::Binary { op, left, right } if comparison(*op).is_some() => {
                if self.wide_comparison(*op, left, right, wanted, label) {
                    return;
                }
                let cond = self.compare(*op, left, right, 0);
                let cond = if wanted { cond } else { cond.negated() };
                match small_constant(right) {
                    Some(imm) => self.asm.jump_if_imm(cond, VALUES[0], imm, label),
                    None => self.asm.jump_if(cond, VALUES[0], VALUES[1], label),
                }
            }
            other => {
                self.eval(other, 0);
                let cond = if wanted { Cond::Ne } else { Cond::Eq };
                self.asm.jump_if_imm(cond, Reg::R0, 0, label);
            }
        }
    }

    /// Evaluates both sides into VALUES[k] and, unless it is a small constant, VALUES[k + 1].
    fn compare(&mut self, op: BinaryOp, left: &Expr, right: &Expr, k: usize) -> Cond {
        let ordering = self.ordering(op, left, right);
        match small_constant(right) {
            Some(_) => self.eval(left, k),
            None => self.eval_pair(left, right, k),
        }
        let (unsigned, signed) = comparison(op).expect("only comparisons come here");
        match ordering {
            Ordering64::Unsigned => unsigned,
            Ordering64::Signed => signed,
        }
    }

    fn ordering(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Ordering64 {
        let (l, r) = (self.interval(left), self.interval(right));
        if l.is_unsigned64() && r.is_unsigned64() {
            Ordering64::Unsigned
        } else if l.is_signed64() && r.is_signed64() {
            Ordering64::Signed
        } else {
            self.refuse(
                format!("{op:?} on numbers of more than 64 bits"),
                "operands of at most 64 bits",
            );
            Ordering64::Unsigned
        }
    }

    pub(super) fn width(&self, field: FieldRef) -> u32 {
        self.program.field(field).width
    }

    /// VALUES[k] = the value of `expr` modulo 2^64; may overwrite those after it.
    fn eval(&mut self, expr: &Expr, k: usize) {
        let dst = VALUES[k];
        let scratch = VALUES[k + 1];
        match expr {
            Expr::Const(value) => self.asm.mov_imm(dst, modulo_2_64(value)),
            Expr::Bool(value) => self.asm.mov_imm(dst, u64::from(*value)),
            Expr::Field(field) => {
                if self.program.field(*field).kind == FieldKind::Varbit {
                    self.refuse(
                        format!("the varbit field {}", self.program.field_name(*field)),
                        "fields of fixed width",
                    );
                }
                self.load_field(dst, scratch, *field);
            }
            Expr::Valid(header) => {
                let chosen = self.choose_keeping(header, k);
                self.default_zero(&chosen, dst);
                self.with_header(&chosen, scratch, |e, header| {
                    e.asm.load(Size::B, dst, Reg::R7, e.layout.valid(header));
                });
            }
            Expr::FieldOf { header, field } => {
                let chosen = self.choose_keeping(header, k);
                self.default_zero(&chosen, dst);
                self.with_header(&chosen, scratch, |e, header| {
                    e.load_field(
                        dst,
                        scratch,
                        FieldRef {
                            header,
                            field: *field,
                        },
                    );
                });
            }
            Expr::Param(index) => self.param(dst, *index),
            Expr::Lookahead { offset, width } => self.looked_ahead(dst, scratch, *offset, *width),
            Expr::Unary { op, arg } => self.unary(*op, arg, k),
            Expr::Binary { op, left, right } => self.binary(*op, left, right, k),
            Expr::Conditional {
                condition,
                then,
                otherwise,
            } => {
                self.choose(condition, then, otherwise, k);
            }
            Expr::UnionValid(union) => self.union_valid(*union, dst, scratch),
            Expr::StackSize(stack) => {
                self.asm
                    .load(Size::B, dst, Reg::R7, self.layout.next(*stack));
            }
            Expr::UnionEq(..) => self.refuse("a comparison of unions", "comparisons of fields"),
            Expr::UnionStackSize(_) => {
                self.refuse("the index of a stack of unions", "headers and metadata");
            }
            Expr::HeaderEq(..) => self.refuse("a comparison of headers", "comparisons of fields"),
        }
    }

    /// Finds out which header is meant, keeping the values before VALUES[k].
    fn choose_keeping(&mut self, header: &HeaderRef, k: usize) -> Chosen {
        if let HeaderRef::Header(header) = header {
            return Chosen::Known(*header);
        }
        let saved = self.save(k);
        let chosen = self.choose_header(header);
        self.restore(k, saved);
        chosen
    }

    /// What an index out of range reads.
    fn default_zero(&mut self, chosen: &Chosen, dst: Reg) {
        if matches!(chosen, Chosen::OneOf(_)) {
            self.asm.mov_imm(dst, 0);
        }
    }

    fn unary(&mut self, op: UnaryOp, arg: &Expr, k: usize) {
        let dst = VALUES[k];
        self.eval(arg, k);
        match op {
            UnaryOp::Negate => self.asm.neg(dst),
            UnaryOp::BitNot => self.asm.alu_imm(Alu::Xor, dst, -1),
            UnaryOp::ToData => {}
            UnaryOp::Not | UnaryOp::ToBool => {
                if op == UnaryOp::ToBool && self.is_truth(arg) {
                    return;
                }
                if op == UnaryOp::ToBool
                    && !(self.interval(arg).is_unsigned64() || self.interval(arg).is_signed64())
                {
                    self.refuse("a test of a number of more than 64 bits", "at most 64 bits");
                }
                let one = self.asm.label();
                let cond = if op == UnaryOp::Not {
                    Cond::Eq
                } else {
                    Cond::Ne
                };
                // R = (dst cond 0) ? 1 : 0
                self.asm.mov(VALUES[k + 1], dst);
                self.asm.mov_imm(dst, 1);
                self.asm.jump_if_imm(cond, VALUES[k + 1], 0, one);
                self.asm.mov_imm(dst, 0);
                self.asm.place(one);
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, k: usize) {
        if comparison(op).is_some() || matches!(op, BinaryOp::And | BinaryOp::Or) {
            return self.truth(op, left, right, k);
        }
        let dst = VALUES[k];
        match (op, right) {
            (BinaryOp::Shl | BinaryOp::Shr, Expr::Const(amount)) => {
                return self.shift_by(op, left, amount.to_u32().unwrap_or(u32::MAX), k);
            }
            (BinaryOp::BitAnd, Expr::Const(mask)) => {
                self.eval(left, k);
                return self.asm.and_mask(dst, modulo_2_64(mask), VALUES[k + 1]);
            }
            (BinaryOp::TwoComplement, Expr::Const(width))
                if (1..=64).contains(&width.to_u32().unwrap_or(0)) =>
            {
                let unused = 64 - width.to_u32().unwrap_or(64);
                self.eval(left, k);
                self.asm.alu_imm(Alu::Lsh, dst, unused as i32);
                return self.asm.alu_imm(Alu::Arsh, dst, unused as i32);
            }
            (BinaryOp::SaturateUnsigned | BinaryOp::SaturateSigned, Expr::Const(width)) => {
                return self.saturate(op, left, width.to_u32().unwrap_or(u32::MAX), k);
            }
            (BinaryOp::TwoComplement, _) => {
                return self.refuse("a signed number of more than 64 bits", "at most 64 bits");
            }
            _ => {}
        }
        self.eval_pair(left, right, k);
        let src = VALUES[k + 1];
        match op {
            BinaryOp::Add => self.asm.alu(Alu::Add, dst, src),
            BinaryOp::Sub => self.asm.alu(Alu::Sub, dst, src),
            BinaryOp::Mul => self.asm.alu(Alu::Mul, dst, src),
            BinaryOp::BitAnd => self.asm.alu(Alu::And, dst, src),
            BinaryOp::BitOr => self.asm.alu(Alu::Or, dst, src),
            BinaryOp::BitXor => self.asm.alu(Alu::Xor, dst, src),
            BinaryOp::Div | BinaryOp::Mod => {
                self.require_unsigned("a division", &[left, right]);
                if op == BinaryOp::Div {
                    // By zero: 0, as the instruction has it.
                    self.asm.alu(Alu::Div, dst, src);
                } else {
                    let (zero, done) = (self.asm.label(), self.asm.label());
                    self.asm.jump_if_imm(Cond::Eq, src, 0, zero);
                    self.asm.alu(Alu::Mod, dst, src);
                    self.asm.jump(done);
                    self.asm.place(zero);
                    self.asm.mov_imm(dst, 0);
                    self.asm.place(done);
                }
            }
            BinaryOp::Shl | BinaryOp::Shr => {
                self.require_unsigned("a shift", &[right]);
                if op == BinaryOp::Shr {
                    self.require_unsigned("a shift to the right", &[left]);
                }
                let (all, done) = (self.asm.label(), self.asm.label());
                self.asm.jump_if_imm(Cond::Gt, src, 63, all);
                self.asm.alu(
                    if op == BinaryOp::Shl {
                        Alu::Lsh
                    } else {
                        Alu::Rsh
                    },
                    dst,
                    src,
                );
                self.asm.jump(done);
                self.asm.place(all);
                self.asm.mov_imm(dst, 0);
                self.asm.place(done);
            }
            other => self.refuse(
                format!("{other:?} with a variable width"),
                "a constant width",
            ),
        }
    }

    fn require_unsigned(&mut self, what: &str, operands: &[&Expr]) {
        if !operands.iter().all(|e| self.interval(e).is_unsigned64()) {
            self.refuse(
                format!("{what} on signed or longer numbers"),
                "unsigned numbers of at most 64 bits",
            );
        }
    }

    fn shift_by(&mut self, op: BinaryOp, left: &Expr, amount: u32, k: usize) {
        let dst = VALUES[k];
        if op == BinaryOp::Shl {
            self.eval(left, k);
            return match amount {
                0 => {}
                1..=63 => self.asm.alu_imm(Alu::Lsh, dst, amount as i32),
                _ => self.asm.mov_imm(dst, 0),
            };
        }
        // A slice of a long field: the 64 bits from `amount` up.
        if let Some(field) = self.wide_field(left) {
            let width = self.width(field);
            return match width.saturating_sub(amount) {
                0 => self.asm.mov_imm(dst, 0),
                left => {
                    let take = left.min(64);
                    self.load_bits(dst, VALUES[k + 1], field, left - take, take);
                }
            };
        }
        let interval = self.interval(left);
        self.eval(left, k);
        let (shift, amount) = if interval.is_unsigned64() {
            (Alu::Rsh, amount)
        } else {
            if !interval.is_signed64() {
                self.refuse(
                    "a shift of a number of more than 64 bits",
                    "at most 64 bits",
                );
            }
            (Alu::Arsh, amount.min(63))
        };
        match amount {
            0 => {}
            1..=63 => self.asm.alu_imm(shift, dst, amount as i32),
            _ => self.asm.mov_imm(dst, 0),
        }
    }

    fn saturate(&mut self, op: BinaryOp, left: &Expr, width: u32, k: usize) {
        let limits = match (op, width) {
            (BinaryOp::SaturateUnsigned, 1..=63) => Interval::bits(width),
            (BinaryOp::SaturateSigned, 1..=63) => Interval::signed(width),
            _ => return self.refuse("saturation at more than 63 bits", "at most 63 bits"),
        };
        if !self.interval(left).is_signed64() {
            self.refuse(
                "saturation of a number of more than 63 bits",
                "at most 63 bits",
            );
        }
        self.eval(left, k);
        let (dst, limit) = (VALUES[k], VALUES[k + 1]);
        for (bound, within) in [(&limits.high, Cond::Sle), (&limits.low, Cond::Sge)] {
            let fine = self.asm.label();
            self.asm.mov_imm(limit, modulo_2_64(bound));
            self.asm.jump_if(within, dst, limit, fine);
            self.asm.mov(dst, limit);
            self.asm.place(fine);
        }
    }

    /// VALUES[k] = 1 if the comparison holds, else 0.
    fn truth(&mut self, op: BinaryOp, left: &Expr, right: &Expr, k: usize) {
        let (dst, src) = (VALUES[k], VALUES[k + 1]);
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            self.eval_pair(left, right, k);
            return self.asm.alu(
                if op == BinaryOp::And {
                    Alu::And
                } else {
                    Alu::Or
                },
                dst,
                src,
            );
        }
        let cond = self.compare(op, left, right, k);
        let scratch = VALUES[k + 2];
        let holds = self.asm.label();
        self.asm.mov(scratch, dst);
        self.asm.mov_imm(dst, 1);
        match small_constant(right) {
            Some(imm) => self.asm.jump_if_imm(cond, scratch, imm, holds),
            None => self.asm.jump_if(cond, scratch, src, holds),
        }
        self.asm.mov_imm(dst, 0);
        self.asm.place(holds);
    }

    fn choose(&mut self, condition: &Expr, then: &Expr, otherwise: &Expr, k: usize) {
        let (no, done) = (self.asm.label(), self.asm.label());
        // Earlier values stay out of the way of `branch`, which starts at the first register.
        let saved = self.save(k);
        self.branch(condition, false, no);
        self.eval(then, 0);
        self.asm.mov(VALUES[k], Reg::R0);
        self.asm.jump(done);
        self.asm.place(no);
        self.eval(otherwise, 0);
        self.asm.mov(VALUES[k], Reg::R0);
        self.asm.place(done);
        self.restore(k, saved);
    }

    /// Puts the values before VALUES[k] on the stack.
    fn save(&mut self, k: usize) -> i32 {
        let base = self.stack;
        for reg in &VALUES[..k] {
            self.push(*reg);
        }
        base
    }

    fn restore(&mut self, k: usize, base: i32) {
        for (index, reg) in VALUES[..k].iter().enumerate() {
            self.asm
                .load(Size::DW, *reg, Reg::R10, -(base + 8 * (index as i32 + 1)));
        }
        self.stack = base;
    }

    fn push(&mut self, reg: Reg) {
        self.stack += 8;
        if self.stack > STACK_BYTES {
            self.refuse("an expression this deep", "fewer nested operators");
            self.stack = 8;
        }
        self.asm.store(Size::DW, Reg::R10, -self.stack, reg);
    }

    /// VALUES[k], VALUES[k + 1] = the two values.
    fn eval_pair(&mut self, left: &Expr, right: &Expr, k: usize) {
        self.eval(left, k);
        if k < LAST {
            return self.eval(right, k + 1);
        }
        self.push(VALUES[k]);
        self.eval(right, k);
        self.asm.mov(VALUES[k + 1], VALUES[k]);
        self.asm.load(Size::DW, VALUES[k], Reg::R10, -self.stack);
        self.stack -= 8;
    }
}

fn small_constant(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Const(value) => value.to_i32(),
        _ => None,
    }
}

fn modulo_2_64(value: &BigInt) -> u64 {
    let low = value & BigInt::from(u64::MAX);
    low.to_u64().expect("masked to 64 bits")
}
