//! The headers and metadata of one packet in flight.
//!
//! Fields are kept as the bits on the wire; a signed one is sign-extended when an expression
//! reads it. The fields of an invalid header stay readable and writable, as in BMv2.

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};

use crate::ir::{
    FieldKind, FieldRef, HeaderId, HeaderKind, Program, StackId, UnionId, UnionStackId,
};

use super::bits::{self, BitWriter};

/// The headers and metadata of one packet in flight.
#[derive(Debug, Clone)]
pub(super) struct Phv {
    headers: Vec<HeaderState>,
    /// How many elements of each stack are filled, from the front.
    stack_next: Vec<u32>,
    union_stack_next: Vec<u32>,
}

#[derive(Debug, Clone)]
pub(super) struct HeaderState {
    pub(super) valid: bool,
    pub(super) fields: Vec<BigUint>,
    /// Bits that the varbit field has at the moment.
    pub(super) varbit_width: u32,
}

impl Phv {
    /// All headers invalid, all fields 0.
    pub(super) fn new(program: &Program) -> Phv {
        let headers = program.headers.iter().map(|header| HeaderState {
            valid: header.kind == HeaderKind::Metadata,
            fields: vec![BigUint::ZERO; header.fields.len()],
            varbit_width: 0,
        });
        Phv {
            headers: headers.collect(),
            stack_next: vec![0; program.stacks.len()],
            union_stack_next: vec![0; program.union_stacks.len()],
        }
    }

    /// Headers as another plane left them. It fills no stacks of unions.
    pub(super) fn from_parts(
        program: &Program,
        headers: Vec<HeaderState>,
        stack_next: &[u32],
    ) -> Phv {
        Phv {
            headers,
            stack_next: stack_next.to_vec(),
            union_stack_next: vec![0; program.union_stacks.len()],
        }
    }

    /// Sets all metadata to 0.
    pub(super) fn reset_metadata(&mut self, program: &Program) {
        for (state, header) in self.headers.iter_mut().zip(&program.headers) {
            if header.kind == HeaderKind::Metadata {
                state.fields.fill(BigUint::ZERO);
            }
        }
    }

    /// The bits of a field.
    pub(super) fn get(&self, field: FieldRef) -> &BigUint {
        &self.headers[field.header.index()].fields[field.field as usize]
    }

    /// The number that a field stands for.
    pub(super) fn number(&self, program: &Program, field: FieldRef) -> BigInt {
        let bits = self.get(field);
        let declared = program.field(field);
        let value = BigInt::from(bits.clone());
        let sign = u64::from(declared.width.saturating_sub(1));
        if declared.kind == FieldKind::Signed && bits.bit(sign) {
            return value - (BigInt::one() << declared.width);
        }
        value
    }

    /// Stores a number, cut to the width of the field.
    pub(super) fn set(&mut self, program: &Program, field: FieldRef, value: &BigInt) {
        let bits = truncate(value, program.field(field).width);
        self.headers[field.header.index()].fields[field.field as usize] = bits;
    }

    /// Stores a small number in a field of the switch's own metadata, if the program has it.
    pub(super) fn set_standard(&mut self, program: &Program, field: Option<FieldRef>, value: u64) {
        if let Some(field) = field {
            self.set(program, field, &BigInt::from(value));
        }
    }

    /// A field of the switch's own metadata as a small number; 0 if the program lacks it.
    pub(super) fn standard(&self, field: Option<FieldRef>) -> u32 {
        field
            .and_then(|f| u32::try_from(self.get(f)).ok())
            .unwrap_or_default()
    }

    /// The bits of all fields of a header.
    pub(super) fn fields(&self, header: HeaderId) -> &[BigUint] {
        &self.headers[header.index()].fields
    }

    /// Copies the bits and the length of a varbit field.
    pub(super) fn copy_varbit(&mut self, target: FieldRef, source: FieldRef) {
        let width = self.headers[source.header.index()].varbit_width;
        let bits = self.get(source).clone();
        let target_header = &mut self.headers[target.header.index()];
        target_header.varbit_width = width;
        target_header.fields[target.field as usize] = bits;
    }

    /// Whether a header is valid.
    pub(super) fn is_valid(&self, header: HeaderId) -> bool {
        self.headers[header.index()].valid
    }

    /// Whether any member of a union is valid.
    pub(super) fn is_union_valid(&self, program: &Program, union: UnionId) -> bool {
        let members = &program.unions[union.index()].members;
        members.iter().any(|m| self.is_valid(*m))
    }

    /// Makes a header valid and, in a union, the other members invalid. Returns whether it was
    /// invalid; its fields are then 0.
    pub(super) fn set_valid(&mut self, program: &Program, header: HeaderId) -> bool {
        if self.headers[header.index()].valid {
            return false;
        }
        self.headers[header.index()].fields.fill(BigUint::ZERO);
        self.mark_valid(program, header);
        true
    }

    /// Makes a header invalid. Returns whether it was valid.
    pub(super) fn set_invalid(&mut self, header: HeaderId) -> bool {
        std::mem::replace(&mut self.headers[header.index()].valid, false)
    }

    fn mark_valid(&mut self, program: &Program, header: HeaderId) {
        for union in program
            .unions
            .iter()
            .filter(|u| u.members.contains(&header))
        {
            for member in &union.members {
                self.headers[member.index()].valid = false;
            }
        }
        self.headers[header.index()].valid = true;
    }

    /// Copies a header and its validity.
    pub(super) fn assign_header(&mut self, program: &Program, to: HeaderId, from: HeaderId) {
        if !self.is_valid(from) {
            self.set_invalid(to);
            return;
        }
        let source = self.headers[from.index()].clone();
        self.mark_valid(program, to);
        self.headers[to.index()] = source;
    }

    /// Whether two headers are valid and have equal fields.
    pub(super) fn headers_equal(&self, a: HeaderId, b: HeaderId) -> bool {
        let (a, b) = (&self.headers[a.index()], &self.headers[b.index()]);
        a.valid && b.valid && a.varbit_width == b.varbit_width && a.fields == b.fields
    }

    /// Elements of a stack that are filled.
    pub(super) fn next(&self, stack: StackId) -> u32 {
        self.stack_next[stack.index()]
    }

    /// Sets the number of elements of a stack that are filled.
    pub(super) fn set_next(&mut self, stack: StackId, next: u32) {
        self.stack_next[stack.index()] = next;
    }

    /// Elements of a union stack that are filled.
    pub(super) fn union_next(&self, stack: UnionStackId) -> u32 {
        self.union_stack_next[stack.index()]
    }

    /// Sets the number of elements of a union stack that are filled.
    pub(super) fn set_union_next(&mut self, stack: UnionStackId, next: u32) {
        self.union_stack_next[stack.index()] = next;
    }

    /// Moves the elements of a stack towards the end; those that come free are invalid.
    pub(super) fn push_front(&mut self, program: &Program, stack: StackId, count: u32) {
        let elements = &program.stacks[stack.index()].elements;
        let count = (count as usize).min(elements.len());
        for index in (count..elements.len()).rev() {
            let (to, from) = (elements[index], elements[index - count]);
            self.headers.swap(to.index(), from.index());
        }
        for element in &elements[..count] {
            self.set_invalid(*element);
        }
        let next = (self.next(stack) as usize + count).min(elements.len());
        self.set_next(stack, next as u32);
    }

    /// Moves the elements of a stack towards the front; those that come free are invalid.
    pub(super) fn pop_front(&mut self, program: &Program, stack: StackId, count: u32) {
        let elements = &program.stacks[stack.index()].elements;
        let count = (count as usize).min(elements.len());
        for index in 0..elements.len() - count {
            let (to, from) = (elements[index], elements[index + count]);
            self.headers.swap(to.index(), from.index());
        }
        for element in &elements[elements.len() - count..] {
            self.set_invalid(*element);
        }
        self.set_next(stack, self.next(stack).saturating_sub(count as u32));
    }

    /// Fills a header from the wire and makes it valid. The data are long enough.
    pub(super) fn extract(
        &mut self,
        program: &Program,
        header: HeaderId,
        data: &[u8],
        varbit_width: u32,
    ) {
        let mut offset = 0;
        for (index, field) in program.headers[header.index()].fields.iter().enumerate() {
            let width = match field.kind {
                FieldKind::Varbit => varbit_width,
                _ => field.width,
            };
            let bits = bits::read(data, offset, width).unwrap_or_default();
            self.headers[header.index()].fields[index] = bits;
            offset += width as usize;
        }
        self.headers[header.index()].varbit_width = varbit_width;
        self.mark_valid(program, header);
    }

    /// Bits of a field, of a varbit field those that it has at the moment.
    pub(super) fn width(&self, program: &Program, field: FieldRef) -> u32 {
        let declared = program.field(field);
        match declared.kind {
            FieldKind::Varbit => self.headers[field.header.index()].varbit_width,
            _ => declared.width,
        }
    }

    /// Bytes of a header on the wire.
    pub(super) fn wire_bytes(&self, program: &Program, header: HeaderId) -> u32 {
        let declared = &program.headers[header.index()];
        (declared.fixed_bits() + self.headers[header.index()].varbit_width).div_ceil(8)
    }

    /// Appends a header as it is on the wire.
    pub(super) fn emit(&self, program: &Program, header: HeaderId, out: &mut BitWriter) {
        for index in 0..program.headers[header.index()].fields.len() {
            let field = FieldRef {
                header,
                field: index as u32,
            };
            out.push(self.get(field), self.width(program, field));
        }
    }
}

/// The low `width` bits of a number, negative ones in two's complement.
pub(super) fn truncate(value: &BigInt, width: u32) -> BigUint {
    if value.sign() != num_bigint::Sign::Minus && value.bits() <= u64::from(width) {
        return value.magnitude().clone();
    }
    let mask = BigInt::from(bits::ones(width));
    let cut = value & mask;
    debug_assert!(cut >= BigInt::zero());
    cut.into_parts().1
}
