//! The parser: packet bytes into the PHV, one bounds check for each header.
//!
//! The position is kept in the PHV and read back as an unknown number below a bound, so that the
//! verifier's states merge where paths through the parser do. A header's bytes are copied as they are.

use std::collections::HashMap;

use num_bigint::BigUint;
use num_traits::ToPrimitive;
use pointsman_p4::interpreter::Resume;
use pointsman_p4::ir::{
    Expr, HeaderId, HeaderRef, LValue, ParserOp, ParserState, ParserStateId, TransitionMatch,
};

use crate::asm::{Alu, Cond, Label, Note, PartKind, Reg, Size};
use crate::tables::value_set::{self, ValueSetPlan};

use super::layout::{Control, SCRATCH};
use super::states::States;
use super::{Emitter, Refusal};

/// Offset of `data` in `struct xdp_md`.
const CTX_DATA: i32 = 0;
/// Offset of `data_end` in `struct xdp_md`.
const CTX_DATA_END: i32 = 4;
/// Packet offsets are below this; the verifier allows 65,535.
pub(super) const MAX_OFFSET: i32 = 0x1000;
/// Parts of a transition key.
const MAX_KEY_PARTS: usize = 8;
/// Bytes that a parser can look ahead at.
pub(super) const MAX_LOOKAHEAD: u32 = 64;
/// Where the number of rounds is kept for a kernel without `may_goto`: a known number on each path, so that the
/// verifier sees an end.
const KNOWN_ROUNDS: i32 = -8;
/// Bytes of the stack that the parser keeps for itself.
pub(super) const STACK_RESERVED: i32 = 8;
/// How often a packet may go round a loop of the parser before the interpreter takes over.
const MAX_LOOPS: i32 = 255;
/// The same where the verifier goes through each round.
const MAX_KNOWN_LOOPS: i32 = 6;

/// Where states begin.
struct Labels {
    states: States,
    /// For transitions from outside of a loop.
    entries: HashMap<ParserStateId, Label>,
    inside: HashMap<ParserStateId, Label>,
}

impl Labels {
    fn of(&self, from: ParserStateId, to: ParserStateId) -> Label {
        if self.states.is_in_loop(from, to) {
            self.inside[&to]
        } else {
            self.entries[&to]
        }
    }
}

impl Emitter<'_> {
    pub(super) fn parser(&mut self) {
        let end = self.asm.named_label("parsed");
        self.no_parser_error();
        let states = States::new(self.program);
        let labels = Labels {
            entries: self.state_labels(&states, "parse"),
            inside: self.state_labels(&states, "again"),
            states,
        };
        match self.program.parser_start {
            Some(start) => self.asm.jump(labels.entries[&start]),
            None => self.asm.jump(end),
        }
        for group in &labels.states.groups {
            self.asm.section();
            for id in group {
                self.asm.place(labels.entries[id]);
                if labels.states.is_loop(group, self.program) {
                    self.begin_rounds();
                }
                self.asm.jump(labels.inside[id]);
            }
            for id in group {
                let state = &self.program.parser_states[id.index()];
                let note = Note::part(PartKind::ParserState, &state.name, &state.source);
                self.asm.note(note);
                self.asm.place(labels.inside[id]);
                if let Err(mut constructs) = self.attempt(|e| e.state(*id, state, &labels, end)) {
                    name_state(&mut constructs, &state.name);
                    self.hand_over(Resume::Parser, constructs);
                }
            }
        }
        self.asm.section();
        self.asm.place(end);
    }

    /// A label for each state, named after it.
    fn state_labels(&mut self, states: &States, prefix: &str) -> HashMap<ParserStateId, Label> {
        let all = states.groups.iter().flatten();
        let labels = all.map(|id| {
            let name = &self.program.parser_states[id.index()].name;
            (*id, self.asm.named_label(format!("{prefix} {name}")))
        });
        labels.collect()
    }

    fn begin_rounds(&mut self) {
        if self.options.may_goto {
            self.asm.store_imm(Size::W, Reg::R7, Control::ROUNDS, 0);
        } else {
            self.asm.store_imm(Size::DW, Reg::R10, KNOWN_ROUNDS, 0);
        }
    }

    /// Leaves for the interpreter after too many rounds.
    fn next_round(&mut self) {
        let (size, base, offset, most) = if self.options.may_goto {
            (Size::W, Reg::R7, Control::ROUNDS, MAX_LOOPS)
        } else {
            (Size::DW, Reg::R10, KNOWN_ROUNDS, MAX_KNOWN_LOOPS)
        };
        let out_of_bounds = self.ends.out_of_bounds;
        self.asm.load(size, Reg::R0, base, offset);
        self.asm.alu_imm(Alu::Add, Reg::R0, 1);
        self.asm.store(size, base, offset, Reg::R0);
        self.asm.jump_if_imm(Cond::Gt, Reg::R0, most, out_of_bounds);
        if self.options.may_goto {
            self.asm.may_goto(out_of_bounds);
        }
    }

    fn state(&mut self, id: ParserStateId, state: &ParserState, labels: &Labels, end: Label) {
        for (index, (op, source)) in state.ops.iter().enumerate() {
            self.source = source.clone();
            self.asm.note(Note::ParserOp {
                state: id,
                index: index as u32,
            });
            self.parser_op(op, end);
        }
        self.source = state.source.clone();
        self.asm.note(Note::Step("select"));
        if state.key.len() > MAX_KEY_PARTS || state.key.iter().any(|k| k.width > 64) {
            return self.refuse(
                "a select this wide",
                "at most eight parts of at most 64 bits",
            );
        }
        if !state.key.is_empty() {
            self.transition_key(state, end);
        }
        for transition in &state.transitions {
            let target = transition.next.map_or(end, |next| labels.of(id, next));
            let is_loop = transition
                .next
                .is_some_and(|next| labels.states.is_in_loop(id, next));
            let skip = self.asm.label();
            match &transition.when {
                TransitionMatch::Default => {}
                TransitionMatch::Value { value, mask } => {
                    self.unless_key(state, value, mask.as_ref(), skip)
                }
                TransitionMatch::ValueSet { set, mask } => {
                    let shape = &self.program.value_sets[set.index()];
                    if key_width(state) > 64 || !ValueSetPlan::holds(shape) {
                        let (name, size, width) = (&shape.name, shape.size, shape.width);
                        self.refuse(
                            format!("the value set {name} of {size} members of {width} bits"),
                            value_set::HELD,
                        );
                    }
                    let mask = mask
                        .as_ref()
                        .map_or(u64::MAX, |m| m.to_u64().unwrap_or(u64::MAX));
                    let found = self.asm.label();
                    self.asm
                        .load(Size::DW, Reg::R0, Reg::R7, Control::KEY_PARTS);
                    let plan = self.plan.value_sets[set.index()];
                    plan.emit(&mut self.asm, self.maps.tables, mask, found);
                    self.asm.jump(skip);
                    self.asm.place(found);
                }
            }
            if is_loop {
                self.next_round();
            }
            self.asm.jump(target);
            self.asm.place(skip);
            if transition.when == TransitionMatch::Default {
                return;
            }
        }
        // Nothing matched: accepted.
        self.asm.jump(end);
    }

    /// Leaves the parts of the key in `Control::KEY_PARTS`: one number if they fit, else one each.
    fn transition_key(&mut self, state: &ParserState, end: Label) {
        let together = key_width(state) <= 64;
        for (index, part) in state.key.iter().enumerate() {
            self.look_ahead(&part.value, end);
            self.value_of_width(&part.value, part.width);
            let at = Control::KEY_PARTS + if together { 0 } else { 8 * index as i32 };
            if together && index > 0 {
                self.asm.load(Size::DW, Reg::R1, Reg::R7, at);
                self.asm.alu_imm(Alu::Lsh, Reg::R1, part.width as i32);
                self.asm.alu(Alu::Or, Reg::R0, Reg::R1);
            }
            self.asm.store(Size::DW, Reg::R7, at, Reg::R0);
        }
    }

    /// Goes to `skip` unless the key is the value, under the mask.
    fn unless_key(
        &mut self,
        state: &ParserState,
        value: &BigUint,
        mask: Option<&BigUint>,
        skip: Label,
    ) {
        let mut low = key_width(state);
        let widths: Vec<u32> = match low {
            0..=64 => vec![low],
            _ => state.key.iter().map(|k| k.width).collect(),
        };
        for (index, width) in widths.into_iter().enumerate() {
            low -= width;
            let ones = if width == 64 {
                u64::MAX
            } else {
                (1 << width) - 1
            };
            let cut = |n: &BigUint| (n >> low).iter_u64_digits().next().unwrap_or(0) & ones;
            let mask = mask.map_or(ones, cut);
            let value = cut(value) & mask;
            if mask == 0 {
                continue;
            }
            self.asm.load(
                Size::DW,
                Reg::R0,
                Reg::R7,
                Control::KEY_PARTS + 8 * index as i32,
            );
            if mask != ones {
                self.asm.and_mask(Reg::R0, mask, Reg::R1);
            }
            match i32::try_from(value) {
                Ok(imm) => self.asm.jump_if_imm(Cond::Ne, Reg::R0, imm, skip),
                Err(_) => {
                    self.asm.mov_imm(Reg::R1, value);
                    self.asm.jump_if(Cond::Ne, Reg::R0, Reg::R1, skip);
                }
            }
        }
    }

    fn parser_op(&mut self, op: &ParserOp, end: Label) {
        match op {
            ParserOp::Extract(header) => {
                self.extract_into(header, end, |e, header| e.extract(header, end));
            }
            ParserOp::Set { target, value } => {
                self.look_ahead(value, end);
                self.op(&pointsman_p4::ir::Op::Assign {
                    target: target.clone(),
                    value: value.clone(),
                });
            }
            ParserOp::Verify { condition, error } => {
                let fine = self.asm.label();
                self.branch(condition, true, fine);
                self.value_of_width(error, 32);
                self.parser_error_from_r0(end);
                self.asm.place(fine);
            }
            ParserOp::Advance { length } => self.advance(length, end),
            ParserOp::Primitive(op) => self.op(op),
            ParserOp::ExtractVarbit { header, length } => {
                if !matches!(header, HeaderRef::Next(_)) && self.is_computed(header) {
                    return self.refuse("a varbit header chosen at run time", "fixed headers");
                }
                self.look_ahead(length, end);
                self.extract_into(header, end, |e, header| {
                    e.extract_varbit(header, length, end);
                });
            }
            ParserOp::ExtractUnionNext { .. } | ParserOp::ExtractUnionNextVarbit { .. } => {
                self.refuse("extraction into a stack of unions", "headers")
            }
            ParserOp::Shift { .. } => self.refuse("shift", "advance"),
        }
    }

    /// Emits `extract` for the header that is meant; the next one of a stack is the last one then.
    fn extract_into(
        &mut self,
        header: &HeaderRef,
        end: Label,
        extract: impl FnMut(&mut Self, HeaderId),
    ) {
        if let HeaderRef::Next(stack) = header {
            let (full, taken) = (self.asm.label(), self.asm.label());
            self.take_next(*stack, full);
            self.asm.jump(taken);
            self.asm.place(full);
            self.parser_error("StackOutOfBounds", end);
            self.asm.place(taken);
        }
        let chosen = self.choose_header(header);
        self.with_header(&chosen, Reg::R0, extract);
        if let HeaderRef::Next(stack) = header {
            self.advance_next(*stack);
        }
    }

    fn is_computed(&self, header: &HeaderRef) -> bool {
        match header {
            HeaderRef::Element { index, .. } => !matches!(index.as_ref(), Expr::Const(_)),
            other => !matches!(other, HeaderRef::Header(_)),
        }
    }

    /// R1 = position, R2 = the packet from there. Goes to `short` unless `bytes` are there.
    pub(super) fn packet_at(&mut self, bytes: i32, short: Label) {
        self.asm.load(Size::W, Reg::R1, Reg::R7, Control::PARSED);
        self.asm
            .jump_if_imm(Cond::Ge, Reg::R1, MAX_OFFSET, self.ends.out_of_bounds);
        self.asm.load(Size::W, Reg::R2, Reg::R6, CTX_DATA);
        self.asm.load(Size::W, Reg::R3, Reg::R6, CTX_DATA_END);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R1);
        self.asm.mov(Reg::R4, Reg::R2);
        self.asm.alu_imm(Alu::Add, Reg::R4, bytes);
        self.asm.jump_if(Cond::Gt, Reg::R4, Reg::R3, short);
    }

    fn extract(&mut self, header: HeaderId, end: Label) {
        let shape = &self.program.headers[header.index()];
        if shape.varbit().is_some() {
            return self.refuse(
                format!("extraction of {} with its varbit field", shape.name),
                "headers of fixed size",
            );
        }
        let bytes = shape.fixed_bits() / 8;
        let (short, done) = (self.asm.label(), self.asm.label());
        self.packet_at(bytes as i32, short);
        self.copy_bytes(Reg::R2, 0, Reg::R7, self.layout.header(header), bytes);
        self.asm.alu_imm(Alu::Add, Reg::R1, bytes as i32);
        self.asm.store(Size::W, Reg::R7, Control::PARSED, Reg::R1);
        self.asm
            .store_imm(Size::B, Reg::R7, self.layout.valid(header), 1);
        self.invalidate_siblings(header);
        self.asm.jump(done);
        self.asm.place(short);
        self.parser_error("PacketTooShort", end);
        self.asm.place(done);
    }

    fn advance(&mut self, length: &Expr, end: Label) {
        let (short, done) = (self.asm.label(), self.asm.label());
        match length {
            Expr::Const(bits) => {
                let bytes = bits.to_i32().unwrap_or(i32::MAX) / 8;
                if bytes >= MAX_OFFSET / 2 {
                    return self
                        .refuse(format!("an advance by {bytes} bytes"), "at most 2047 bytes");
                }
                self.packet_at(bytes, short);
                self.asm.alu_imm(Alu::Add, Reg::R1, bytes);
            }
            length => {
                self.value_of_width(length, 32);
                self.asm.alu_imm(Alu::Rsh, Reg::R0, 3);
                // Nothing this long is a packet whose headers XDP could parse.
                self.asm
                    .jump_if_imm(Cond::Ge, Reg::R0, MAX_OFFSET / 2, self.ends.out_of_bounds);
                self.packet_at(0, short);
                self.asm.alu(Alu::Add, Reg::R2, Reg::R0);
                self.asm.jump_if(Cond::Gt, Reg::R2, Reg::R3, short);
                self.asm.alu(Alu::Add, Reg::R1, Reg::R0);
            }
        }
        self.asm.store(Size::W, Reg::R7, Control::PARSED, Reg::R1);
        self.asm.jump(done);
        self.asm.place(short);
        self.parser_error("PacketTooShort", end);
        self.asm.place(done);
    }

    /// Copies the bytes that an expression looks ahead at into the scratch space.
    fn look_ahead(&mut self, expr: &Expr, end: Label) {
        let bits = furthest_lookahead(expr);
        if bits == 0 {
            return;
        }
        let bytes = bits.div_ceil(8);
        if bytes > MAX_LOOKAHEAD {
            return self.refuse(format!("a lookahead of {bits} bits"), "at most 512 bits");
        }
        let (short, done) = (self.asm.label(), self.asm.label());
        self.packet_at(bytes as i32, short);
        self.copy_bytes(Reg::R2, 0, Reg::R7, SCRATCH, bytes);
        self.asm.jump(done);
        self.asm.place(short);
        self.parser_error("PacketTooShort", end);
        self.asm.place(done);
    }

    /// `dst` = bits that [`look_ahead`](Self::look_ahead) copied.
    pub(super) fn looked_ahead(&mut self, dst: Reg, scratch: Reg, offset: u32, width: u32) {
        let (skip, take) = (width.saturating_sub(64), width.min(64));
        let from = offset + skip;
        self.load_wire(dst, scratch, SCRATCH + (from / 8) as i32, from % 8, take);
    }

    /// Today's compilers number errors from 0, which is no error; old ones from 1.
    fn no_parser_error(&mut self) {
        let code = self.program.error_code("NoError");
        if let Some(field) = self.program.standard.parser_error
            && code != 0
        {
            self.asm.mov_imm(Reg::R0, u64::from(code));
            self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
        }
    }

    pub(super) fn parser_error(&mut self, name: &str, end: Label) {
        let code = self.program.error_code(name);
        self.asm.mov_imm(Reg::R0, u64::from(code));
        self.parser_error_from_r0(end);
    }

    /// Ingress runs all the same.
    fn parser_error_from_r0(&mut self, end: Label) {
        if let Some(field) = self.program.standard.parser_error {
            self.store_field(field, Reg::R0, [Reg::R1, Reg::R2]);
        }
        self.asm.jump(end);
    }
}

fn key_width(state: &ParserState) -> u32 {
    state.key.iter().map(|k| k.width).sum()
}

/// How many bits ahead an expression looks.
fn furthest_lookahead(expr: &Expr) -> u32 {
    match expr {
        Expr::Lookahead { offset, width } => offset + width,
        Expr::Unary { arg, .. } => furthest_lookahead(arg),
        Expr::Binary { left, right, .. } => furthest_lookahead(left).max(furthest_lookahead(right)),
        Expr::Conditional {
            condition,
            then,
            otherwise,
        } => [condition, then, otherwise]
            .into_iter()
            .map(|e| furthest_lookahead(e))
            .max()
            .unwrap_or(0),
        _ => 0,
    }
}

/// The headers that a state extracts.
pub(super) fn extracted(state: &ParserState) -> Vec<HeaderId> {
    state
        .ops
        .iter()
        .filter_map(|(op, _)| match op {
            ParserOp::Extract(HeaderRef::Header(header)) => Some(*header),
            _ => None,
        })
        .collect()
}

/// Whether a state consumes bytes that are in no header, or stores into headers.
pub(super) fn skips(state: &ParserState) -> bool {
    state.ops.iter().any(|(op, _)| {
        matches!(
            op,
            ParserOp::Advance { .. }
                | ParserOp::Shift { .. }
                | ParserOp::ExtractVarbit { .. }
                | ParserOp::Extract(HeaderRef::Next(_) | HeaderRef::Element { .. })
        ) || matches!(
            op,
            ParserOp::Set {
                target: LValue::FieldOf { .. },
                ..
            }
        )
    })
}

/// p4c gives no source lines for what a parser does: the state is the place that can be named.
fn name_state(constructs: &mut [Refusal], state: &str) {
    for refusal in constructs {
        if refusal.source.file.is_empty() {
            refusal.construct += &format!(" in parser state {state}");
        }
    }
}
