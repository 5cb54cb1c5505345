//! The deparser: valid headers from the PHV back into the packet.
//!
//! If the headers became longer or shorter, the packet's start moves by the difference. Then each
//! valid header is written, except those that are known to be in their place unchanged: headers at
//! the end of the deparser's order that never become valid or invalid after the parser keep their
//! distance from the payload, and of these only the fields are written that the program may have changed.

use std::collections::HashSet;
use std::ops::Range;

use pointsman_p4::ir::{HeaderId, HeaderRef, Op, ParserOp, ParserStateId};

use crate::asm::{Alu, Cond, Note, Reg, Size};

use super::Emitter;
use super::handoff::NO_HEADROOM;
use super::layout::Control;
use super::parser::{MAX_OFFSET, extracted, skips};

const HELPER_XDP_ADJUST_HEAD: u32 = 44;
const CTX_DATA: i32 = 0;
const CTX_DATA_END: i32 = 4;

impl Emitter<'_> {
    pub(super) fn deparser(&mut self) {
        self.asm.note(Note::stage("deparser"));
        let order: Vec<HeaderId> = self.emitted();
        let in_place = self.in_place(&order);
        self.move_start(&order);
        self.asm.store_imm(Size::W, Reg::R7, Control::EMITTED, 0);
        let mut parts: Vec<Vec<Range<i32>>> = Vec::new();
        for (index, header) in order.iter().enumerate() {
            let bytes = self.fixed_part(*header);
            parts.push(match index < in_place {
                true => vec![bytes],
                false => self.changes.within(&bytes),
            });
        }
        while parts.last().is_some_and(Vec::is_empty) && parts.len() > in_place {
            parts.pop();
        }
        for (header, parts) in order.iter().zip(&parts) {
            self.asm.section();
            self.emit_header(*header, parts);
        }
    }

    /// A header's bytes in the PHV, up to its varbit field.
    fn fixed_part(&self, header: HeaderId) -> Range<i32> {
        let fixed = self.program.headers[header.index()].fixed_bits() / 8;
        let bytes = self.layout.varbit(header).map_or(fixed, |v| v.before);
        let start = self.layout.header(header);
        start..start + bytes as i32
    }

    fn emitted(&self) -> Vec<HeaderId> {
        let order = self.program.deparser.order.iter().copied();
        order.filter(|h| self.layout.has(*h)).collect()
    }

    /// Moves the packet's start so that the headers fit before the payload.
    fn move_start(&mut self, order: &[HeaderId]) {
        let same = self.asm.label();
        self.asm.mov_imm(Reg::R1, 0);
        for header in order {
            let bytes = self.program.headers[header.index()].fixed_bits() / 8;
            self.asm
                .load(Size::B, Reg::R2, Reg::R7, self.layout.valid(*header));
            match self.layout.varbit(*header) {
                Some(varbit) => {
                    self.asm.load(Size::W, Reg::R3, Reg::R7, varbit.offset);
                    self.asm.alu_imm(Alu::Add, Reg::R3, bytes as i32);
                    self.asm.alu(Alu::Mul, Reg::R2, Reg::R3);
                }
                None => self.asm.alu_imm(Alu::Mul, Reg::R2, bytes as i32),
            }
            self.asm.alu(Alu::Add, Reg::R1, Reg::R2);
        }
        self.asm
            .store(Size::W, Reg::R7, Control::HEADER_BYTES, Reg::R1);
        self.asm.load(Size::W, Reg::R2, Reg::R7, Control::PARSED);
        self.asm.jump_if(Cond::Eq, Reg::R1, Reg::R2, same);
        self.asm.alu(Alu::Sub, Reg::R2, Reg::R1);
        self.asm.mov(Reg::R1, Reg::R6);
        self.asm.call(HELPER_XDP_ADJUST_HEAD);
        self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, same);
        self.hand_over_at(NO_HEADROOM);
        self.asm.place(same);
    }

    /// Writes some parts of a header, if it is valid, and goes on behind it.
    fn emit_header(&mut self, header: HeaderId, parts: &[Range<i32>]) {
        let varbit = self.layout.varbit(header);
        let fixed = self.fixed_part(header);
        let bytes = fixed.len() as i32;
        let skip = self.asm.label();
        self.asm
            .load(Size::B, Reg::R0, Reg::R7, self.layout.valid(header));
        self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, skip);
        self.asm.load(Size::W, Reg::R1, Reg::R7, Control::EMITTED);
        if !parts.is_empty() {
            self.asm.alu32_imm(Alu::And, Reg::R1, MAX_OFFSET - 1);
            self.asm.load(Size::W, Reg::R2, Reg::R6, CTX_DATA);
            self.asm.load(Size::W, Reg::R3, Reg::R6, CTX_DATA_END);
            self.asm.alu(Alu::Add, Reg::R2, Reg::R1);
            self.asm.mov(Reg::R4, Reg::R2);
            self.asm.alu_imm(Alu::Add, Reg::R4, bytes);
            self.asm.jump_if(Cond::Gt, Reg::R4, Reg::R3, self.ends.drop);
            for part in parts {
                for (at, size) in self.changes.pieces(part, Size::DW) {
                    self.asm.load(size, Reg::R0, Reg::R7, at);
                    self.asm.store(size, Reg::R2, at - fixed.start, Reg::R0);
                }
            }
        }
        match varbit {
            Some(varbit) => self.emit_varbit(header, varbit),
            None => {
                self.asm.alu_imm(Alu::Add, Reg::R1, bytes);
                self.asm.store(Size::W, Reg::R7, Control::EMITTED, Reg::R1);
            }
        }
        self.asm.place(skip);
    }

    /// From which position in the order on headers keep their distance from the payload.
    fn in_place(&self, order: &[HeaderId]) -> usize {
        let unstable = self.headers_of_changing_validity();
        let mut from = order
            .iter()
            .rposition(|h| unstable.contains(h))
            .map_or(0, |i| i + 1);
        // Every path of the parser must extract the rest in this order, and nothing else after its
        // first one.
        while from < order.len() && !self.parsed_in_order(&order[from..]) {
            from += 1;
        }
        from
    }

    fn parsed_in_order(&self, suffix: &[HeaderId]) -> bool {
        let rank = |h: &HeaderId| suffix.iter().position(|s| s == h);
        let states = &self.program.parser_states;
        states.iter().enumerate().all(|(index, state)| {
            let own = extracted(state);
            let Some(first) = own.iter().position(|h| rank(h).is_some()) else {
                return true;
            };
            let ranks: Vec<Option<usize>> = own[first..].iter().map(rank).collect();
            let ascending =
                ranks.windows(2).all(|w| w[0] < w[1]) && ranks.iter().all(Option::is_some);
            let last = ranks.last().copied().flatten();
            ascending
                && !skips(state)
                && self
                    .states_after(ParserStateId(index as u32))
                    .iter()
                    .all(|after| {
                        let after = &states[after.index()];
                        !skips(after) && extracted(after).iter().all(|h| rank(h) > last)
                    })
        })
    }

    fn states_after(&self, from: ParserStateId) -> HashSet<ParserStateId> {
        let mut seen = HashSet::new();
        let mut todo = vec![from];
        while let Some(id) = todo.pop() {
            let transitions = &self.program.parser_states[id.index()].transitions;
            todo.extend(
                transitions
                    .iter()
                    .filter_map(|t| t.next)
                    .filter(|next| seen.insert(*next)),
            );
        }
        seen
    }

    /// Headers that an action makes valid or invalid, or may: all that are chosen at run time.
    fn headers_of_changing_validity(&self) -> HashSet<HeaderId> {
        let stacks = self.program.stacks.iter().flat_map(|s| &s.elements);
        let unions = self.program.unions.iter().flat_map(|u| &u.members);
        let mut found: HashSet<HeaderId> = stacks.chain(unions).copied().collect();
        let headers = self.program.headers.iter().enumerate();
        let varbits = headers.filter(|(_, h)| h.varbit().is_some());
        found.extend(varbits.map(|(index, _)| HeaderId(index as u32)));
        self.each_op(|op| match op {
            Op::SetValid(HeaderRef::Header(h)) | Op::SetInvalid(HeaderRef::Header(h)) => {
                found.insert(*h);
            }
            Op::AssignHeader {
                target: HeaderRef::Header(h),
                ..
            } => {
                found.insert(*h);
            }
            _ => {}
        });
        found
    }

    fn each_op(&self, mut f: impl FnMut(&Op)) {
        let actions = self
            .program
            .actions
            .iter()
            .flat_map(|a| a.body.iter().map(|(op, _)| op));
        let parser = self
            .program
            .parser_states
            .iter()
            .flat_map(|s| &s.ops)
            .filter_map(|(op, _)| match op {
                ParserOp::Primitive(op) => Some(op),
                _ => None,
            });
        actions.chain(parser).for_each(&mut f);
    }
}
