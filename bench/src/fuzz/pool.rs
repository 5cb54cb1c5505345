//! The values that a round draws from, so that packets and entries meet.
//!
//! For each width a handful: some that the program itself mentions, the ends of the range, and a
//! few random ones. Each class of places ([`super::classes`]) has still fewer. Entries, packets, registers and sets all take their values from here.

use std::collections::{BTreeSet, HashMap};

use num_bigint::{BigInt, BigUint};
use pointsman_p4::dataplane::Bits;
use pointsman_p4::ir::{
    ConstKey, Expr, HeaderRef, Key, KeySource, Op, ParserOp, Program, TransitionMatch,
};

use super::classes::{Classes, Place};
use super::random::Random;

/// Values of one width in a round.
const VALUES: usize = 7;
/// The width of a port, for which there are values of their own.
const PORT_BITS: u32 = 9;
/// Ports that most packets come in and leave by.
pub const PORTS: [u32; 5] = [0, 1, 2, 3, 4];

/// Values of a class of places in a round: few, so that tables with long keys are hit.
const CLASS_VALUES: usize = 4;

/// The values of a round.
#[derive(Debug)]
pub struct Pool<'p> {
    mentioned: Vec<Bits>,
    classes: Classes<'p>,
    by_class: HashMap<(Place, u32), Vec<Bits>>,
    by_width: HashMap<u32, Vec<Bits>>,
    cpu_port: u32,
}

impl<'p> Pool<'p> {
    /// An empty pool of a program; values come as they are asked for.
    pub fn new(program: &'p Program, cpu_port: u32) -> Pool<'p> {
        let mentioned = mentioned(program).into_iter();
        Pool {
            mentioned: mentioned.map(|value| Bits::from(&value)).collect(),
            classes: Classes::new(program),
            by_class: HashMap::new(),
            by_width: HashMap::new(),
            cpu_port,
        }
    }

    /// A value of a place, mostly one that its class shares.
    pub fn at(&mut self, random: &mut Random, place: Place, width: u32) -> Bits {
        if random.one_in(6) {
            return self.value(random, width);
        }
        let class = (self.classes.class(place), width);
        if !self.by_class.contains_key(&class) {
            let values = self.draw_class(random, class.0, width);
            self.by_class.insert(class, values);
        }
        let values = &self.by_class[&class];
        random.pick(values).cloned().unwrap_or_default()
    }

    /// A value that a table's key may look up.
    pub fn key(&mut self, random: &mut Random, key: &Key) -> Bits {
        let place = match &key.source {
            KeySource::Field(source) => self.classes.target(source),
            KeySource::Valid(_) | KeySource::UnionValid(_) => None,
        };
        match place {
            Some(place) => self.at(random, place, key.width),
            None => self.shared(random, key.width),
        }
    }

    fn draw_class(&mut self, random: &mut Random, class: Place, width: u32) -> Vec<Bits> {
        let own: Vec<Bits> = self
            .classes
            .numbers(class)
            .map(Bits::from)
            .filter(|value| value.bit_length() <= width)
            .collect();
        (0..CLASS_VALUES)
            .map(|_| match random.pick(&own) {
                Some(own) if !random.one_in(3) => own.clone(),
                _ => self.shared(random, width),
            })
            .collect()
    }

    /// A value of that width that others draw, too.
    pub fn shared(&mut self, random: &mut Random, width: u32) -> Bits {
        if !self.by_width.contains_key(&width) {
            let values = self.draw(random, width);
            self.by_width.insert(width, values);
        }
        let values = &self.by_width[&width];
        random.pick(values).cloned().unwrap_or_default()
    }

    /// A value of that width, now and then one that nobody else draws.
    pub fn value(&mut self, random: &mut Random, width: u32) -> Bits {
        if random.one_in(6) {
            any(random, width)
        } else {
            self.shared(random, width)
        }
    }

    fn draw(&self, random: &mut Random, width: u32) -> Vec<Bits> {
        let ones = Bits::ones(width);
        let fitting: Vec<&Bits> = self
            .mentioned
            .iter()
            .filter(|value| value.bit_length() <= width)
            .collect();
        let mut values: Vec<Bits> = (0..VALUES)
            .map(|_| match random.below(8) {
                0 => ones.clone(),
                1 => Bits::prefix_mask(1, width),
                2 => any(random, width),
                3 | 4 => Bits::from(random.below(4) as u64).and(&ones),
                _ => random
                    .pick(&fitting)
                    .map_or_else(|| any(random, width), |v| (*v).clone()),
            })
            .collect();
        if width == PORT_BITS {
            values.extend(PORTS.iter().map(|port| Bits::from(u64::from(*port))));
            values.push(Bits::from(u64::from(self.cpu_port)));
        }
        values
    }
}

/// Any number of that many bits.
pub fn any(random: &mut Random, width: u32) -> Bits {
    let bytes = random.bytes(width.div_ceil(8) as usize);
    Bits::from_be_bytes(&bytes).and(&Bits::ones(width))
}

/// The numbers in a program: what it compares with, selects by and assigns.
fn mentioned(program: &Program) -> Vec<BigUint> {
    let mut found = Mentioned::default();
    for state in &program.parser_states {
        for (op, _) in &state.ops {
            found.parser_op(op);
        }
        for transition in &state.transitions {
            if let TransitionMatch::Value { value, mask } = &transition.when {
                found.0.insert(value.clone());
                found.0.extend(mask.clone());
            }
        }
    }
    for (op, _) in program.actions.iter().flat_map(|action| &action.body) {
        found.op(op);
    }
    for conditional in &program.conditionals {
        found.expr(&conditional.condition);
    }
    for table in &program.tables {
        for key in table.entries.iter().flat_map(|entry| &entry.key) {
            match key {
                ConstKey::Exact(value) => found.0.extend([value.clone()]),
                ConstKey::Lpm { value, .. } => found.0.extend([value.clone()]),
                ConstKey::Ternary { value, mask } => found.0.extend([value.clone(), mask.clone()]),
                ConstKey::Range { low, high } => found.0.extend([low.clone(), high.clone()]),
            }
        }
    }
    found.0.into_iter().collect()
}

#[derive(Default)]
struct Mentioned(BTreeSet<BigUint>);

impl Mentioned {
    fn parser_op(&mut self, op: &ParserOp) {
        match op {
            ParserOp::Set { value, .. } => self.expr(value),
            ParserOp::Verify { condition, .. } => self.expr(condition),
            ParserOp::ExtractVarbit { length, .. } | ParserOp::Advance { length } => {
                self.expr(length);
            }
            ParserOp::Primitive(op) => self.op(op),
            _ => {}
        }
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Assign { value, .. } => self.expr(value),
            Op::JumpIfZero { condition, .. } => self.expr(condition),
            Op::RegisterWrite { index, value, .. } => {
                self.expr(index);
                self.expr(value);
            }
            Op::Clone { session, .. } => self.expr(session),
            _ => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Const(value) => self.number(value),
            Expr::FieldOf {
                header: HeaderRef::Element { index, .. },
                ..
            } => self.expr(index),
            Expr::Unary { arg, .. } => self.expr(arg),
            Expr::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            Expr::Conditional {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition);
                self.expr(then);
                self.expr(otherwise);
            }
            _ => {}
        }
    }

    /// The number itself and its neighbours, where comparisons turn.
    fn number(&mut self, value: &BigInt) {
        for near in [value - 1, value.clone(), value + 1] {
            self.0.extend(BigUint::try_from(near).ok());
        }
    }
}
