//! Expressions and places as text.

use num_bigint::{BigInt, BigUint};

use crate::ir::{BinaryOp, Expr, HeaderRef, LValue, Program, StackId, UnaryOp, UnionId};

/// What names in an expression mean.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) program: &'a Program,
    /// Names of the arguments of the action around it.
    pub(super) params: &'a [crate::ir::Param],
}

impl<'a> Scope<'a> {
    /// Outside of actions.
    pub(super) fn global(program: &'a Program) -> Scope<'a> {
        Scope {
            program,
            params: &[],
        }
    }

    pub(super) fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Const(value) => number(value),
            Expr::Bool(value) => value.to_string(),
            Expr::Field(field) => self.program.field_name(*field),
            Expr::FieldOf { header, field } => self.field_of(header, *field),
            Expr::Valid(header) => format!("{}.isValid()", self.header(header)),
            Expr::UnionValid(union) => format!("{}.isValid()", self.union(*union)),
            Expr::Param(index) => match self.params.get(*index as usize) {
                Some(param) => param.name.clone(),
                None => format!("argument {index}"),
            },
            Expr::Lookahead { offset, width } if *offset == 0 => {
                format!("lookahead<bit<{width}>>()")
            }
            Expr::Lookahead { offset, width } => {
                format!(
                    "lookahead<bit<{}>>()[{}:{offset}]",
                    offset + width,
                    offset + width - 1
                )
            }
            Expr::StackSize(stack) => format!("{}.nextIndex", self.stack(*stack)),
            Expr::UnionStackSize(stack) => {
                let name = &self.program.union_stacks[stack.index()].name;
                format!("{name}.nextIndex")
            }
            Expr::Unary { op, arg } => self.unary(*op, arg),
            Expr::Binary { op, left, right } => self.binary(*op, left, right),
            Expr::Conditional {
                condition,
                then,
                otherwise,
            } => format!(
                "{} ? {} : {}",
                self.operand(condition),
                self.operand(then),
                self.operand(otherwise)
            ),
            Expr::HeaderEq(left, right) => {
                format!("{} == {}", self.header(left), self.header(right))
            }
            Expr::UnionEq(left, right) => {
                format!("{} == {}", self.union(*left), self.union(*right))
            }
        }
    }

    fn unary(&self, op: UnaryOp, arg: &Expr) -> String {
        match op {
            UnaryOp::Negate => format!("-{}", self.operand(arg)),
            UnaryOp::BitNot => format!("~{}", self.operand(arg)),
            UnaryOp::Not => format!("!{}", self.operand(arg)),
            UnaryOp::ToBool => match arg {
                // Validity is a truth value already.
                Expr::Valid(_) | Expr::UnionValid(_) => self.expr(arg),
                arg => format!("(bool){}", self.operand(arg)),
            },
            UnaryOp::ToData => format!("(bit<1>){}", self.operand(arg)),
        }
    }

    fn binary(&self, op: BinaryOp, left: &Expr, right: &Expr) -> String {
        let cut = |name: &str| format!("{name}<{}>({})", self.expr(right), self.expr(left));
        let sign = match op {
            BinaryOp::TwoComplement => return cut("int"),
            BinaryOp::SaturateSigned => return cut("saturate_int"),
            BinaryOp::SaturateUnsigned => return cut("saturate_bit"),
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
            BinaryOp::BitAnd => "&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::And => "&&",
            BinaryOp::Or => "||",
        };
        format!("{} {sign} {}", self.operand(left), self.operand(right))
    }

    /// An expression inside another one.
    fn operand(&self, expr: &Expr) -> String {
        let text = self.expr(expr);
        let is_compound = match expr {
            Expr::Binary { op, .. } => !matches!(
                op,
                BinaryOp::TwoComplement | BinaryOp::SaturateSigned | BinaryOp::SaturateUnsigned
            ),
            Expr::Conditional { .. } | Expr::HeaderEq(..) | Expr::UnionEq(..) => true,
            _ => false,
        };
        if is_compound {
            format!("({text})")
        } else {
            text
        }
    }

    pub(super) fn place(&self, place: &LValue) -> String {
        match place {
            LValue::Field(field) => self.program.field_name(*field),
            LValue::FieldOf { header, field } => self.field_of(header, *field),
        }
    }

    pub(super) fn header(&self, header: &HeaderRef) -> String {
        match header {
            HeaderRef::Header(id) => self.program.headers[id.index()].name.clone(),
            HeaderRef::Element { stack, index } => {
                format!("{}[{}]", self.stack(*stack), self.expr(index))
            }
            HeaderRef::Next(stack) => format!("{}.next", self.stack(*stack)),
            HeaderRef::Last(stack) => format!("{}.last", self.stack(*stack)),
            HeaderRef::UnionElement {
                stack,
                index,
                member,
            } => {
                let stack = &self.program.union_stacks[stack.index()];
                format!("{}[{}].{member}", stack.name, self.expr(index))
            }
        }
    }

    fn field_of(&self, header: &HeaderRef, field: u32) -> String {
        let program = self.program;
        let example = match header {
            HeaderRef::Header(id) => Some(*id),
            HeaderRef::Element { stack, .. } | HeaderRef::Next(stack) | HeaderRef::Last(stack) => {
                program.stacks[stack.index()].elements.first().copied()
            }
            HeaderRef::UnionElement { stack, member, .. } => {
                let union = program.union_stacks[stack.index()].elements.first();
                union.and_then(|u| {
                    let members = &program.unions[u.index()].members;
                    members.get(*member as usize).copied()
                })
            }
        };
        let name = example
            .and_then(|id| program.headers[id.index()].fields.get(field as usize))
            .map_or_else(|| field.to_string(), |f| f.name.clone());
        format!("{}.{name}", self.header(header))
    }

    pub(super) fn stack(&self, stack: StackId) -> &'a str {
        &self.program.stacks[stack.index()].name
    }

    pub(super) fn union(&self, union: UnionId) -> &'a str {
        &self.program.unions[union.index()].name
    }
}

/// Small numbers as people count, others as they are written in protocols.
pub(super) fn number(value: &BigInt) -> String {
    if value.bits() <= 8 {
        value.to_string()
    } else {
        format!("{value:#x}")
    }
}

/// The same of a number that has no sign.
pub(super) fn unsigned(value: &BigUint) -> String {
    number(&BigInt::from(value.clone()))
}
