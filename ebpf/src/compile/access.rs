//! Loading and storing fields.

use pointsman_p4::ir::{FieldKind, FieldRef};

use crate::asm::{Alu, Reg, Size};

use super::Emitter;
use super::layout::Slot;

impl Emitter<'_> {
    /// `dst` = the low 64 bits of a field, sign-extended if it is signed. May overwrite `scratch`.
    pub(super) fn load_field(&mut self, dst: Reg, scratch: Reg, field: FieldRef) {
        let width = self.program.field(field).width;
        self.load_bits(dst, scratch, field, width.saturating_sub(64), width.min(64));
        if self.program.field(field).kind == FieldKind::Signed && width < 64 {
            self.asm.alu_imm(Alu::Lsh, dst, (64 - width) as i32);
            self.asm.alu_imm(Alu::Arsh, dst, (64 - width) as i32);
        }
    }

    /// `dst` = `width` bits (at most 64) of a field, from `skip` bits after its most significant.
    pub(super) fn load_bits(
        &mut self,
        dst: Reg,
        scratch: Reg,
        field: FieldRef,
        skip: u32,
        width: u32,
    ) {
        match self.layout.slot(field) {
            Slot::Unread => self.asm.mov_imm(dst, 0),
            Slot::Host {
                offset,
                size,
                width: whole,
            } => {
                self.asm.load(size, dst, Reg::R7, offset);
                let shift = whole - skip - width;
                if shift > 0 {
                    self.asm.alu_imm(Alu::Rsh, dst, shift as i32);
                }
                if skip > 0 {
                    self.keep_low(dst, width);
                }
            }
            Slot::Wire { offset, bit, .. } => {
                let from = bit + skip;
                self.load_wire(dst, scratch, offset + (from / 8) as i32, from % 8, width);
            }
        }
    }

    /// `dst` = `width` bits from `bit` of the byte at `offset` of the PHV.
    pub(super) fn load_wire(&mut self, dst: Reg, scratch: Reg, offset: i32, bit: u32, width: u32) {
        let span = (bit + width).div_ceil(8);
        if span <= 8 {
            let size = Size::covering(span);
            self.asm.load(size, dst, Reg::R7, offset);
            self.asm.be(dst, size);
            let left = 64 - size.bytes() * 8 + bit;
            if bit > 0 && left > 0 {
                self.asm.alu_imm(Alu::Lsh, dst, left as i32);
                self.asm.alu_imm(Alu::Rsh, dst, (64 - width) as i32);
            } else if size.bytes() * 8 > width {
                self.asm
                    .alu_imm(Alu::Rsh, dst, (size.bytes() * 8 - width) as i32);
            }
            return;
        }
        // Nine bytes: the first eight, and the rest from the last one.
        let rest = bit + width - 64;
        self.asm.load(Size::DW, dst, Reg::R7, offset);
        self.asm.be(dst, Size::DW);
        self.asm.alu_imm(Alu::Lsh, dst, rest as i32);
        self.asm.load(Size::B, scratch, Reg::R7, offset + 8);
        self.asm.alu_imm(Alu::Rsh, scratch, (8 - rest) as i32);
        self.asm.alu(Alu::Or, dst, scratch);
        self.keep_low(dst, width);
    }

    /// Clears all but the low `width` bits.
    pub(super) fn keep_low(&mut self, dst: Reg, width: u32) {
        match width {
            64.. => {}
            32 => self.asm.and_mask(dst, u64::from(u32::MAX), dst),
            1..=31 => self
                .asm
                .alu_imm(Alu::And, dst, ((1u64 << width) - 1) as i32),
            _ => {
                self.asm.alu_imm(Alu::Lsh, dst, (64 - width) as i32);
                self.asm.alu_imm(Alu::Rsh, dst, (64 - width) as i32);
            }
        }
    }

    /// Stores `src`, which has no more bits than the field. Overwrites `src` and the scratches.
    pub(super) fn store_field(&mut self, field: FieldRef, src: Reg, scratch: [Reg; 2]) {
        match self.layout.slot(field) {
            Slot::Unread => {}
            Slot::Host { offset, size, .. } => self.asm.store(size, Reg::R7, offset, src),
            Slot::Wire { offset, bit, width } => {
                if width > 64 {
                    self.store_wire(offset, bit, width - 64, None, scratch);
                    let from = bit + width - 64;
                    self.store_wire(offset + (from / 8) as i32, from % 8, 64, Some(src), scratch);
                } else {
                    self.store_wire(offset, bit, width, Some(src), scratch);
                }
            }
        }
    }

    /// Stores bits at a place on the wire; `None` stores zeros, of any number.
    fn store_wire(
        &mut self,
        offset: i32,
        bit: u32,
        width: u32,
        src: Option<Reg>,
        scratch: [Reg; 2],
    ) {
        let Some(src) = src else {
            let (mut offset, mut bit, mut left) = (offset, bit, width);
            while left > 0 {
                let take = left.min(64 - bit);
                self.asm.mov_imm(scratch[0], 0);
                let spare = [scratch[1], scratch[1]];
                if take + bit == 64 && bit == 0 {
                    self.asm.store(Size::DW, Reg::R7, offset, scratch[0]);
                } else {
                    self.merge(offset, bit, take, None, spare);
                }
                (offset, left) = (offset + ((bit + take) / 8) as i32, left - take);
                bit = (bit + take) % 8;
            }
            return;
        };
        if bit == 0 && width.is_multiple_of(8) {
            self.store_bytes(offset, width / 8, src, scratch[0]);
        } else if bit + width <= 64 {
            self.merge(offset, bit, width, Some(src), scratch);
        } else {
            // Nine bytes: the part in the ninth first.
            let rest = bit + width - 64;
            self.asm.mov(scratch[0], src);
            self.keep_low(scratch[0], rest);
            self.asm.alu_imm(Alu::Lsh, scratch[0], (8 - rest) as i32);
            self.asm.load(Size::B, scratch[1], Reg::R7, offset + 8);
            self.asm
                .alu_imm(Alu::And, scratch[1], (1 << (8 - rest)) - 1);
            self.asm.alu(Alu::Or, scratch[1], scratch[0]);
            self.asm.store(Size::B, Reg::R7, offset + 8, scratch[1]);
            self.asm.alu_imm(Alu::Rsh, src, rest as i32);
            self.merge(offset, bit, width - rest, Some(src), scratch);
        }
    }

    /// Whole bytes, in as few stores as possible.
    fn store_bytes(&mut self, offset: i32, bytes: u32, src: Reg, scratch: Reg) {
        let (mut offset, mut left) = (offset, bytes);
        while left > 0 {
            let size = match left {
                8.. => Size::DW,
                4..=7 => Size::W,
                2..=3 => Size::H,
                _ => Size::B,
            };
            left -= size.bytes();
            let part = if left > 0 {
                self.asm.mov(scratch, src);
                self.asm.alu_imm(Alu::Rsh, scratch, (left * 8) as i32);
                scratch
            } else {
                src
            };
            self.asm.be(part, size);
            self.asm.store(size, Reg::R7, offset, part);
            offset += size.bytes() as i32;
        }
    }

    /// Bits within eight bytes, leaving those around them alone.
    fn merge(&mut self, offset: i32, bit: u32, width: u32, src: Option<Reg>, scratch: [Reg; 2]) {
        let size = Size::covering((bit + width).div_ceil(8));
        let shift = size.bytes() * 8 - bit - width;
        let ones = if width == 64 {
            u64::MAX
        } else {
            (1 << width) - 1
        };
        let all = if size == Size::DW {
            u64::MAX
        } else {
            (1 << (size.bytes() * 8)) - 1
        };
        let [old, mask] = scratch;
        self.asm.load(size, old, Reg::R7, offset);
        self.asm.be(old, size);
        let keep = all & !(ones << shift);
        if i32::try_from(keep).is_ok() {
            self.asm.alu_imm(Alu::And, old, keep as i32);
        } else if old != mask {
            self.asm.mov_imm(mask, keep);
            self.asm.alu(Alu::And, old, mask);
        } else {
            // Only zeros are stored with a single scratch register: shift them in.
            self.asm.alu_imm(Alu::Rsh, old, (shift + width) as i32);
            self.asm.alu_imm(Alu::Lsh, old, (shift + width) as i32);
        }
        if let Some(src) = src {
            self.asm.alu_imm(Alu::Lsh, src, shift as i32);
            self.asm.alu(Alu::Or, old, src);
        }
        self.asm.be(old, size);
        self.asm.store(size, Reg::R7, offset, old);
    }
}
