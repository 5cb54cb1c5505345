//! Header stacks and unions: headers that are chosen at run time.
//!
//! An element is chosen by comparing the index with each one there is, so that every access is to
//! a place known to the verifier. An index out of range reads 0 and writes nothing. A stack's next-index
//! is a byte of the PHV beside the headers' validity.

use num_traits::ToPrimitive;
use pointsman_p4::ir::{Expr, FieldRef, HeaderId, HeaderRef, LValue, StackId, UnionId};

use crate::asm::{Alu, Cond, Label, Reg, Size};

use super::Emitter;
use super::layout::Control;
use super::varbit::Varbit;

/// A header as far as it is known now.
pub(super) enum Chosen {
    /// This one.
    Known(HeaderId),
    /// One of these: the one whose position is in `Control::INDEX`.
    OneOf(Vec<HeaderId>),
}

/// A field as far as it is known now.
pub(super) struct ChosenField {
    header: Chosen,
    field: u32,
}

impl Emitter<'_> {
    /// Finds out which header is meant. An index that is only known at run time is computed into
    /// `Control::INDEX`; that overwrites R0 to R5.
    pub(super) fn choose_header(&mut self, header: &HeaderRef) -> Chosen {
        match header {
            HeaderRef::Header(header) => Chosen::Known(*header),
            HeaderRef::Element { stack, index } => {
                let elements = self.program.stacks[stack.index()].elements.clone();
                if let Expr::Const(index) = index.as_ref()
                    && let Some(element) = index.to_usize().and_then(|i| elements.get(i))
                {
                    return Chosen::Known(*element);
                }
                self.value_of_width(index, 32);
                self.asm.store(Size::W, Reg::R7, Control::INDEX, Reg::R0);
                Chosen::OneOf(elements)
            }
            HeaderRef::Next(stack) | HeaderRef::Last(stack) => {
                self.asm
                    .load(Size::B, Reg::R0, Reg::R7, self.layout.next(*stack));
                if matches!(header, HeaderRef::Last(_)) {
                    self.asm.alu32_imm(Alu::Sub, Reg::R0, 1);
                }
                self.asm.store(Size::W, Reg::R7, Control::INDEX, Reg::R0);
                Chosen::OneOf(self.program.stacks[stack.index()].elements.clone())
            }
            HeaderRef::UnionElement {
                stack,
                index,
                member,
            } => {
                let unions = &self.program.union_stacks[stack.index()].elements;
                let members = unions
                    .iter()
                    .map(|u| self.program.unions[u.index()].members[*member as usize]);
                let members: Vec<HeaderId> = members.collect();
                self.value_of_width(index, 32);
                self.asm.store(Size::W, Reg::R7, Control::INDEX, Reg::R0);
                Chosen::OneOf(members)
            }
        }
    }

    /// Finds out which field is meant; see [`choose_header`](Self::choose_header).
    pub(super) fn choose_field(&mut self, place: &LValue) -> ChosenField {
        match place {
            LValue::Field(field) => ChosenField {
                header: Chosen::Known(field.header),
                field: field.field,
            },
            LValue::FieldOf { header, field } => ChosenField {
                header: self.choose_header(header),
                field: *field,
            },
        }
    }

    /// Emits `body` for the header that is meant; for an index out of range, nothing. Overwrites
    /// `scratch`, before the body.
    pub(super) fn with_header(
        &mut self,
        chosen: &Chosen,
        scratch: Reg,
        mut body: impl FnMut(&mut Self, HeaderId),
    ) {
        match chosen {
            Chosen::Known(header) => body(self, *header),
            Chosen::OneOf(headers) => {
                let done = self.asm.label();
                for (index, header) in headers.iter().enumerate() {
                    let other = self.asm.label();
                    self.asm.load(Size::W, scratch, Reg::R7, Control::INDEX);
                    self.asm.jump_if_imm(Cond::Ne, scratch, index as i32, other);
                    body(self, *header);
                    self.asm.jump(done);
                    self.asm.place(other);
                }
                self.asm.place(done);
            }
        }
    }

    /// Emits `body` for the field that is meant; see [`with_header`](Self::with_header).
    pub(super) fn with_field(
        &mut self,
        chosen: &ChosenField,
        scratch: Reg,
        mut body: impl FnMut(&mut Self, FieldRef),
    ) {
        let field = chosen.field;
        self.with_header(&chosen.header, scratch, |emitter, header| {
            body(emitter, FieldRef { header, field });
        });
    }

    /// The width of a field; elements of a stack are all alike.
    pub(super) fn chosen_width(&self, chosen: &ChosenField) -> Option<u32> {
        let header = match &chosen.header {
            Chosen::Known(header) => *header,
            Chosen::OneOf(headers) => *headers.first()?,
        };
        Some(self.width(FieldRef {
            header,
            field: chosen.field,
        }))
    }

    /// A union has at most one valid member: the others of this header's become invalid.
    pub(super) fn invalidate_siblings(&mut self, header: HeaderId) {
        let unions = self
            .program
            .unions
            .iter()
            .filter(|u| u.members.contains(&header));
        let siblings: Vec<HeaderId> = unions
            .flat_map(|u| u.members.iter().copied())
            .filter(|m| *m != header)
            .collect();
        for sibling in siblings {
            self.asm
                .store_imm(Size::B, Reg::R7, self.layout.valid(sibling), 0);
        }
    }

    /// `dst` = whether a member of a union is valid. Overwrites `scratch`.
    pub(super) fn union_valid(&mut self, union: UnionId, dst: Reg, scratch: Reg) {
        self.asm.mov_imm(dst, 0);
        for member in &self.program.unions[union.index()].members {
            self.asm
                .load(Size::B, scratch, Reg::R7, self.layout.valid(*member));
            self.asm.alu(Alu::Or, dst, scratch);
        }
    }

    /// Makes all members of a union invalid.
    pub(super) fn invalidate_union(&mut self, union: UnionId) {
        for member in &self.program.unions[union.index()].members {
            self.asm
                .store_imm(Size::B, Reg::R7, self.layout.valid(*member), 0);
        }
    }

    /// Moves the elements of a stack towards its end; those that come free are invalid.
    pub(super) fn push_front(&mut self, stack: StackId, count: u32) {
        let elements = &self.program.stacks[stack.index()].elements;
        let count = (count as usize).min(elements.len());
        for index in (count..elements.len()).rev() {
            self.swap_headers(elements[index], elements[index - count]);
        }
        for element in &elements[..count] {
            self.asm
                .store_imm(Size::B, Reg::R7, self.layout.valid(*element), 0);
        }
        let (within, next) = (self.asm.label(), self.layout.next(stack));
        self.asm.load(Size::B, Reg::R0, Reg::R7, next);
        self.asm.alu_imm(Alu::Add, Reg::R0, count as i32);
        self.asm
            .jump_if_imm(Cond::Le, Reg::R0, elements.len() as i32, within);
        self.asm.mov_imm(Reg::R0, elements.len() as u64);
        self.asm.place(within);
        self.asm.store(Size::B, Reg::R7, next, Reg::R0);
    }

    /// Moves the elements of a stack towards its front; those that come free are invalid.
    pub(super) fn pop_front(&mut self, stack: StackId, count: u32) {
        let elements = &self.program.stacks[stack.index()].elements;
        let count = (count as usize).min(elements.len());
        for index in 0..elements.len() - count {
            self.swap_headers(elements[index], elements[index + count]);
        }
        for element in &elements[elements.len() - count..] {
            self.asm
                .store_imm(Size::B, Reg::R7, self.layout.valid(*element), 0);
        }
        let (within, next) = (self.asm.label(), self.layout.next(stack));
        self.asm.load(Size::B, Reg::R0, Reg::R7, next);
        self.asm.alu_imm(Alu::Sub, Reg::R0, count as i32);
        self.asm.jump_if_imm(Cond::Sge, Reg::R0, 0, within);
        self.asm.mov_imm(Reg::R0, 0);
        self.asm.place(within);
        self.asm.store(Size::B, Reg::R7, next, Reg::R0);
    }

    /// Copies all elements and the next-index.
    pub(super) fn copy_stack(&mut self, target: StackId, source: StackId) {
        let (to, from) = (
            &self.program.stacks[target.index()],
            &self.program.stacks[source.index()],
        );
        for (to, from) in to.elements.iter().zip(&from.elements) {
            self.copy_header(*to, *from);
        }
        self.asm
            .load(Size::B, Reg::R0, Reg::R7, self.layout.next(source));
        self.asm
            .store(Size::B, Reg::R7, self.layout.next(target), Reg::R0);
    }

    /// After an extract into the next element: goes to `full` if there is none.
    pub(super) fn take_next(&mut self, stack: StackId, full: Label) {
        let size = self.program.stacks[stack.index()].elements.len();
        self.asm
            .load(Size::B, Reg::R0, Reg::R7, self.layout.next(stack));
        self.asm.jump_if_imm(Cond::Ge, Reg::R0, size as i32, full);
    }

    /// The element just filled is the last one now.
    pub(super) fn advance_next(&mut self, stack: StackId) {
        self.asm
            .load(Size::B, Reg::R0, Reg::R7, self.layout.next(stack));
        self.asm.alu_imm(Alu::Add, Reg::R0, 1);
        self.asm
            .store(Size::B, Reg::R7, self.layout.next(stack), Reg::R0);
    }

    fn swap_headers(&mut self, one: HeaderId, other: HeaderId) {
        let bytes = self.program.headers[one.index()].fixed_bits().div_ceil(8) as i32;
        let (a, b) = (self.layout.header(one), self.layout.header(other));
        let words = (0..bytes).step_by(8).map(|at| (Size::DW, a + at, b + at));
        let areas = self
            .layout
            .varbit(one)
            .zip(self.layout.varbit(other))
            .map(|(a, b)| {
                let bytes = Varbit::area_bytes(a.max_bytes);
                (0..bytes)
                    .step_by(8)
                    .map(move |at| (Size::DW, a.offset + at, b.offset + at))
            });
        let valid = (Size::B, self.layout.valid(one), self.layout.valid(other));
        for (size, a, b) in words
            .chain(areas.into_iter().flatten())
            .chain([valid])
            .collect::<Vec<_>>()
        {
            self.asm.load(size, Reg::R0, Reg::R7, a);
            self.asm.load(size, Reg::R1, Reg::R7, b);
            self.asm.store(size, Reg::R7, a, Reg::R1);
            self.asm.store(size, Reg::R7, b, Reg::R0);
        }
    }
}
