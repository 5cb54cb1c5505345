//! Types that controllers see as strings (`@p4runtime_translation` with `string`).
//!
//! P4Runtime leaves it to the switch which number a string stands for. A decimal number stands for
//! itself, so that ports are called what they are; any other string gets the highest number that is
//! free, for as long as the pipeline is loaded. The journal holds strings: after a restart they may
//! stand for other numbers, in all entries alike. Called by [`crate::p4runtime`] and by what splits
//! and joins the headers of controllers' packets.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use num_bigint::BigUint;
use pointsman_p4::dataplane::Bits;
use thiserror::Error;

/// Why a string stands for no number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StringError {
    /// Not text.
    #[error("it is not UTF-8 text, and the type is translated to strings")]
    NotText,
    /// No number is left.
    #[error("its {width} bits have no number left for another string")]
    Full {
        /// Bits of the type.
        width: u32,
    },
}

/// The strings of one type.
#[derive(Debug)]
pub struct Strings {
    width: u32,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<String, BigUint>,
    texts: HashMap<BigUint, String>,
}

impl Strings {
    /// A type of that many bits; no string stands for anything yet.
    pub fn new(width: u32) -> Strings {
        Strings {
            width,
            known: Mutex::default(),
        }
    }

    /// The number that a string stands for, from now on if it has none yet.
    pub fn number(&self, text: &[u8]) -> Result<Bits, StringError> {
        let text = std::str::from_utf8(text).map_err(|_| StringError::NotText)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.numbers.get(text) {
            return Ok(Bits::from(number));
        }
        let itself = decimal(text).filter(|number| {
            number.bits() <= u64::from(self.width) && !known.texts.contains_key(number)
        });
        let number = match itself {
            Some(number) => number,
            None => self.highest_free(&known)?,
        };
        known.texts.insert(number.clone(), text.to_owned());
        known.numbers.insert(text.to_owned(), number.clone());
        Ok(Bits::from(&number))
    }

    /// The string that stands for a number.
    pub fn text(&self, number: &Bits) -> String {
        let number = BigUint::from(number);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let text = known.texts.get(&number).cloned();
        text.unwrap_or_else(|| number.to_string())
    }

    fn highest_free(&self, known: &Known) -> Result<BigUint, StringError> {
        let mut next = BigUint::from(1u8) << self.width;
        while next != BigUint::ZERO {
            next -= 1u8;
            if !known.texts.contains_key(&next) {
                return Ok(next);
            }
        }
        Err(StringError::Full { width: self.width })
    }
}

/// A value as controllers see it: the shortest bytes, or the string that stands for it.
pub fn controller_bytes(value: &Bits, strings: Option<&Strings>) -> Vec<u8> {
    match strings {
        None => value.to_p4runtime(),
        Some(strings) => strings.text(value).into_bytes(),
    }
}

/// A number as it is written without signs, spaces and leading zeros.
fn decimal(text: &str) -> Option<BigUint> {
    let number: BigUint = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_decimal_number_stands_for_itself_and_a_name_for_the_highest_that_is_free() {
        let strings = Strings::new(4);
        assert_eq!(strings.number(b"14"), Ok(Bits::from(14)));
        assert_eq!(strings.number(b"nexthop-1"), Ok(Bits::from(15)));
        assert_eq!(strings.number(b"nexthop-2"), Ok(Bits::from(13)));
        assert_eq!(strings.number(b"nexthop-1"), Ok(Bits::from(15)));
        // The number itself is taken, or is none of the type.
        assert_eq!(strings.number(b"15"), Ok(Bits::from(12)));
        assert_eq!(strings.number(b"99"), Ok(Bits::from(11)));
        for (number, text) in [(15, "nexthop-1"), (12, "15"), (14, "14"), (3, "3")] {
            assert_eq!(strings.text(&Bits::from(number)), text);
        }
    }

    #[test]
    fn a_type_without_a_free_number_and_bytes_that_are_no_text_are_refused() {
        let strings = Strings::new(1);
        assert_eq!(strings.number(&[0xff]), Err(StringError::NotText));
        strings.number(b"a").unwrap();
        strings.number(b"b").unwrap();
        assert_eq!(strings.number(b"c"), Err(StringError::Full { width: 1 }));
    }
}
