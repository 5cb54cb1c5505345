//! The parser and the deparser.

use std::collections::HashMap;

use num_bigint::BigUint;
use num_traits::One;

use crate::ir::{
    Deparser, Expr, HeaderRef, Op, ParserOp, ParserState, ParserStateId, Transition, TransitionKey,
    TransitionMatch,
};

use super::action::{Primitives, packet_header};
use super::cursor::{Cursor, Read};
use super::expr::Exprs;
use super::objects::Names;
use super::shapes::{Shapes, insert_named};

/// The most bits of one lookahead.
const MAX_LOOKAHEAD_BITS: u32 = 1 << 16;

/// Reads the one parser: its states, and where it starts.
pub(super) fn read(
    root: &Cursor,
    shapes: &Shapes,
    names: &Names,
) -> Read<(Vec<ParserState>, Option<ParserStateId>)> {
    let parsers = root.get("parsers").items()?;
    let parser = match parsers.as_slice() {
        [] => return Ok((Vec::new(), None)),
        [parser] => parser,
        [_, second, ..] => return Err(second.unsupported("a second parser")),
    };
    let states = parser.get("parse_states").items()?;
    let mut ids = HashMap::new();
    for (index, state) in states.iter().enumerate() {
        insert_named(&mut ids, state, "parser state", ParserStateId(index as u32))?;
    }
    let reader = StateReader {
        primitives: Primitives {
            exprs: Exprs::new(shapes),
            shapes,
            names,
        },
        ids,
    };
    let start = reader.next(&parser.get("init_state"))?;
    let states = states
        .iter()
        .map(|s| reader.state(s))
        .collect::<Read<_>>()?;
    Ok((states, start))
}

struct StateReader<'s> {
    primitives: Primitives<'s>,
    ids: HashMap<String, ParserStateId>,
}

impl StateReader<'_> {
    fn next(&self, name: &Cursor) -> Read<Option<ParserStateId>> {
        match name.opt_str()? {
            None => Ok(None),
            Some(state) => self
                .ids
                .get(state)
                .map(|id| Some(*id))
                .ok_or_else(|| name.unknown("parser state", state)),
        }
    }

    fn state(&self, item: &Cursor) -> Read<ParserState> {
        let mut ops = Vec::new();
        for op in item.get("parser_ops").items()? {
            for step in self.ops(&op)? {
                ops.push((step, op.source()));
            }
        }
        let mut key = Vec::new();
        for part in item.get("transition_key").items()? {
            key.push(self.key(&part)?);
        }
        let mut transitions = Vec::new();
        for transition in item.get("transitions").items()? {
            transitions.push(Transition {
                when: self.when(&transition, &key)?,
                next: self.next(&transition.get("next_state"))?,
            });
        }
        // BMv2 keeps the default apart and looks at it last, wherever it stands.
        transitions.sort_by_key(|t| t.when == TransitionMatch::Default);
        Ok(ParserState {
            name: item.get("name").str()?.to_owned(),
            ops,
            key,
            transitions,
            source: item.source(),
        })
    }

    fn ops(&self, item: &Cursor) -> Read<Vec<ParserOp>> {
        if item.get("op").str()? != "primitive" {
            return Ok(vec![self.op(item)?]);
        }
        let primitive = item.get("parameters").at(0);
        let name = primitive.get("op").str()?;
        if matches!(name, "_jump" | "_jump_if_zero" | "exit") {
            return Err(primitive.unsupported(format!("the primitive {name:?} in a parser")));
        }
        let ops = self.primitives.read_all(&primitive)?;
        if ops.iter().any(|op| matches!(op, Op::JumpIfZero { .. })) {
            return Err(primitive.unsupported("a choice of headers in a parser"));
        }
        Ok(ops.into_iter().map(ParserOp::Primitive).collect())
    }

    fn op(&self, item: &Cursor) -> Read<ParserOp> {
        let exprs = &self.primitives.exprs;
        let args = item.get("parameters");
        Ok(match item.get("op").str()? {
            "extract" => self.extract(&args.at(0))?,
            "extract_VL" => {
                let length = exprs.value(&args.at(1))?;
                match self.extract(&args.at(0))? {
                    ParserOp::Extract(header) => ParserOp::ExtractVarbit { header, length },
                    ParserOp::ExtractUnionNext { stack, member } => {
                        ParserOp::ExtractUnionNextVarbit {
                            stack,
                            member,
                            length,
                        }
                    }
                    other => other,
                }
            }
            "set" => ParserOp::Set {
                target: exprs.lvalue(&args.at(0))?,
                value: self.bounded(&args.at(1))?,
            },
            "verify" => ParserOp::Verify {
                condition: exprs.value(&args.at(0))?,
                error: if args.at(1).value().is_number() {
                    Expr::Const(args.at(1).int()?)
                } else {
                    exprs.value(&args.at(1))?
                },
            },
            "advance" => ParserOp::Advance {
                length: exprs.value(&args.at(0))?,
            },
            "shift" => ParserOp::Shift {
                bytes: args.at(0).u32()?,
            },
            other => return Err(item.unsupported(format!("the parser operation {other:?}"))),
        })
    }

    fn extract(&self, item: &Cursor) -> Read<ParserOp> {
        let shapes = self.primitives.shapes;
        let value = item.get("value");
        Ok(match item.get("type").str()? {
            // p4c writes `stack[index]` so, when it unrolls loops.
            "regular" if value.value().is_object() => {
                ParserOp::Extract(self.primitives.exprs.header(&value)?)
            }
            "regular" => ParserOp::Extract(HeaderRef::Header(packet_header(&value, shapes)?)),
            "stack" => ParserOp::Extract(HeaderRef::Next(shapes.stack(&value)?)),
            "union_stack" => {
                let stack = shapes.union_stack(&value.at(0))?;
                let name = value.at(1).str()?;
                let member = shapes
                    .union_member_index(stack, name)
                    .ok_or_else(|| value.unknown("member of the union", name))?;
                ParserOp::ExtractUnionNext { stack, member }
            }
            other => return Err(item.unsupported(format!("extracting into {other:?}"))),
        })
    }

    /// A value, whose lookahead is of sensible size.
    fn bounded(&self, item: &Cursor) -> Read<Expr> {
        let value = self.primitives.exprs.value(item)?;
        match &value {
            Expr::Lookahead { offset, width }
                if offset.saturating_add(*width) > MAX_LOOKAHEAD_BITS =>
            {
                Err(item.unsupported(format!("a lookahead of over {MAX_LOOKAHEAD_BITS} bits")))
            }
            _ => Ok(value),
        }
    }

    fn key(&self, item: &Cursor) -> Read<TransitionKey> {
        let value = self.bounded(item)?;
        let width = self
            .primitives
            .exprs
            .width(&value)
            .ok_or_else(|| item.unsupported("this value as a transition key"))?;
        Ok(TransitionKey { value, width })
    }

    fn when(&self, item: &Cursor, key: &[TransitionKey]) -> Read<TransitionMatch> {
        let value = item.get("value");
        let kind = item.get("type").opt_str()?.unwrap_or("hexstr");
        let mask = item.get("mask");
        match kind {
            "default" => Ok(TransitionMatch::Default),
            // Older formats have no type.
            "hexstr" if value.value() == "default" => Ok(TransitionMatch::Default),
            "hexstr" => Ok(TransitionMatch::Value {
                value: concatenated(&value, key)?,
                mask: match mask.is_null() {
                    true => None,
                    false => Some(concatenated(&mask, key)?),
                },
            }),
            "parse_vset" => Ok(TransitionMatch::ValueSet {
                set: self.primitives.names.value_set(&value)?,
                mask: mask.opt_uint()?,
            }),
            other => Err(item.unsupported(format!("a transition of type {other:?}"))),
        }
    }
}

/// Turns a key of the JSON, where each part begins at a byte, into one without gaps.
fn concatenated(item: &Cursor, key: &[TransitionKey]) -> Read<BigUint> {
    let mut rest = item.uint()?;
    let mut result = BigUint::ZERO;
    let mut shift = 0u64;
    for part in key.iter().rev() {
        let part_mask = (BigUint::one() << part.width) - BigUint::one();
        result |= (&rest & &part_mask) << shift;
        rest >>= u64::from(part.width.div_ceil(8)) * 8;
        shift += u64::from(part.width);
    }
    if rest != BigUint::ZERO {
        return Err(item.invalid(format!(
            "the value is wider than the transition key of {shift} bits"
        )));
    }
    Ok(result)
}

/// Reads the one deparser.
pub(super) fn deparser(root: &Cursor, shapes: &Shapes, names: &Names) -> Read<Deparser> {
    let deparsers = root.get("deparsers").items()?;
    let item = match deparsers.as_slice() {
        [] => return Ok(Deparser::default()),
        [deparser] => deparser,
        [_, second, ..] => return Err(second.unsupported("a second deparser")),
    };
    let primitives = Primitives {
        exprs: Exprs::new(shapes),
        shapes,
        names,
    };
    for statement in item.get("primitives").items()? {
        let name = statement.get("op").str()?;
        // A deparser only reads headers: what these do ends with it.
        if !matches!(name, "set" | "log_msg" | "assert" | "assume") {
            primitives.read_all(&statement)?;
            return Err(statement.unsupported(format!("{name:?} in the deparser")));
        }
    }
    let order = item.get("order").items()?;
    Ok(Deparser {
        order: order
            .iter()
            .map(|name| packet_header(name, shapes))
            .collect::<Read<_>>()?,
    })
}
