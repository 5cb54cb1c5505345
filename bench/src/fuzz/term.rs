//! What an expression of the parser says about the bits of the packet being made.
//!
//! The walk through the parser ([`super::packet`]) turns each select key into a term over places in the
//! packet. A term can be evaluated, and *solved*: bits are written so that it gets a value. Solving
//! does its best on what p4c emits (slices, concatenations, casts); a term that it does not
//! understand keeps the value that it has.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, ToPrimitive, Zero};
use pointsman_p4::ir::{BinaryOp, UnaryOp};

/// Longest shift that is computed.
const MAX_SHIFT: u32 = 1 << 12;

/// A computation over bits of the packet.
#[derive(Debug, Clone)]
pub enum Term {
    /// Bits of the packet.
    Bits {
        /// From the start of the packet.
        at: usize,
        /// How many.
        width: u32,
    },
    /// A number; also a boolean.
    Const(BigInt),
    /// Cut to this many bits.
    Cut(Box<Term>, u32),
    /// An operator on one operand.
    Unary(UnaryOp, Box<Term>),
    /// An operator on two.
    Binary(BinaryOp, Box<Term>, Box<Term>),
    /// What does not come from the packet, or is not understood.
    Unknown,
}

impl Term {
    /// The value, if it is known.
    pub fn value(&self, packet: &[u8]) -> Option<BigInt> {
        Some(match self {
            Term::Bits { at, width } => BigInt::from(read(packet, *at, *width)),
            Term::Const(value) => value.clone(),
            Term::Cut(term, width) => term.value(packet)? & ones(*width),
            Term::Unary(op, term) => {
                let value = term.value(packet)?;
                match op {
                    UnaryOp::Negate => -value,
                    UnaryOp::BitNot => !value,
                    UnaryOp::Not => BigInt::from(u8::from(value.is_zero())),
                    UnaryOp::ToBool => BigInt::from(u8::from(!value.is_zero())),
                    UnaryOp::ToData => value,
                }
            }
            Term::Binary(op, left, right) => {
                binary(*op, left.value(packet)?, right.value(packet)?)?
            }
            Term::Unknown => return None,
        })
    }

    /// Writes bits so that the term is `want` where `mask` is set.
    pub fn solve(&self, want: &BigUint, mask: &BigUint, packet: &mut [u8]) {
        match self {
            Term::Bits { at, width } => write(packet, *at, *width, want, mask),
            Term::Cut(term, width) => {
                let mask = mask & ((BigUint::one() << *width) - BigUint::one());
                term.solve(want, &mask, packet);
            }
            Term::Unary(UnaryOp::ToData | UnaryOp::ToBool, term) => term.solve(want, mask, packet),
            Term::Unary(UnaryOp::Not, term) => {
                term.require(want.is_zero(), packet);
            }
            Term::Binary(op, left, right) => solve_binary(*op, left, right, want, mask, packet),
            Term::Const(_) | Term::Unary(..) | Term::Unknown => {}
        }
    }

    /// Writes bits so that the condition has this truth value, where it is clear how.
    pub fn require(&self, truth: bool, packet: &mut [u8]) {
        match self {
            Term::Unary(UnaryOp::Not, term) => term.require(!truth, packet),
            Term::Binary(BinaryOp::And, left, right) if truth => {
                left.require(true, packet);
                right.require(true, packet);
            }
            Term::Binary(BinaryOp::Or, left, right) if !truth => {
                left.require(false, packet);
                right.require(false, packet);
            }
            Term::Binary(BinaryOp::And | BinaryOp::Or, left, _) => left.require(truth, packet),
            Term::Binary(op, left, right) => {
                let equal = match op {
                    BinaryOp::Eq | BinaryOp::Le | BinaryOp::Ge => truth,
                    BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Gt => !truth,
                    _ => return,
                };
                let Some(value) = right.value(packet).filter(|_| equal) else {
                    return;
                };
                if let Ok(value) = BigUint::try_from(value) {
                    let mask = (BigUint::one() << value.bits().max(64)) - BigUint::one();
                    left.solve(&value, &mask, packet);
                }
            }
            other => {
                let value = BigUint::from(u8::from(truth));
                other.solve(&value, &BigUint::one(), packet);
            }
        }
    }

    /// The places in the packet that the term looks at.
    pub fn places(&self, into: &mut Vec<(usize, u32)>) {
        match self {
            Term::Bits { at, width } => into.push((*at, *width)),
            Term::Cut(term, _) | Term::Unary(_, term) => term.places(into),
            Term::Binary(_, left, right) => {
                left.places(into);
                right.places(into);
            }
            Term::Const(_) | Term::Unknown => {}
        }
    }
}

fn solve_binary(
    op: BinaryOp,
    left: &Term,
    right: &Term,
    want: &BigUint,
    mask: &BigUint,
    packet: &mut [u8],
) {
    let number = |term: &Term, packet: &[u8]| {
        let value = term.value(packet)?;
        BigUint::try_from(value).ok()
    };
    let is_const = |term: &Term| matches!(term, Term::Const(_));
    match op {
        BinaryOp::BitAnd if is_const(right) => {
            let bits = number(right, packet).unwrap_or_default();
            left.solve(want, &(mask & bits), packet);
        }
        BinaryOp::BitAnd if is_const(left) => solve_binary(op, right, left, want, mask, packet),
        BinaryOp::Shr | BinaryOp::Shl if is_const(right) => {
            let by = number(right, packet).and_then(|n| n.to_u32());
            let Some(by) = by.filter(|by| *by <= MAX_SHIFT) else {
                return;
            };
            if op == BinaryOp::Shr {
                left.solve(&(want << by), &(mask << by), packet);
            } else {
                left.solve(&(want >> by), &(mask >> by), packet);
            }
        }
        // p4c writes a concatenation as (a << n) | b, with b cut to n bits.
        BinaryOp::BitOr => {
            left.solve(want, mask, packet);
            right.solve(want, mask, packet);
        }
        BinaryOp::Add if is_const(right) => {
            let added = number(right, packet).unwrap_or_default();
            if *want >= added {
                left.solve(&(want - added), mask, packet);
            }
        }
        BinaryOp::Sub if is_const(right) => {
            let taken = number(right, packet).unwrap_or_default();
            left.solve(&(want + taken), mask, packet);
        }
        BinaryOp::TwoComplement => left.solve(want, mask, packet),
        BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Le | BinaryOp::Ge | BinaryOp::Lt | BinaryOp::Gt => {
            let term = Term::Binary(op, Box::new(left.clone()), Box::new(right.clone()));
            term.require(!want.is_zero(), packet);
        }
        _ => {}
    }
}

fn binary(op: BinaryOp, left: BigInt, right: BigInt) -> Option<BigInt> {
    let truth = |value: bool| BigInt::from(u8::from(value));
    let shift = |by: &BigInt| by.to_u32().filter(|by| *by <= MAX_SHIFT);
    Some(match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Shl => left << shift(&right)?,
        BinaryOp::Shr => left >> shift(&right)?,
        BinaryOp::BitAnd => left & right,
        BinaryOp::BitOr => left | right,
        BinaryOp::BitXor => left ^ right,
        BinaryOp::Eq => truth(left == right),
        BinaryOp::Ne => truth(left != right),
        BinaryOp::Lt => truth(left < right),
        BinaryOp::Le => truth(left <= right),
        BinaryOp::Gt => truth(left > right),
        BinaryOp::Ge => truth(left >= right),
        BinaryOp::And => truth(!left.is_zero() && !right.is_zero()),
        BinaryOp::Or => truth(!left.is_zero() || !right.is_zero()),
        BinaryOp::TwoComplement => {
            let width = shift(&right).filter(|width| *width > 0)?;
            let cut = left & ones(width);
            if cut.bit(u64::from(width) - 1) {
                cut - (BigInt::one() << width)
            } else {
                cut
            }
        }
        _ => return None,
    })
}

fn ones(width: u32) -> BigInt {
    (BigInt::one() << width) - BigInt::one()
}

/// Bits of a packet as a number; those beyond its end are 0.
pub fn read(packet: &[u8], at: usize, width: u32) -> BigUint {
    let mut value = BigUint::zero();
    for bit in 0..width as usize {
        let byte = packet.get((at + bit) / 8).copied().unwrap_or(0);
        let set = byte >> (7 - (at + bit) % 8) & 1 == 1;
        value.set_bit(u64::from(width) - 1 - bit as u64, set);
    }
    value
}

/// Writes those bits of a number that a mask has to a place of a packet.
pub fn write(packet: &mut [u8], at: usize, width: u32, value: &BigUint, mask: &BigUint) {
    for bit in 0..width as usize {
        let place = u64::from(width) - 1 - bit as u64;
        let Some(byte) = packet.get_mut((at + bit) / 8).filter(|_| mask.bit(place)) else {
            continue;
        };
        let flag = 0x80 >> ((at + bit) % 8);
        *byte = if value.bit(place) {
            *byte | flag
        } else {
            *byte & !flag
        };
    }
}

/// A number that an expression gives where bits or bytes are counted.
pub fn as_count(value: &BigInt) -> Option<usize> {
    (value.sign() != Sign::Minus)
        .then(|| value.to_usize())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_concatenations_are_solved() {
        // ((p[0:8] >> 2) & 7) and (p[8:12] << 4) | p[12:16].
        let slice = Term::Binary(
            BinaryOp::BitAnd,
            Box::new(Term::Binary(
                BinaryOp::Shr,
                Box::new(Term::Bits { at: 0, width: 8 }),
                Box::new(Term::Const(2.into())),
            )),
            Box::new(Term::Const(7.into())),
        );
        let joined = Term::Binary(
            BinaryOp::BitOr,
            Box::new(Term::Binary(
                BinaryOp::Shl,
                Box::new(Term::Bits { at: 8, width: 4 }),
                Box::new(Term::Const(4.into())),
            )),
            Box::new(Term::Bits { at: 12, width: 4 }),
        );
        let mut packet = [0xff, 0];
        slice.solve(&5u8.into(), &0xffu8.into(), &mut packet);
        joined.solve(&0xa7u8.into(), &0xffu8.into(), &mut packet);
        assert_eq!(packet, [0xf7, 0xa7]);
        assert_eq!(slice.value(&packet), Some(5.into()));
        assert_eq!(joined.value(&packet), Some(0xa7.into()));
    }

    #[test]
    fn conditions_are_made_true() {
        let is_five = Term::Binary(
            BinaryOp::Eq,
            Box::new(Term::Bits { at: 4, width: 4 }),
            Box::new(Term::Const(5.into())),
        );
        let mut packet = [0x40];
        is_five.require(true, &mut packet);
        assert_eq!(packet, [0x45]);
    }
}
