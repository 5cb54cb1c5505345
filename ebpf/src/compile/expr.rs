//! Expressions on 64-bit registers.
//!
//! BMv2 computes on unbounded integers. A register holds a value modulo 2^64; interval
//! arithmetic tells whether it is the value itself, unsigned or signed, which is what comparisons,
//! divisions and shifts to the right need. p4c masks wherever P4's types say so, so almost everything
//! fits; an expression that does not is refused.

use num_bigint::BigInt;
use num_traits::{One, ToPrimitive, Zero};
use pointsman_p4::ir::{BinaryOp, Expr, FieldKind, FieldRef, HeaderRef, LValue, UnaryOp};

use crate::asm::{Alu, Cond, Label, Reg, Size};

use super::Emitter;

/// Registers that hold intermediate values, in the order they are taken.
const VALUES: [Reg; 6] = [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
/// Values beyond this one go to the stack: an operation needs two more registers to work in.
const LAST: usize = 3;
const STACK_BYTES: i32 = 480;

/// What values an expression can have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interval {
    low: BigInt,
    high: BigInt,
}

impl Interval {
    fn bits(width: u32) -> Interval {
        Interval {
            low: BigInt::zero(),
            high: (BigInt::one() << width) - 1,
        }
    }

    fn signed(width: u32) -> Interval {
        let half = BigInt::one() << (width - 1);
        Interval {
            low: -half.clone(),
            high: half - 1,
        }
    }

    fn is_unsigned64(&self) -> bool {
        self.low >= BigInt::zero() && self.high.bits() <= 64
    }

    fn is_signed64(&self) -> bool {
        let limits = Interval::signed(64);
        self.low >= limits.low && self.high <= limits.high
    }

    fn fits(&self, width: u32) -> bool {
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

    fn is_truth(&self, expr: &Expr) -> bool {
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

    /// Equality of fields of more than 64 bits, or of one and a constant, piece by piece.
    fn wide_comparison(
        &mut self,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
        wanted: bool,
        label: Label,
    ) -> bool {
        let equal_wanted = match op {
            BinaryOp::Eq => wanted,
            BinaryOp::Ne => !wanted,
            _ => return false,
        };
        let (left, right) = (strip_mask(self, left), strip_mask(self, right));
        let width = match (self.wide_field(left), self.wide_field(right)) {
            (Some(l), Some(r)) if self.width(l) == self.width(r) => self.width(l),
            (Some(l), None) if matches!(right, Expr::Const(c) if c.bits() <= u64::from(self.width(l))) => {
                self.width(l)
            }
            _ => return false,
        };
        let differ = self.asm.label();
        let mut skip = 0;
        while skip < width {
            let take = (width - skip).min(64);
            let low = width - skip - take;
            for (side, reg) in [(left, Reg::R0), (right, Reg::R1)] {
                match side {
                    Expr::Field(field) => self.load_bits(reg, Reg::R2, *field, skip, take),
                    Expr::Const(c) => {
                        let piece: BigInt = (c >> low) & ((BigInt::one() << take) - 1);
                        self.asm
                            .mov_imm(reg, piece.to_u64().expect("cut to 64 bits"));
                    }
                    _ => {}
                }
            }
            let to = if equal_wanted { differ } else { label };
            self.asm.jump_if(Cond::Ne, Reg::R0, Reg::R1, to);
            skip += take;
        }
        if equal_wanted {
            self.asm.jump(label);
        }
        self.asm.place(differ);
        true
    }

    fn wide_field(&self, expr: &Expr) -> Option<FieldRef> {
        match expr {
            Expr::Field(field) if self.width(*field) > 64 => Some(*field),
            _ => None,
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
                if let Some(header) = self.fixed_header(header) {
                    self.asm
                        .load(Size::B, dst, Reg::R7, self.layout.valid(header));
                }
            }
            Expr::FieldOf { header, field } => {
                if let Some(header) = self.fixed_header(header) {
                    self.load_field(
                        dst,
                        scratch,
                        FieldRef {
                            header,
                            field: *field,
                        },
                    );
                }
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
            Expr::UnionValid(_) | Expr::UnionEq(..) | Expr::UnionStackSize(_) => {
                self.refuse("a header union", "headers and metadata");
            }
            Expr::StackSize(_) => self.refuse("a header stack's index", "headers and metadata"),
            Expr::HeaderEq(..) => self.refuse("a comparison of headers", "comparisons of fields"),
        }
    }

    /// A header that is known now; others are refused.
    pub(super) fn fixed_header(
        &mut self,
        header: &HeaderRef,
    ) -> Option<pointsman_p4::ir::HeaderId> {
        match header {
            HeaderRef::Header(header) => Some(*header),
            HeaderRef::Element { stack, index } => {
                if let Expr::Const(index) = index.as_ref()
                    && let Some(element) = index
                        .to_usize()
                        .and_then(|i| self.program.stacks[stack.index()].elements.get(i))
                {
                    return Some(*element);
                }
                self.refuse(
                    format!(
                        "a run-time index into the header stack {}",
                        self.program.stacks[stack.index()].name
                    ),
                    "constant indices",
                );
                None
            }
            HeaderRef::Next(stack) | HeaderRef::Last(stack) => {
                self.refuse(
                    format!(
                        "the next-index of the header stack {}",
                        self.program.stacks[stack.index()].name
                    ),
                    "constant indices",
                );
                None
            }
            HeaderRef::UnionElement { .. } => {
                self.refuse("a stack of header unions", "headers");
                None
            }
        }
    }

    /// A field that is known now; others are refused.
    pub(super) fn fixed_field(&mut self, place: &LValue) -> Option<FieldRef> {
        match place {
            LValue::Field(field) => Some(*field),
            LValue::FieldOf { header, field } => {
                let header = self.fixed_header(header)?;
                Some(FieldRef {
                    header,
                    field: *field,
                })
            }
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

    fn interval(&self, expr: &Expr) -> Interval {
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
            Expr::FieldOf {
                header: HeaderRef::Header(header),
                field,
            } => self.interval(&Expr::Field(FieldRef {
                header: *header,
                field: *field,
            })),
            Expr::FieldOf {
                header: HeaderRef::Element { stack, .. },
                field,
            } => match self.program.stacks[stack.index()].elements.first() {
                Some(first) => self.interval(&Expr::Field(FieldRef {
                    header: *first,
                    field: *field,
                })),
                None => truth,
            },
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
fn comparison(op: BinaryOp) -> Option<(Cond, Cond)> {
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

/// `field & ones` is the field.
fn strip_mask<'e>(emitter: &Emitter<'_>, expr: &'e Expr) -> &'e Expr {
    if let Expr::Binary {
        op: BinaryOp::BitAnd,
        left,
        right,
    } = expr
        && let (Some(field), Expr::Const(mask)) = (emitter.wide_field(left), right.as_ref())
        && *mask == (BigInt::one() << emitter.width(field)) - 1
    {
        return left;
    }
    expr
}
