//! Packets that a program's parser understands: a random walk through its states.
//!
//! Each state's headers are appended with values of the round's pool; then one of its transitions is chosen
//! and the bits that its key looks at are set to what the transition wants, be they in a header, ahead of the
//! parser, or copied to metadata before. What spoils such a packet is [`super::mutate`].

use std::collections::HashMap;

use num_bigint::{BigInt, BigUint};
use num_traits::One;
use pointsman_p4::dataplane::Bits;
use pointsman_p4::ir::{
    Expr, FieldKind, FieldRef, HeaderId, HeaderRef, LValue, ParserOp, ParserState, Program,
    StackId, Transition, TransitionMatch, UnionStackId,
};

use super::classes::Place;
use super::pool::Pool;
use super::random::Random;
use super::term::{self, Term};

/// States that a walk visits.
const MAX_STATES: usize = 48;
/// Bytes of headers after which a walk ends.
const MAX_HEADER_BYTES: usize = 1024;
/// How often a length that does not fit is drawn again.
const LENGTH_TRIES: usize = 12;

/// A packet with the places where its headers begin and end.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// The packet.
    pub bytes: Vec<u8>,
    /// Offsets between headers, the end of the last included.
    pub boundaries: Vec<usize>,
}

/// Makes a packet. `sets` are the members of the program's value sets.
pub fn make(
    program: &Program,
    pool: &mut Pool<'_>,
    random: &mut Random,
    sets: &[Vec<Bits>],
) -> Made {
    let mut walk = Walk {
        program,
        pool,
        random,
        sets,
        bytes: Vec::new(),
        position: 0,
        boundaries: vec![0],
        fields: HashMap::new(),
        valid: HashMap::new(),
        next: HashMap::new(),
        next_union: HashMap::new(),
    };
    walk.run();
    let payload = match walk.random.below(24) {
        0 => walk.random.below(1200),
        1 => 0,
        _ => walk.random.below(48),
    };
    let payload = walk.random.bytes(payload);
    walk.bytes.extend(payload);
    Made {
        bytes: walk.bytes,
        boundaries: walk.boundaries,
    }
}

struct Walk<'a, 'p> {
    program: &'a Program,
    pool: &'a mut Pool<'p>,
    random: &'a mut Random,
    sets: &'a [Vec<Bits>],
    /// What is decided so far: headers, and what a lookahead has decided of those to come.
    bytes: Vec<u8>,
    /// Bytes that are extracted.
    position: usize,
    boundaries: Vec<usize>,
    /// What fields hold.
    fields: HashMap<FieldRef, Term>,
    valid: HashMap<HeaderId, bool>,
    next: HashMap<StackId, usize>,
    next_union: HashMap<UnionStackId, usize>,
}

impl Walk<'_, '_> {
    fn run(&mut self) {
        let program = self.program;
        let mut state = program.parser_start;
        for _ in 0..MAX_STATES {
            let Some(id) = state.filter(|_| self.position < MAX_HEADER_BYTES) else {
                return;
            };
            let parser_state = &program.parser_states[id.index()];
            for (op, _) in &parser_state.ops {
                self.op(op);
            }
            // Ending early is a truncation at a boundary.
            if self.random.one_in(60) {
                return;
            }
            state = self.transition(parser_state);
        }
    }

    fn op(&mut self, op: &ParserOp) {
        match op {
            ParserOp::Extract(header) => {
                if let Some(id) = self.header(header) {
                    self.extract(id, 0);
                }
                self.advance_stack(header);
            }
            ParserOp::ExtractVarbit { header, length } => {
                if let Some(id) = self.header(header) {
                    self.extract_varbit(id, length);
                }
                self.advance_stack(header);
            }
            ParserOp::ExtractUnionNext { stack, member } => {
                if let Some(id) = self.union_header(*stack, *member) {
                    self.extract(id, 0);
                }
                *self.next_union.entry(*stack).or_default() += 1;
            }
            ParserOp::ExtractUnionNextVarbit {
                stack,
                member,
                length,
            } => {
                if let Some(id) = self.union_header(*stack, *member) {
                    self.extract_varbit(id, length);
                }
                *self.next_union.entry(*stack).or_default() += 1;
            }
            ParserOp::Set { target, value } => {
                let value = self.term(value);
                if let Some(field) = self.place(target) {
                    let width = self.program.field(field).width;
                    self.fields.insert(field, Term::Cut(Box::new(value), width));
                }
            }
            ParserOp::Verify { condition, .. } => {
                let condition = self.term(condition);
                if !self.random.one_in(8) {
                    condition.require(true, &mut self.bytes);
                }
            }
            ParserOp::Advance { length } => {
                let length = self.term(length);
                let bits = self.settle(&length, 8 * 64).unwrap_or(0);
                self.skip(bits.div_ceil(8));
            }
            ParserOp::Shift { bytes } => self.skip(*bytes as usize),
            ParserOp::Primitive(_) => {}
        }
    }

    fn skip(&mut self, bytes: usize) {
        let end = self.position + bytes.min(MAX_HEADER_BYTES);
        self.decide(end);
        self.position = end;
        self.boundaries.push(end);
    }

    /// Makes the packet at least that long.
    fn decide(&mut self, end: usize) {
        let missing = end.saturating_sub(self.bytes.len());
        let more = self.random.bytes(missing);
        self.bytes.extend(more);
    }

    fn extract_varbit(&mut self, id: HeaderId, length: &Expr) {
        let limit = self.program.headers[id.index()].varbit();
        let limit = limit.map_or(0, |field| field.width as usize);
        let length = self.varbit_term(id, length);
        let bits = self.settle(&length, limit).unwrap_or(0);
        self.extract(id, bits.min(limit) as u32 / 8 * 8);
    }

    /// The length as a term; it may look at the very header that is about to be extracted.
    fn varbit_term(&mut self, id: HeaderId, length: &Expr) -> Term {
        let end = self.position + self.program.headers[id.index()].fixed_bits() as usize / 8;
        self.decide(end);
        self.term(length)
    }

    /// Draws the places that a length looks at until it is a number of whole bytes up to a limit.
    fn settle(&mut self, length: &Term, limit: usize) -> Option<usize> {
        let mut places = Vec::new();
        length.places(&mut places);
        for _ in 0..LENGTH_TRIES {
            let bits = length.value(&self.bytes).and_then(|v| term::as_count(&v));
            if bits.is_some_and(|bits| bits <= limit && bits.is_multiple_of(8)) {
                return bits;
            }
            for (at, width) in &places {
                let value = match self.random.below(2) {
                    0 => BigUint::from(self.random.below(16)),
                    _ => BigUint::from(self.random.word()),
                };
                let mask = (BigUint::one() << *width) - BigUint::one();
                term::write(&mut self.bytes, *at, *width, &value, &mask);
            }
        }
        length.value(&self.bytes).and_then(|v| term::as_count(&v))
    }

    fn extract(&mut self, id: HeaderId, varbit_bits: u32) {
        let header = &self.program.headers[id.index()];
        let start = self.position * 8;
        let end = self.position + ((header.fixed_bits() + varbit_bits) as usize).div_ceil(8);
        let decided = self.bytes.len() * 8;
        self.decide(end);
        let mut shift = 0;
        for (index, field) in header.fields.iter().enumerate() {
            let width = match field.kind {
                FieldKind::Varbit => varbit_bits,
                _ => field.width,
            };
            let at = start + (field.offset + shift) as usize;
            if at >= decided {
                let place = Place::Field(FieldRef {
                    header: id,
                    field: index as u32,
                });
                let value = BigUint::from(&self.pool.at(self.random, place, width));
                let mask = (BigUint::one() << width) - BigUint::one();
                term::write(&mut self.bytes, at, width, &value, &mask);
            }
            if field.kind == FieldKind::Varbit {
                shift = varbit_bits;
            }
            let field = FieldRef {
                header: id,
                field: index as u32,
            };
            self.fields.insert(field, Term::Bits { at, width });
        }
        self.valid.insert(id, true);
        self.position = end;
        self.boundaries.push(end);
    }

    fn advance_stack(&mut self, header: &HeaderRef) {
        if let HeaderRef::Next(stack) = header {
            *self.next.entry(*stack).or_default() += 1;
        }
    }

    /// The header that is meant. Beyond the end of a stack it is the last element, so that the packet goes on.
    fn header(&mut self, header: &HeaderRef) -> Option<HeaderId> {
        let at = |stack: &StackId| self.next.get(stack).copied().unwrap_or(0);
        let (stack, index) = match header {
            HeaderRef::Header(id) => return Some(*id),
            HeaderRef::Next(stack) => (*stack, at(stack)),
            HeaderRef::Last(stack) => (*stack, at(stack).checked_sub(1)?),
            HeaderRef::Element { stack, index } => {
                let index = self.term(index).value(&self.bytes)?;
                (*stack, term::as_count(&index)?)
            }
            HeaderRef::UnionElement {
                stack,
                index,
                member,
            } => {
                let index = self.term(index).value(&self.bytes)?;
                let union = self.program.union_stacks[stack.index()]
                    .elements
                    .get(term::as_count(&index)?)?;
                let members = &self.program.unions[union.index()].members;
                return members.get(*member as usize).copied();
            }
        };
        let elements = &self.program.stacks[stack.index()].elements;
        elements.get(index).or(elements.last()).copied()
    }

    fn union_header(&self, stack: UnionStackId, member: u32) -> Option<HeaderId> {
        let at = self.next_union.get(&stack).copied().unwrap_or(0);
        let elements = &self.program.union_stacks[stack.index()].elements;
        let union = elements.get(at).or(elements.last())?;
        let members = &self.program.unions[union.index()].members;
        members.get(member as usize).copied()
    }

    fn place(&mut self, target: &LValue) -> Option<FieldRef> {
        match target {
            LValue::Field(field) => Some(*field),
            LValue::FieldOf { header, field } => Some(FieldRef {
                header: self.header(header)?,
                field: *field,
            }),
        }
    }

    fn term(&mut self, expr: &Expr) -> Term {
        let number = |n: usize| Term::Const(BigInt::from(n));
        match expr {
            Expr::Const(value) => Term::Const(value.clone()),
            Expr::Bool(value) => number(usize::from(*value)),
            Expr::Field(field) => self.field(*field),
            Expr::FieldOf { header, field } => match self.header(header) {
                Some(header) => self.field(FieldRef {
                    header,
                    field: *field,
                }),
                None => Term::Unknown,
            },
            Expr::Valid(header) => {
                let valid = self.header(header).map(|id| self.valid.contains_key(&id));
                number(usize::from(valid.unwrap_or(false)))
            }
            Expr::Lookahead { offset, width } => {
                let at = self.position * 8 + *offset as usize;
                self.decide((at + *width as usize).div_ceil(8));
                Term::Bits { at, width: *width }
            }
            Expr::StackSize(stack) => number(self.next.get(stack).copied().unwrap_or(0)),
            Expr::UnionStackSize(stack) => number(self.next_union.get(stack).copied().unwrap_or(0)),
            Expr::Unary { op, arg } => Term::Unary(*op, Box::new(self.term(arg))),
            Expr::Binary { op, left, right } => {
                let left = self.term(left);
                Term::Binary(*op, Box::new(left), Box::new(self.term(right)))
            }
            Expr::UnionValid(_)
            | Expr::Param(_)
            | Expr::Conditional { .. }
            | Expr::HeaderEq(..)
            | Expr::UnionEq(..) => Term::Unknown,
        }
    }

    /// What a field holds: metadata that nobody set, and headers that were not extracted, 0.
    fn field(&mut self, field: FieldRef) -> Term {
        let zero = || Term::Const(BigInt::ZERO);
        self.fields.get(&field).cloned().unwrap_or_else(zero)
    }

    /// Chooses a transition and sets the key to what it wants.
    fn transition(&mut self, state: &ParserState) -> Option<pointsman_p4::ir::ParserStateId> {
        let key: Vec<(Term, u32)> = state
            .key
            .iter()
            .map(|part| (self.term(&part.value), part.width))
            .collect();
        let chosen = self.random.below(state.transitions.len());
        if let Some((want, mask)) = state.transitions.get(chosen).and_then(|t| self.wanted(t)) {
            let mut below: u32 = 0;
            for (part, width) in key.iter().rev() {
                let ones = (BigUint::one() << *width) - BigUint::one();
                let mask = mask.as_ref().map_or(ones.clone(), |m| (m >> below) & &ones);
                part.solve(&((&want >> below) & &ones), &mask, &mut self.bytes);
                below += width;
            }
        }
        self.taken(state, &key)
    }

    fn wanted(&mut self, transition: &Transition) -> Option<(BigUint, Option<BigUint>)> {
        match &transition.when {
            TransitionMatch::Default => None,
            TransitionMatch::Value { value, mask } => Some((value.clone(), mask.clone())),
            TransitionMatch::ValueSet { set, mask } => {
                let members = self.sets.get(set.index())?;
                let member = self.random.pick(members)?;
                Some((BigUint::from(member), mask.clone()))
            }
        }
    }

    /// The transition that the parser will take.
    fn taken(
        &self,
        state: &ParserState,
        key: &[(Term, u32)],
    ) -> Option<pointsman_p4::ir::ParserStateId> {
        let mut value = BigUint::ZERO;
        for (part, width) in key {
            let part = Term::Cut(Box::new(part.clone()), *width).value(&self.bytes)?;
            value = (value << *width) | BigUint::try_from(part).ok()?;
        }
        let equal = |want: &BigUint, mask: &Option<BigUint>| match mask {
            None => value == *want,
            Some(mask) => &value & mask == want & mask,
        };
        let is_taken = |transition: &&Transition| match &transition.when {
            TransitionMatch::Default => true,
            TransitionMatch::Value { value, mask } => equal(value, mask),
            TransitionMatch::ValueSet { set, mask } => {
                let mut members = self.sets.get(set.index()).into_iter().flatten();
                members.any(|member| equal(&BigUint::from(member), mask))
            }
        };
        state.transitions.iter().find(is_taken)?.next
    }
}
