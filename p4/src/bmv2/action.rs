//! Actions and their primitives.

use crate::ir::{
    Action, BinaryOp, CloneSource, Expr, FieldRef, HeaderId, HeaderKind, HeaderRef, LValue, Op,
    Param, SourceInfo,
};

use super::cursor::{Cursor, Read};
use super::expr::{Exprs, binary};
use super::objects::Names;
use super::shapes::Shapes;

/// The most bits of an action parameter.
const MAX_PARAM_BITS: u32 = 1 << 16;

/// Reads one action.
pub(super) fn read(item: &Cursor, shapes: &Shapes, names: &Names) -> Read<Action> {
    let mut params = Vec::new();
    for param in item.get("runtime_data").items()? {
        let width = param.get("bitwidth").u32()?;
        if width > MAX_PARAM_BITS {
            return Err(param.invalid(format!("a parameter has at most {MAX_PARAM_BITS} bits")));
        }
        params.push(Param {
            name: param.get("name").str()?.to_owned(),
            width,
        });
    }
    let reader = Primitives {
        exprs: Exprs::in_action(shapes, params.len() as u32),
        shapes,
        names,
    };
    Ok(Action {
        name: item.get("name").str()?.to_owned(),
        params,
        body: reader.body(&item.get("primitives"))?,
        source: item.source(),
    })
}

/// Reads primitives in one context.
pub(super) struct Primitives<'s> {
    pub(super) exprs: Exprs<'s>,
    pub(super) shapes: &'s Shapes,
    pub(super) names: &'s Names,
}

impl Primitives<'_> {
    /// Reads all primitives of an action. One may become several ops, so jumps are led to where
    /// their target has come to stand.
    fn body(&self, list: &Cursor) -> Read<Vec<(Op, SourceInfo)>> {
        let primitives = list.items()?;
        let mut body = Vec::new();
        let mut positions = Vec::new();
        let mut jumps = Vec::new();
        for primitive in &primitives {
            let start = body.len();
            positions.push(start as u32);
            let mut ops = self.read_all(primitive)?;
            if matches!(primitive.get("op").str()?, "_jump" | "_jump_if_zero") {
                jumps.push(start);
            } else {
                shift_jumps(&mut ops, start);
            }
            body.extend(ops.into_iter().map(|op| (op, primitive.source())));
        }
        positions.push(body.len() as u32);
        for jump in jumps {
            if let Op::Jump { to } | Op::JumpIfZero { to, .. } = &mut body[jump].0 {
                *to = *positions.get(*to as usize).ok_or_else(|| {
                    list.invalid(format!(
                        "a jump to {to} in an action of {} primitives",
                        primitives.len()
                    ))
                })?;
            }
        }
        Ok(body)
    }

    /// Reads one primitive as the ops that it stands for. A jump that the primitive is not itself
    /// is among them: its target counts from the first.
    pub(super) fn read_all(&self, item: &Cursor) -> Read<Vec<Op>> {
        let args = item.get("parameters");
        match item.get("op").str()? {
            "mark_to_drop" => self.mark_to_drop(&args.at(0).get("value")),
            "assign_header" | "copy_header" => {
                let target = self.exprs.header(&args.at(0))?;
                self.assign_header(&target, &args.at(1))
            }
            "no_op" => Ok(Vec::new()),
            _ => Ok(vec![self.read(item)?]),
        }
    }

    /// The source is a header, or `condition ? header : header`.
    fn assign_header(&self, target: &HeaderRef, item: &Cursor) -> Read<Vec<Op>> {
        let value = item.get("value");
        if item.get("type").value() == "expression" && value.get("op").is_null() {
            return self.assign_header(target, &value);
        }
        if value.get("op").value() != "?" {
            let source = self.exprs.header(item)?;
            if self.exprs.header_type(target) != self.exprs.header_type(&source) {
                return Err(item.invalid("the two headers have different types"));
            }
            return Ok(vec![Op::AssignHeader {
                target: target.clone(),
                source,
            }]);
        }
        let mut then = self.assign_header(target, &value.get("left"))?;
        let mut otherwise = self.assign_header(target, &value.get("right"))?;
        let from_otherwise = then.len() + 2;
        let end = from_otherwise + otherwise.len();
        shift_jumps(&mut then, 1);
        shift_jumps(&mut otherwise, from_otherwise);
        let mut ops = vec![Op::JumpIfZero {
            condition: self.exprs.value(&value.get("cond"))?,
            to: from_otherwise as u32,
        }];
        ops.extend(then);
        ops.push(Op::Jump { to: end as u32 });
        ops.extend(otherwise);
        Ok(ops)
    }

    /// The argument is the switch's own metadata, or a copy that is assigned back later.
    fn mark_to_drop(&self, name: &Cursor) -> Read<Vec<Op>> {
        let standard = self
            .shapes
            .field_named("standard_metadata", "egress_spec")
            .map(|f| f.header);
        if name.is_null() {
            return Ok(vec![Op::MarkToDrop]);
        }
        let header = self.shapes.header(name)?;
        if Some(header) == standard {
            return Ok(vec![Op::MarkToDrop]);
        }
        let declared = &self.shapes.headers[header.index()];
        let egress_spec = declared
            .field_index("egress_spec")
            .ok_or_else(|| name.unknown("field", format!("{}.egress_spec", declared.name)))?;
        let assign = |field: u32, value: u32| Op::Assign {
            target: LValue::Field(FieldRef { header, field }),
            value: Expr::Const(value.into()),
        };
        let mut ops = vec![assign(egress_spec, 511)];
        ops.extend(declared.field_index("mcast_grp").map(|f| assign(f, 0)));
        Ok(ops)
    }

    fn read(&self, item: &Cursor) -> Read<Op> {
        let name = item.get("op").str()?;
        let args = item.get("parameters");
        let arg = |i: usize| args.at(i);
        let value = |i: usize| self.exprs.value(&args.at(i));
        let header = |i: usize| self.exprs.header(&args.at(i));
        let target = |i: usize| self.exprs.lvalue(&args.at(i));
        if let Some(op) = self.arithmetic(name, &args)? {
            return Ok(op);
        }
        Ok(match name {
            "assign" | "modify_field" => Op::Assign {
                target: target(0)?,
                value: value(1)?,
            },
            "assign_VL" => Op::AssignVarbit {
                target: target(0)?,
                source: target(1)?,
            },
            "assign_header_stack" => {
                let (to, from) = (arg(0).get("value"), arg(1).get("value"));
                let (target, source) = (self.shapes.stack(&to)?, self.shapes.stack(&from)?);
                let stacks = &self.shapes.stacks;
                let (a, b) = (&stacks[target.index()], &stacks[source.index()]);
                if a.elements.len() != b.elements.len() || a.type_name != b.type_name {
                    return Err(item.invalid("the two header stacks have different types"));
                }
                Op::AssignStack { target, source }
            }
            "assign_union" => {
                let target = self.shapes.union(&arg(0).get("value"))?;
                let source = self.shapes.union(&arg(1).get("value"))?;
                if self.shapes.union_types(target) != self.shapes.union_types(source) {
                    return Err(item.invalid("the two header unions have different types"));
                }
                Op::AssignUnion { target, source }
            }
            "assign_union_stack" => {
                let target = self.shapes.union_stack(&arg(0).get("value"))?;
                let source = self.shapes.union_stack(&arg(1).get("value"))?;
                if self.shapes.union_stack_types(target) != self.shapes.union_stack_types(source) {
                    return Err(item.invalid("the two stacks of unions have different types"));
                }
                Op::AssignUnionStack { target, source }
            }
            "add_header" | "add_header_fast" => Op::SetValid(header(0)?),
            "remove_header" => Op::SetInvalid(header(0)?),
            "push" => Op::Push {
                stack: self.shapes.stack(&arg(0).get("value"))?,
                count: self.count(&args)?,
            },
            "pop" => Op::Pop {
                stack: self.shapes.stack(&arg(0).get("value"))?,
                count: self.count(&args)?,
            },
            "drop" => Op::MarkToDrop,
            "exit" => Op::Exit,
            "_jump" => Op::Jump {
                to: arg(0).get("value").u32()?,
            },
            "_jump_if_zero" => Op::JumpIfZero {
                condition: value(0)?,
                to: arg(1).get("value").u32()?,
            },
            "count" => Op::Count {
                counter: self.names.counter(&arg(0).get("value"))?,
                index: value(1)?,
            },
            "execute_meter" => Op::ExecuteMeter {
                meter: self.names.meter(&arg(0).get("value"))?,
                index: value(1)?,
                target: target(2)?,
            },
            "register_read" => Op::RegisterRead {
                target: target(0)?,
                register: self.names.register(&arg(1).get("value"))?,
                index: value(2)?,
            },
            "register_write" => Op::RegisterWrite {
                register: self.names.register(&arg(0).get("value"))?,
                index: value(1)?,
                value: value(2)?,
            },
            "modify_field_with_hash_based_offset" => Op::Hash {
                target: target(0)?,
                base: value(1)?,
                calculation: self.names.calculation(&arg(2).get("value"))?,
                max: value(3)?,
            },
            "modify_field_rng_uniform" => Op::Random {
                target: target(0)?,
                low: value(1)?,
                high: value(2)?,
            },
            "clone_ingress_pkt_to_egress" | "clone_egress_pkt_to_egress" => Op::Clone {
                source: if name == "clone_ingress_pkt_to_egress" {
                    CloneSource::Ingress
                } else {
                    CloneSource::Egress
                },
                session: value(0)?,
                fields: self.names.field_list(&arg(1).get("value"))?,
            },
            "resubmit" => Op::Resubmit {
                fields: self.names.field_list(&arg(0).get("value"))?,
            },
            "recirculate" => Op::Recirculate {
                fields: self.names.field_list(&arg(0).get("value"))?,
            },
            "generate_digest" => Op::Digest {
                list: self.names.learn_list(&arg(1).get("value"))?,
            },
            "truncate" => Op::Truncate { length: value(0)? },
            "log_msg" => self.log_message(&args)?,
            "assert" => Op::Assert {
                condition: value(0)?,
            },
            "assume" => Op::Assume {
                condition: value(0)?,
            },
            other => return Err(item.unsupported(format!("the primitive {other:?}"))),
        })
    }

    /// The primitives of P4-14 that compute: sugar for an assignment.
    fn arithmetic(&self, name: &str, args: &Cursor) -> Read<Option<Op>> {
        let (op, in_place) = match name {
            "add_to_field" => (BinaryOp::Add, true),
            "subtract_from_field" => (BinaryOp::Sub, true),
            "add" => (BinaryOp::Add, false),
            "subtract" => (BinaryOp::Sub, false),
            "bit_xor" => (BinaryOp::BitXor, false),
            "bit_or" => (BinaryOp::BitOr, false),
            "bit_and" => (BinaryOp::BitAnd, false),
            "shift_left" => (BinaryOp::Shl, false),
            "shift_right" => (BinaryOp::Shr, false),
            _ => return Ok(None),
        };
        let (left, right) = if in_place { (0, 1) } else { (1, 2) };
        let left = self.exprs.value(&args.at(left))?;
        let right = self.exprs.value(&args.at(right))?;
        Ok(Some(Op::Assign {
            target: self.exprs.lvalue(&args.at(0))?,
            value: binary(op, left, right),
        }))
    }

    fn count(&self, args: &Cursor) -> Read<u32> {
        args.at(1).get("value").u32()
    }

    fn log_message(&self, args: &Cursor) -> Read<Op> {
        let list = args.at(1).get("value");
        // p4c writes `{}` for no arguments.
        let values: Vec<Expr> = if list.value().is_object() {
            Vec::new()
        } else {
            let items = list.items()?;
            items
                .iter()
                .map(|v| self.exprs.value(v))
                .collect::<Read<_>>()?
        };
        Ok(Op::LogMessage {
            format: args.at(0).get("value").str()?.to_owned(),
            args: values,
        })
    }
}

/// Moves the targets of jumps by as many ops as have come to stand before them.
fn shift_jumps(ops: &mut [Op], by: usize) {
    for op in ops {
        if let Op::Jump { to } | Op::JumpIfZero { to, .. } = op {
            *to += by as u32;
        }
    }
}

/// A header that is on the wire.
pub(super) fn packet_header(name: &Cursor, shapes: &Shapes) -> Read<HeaderId> {
    let id = shapes.header(name)?;
    match shapes.headers[id.index()].kind {
        HeaderKind::Packet => Ok(id),
        HeaderKind::Metadata => Err(name.invalid("metadata is not on the wire")),
    }
}
