//! Which places of a program hold the same values.
//!
//! A field that is copied to another one, and a parameter that is assigned to a field, are of one class, and with
//! them all keys that look at them: an argument that one table writes is what the next one matches.
//! Numbers that a program compares a class with, or assigns to it, belong to the class.

use std::collections::{BTreeSet, HashMap};

use num_bigint::{BigInt, BigUint};
use num_traits::One;
use pointsman_p4::ir::{
    ActionId, BinaryOp, ConstKey, Expr, FieldRef, HeaderId, HeaderRef, KeySource, LValue, Op,
    ParserOp, Program, TransitionMatch,
};

/// A place that holds values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A field.
    Field(FieldRef),
    /// A parameter of an action.
    Param(ActionId, u32),
}

/// The classes of a program.
#[derive(Debug)]
pub struct Classes<'p> {
    program: &'p Program,
    /// Towards the place that stands for the class.
    parents: HashMap<Place, Place>,
    numbers: HashMap<Place, BTreeSet<BigUint>>,
}

impl<'p> Classes<'p> {
    /// Finds the classes.
    pub fn new(program: &'p Program) -> Classes<'p> {
        let mut classes = Classes {
            program,
            parents: HashMap::new(),
            numbers: HashMap::new(),
        };
        classes.stacks();
        classes.parser();
        for (index, action) in program.actions.iter().enumerate() {
            for (op, _) in &action.body {
                classes.op(op, Some(ActionId(index as u32)));
            }
        }
        for conditional in &program.conditionals {
            classes.compared(&conditional.condition, None);
        }
        classes.entries();
        classes
    }

    /// The place that stands for the class of a place.
    pub fn class(&self, place: Place) -> Place {
        let mut at = place;
        while let Some(parent) = self.parents.get(&at) {
            at = *parent;
        }
        at
    }

    /// The numbers of a class, as [`class`](Classes::class) names it.
    pub fn numbers(&self, class: Place) -> impl Iterator<Item = &BigUint> {
        self.numbers.get(&class).into_iter().flatten()
    }

    fn link(&mut self, a: Place, b: Place) {
        let (a, b) = (self.class(a), self.class(b));
        if a != b {
            let numbers = self.numbers.remove(&a).unwrap_or_default();
            self.numbers.entry(b).or_default().extend(numbers);
            self.parents.insert(a, b);
        }
    }

    fn number(&mut self, place: Place, value: &BigInt) {
        let class = self.class(place);
        let numbers = self.numbers.entry(class).or_default();
        numbers.extend(BigUint::try_from(value.clone()).ok());
    }

    fn headers(&mut self, a: HeaderId, b: HeaderId) {
        for field in 0..self.program.headers[a.index()].fields.len() as u32 {
            let place = |header| Place::Field(FieldRef { header, field });
            self.link(place(a), place(b));
        }
    }

    /// The elements of a stack are interchangeable.
    fn stacks(&mut self) {
        for stack in &self.program.stacks {
            for pair in stack.elements.windows(2) {
                self.headers(pair[0], pair[1]);
            }
        }
    }

    fn parser(&mut self) {
        for state in &self.program.parser_states {
            for (op, _) in &state.ops {
                match op {
                    ParserOp::Set { target, value } => self.assigned(target, value, None),
                    ParserOp::Verify { condition, .. } => self.compared(condition, None),
                    ParserOp::Primitive(op) => self.op(op, None),
                    _ => {}
                }
            }
            for transition in &state.transitions {
                let TransitionMatch::Value { value, .. } = &transition.when else {
                    continue;
                };
                let mut below = 0;
                for part in state.key.iter().rev() {
                    let ones = (BigUint::one() << part.width) - BigUint::one();
                    if let Some(place) = self.place(&part.value, None) {
                        self.number(place, &BigInt::from((value >> below) & ones));
                    }
                    below += part.width;
                }
            }
        }
    }

    fn entries(&mut self) {
        for table in &self.program.tables {
            for entry in &table.entries {
                for (key, part) in table.key.iter().zip(&entry.key) {
                    let KeySource::Field(source) = &key.source else {
                        continue;
                    };
                    let (ConstKey::Exact(value)
                    | ConstKey::Lpm { value, .. }
                    | ConstKey::Ternary { value, .. }
                    | ConstKey::Range { low: value, .. }) = part;
                    if let Some(place) = self.target(source) {
                        self.number(place, &BigInt::from(value.clone()));
                    }
                }
            }
        }
    }

    fn op(&mut self, op: &Op, action: Option<ActionId>) {
        match op {
            Op::Assign { target, value } => self.assigned(target, value, action),
            Op::AssignHeader { target, source } => {
                if let (Some(target), Some(source)) = (self.header(target), self.header(source)) {
                    self.headers(target, source);
                }
            }
            Op::JumpIfZero { condition, .. } => self.compared(condition, action),
            _ => {}
        }
    }

    fn assigned(&mut self, target: &LValue, value: &Expr, action: Option<ActionId>) {
        let Some(target) = self.target(target) else {
            return;
        };
        match value {
            Expr::Const(value) => self.number(target, value),
            value => {
                self.compared(value, action);
                if let Some(source) = self.place(value, action) {
                    self.link(target, source);
                }
            }
        }
    }

    /// Numbers that places are compared with somewhere in an expression.
    fn compared(&mut self, expr: &Expr, action: Option<ActionId>) {
        match expr {
            Expr::Binary { op, left, right } => {
                let is_comparison = matches!(
                    op,
                    BinaryOp::Eq
                        | BinaryOp::Ne
                        | BinaryOp::Lt
                        | BinaryOp::Le
                        | BinaryOp::Gt
                        | BinaryOp::Ge
                );
                match (self.place(left, action), right.as_ref()) {
                    (Some(place), Expr::Const(value)) if is_comparison => {
                        self.number(place, value);
                    }
                    _ => {
                        self.compared(left, action);
                        self.compared(right, action);
                    }
                }
            }
            Expr::Unary { arg, .. } => self.compared(arg, action),
            Expr::Conditional {
                condition,
                then,
                otherwise,
            } => {
                self.compared(condition, action);
                self.compared(then, action);
                self.compared(otherwise, action);
            }
            _ => {}
        }
    }

    /// The place that an expression is the value of, a cut or a cast apart.
    fn place(&self, expr: &Expr, action: Option<ActionId>) -> Option<Place> {
        match expr {
            Expr::Field(field) => Some(Place::Field(*field)),
            Expr::FieldOf { header, field } => self.field_of(header, *field),
            Expr::Param(index) => Some(Place::Param(action?, *index)),
            Expr::Unary { arg, .. } => self.place(arg, action),
            Expr::Binary {
                op: BinaryOp::BitAnd | BinaryOp::TwoComplement,
                left,
                right,
            } if matches!(**right, Expr::Const(_)) => self.place(left, action),
            _ => None,
        }
    }

    /// The class of what a key looks at, or what is assigned.
    pub fn target(&self, target: &LValue) -> Option<Place> {
        match target {
            LValue::Field(field) => Some(Place::Field(*field)),
            LValue::FieldOf { header, field } => self.field_of(header, *field),
        }
    }

    fn field_of(&self, header: &HeaderRef, field: u32) -> Option<Place> {
        let header = self.header(header)?;
        Some(Place::Field(FieldRef { header, field }))
    }

    /// The header, or the first one of its stack.
    fn header(&self, header: &HeaderRef) -> Option<HeaderId> {
        match header {
            HeaderRef::Header(id) => Some(*id),
            HeaderRef::Element { stack, .. } | HeaderRef::Next(stack) | HeaderRef::Last(stack) => {
                let stack = &self.program.stacks[stack.index()];
                stack.elements.first().copied()
            }
            HeaderRef::UnionElement { .. } => None,
        }
    }
}
