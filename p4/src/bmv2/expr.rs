//! Expressions, and the places that values can be stored to.

use num_bigint::BigInt;

use crate::ir::{BinaryOp, Expr, Header, HeaderRef, LValue, StackId, UnaryOp};

use super::cursor::{Cursor, Read};
use super::shapes::{FieldName, Shapes};

/// Reads expressions in one context.
pub(super) struct Exprs<'s> {
    shapes: &'s Shapes,
    /// Parameters of the action around; 0 elsewhere.
    params: u32,
}

impl<'s> Exprs<'s> {
    /// Expressions outside actions.
    pub(super) fn new(shapes: &'s Shapes) -> Exprs<'s> {
        Exprs { shapes, params: 0 }
    }

    /// Expressions inside an action with that many parameters.
    pub(super) fn in_action(shapes: &'s Shapes, params: u32) -> Exprs<'s> {
        Exprs { shapes, params }
    }

    /// A typed value `{"type": .., "value": ..}`.
    pub(super) fn value(&self, item: &Cursor) -> Read<Expr> {
        let value = item.get("value");
        match item.get("type").str()? {
            // p4c wraps some expressions twice.
            "expression" if value.get("op").is_null() => self.value(&value),
            "expression" => self.operator(&value),
            "hexstr" => Ok(Expr::Const(value.int()?)),
            "bool" => Ok(Expr::Bool(value.bool_or_false()?)),
            // `stack[index].isValid()`, which p4c writes like the field of a named header.
            "field" if value.at(0).value().is_object() && value.at(1).value() == "$valid$" => {
                Ok(Expr::Valid(self.dereferenced(&value.at(0))?))
            }
            "field" => Ok(match self.shapes.field_name(&value)? {
                FieldName::Field(field) => Expr::Field(field),
                FieldName::Valid(header) => Expr::Valid(HeaderRef::Header(header)),
                FieldName::UnionValid(union) => Expr::UnionValid(union),
            }),
            "runtime_data" | "local" => {
                let index = value.u32()?;
                if index >= self.params {
                    return Err(value.invalid(format!(
                        "parameter {index} of an action with {}",
                        self.params
                    )));
                }
                Ok(Expr::Param(index))
            }
            "lookahead" => {
                let (offset, width) = (value.at(0).u32()?, value.at(1).u32()?);
                Ok(Expr::Lookahead { offset, width })
            }
            "stack_field" => {
                let (header, field) = self.stack_field(&value)?;
                Ok(Expr::FieldOf { header, field })
            }
            "union_stack_field" => {
                let (header, field) = self.union_stack_field(&value)?;
                Ok(Expr::FieldOf { header, field })
            }
            "register" => Err(item.unsupported("reading a register inside an expression")),
            other => Err(item.unsupported(format!("a value of type {other:?}"))),
        }
    }

    fn operator(&self, item: &Cursor) -> Read<Expr> {
        let op = item.get("op").str()?;
        let (left, right) = (item.get("left"), item.get("right"));
        if let Some(op) = binary_op(op) {
            if matches!(op, BinaryOp::Add | BinaryOp::Sub) && left.is_null() {
                let arg = self.value(&right)?;
                return Ok(match op {
                    BinaryOp::Sub => unary(UnaryOp::Negate, arg),
                    _ => arg,
                });
            }
            if let Some(equality) = self.aggregate_equality(op, &left, &right)? {
                return Ok(equality);
            }
            let (left, right) = (self.value(&left)?, self.value(&right)?);
            return Ok(binary(op, left, right));
        }
        match op {
            "==b" => Ok(binary(
                BinaryOp::Eq,
                self.value(&left)?,
                self.value(&right)?,
            )),
            "!=b" => Ok(binary(
                BinaryOp::Ne,
                self.value(&left)?,
                self.value(&right)?,
            )),
            "==h" | "!=h" => {
                let equal = Expr::HeaderEq(self.header(&left)?, self.header(&right)?);
                Ok(negate_if(op == "!=h", equal))
            }
            "==u" | "!=u" => {
                let equal = Expr::UnionEq(
                    self.shapes.union(&left.get("value"))?,
                    self.shapes.union(&right.get("value"))?,
                );
                Ok(negate_if(op == "!=u", equal))
            }
            "~" => Ok(unary(UnaryOp::BitNot, self.value(&right)?)),
            "not" => Ok(unary(UnaryOp::Not, self.value(&right)?)),
            "d2b" => Ok(unary(UnaryOp::ToBool, self.value(&right)?)),
            "b2d" => Ok(unary(UnaryOp::ToData, self.value(&right)?)),
            "?" => Ok(Expr::Conditional {
                condition: Box::new(self.value(&item.get("cond"))?),
                then: Box::new(self.value(&left)?),
                otherwise: Box::new(self.value(&right)?),
            }),
            "valid" => Ok(Expr::Valid(self.header(&right)?)),
            "valid_union" => Ok(Expr::UnionValid(self.shapes.union(&right.get("value"))?)),
            "size_stack" => self.stack_size(&right),
            "last_stack_index" => Ok(last_index(self.stack_size(&right)?)),
            "access_field" => self.access_field(item),
            other => Err(item.unsupported(format!("the operator {other:?}"))),
        }
    }

    /// `==` and `!=` on headers and unions, which the format writes like those on numbers.
    fn aggregate_equality(
        &self,
        op: BinaryOp,
        left: &Cursor,
        right: &Cursor,
    ) -> Read<Option<Expr>> {
        if !matches!(op, BinaryOp::Eq | BinaryOp::Ne) {
            return Ok(None);
        }
        let equal = if is_header(left) && is_header(right) {
            Expr::HeaderEq(self.header(left)?, self.header(right)?)
        } else if left.get("type").value() == "header_union" {
            Expr::UnionEq(
                self.shapes.union(&left.get("value"))?,
                self.shapes.union(&right.get("value"))?,
            )
        } else {
            return Ok(None);
        };
        Ok(Some(negate_if(op == BinaryOp::Ne, equal)))
    }

    /// A header: by name, by index of a stack, or the last or next of a stack.
    pub(super) fn header(&self, item: &Cursor) -> Read<HeaderRef> {
        let value = item.get("value");
        match item.get("type").str()? {
            "header" => Ok(HeaderRef::Header(self.shapes.header(&value)?)),
            "stack_field" => {
                let stack = self.shapes.stack(&value.at(0))?;
                match value.at(1).str()? {
                    "last" => Ok(HeaderRef::Last(stack)),
                    "next" => Ok(HeaderRef::Next(stack)),
                    other => Err(value.unknown("element of a header stack", other)),
                }
            }
            "expression" if value.get("op").is_null() => self.header(&value),
            "expression" => match value.get("op").str()? {
                "dereference_header_stack" => self.dereferenced(&value),
                "access_union_header" => self.union_header(&value),
                other => Err(value.unsupported(format!("{other:?} in place of a header"))),
            },
            other => Err(item.unsupported(format!("{other:?} in place of a header"))),
        }
    }

    /// `stack[index]`
    fn dereferenced(&self, item: &Cursor) -> Read<HeaderRef> {
        let stack = self.shapes.stack(&item.get("left").get("value"))?;
        let index = Box::new(self.value(&item.get("right"))?);
        Ok(HeaderRef::Element { stack, index })
    }

    fn union_header(&self, item: &Cursor) -> Read<HeaderRef> {
        let member = item.get("right").u32()?;
        let left = item.get("left");
        if left.get("type").str()? == "header_union" {
            let union = self.shapes.union(&left.get("value"))?;
            let header = self.shapes.unions[union.index()]
                .members
                .get(member as usize)
                .ok_or_else(|| item.unknown("member of the union", member))?;
            return Ok(HeaderRef::Header(*header));
        }
        let deref = left.get("value");
        if deref.get("op").value() != "dereference_union_stack" {
            return Err(left.unsupported("this expression in place of a header union"));
        }
        let stack = self.shapes.union_stack(&deref.get("left").get("value"))?;
        self.shapes
            .union_member(stack, member)
            .ok_or_else(|| item.unknown("member of the union", member))?;
        let index = Box::new(self.value(&deref.get("right"))?);
        Ok(HeaderRef::UnionElement {
            stack,
            index,
            member,
        })
    }

    fn access_field(&self, item: &Cursor) -> Read<Expr> {
        let header = self.header(&item.get("left"))?;
        let field = item.get("right").u32()?;
        let fields = self.field_count(&header);
        // BMv2 keeps `$valid$` as a hidden last field.
        if field == fields {
            return Ok(Expr::Valid(header));
        }
        if field > fields {
            return Err(item.unknown("field", field));
        }
        Ok(Expr::FieldOf { header, field })
    }

    /// The declaration of a header; none for an element of a stack that has none.
    fn declaration(&self, header: &HeaderRef) -> Option<&Header> {
        match header {
            HeaderRef::Header(id) => Some(&self.shapes.headers[id.index()]),
            HeaderRef::Element { stack, .. } | HeaderRef::Next(stack) | HeaderRef::Last(stack) => {
                self.shapes.element(*stack)
            }
            HeaderRef::UnionElement { stack, member, .. } => {
                self.shapes.union_member(*stack, *member)
            }
        }
    }

    /// The type of a header; none for an element of a stack that has none.
    pub(super) fn header_type(&self, header: &HeaderRef) -> Option<&str> {
        self.declaration(header).map(|h| h.type_name.as_str())
    }

    fn field_count(&self, header: &HeaderRef) -> u32 {
        self.declaration(header)
            .map_or(0, |h| h.fields.len() as u32)
    }

    /// `[stack, field]`: a field of the element filled last.
    fn stack_field(&self, pair: &Cursor) -> Read<(HeaderRef, u32)> {
        let stack: StackId = self.shapes.stack(&pair.at(0))?;
        let name = pair.at(1).str()?;
        let field = self
            .shapes
            .element(stack)
            .and_then(|h| h.field_index(name))
            .ok_or_else(|| pair.unknown("field", name))?;
        Ok((HeaderRef::Last(stack), field))
    }

    /// `[union stack, member, field]`: a field of a member of the union filled last.
    fn union_stack_field(&self, triple: &Cursor) -> Read<(HeaderRef, u32)> {
        let stack = self.shapes.union_stack(&triple.at(0))?;
        let (member_name, field_name) = (triple.at(1).str()?, triple.at(2).str()?);
        let member = self
            .shapes
            .union_member_index(stack, member_name)
            .ok_or_else(|| triple.unknown("member of the union", member_name))?;
        let field = self
            .shapes
            .union_member(stack, member)
            .and_then(|h| h.field_index(field_name))
            .ok_or_else(|| triple.unknown("field", field_name))?;
        let index = Box::new(last_index(Expr::UnionStackSize(stack)));
        let header = HeaderRef::UnionElement {
            stack,
            index,
            member,
        };
        Ok((header, field))
    }

    /// How many elements of a stack of headers or unions are filled.
    fn stack_size(&self, item: &Cursor) -> Read<Expr> {
        let name = item.get("value");
        Ok(match item.get("type").str()? {
            "header_union_stack" => Expr::UnionStackSize(self.shapes.union_stack(&name)?),
            _ => Expr::StackSize(self.shapes.stack(&name)?),
        })
    }

    /// A place to store to.
    pub(super) fn lvalue(&self, item: &Cursor) -> Read<LValue> {
        match self.value(item)? {
            Expr::Field(field) => Ok(LValue::Field(field)),
            Expr::FieldOf { header, field } => Ok(LValue::FieldOf { header, field }),
            _ => Err(item.invalid("this is not a field that can be stored to")),
        }
    }

    /// Bits of a place or of a value whose width is known.
    pub(super) fn width(&self, expr: &Expr) -> Option<u32> {
        match expr {
            Expr::Field(field) => Some(self.shapes.width(*field)),
            Expr::FieldOf { header, field } => {
                let fields = &self.declaration(header)?.fields;
                fields.get(*field as usize).map(|f| f.width)
            }
            Expr::Lookahead { width, .. } => Some(*width),
            Expr::Valid(_) | Expr::UnionValid(_) | Expr::Bool(_) => Some(1),
            _ => None,
        }
    }
}

fn last_index(size: Expr) -> Expr {
    binary(BinaryOp::Sub, size, Expr::Const(BigInt::from(1)))
}

fn is_header(item: &Cursor) -> bool {
    let value = item.get("value");
    match item.get("type").value().as_str() {
        Some("header") => true,
        Some("expression") if value.get("op").is_null() => is_header(&value),
        Some("expression") => matches!(
            value.get("op").value().as_str(),
            Some("dereference_header_stack" | "access_union_header")
        ),
        _ => false,
    }
}

fn unary(op: UnaryOp, arg: Expr) -> Expr {
    Expr::Unary {
        op,
        arg: Box::new(arg),
    }
}

/// An operator on two operands.
pub(super) fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary {
        op,
        left: Box::new(left),
        right: Box::new(right),
    }
}

fn negate_if(negate: bool, expr: Expr) -> Expr {
    if negate {
        unary(UnaryOp::Not, expr)
    } else {
        expr
    }
}

fn binary_op(op: &str) -> Option<BinaryOp> {
    Some(match op {
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Sub,
        "*" => BinaryOp::Mul,
        "/" => BinaryOp::Div,
        "%" => BinaryOp::Mod,
        "<<" => BinaryOp::Shl,
        ">>" => BinaryOp::Shr,
        "&" => BinaryOp::BitAnd,
        "|" => BinaryOp::BitOr,
        "^" => BinaryOp::BitXor,
        "==" => BinaryOp::Eq,
        "!=" => BinaryOp::Ne,
        "<" => BinaryOp::Lt,
        "<=" => BinaryOp::Le,
        ">" => BinaryOp::Gt,
        ">=" => BinaryOp::Ge,
        "and" => BinaryOp::And,
        "or" => BinaryOp::Or,
        "two_comp_mod" => BinaryOp::TwoComplement,
        "sat_cast" => BinaryOp::SaturateSigned,
        "usat_cast" => BinaryOp::SaturateUnsigned,
        _ => return None,
    })
}
