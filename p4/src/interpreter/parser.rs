//! Runs the parser on a packet.
//!
//! An error never drops: what was extracted stays, the rest becomes payload, and the error's code
//! is for the program to look at.

use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;

use crate::ir::{
    HeaderId, HeaderRef, ParserOp, ParserState, ParserStateId, Program, TransitionMatch,
};

use super::State;
use super::eval::{Eval, TooShort};
use super::flight::Flight;
use super::phv::{Phv, truncate};
use super::trace::TraceStep;

/// The most states that one packet visits; a program can loop without consuming anything.
const MAX_STATES: usize = 4096;

/// Why the parser stopped.
enum Stop {
    /// A core error, by name.
    Error(&'static str),
    /// An error that the program names.
    Code(u32),
}

impl From<TooShort> for Stop {
    fn from(_: TooShort) -> Stop {
        Stop::Error("PacketTooShort")
    }
}

/// The parser at one place of a packet.
struct Parse<'a> {
    program: &'a Program,
    data: &'a [u8],
    /// Bytes consumed.
    position: usize,
}

/// Parses `data` into the flight's headers. Returns the error's code; what is left becomes the
/// payload.
pub(super) fn parse(program: &Program, state: &mut State, flight: &mut Flight, data: &[u8]) -> u32 {
    let mut parse = Parse {
        program,
        data,
        position: 0,
    };
    let stop = parse.run(state, flight);
    flight.payload = data[parse.position..].to_vec();
    let error = match stop {
        Ok(()) => return program.error_code("NoError"),
        Err(Stop::Error(name)) => program.error_code(name),
        Err(Stop::Code(code)) => code,
    };
    state.note(|| TraceStep::ParserError(error));
    error
}

impl Parse<'_> {
    fn run(&mut self, state: &mut State, flight: &mut Flight) -> Result<(), Stop> {
        let program = self.program;
        let mut current: Option<ParserStateId> = program.parser_start;
        for _ in 0..MAX_STATES {
            let Some(id) = current else {
                return Ok(());
            };
            state.note(|| TraceStep::State(id));
            let parser_state = &program.parser_states[id.index()];
            for (op, _) in &parser_state.ops {
                self.op(op, state, flight)?;
            }
            current = self.next(parser_state, state, &flight.phv)?;
        }
        Err(Stop::Error("ParserTimeout"))
    }

    fn eval<'e>(&'e self, phv: &'e Phv) -> Eval<'e> {
        Eval {
            program: self.program,
            phv,
            args: &[],
            ahead: &self.data[self.position..],
        }
    }

    fn op(&mut self, op: &ParserOp, state: &mut State, flight: &mut Flight) -> Result<(), Stop> {
        match op {
            ParserOp::Extract(header) => {
                let id = self.target(header, &flight.phv)?;
                self.extract(id, 0, &mut flight.phv)?;
                state.note(|| extracted(id, &flight.phv));
                self.advance_stack(header, &mut flight.phv);
            }
            ParserOp::ExtractVarbit { header, length } => {
                let width = self.eval(&flight.phv).try_value(length)?;
                let id = self.target(header, &flight.phv)?;
                self.extract_varbit(id, &width, &mut flight.phv)?;
                state.note(|| extracted(id, &flight.phv));
                self.advance_stack(header, &mut flight.phv);
            }
            ParserOp::ExtractUnionNext { stack, member } => {
                let id = self.union_target(*stack, *member, &flight.phv)?;
                self.extract(id, 0, &mut flight.phv)?;
                state.note(|| extracted(id, &flight.phv));
                let next = flight.phv.union_next(*stack) + 1;
                flight.phv.set_union_next(*stack, next);
            }
            ParserOp::ExtractUnionNextVarbit {
                stack,
                member,
                length,
            } => {
                let width = self.eval(&flight.phv).try_value(length)?;
                let id = self.union_target(*stack, *member, &flight.phv)?;
                self.extract_varbit(id, &width, &mut flight.phv)?;
                state.note(|| extracted(id, &flight.phv));
                let next = flight.phv.union_next(*stack) + 1;
                flight.phv.set_union_next(*stack, next);
            }
            ParserOp::Set { target, value } => {
                let eval = self.eval(&flight.phv);
                let value = eval.try_value(value)?;
                if let Some(field) = eval.place(target) {
                    flight.phv.set(self.program, field, &value);
                }
            }
            ParserOp::Verify { condition, error } => {
                let eval = self.eval(&flight.phv);
                if !eval.truth(condition) {
                    let code = eval.value(error).to_u32().unwrap_or_default();
                    return Err(Stop::Code(code));
                }
            }
            ParserOp::Advance { length } => {
                let width = self.eval(&flight.phv).try_value(length)?;
                self.advance(whole_bytes(&width)?)?;
            }
            ParserOp::Shift { bytes } => self.advance(*bytes as usize)?,
            ParserOp::Primitive(op) => super::action::primitive(self.program, state, flight, op),
        }
        Ok(())
    }

    fn target(&self, header: &HeaderRef, phv: &Phv) -> Result<HeaderId, Stop> {
        let id = self.eval(phv).header(header);
        id.ok_or(Stop::Error("StackOutOfBounds"))
    }

    fn union_target(
        &self,
        stack: crate::ir::UnionStackId,
        member: u32,
        phv: &Phv,
    ) -> Result<HeaderId, Stop> {
        let elements = &self.program.union_stacks[stack.index()].elements;
        let union = elements
            .get(phv.union_next(stack) as usize)
            .ok_or(Stop::Error("StackOutOfBounds"))?;
        let members = &self.program.unions[union.index()].members;
        let header = members.get(member as usize).copied();
        header.ok_or(Stop::Error("StackOutOfBounds"))
    }

    fn advance_stack(&self, header: &HeaderRef, phv: &mut Phv) {
        if let HeaderRef::Next(stack) = header {
            phv.set_next(*stack, phv.next(*stack) + 1);
        }
    }

    fn extract(&mut self, id: HeaderId, varbit_width: u32, phv: &mut Phv) -> Result<(), Stop> {
        let bits = self.program.headers[id.index()].fixed_bits() + varbit_width;
        let start = self.position;
        self.advance(bits.div_ceil(8) as usize)?;
        phv.extract(self.program, id, &self.data[start..], varbit_width);
        Ok(())
    }

    /// The checks come in BMv2's order: whole bytes, enough data, not over the maximum.
    fn extract_varbit(&mut self, id: HeaderId, width: &BigInt, phv: &mut Phv) -> Result<(), Stop> {
        let bytes = whole_bytes(width)?;
        let header = &self.program.headers[id.index()];
        let total = bytes.saturating_add(header.fixed_bits().div_ceil(8) as usize);
        if self.data.len() - self.position < total {
            return Err(Stop::Error("PacketTooShort"));
        }
        let limit = header.varbit().map_or(0, |f| f.width) as usize;
        if bytes.saturating_mul(8) > limit {
            return Err(Stop::Error("HeaderTooShort"));
        }
        self.extract(id, bytes as u32 * 8, phv)
    }

    fn advance(&mut self, bytes: usize) -> Result<(), Stop> {
        if self.data.len() - self.position < bytes {
            return Err(Stop::Error("PacketTooShort"));
        }
        self.position += bytes;
        Ok(())
    }

    fn next(
        &self,
        parser_state: &ParserState,
        state: &State,
        phv: &Phv,
    ) -> Result<Option<ParserStateId>, Stop> {
        let mut key = BigUint::ZERO;
        for part in &parser_state.key {
            let value = self.eval(phv).try_value(&part.value)?;
            key = (key << part.width) | truncate(&value, part.width);
        }
        let taken = parser_state.transitions.iter().find(|t| match &t.when {
            TransitionMatch::Default => true,
            TransitionMatch::Value { value, mask } => match mask {
                None => key == *value,
                Some(mask) => &key & mask == value & mask,
            },
            TransitionMatch::ValueSet { set, mask } => {
                let members = &state.value_sets[set.index()];
                match mask {
                    None => members.contains(&key),
                    Some(mask) => members.iter().any(|m| &key & mask == m & mask),
                }
            }
        });
        Ok(taken.and_then(|t| t.next))
    }
}

/// A header that was just read.
fn extracted(header: HeaderId, phv: &Phv) -> TraceStep {
    let fields = phv.fields(header).to_vec();
    TraceStep::Extracted { header, fields }
}

/// A number of bits as bytes.
fn whole_bytes(width: &BigInt) -> Result<usize, Stop> {
    match width.to_u64() {
        Some(bits) if bits.is_multiple_of(8) => {
            usize::try_from(bits / 8).map_err(|_| Stop::Error("PacketTooShort"))
        }
        Some(_) => Err(Stop::Error("ParserInvalidArgument")),
        None if width % 8 != BigInt::ZERO => Err(Stop::Error("ParserInvalidArgument")),
        None => Err(Stop::Error("PacketTooShort")),
    }
}
