//! Fields of variable length: at most one in a header, kept in an area of its own behind the header.
//!
//! ```text
//! u32 bytes in it | u32 unused | the bytes, then zeros up to the most it can have
//! ```

use pointsman_p4::ir::{Expr, FieldKind, FieldRef, HeaderId, LValue};

use crate::asm::{Alu, Cond, Label, Reg, Size};

use super::Emitter;
use super::layout::Control;
use super::parser::MAX_OFFSET;

const HELPER_XDP_LOAD_BYTES: u32 = 189;
const HELPER_XDP_STORE_BYTES: u32 = 190;
/// Bytes of the area before the data.
const AREA_HEADER: i32 = 8;

/// Where the varbit field of a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Varbit {
    /// Offset of its area from R7.
    pub offset: i32,
    /// The most bytes it can have.
    pub max_bytes: u32,
    /// Bytes of the header before it.
    pub before: u32,
    /// Bytes of the header after it.
    pub after: u32,
}

impl Varbit {
    /// Bytes of the area of a field of at most that many.
    pub fn area_bytes(max_bytes: u32) -> i32 {
        AREA_HEADER + max_bytes.next_multiple_of(8) as i32
    }

    /// Offset of the first byte.
    pub fn data(&self) -> i32 {
        self.offset + AREA_HEADER
    }
}

impl Emitter<'_> {
    /// Extracts a header whose varbit field has as many bits as an expression says.
    pub(super) fn extract_varbit(&mut self, header: HeaderId, length: &Expr, end: Label) {
        let Some(varbit) = self.layout.varbit(header) else {
            return self.refuse(
                "a variable length without a varbit field",
                "a header with one",
            );
        };
        let fixed = varbit.before + varbit.after;
        let (ragged, short, long, done) = (
            self.asm.label(),
            self.asm.label(),
            self.asm.label(),
            self.asm.label(),
        );
        // The order of BMv2: whole bytes, enough packet, enough room.
        self.value_of_width(length, 32);
        self.asm.mov(Reg::R1, Reg::R0);
        self.asm.alu_imm(Alu::And, Reg::R1, 7);
        self.asm.jump_if_imm(Cond::Ne, Reg::R1, 0, ragged);
        self.asm.alu_imm(Alu::Rsh, Reg::R0, 3);
        self.asm
            .jump_if_imm(Cond::Ge, Reg::R0, MAX_OFFSET / 2, self.ends.out_of_bounds);
        self.packet_at(fixed as i32, short);
        self.asm.alu(Alu::Add, Reg::R4, Reg::R0);
        self.asm.jump_if(Cond::Gt, Reg::R4, Reg::R3, short);
        self.asm
            .jump_if_imm(Cond::Gt, Reg::R0, varbit.max_bytes as i32, long);
        for at in (varbit.offset..varbit.data() + varbit.max_bytes as i32).step_by(8) {
            self.asm.store_imm(Size::DW, Reg::R7, at, 0);
        }
        self.asm.store(Size::W, Reg::R7, varbit.offset, Reg::R0);
        self.copy_bytes(
            Reg::R2,
            0,
            Reg::R7,
            self.layout.header(header),
            varbit.before,
        );
        self.varbit_helper(HELPER_XDP_LOAD_BYTES, varbit, header, Control::PARSED);
        self.asm
            .store_imm(Size::B, Reg::R7, self.layout.valid(header), 1);
        self.invalidate_siblings(header);
        self.asm.jump(done);
        for (label, error) in [
            (ragged, "ParserInvalidArgument"),
            (short, "PacketTooShort"),
            (long, "HeaderTooShort"),
        ] {
            self.asm.place(label);
            self.parser_error(error, end);
        }
        self.asm.place(done);
    }

    /// Writes the varbit field and what follows it; what precedes it is written. `Control::EMITTED`
    /// moves behind the header.
    pub(super) fn emit_varbit(&mut self, header: HeaderId, varbit: Varbit) {
        self.varbit_helper(HELPER_XDP_STORE_BYTES, varbit, header, Control::EMITTED);
    }

    /// Moves the bytes from the varbit field on between packet and PHV, and the position at
    /// `position` from the header's begin to its end.
    fn varbit_helper(&mut self, helper: u32, varbit: Varbit, header: HeaderId, position: i32) {
        let none = self.asm.label();
        self.advance_position(position, varbit.before);
        self.asm.load(Size::W, Reg::R4, Reg::R7, varbit.offset);
        self.asm.jump_if_imm(Cond::Eq, Reg::R4, 0, none);
        self.asm
            .jump_if_imm(Cond::Gt, Reg::R4, varbit.max_bytes as i32, self.ends.drop);
        self.transfer(helper, position, varbit.data());
        self.asm.load(Size::W, Reg::R0, Reg::R7, varbit.offset);
        self.asm.load(Size::W, Reg::R1, Reg::R7, position);
        self.asm.alu(Alu::Add, Reg::R1, Reg::R0);
        self.asm.store(Size::W, Reg::R7, position, Reg::R1);
        self.asm.place(none);
        if varbit.after > 0 {
            self.asm.mov_imm(Reg::R4, u64::from(varbit.after));
            self.transfer(
                helper,
                position,
                self.layout.header(header) + varbit.before as i32,
            );
            self.advance_position(position, varbit.after);
        }
    }

    /// R4 bytes between the packet at a position and the PHV.
    fn transfer(&mut self, helper: u32, position: i32, to: i32) {
        self.asm.mov(Reg::R1, Reg::R6);
        self.asm.load(Size::W, Reg::R2, Reg::R7, position);
        self.asm.mov(Reg::R3, Reg::R7);
        self.asm.alu_imm(Alu::Add, Reg::R3, to);
        self.asm.call(helper);
        // The parser has looked, and the deparser has made room.
        self.asm.jump_if_imm(Cond::Ne, Reg::R0, 0, self.ends.drop);
    }

    fn advance_position(&mut self, position: i32, bytes: u32) {
        self.asm.load(Size::W, Reg::R0, Reg::R7, position);
        self.asm.alu_imm(Alu::Add, Reg::R0, bytes as i32);
        self.asm.store(Size::W, Reg::R7, position, Reg::R0);
    }

    /// Copies a varbit field with its length.
    pub(super) fn assign_varbit(&mut self, target: &LValue, source: &LValue) {
        let (Some(target), Some(source)) = (self.varbit_of(target), self.varbit_of(source)) else {
            return self.refuse(
                "an assignment of a varbit field chosen at run time",
                "fixed headers",
            );
        };
        self.copy_varbit(target, source);
    }

    /// Copies an area into one of at least its size.
    pub(super) fn copy_varbit(&mut self, target: Varbit, source: Varbit) {
        let bytes = Varbit::area_bytes(source.max_bytes.min(target.max_bytes));
        self.copy_bytes(Reg::R7, source.offset, Reg::R7, target.offset, bytes as u32);
        for at in (bytes..Varbit::area_bytes(target.max_bytes)).step_by(8) {
            self.asm.store_imm(Size::DW, Reg::R7, target.offset + at, 0);
        }
    }

    /// Jumps to `differ` unless two varbit fields have the same length and bytes.
    pub(super) fn compare_varbit(&mut self, left: Varbit, right: Varbit, differ: Label) {
        let bytes = Varbit::area_bytes(left.max_bytes.min(right.max_bytes));
        for at in (0..bytes).step_by(8) {
            self.asm.load(Size::DW, Reg::R0, Reg::R7, left.offset + at);
            self.asm.load(Size::DW, Reg::R1, Reg::R7, right.offset + at);
            self.asm.jump_if(Cond::Ne, Reg::R0, Reg::R1, differ);
        }
    }

    fn varbit_of(&self, place: &LValue) -> Option<Varbit> {
        match place {
            LValue::Field(field) => self.varbit_field(*field),
            LValue::FieldOf { .. } => None,
        }
    }

    /// Where a field is, if it is a varbit field.
    pub(super) fn varbit_field(&self, field: FieldRef) -> Option<Varbit> {
        let is_varbit = self.program.field(field).kind == FieldKind::Varbit;
        is_varbit
            .then(|| self.layout.varbit(field.header))
            .flatten()
    }
}
