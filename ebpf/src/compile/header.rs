//! Whole headers: their validity, and copies of one to another.

use pointsman_p4::ir::{HeaderId, HeaderRef};

use crate::asm::{Alu, Cond, Reg, Size};

use super::Emitter;
use super::layout::Control;
use super::stack::Chosen;

impl Emitter<'_> {
    pub(super) fn assign_header(&mut self, target: &HeaderRef, source: &HeaderRef) {
        match (target, source) {
            (HeaderRef::Header(target), source) => {
                let chosen = self.choose_header(source);
                if matches!(chosen, Chosen::OneOf(_)) {
                    // An index out of range reads an invalid header.
                    self.asm
                        .store_imm(Size::B, Reg::R7, self.layout.valid(*target), 0);
                }
                self.with_header(&chosen, Reg::R1, |e, source| e.copy_header(*target, source));
            }
            (target, source) => {
                let chosen = self.choose_header(target);
                match source {
                    HeaderRef::Header(source) => {
                        self.with_header(&chosen, Reg::R1, |e, target| {
                            e.copy_header(target, *source)
                        });
                    }
                    _ => match (chosen, self.choose_header(source)) {
                        (Chosen::Known(target), source) => {
                            self.with_header(&source, Reg::R1, |e, s| e.copy_header(target, s));
                        }
                        _ => self.refuse(
                            "an assignment between two elements chosen at run time",
                            "one of them",
                        ),
                    },
                }
            }
        }
    }

    /// Copies bytes through R0.
    pub(super) fn copy_bytes(&mut self, from: Reg, from_at: i32, to: Reg, to_at: i32, bytes: u32) {
        let mut done = 0;
        while done < bytes {
            let size = match bytes - done {
                8.. => Size::DW,
                4..=7 => Size::W,
                2..=3 => Size::H,
                _ => Size::B,
            };
            self.asm.load(size, Reg::R0, from, from_at + done as i32);
            self.asm.store(size, to, to_at + done as i32, Reg::R0);
            done += size.bytes();
        }
    }

    /// Copies a header and its validity.
    pub(super) fn copy_header(&mut self, target: HeaderId, source: HeaderId) {
        if !self.layout.has(target) || !self.layout.has(source) {
            return self.refuse("a copy of metadata as a header", "copies of its fields");
        }
        let bytes = self.program.headers[source.index()].fixed_bits() / 8;
        let (invalid, done) = (self.asm.label(), self.asm.label());
        self.asm
            .load(Size::B, Reg::R1, Reg::R7, self.layout.valid(source));
        self.asm.jump_if_imm(Cond::Eq, Reg::R1, 0, invalid);
        self.copy_bytes(
            Reg::R7,
            self.layout.header(source),
            Reg::R7,
            self.layout.header(target),
            bytes,
        );
        self.asm
            .store_imm(Size::B, Reg::R7, self.layout.valid(target), 1);
        if let (Some(to), Some(from)) = (self.layout.varbit(target), self.layout.varbit(source)) {
            self.copy_varbit(to, from);
        }
        self.invalidate_siblings(target);
        self.asm.jump(done);
        self.asm.place(invalid);
        self.asm
            .store_imm(Size::B, Reg::R7, self.layout.valid(target), 0);
        self.asm.place(done);
    }

    pub(super) fn set_valid(&mut self, header: HeaderId) {
        let already = self.asm.label();
        self.asm
            .load(Size::B, Reg::R1, Reg::R7, self.layout.valid(header));
        self.asm.jump_if_imm(Cond::Ne, Reg::R1, 0, already);
        let start = self.layout.header(header);
        let end = start
            + self.program.headers[header.index()]
                .fixed_bits()
                .div_ceil(8) as i32;
        for at in (start..end).step_by(8) {
            self.asm.store_imm(Size::DW, Reg::R7, at, 0);
        }
        if let Some(varbit) = self.layout.varbit(header) {
            let end = varbit.data() + varbit.max_bytes as i32;
            for at in (varbit.offset..end).step_by(8) {
                self.asm.store_imm(Size::DW, Reg::R7, at, 0);
            }
        }
        self.asm
            .store_imm(Size::B, Reg::R7, self.layout.valid(header), 1);
        self.grow(header, Alu::Add);
        self.invalidate_siblings(header);
        self.asm.place(already);
    }

    pub(super) fn set_invalid(&mut self, header: HeaderId) {
        let valid = self.layout.valid(header);
        let already = self.asm.label();
        if self.tracks_length() {
            self.asm.load(Size::B, Reg::R1, Reg::R7, valid);
            self.asm.jump_if_imm(Cond::Eq, Reg::R1, 0, already);
            self.grow(header, Alu::Sub);
        }
        self.asm.store_imm(Size::B, Reg::R7, valid, 0);
        self.asm.place(already);
    }

    /// Adds a header's bytes to what `packet_length` shows in egress, or takes them away.
    fn grow(&mut self, header: HeaderId, op: Alu) {
        if !self.tracks_length() {
            return;
        }
        let fixed = self.program.headers[header.index()].fixed_bits() / 8;
        self.asm.load(Size::W, Reg::R1, Reg::R7, Control::GROWN);
        self.asm.alu_imm(op, Reg::R1, fixed as i32);
        if let Some(varbit) = self.layout.varbit(header) {
            self.asm.load(Size::W, Reg::R2, Reg::R7, varbit.offset);
            self.asm.alu(op, Reg::R1, Reg::R2);
        }
        self.asm.store(Size::W, Reg::R7, Control::GROWN, Reg::R1);
    }
}
