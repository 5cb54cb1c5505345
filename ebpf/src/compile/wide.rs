//! Fields of more than 64 bits: copied and compared in pieces, never computed with.

use num_bigint::BigInt;
use num_traits::{One, ToPrimitive};
use pointsman_p4::ir::{BinaryOp, Expr, FieldRef};

use crate::asm::{Cond, Label, Reg};
use crate::tables::records::arg_words;

use super::Emitter;
use super::layout::{SCRATCH, Slot};

/// Where a long value is copied from.
enum Source {
    /// A field.
    Field(FieldRef),
    /// An argument of the action, at this offset.
    Record(i32),
    /// Bytes that the parser looked ahead at, from this one.
    LookedAhead(u32),
}

impl Emitter<'_> {
    /// Stores a value of `width` bits in a field of as many, which must begin at a byte.
    pub(super) fn assign_wide(&mut self, field: FieldRef, width: u32, value: &Expr) {
        match value {
            Expr::Field(source) if self.width(*source) == width => {
                self.copy_bits(field, Source::Field(*source), width);
            }
            Expr::Param(index) if self.param_width(*index) == width => {
                let (offset, _) = self.params.slots[*index as usize];
                let pad = arg_words(width) as i32 * 8 - width.div_ceil(8) as i32;
                self.copy_bits(field, Source::Record(offset + pad), width);
            }
            Expr::Lookahead {
                offset,
                width: ahead,
            } if *ahead == width && offset % 8 == 0 => {
                self.copy_bits(field, Source::LookedAhead(offset / 8), width);
            }
            Expr::Const(constant) if constant.to_u64().is_some() => {
                self.asm
                    .mov_imm(Reg::R0, constant.to_u64().expect("just checked"));
                self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
            }
            _ => self.refuse(
                format!(
                    "a computation of {width} bits for {}",
                    self.program.field_name(field)
                ),
                "a copy, or at most 64 bits",
            ),
        }
    }

    /// Copies a long field byte by byte; both must begin at a byte.
    fn copy_bits(&mut self, target: FieldRef, source: Source, width: u32) {
        let Slot::Wire {
            offset: to, bit: 0, ..
        } = self.layout.slot(target)
        else {
            return self.refuse(
                "a long field that does not begin at a byte",
                "fields aligned to bytes",
            );
        };
        let (base, from) = match source {
            Source::Record(offset) => (Reg::R9, offset),
            Source::LookedAhead(byte) => (Reg::R7, SCRATCH + byte as i32),
            Source::Field(field) => match self.layout.slot(field) {
                Slot::Wire { offset, bit: 0, .. } => (Reg::R7, offset),
                _ => {
                    return self.refuse(
                        "a long field that does not begin at a byte",
                        "fields aligned to bytes",
                    );
                }
            },
        };
        if !width.is_multiple_of(8) {
            return self.refuse(format!("a copy of {width} bits"), "whole bytes");
        }
        self.copy_bytes(base, from, Reg::R7, to, width / 8);
    }

    /// Equality of fields of more than 64 bits, or of one and a constant, piece by piece.
    pub(super) fn wide_comparison(
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
        if let (Expr::Field(l), Expr::Field(r)) = (left, right)
            && let (Some(l), Some(r)) = (self.varbit_field(*l), self.varbit_field(*r))
        {
            let differ = self.asm.label();
            if equal_wanted {
                self.compare_varbit(l, r, differ);
                self.asm.jump(label);
            } else {
                self.compare_varbit(l, r, label);
            }
            self.asm.place(differ);
            return true;
        }
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

    /// A field of more than 64 bits.
    pub(super) fn wide_field(&self, expr: &Expr) -> Option<FieldRef> {
        match expr {
            Expr::Field(field) if self.width(*field) > 64 => Some(*field),
            _ => None,
        }
    }
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
