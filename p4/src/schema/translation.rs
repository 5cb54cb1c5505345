//! Types that controllers see differently from programs (`@p4runtime_translation`).
//!
//! P4Runtime leaves it to the switch which value of the program stands for which of controllers
//! ("PSA Metadata Translation"). What the configuration says comes first; then
//!
//! - a **number** stands for itself, as far as the program's type has room for it;
//! - a **string** that is a decimal number stands for that number, the empty string for 0, and any
//!   other for the highest number that is free, for as long as the pipeline is loaded. The journal
//!   holds strings: after a restart they may stand for other numbers, in all entries alike;
//! - a **port** that is a number is that number, but for the two that P4Runtime reserves: the CPU
//!   port, and the port that recirculates, which v1model lacks. 0 is no port. A port that is a string
//!   is the port of that name.
//!
//! Two values never stand for the same one, so that what is written is read back. Called by what
//! translates messages, and by what splits and joins the headers of controllers' packets.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::dataplane::Bits;
use num_bigint::BigUint;
use thiserror::Error;

/// P4Runtime's number of the controller's port (`SDN_PORT_CPU`).
pub const SDN_PORT_CPU: u32 = 0xffff_fffd;
/// P4Runtime's number of the port that recirculates (`SDN_PORT_RECIRCULATE`).
pub const SDN_PORT_RECIRCULATE: u32 = 0xffff_fffa;
/// The highest number of a port (`SDN_PORT_MAX`).
const SDN_PORT_MAX: u64 = 0xffff_feff;

/// Why a value of a controller stands for none of the program.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TranslationError {
    /// Not text.
    #[error("it is not UTF-8 text, and the type is translated to strings")]
    NotText,
    /// No number is left.
    #[error("its {width} bits have no number left for another string")]
    Full {
        /// Bits of the type.
        width: u32,
    },
    /// A number without bytes.
    #[error("the value has no bytes; a zero is one zero byte")]
    Empty,
    /// A number that is none of the type that controllers see.
    #[error("value {value} does not fit {width} bits")]
    TooLarge {
        /// The number.
        value: Bits,
        /// Bits of the type that controllers see.
        width: u32,
    },
    /// A number that the program's type has no room for.
    #[error(
        "value {value} stands for nothing in the program, whose type has {width} bits; \
         the configuration can name a number for it (translations)"
    )]
    NoNumber {
        /// The number.
        value: Bits,
        /// Bits of the program's type.
        width: u32,
    },
    /// A number that another one stands for.
    #[error("value {value} is taken: in the program it is what {by} stands for")]
    Taken {
        /// The number.
        value: Bits,
        /// Who has it.
        by: String,
    },
    /// A number that is no port.
    #[error(
        "{value} is no port of this switch: ports are numbered 1 to {SDN_PORT_MAX:#x}, the \
         controller's is {SDN_PORT_CPU:#x}, and none recirculates ({SDN_PORT_RECIRCULATE:#x})"
    )]
    NoPort {
        /// The number.
        value: Bits,
    },
}

impl TranslationError {
    /// Whether the value has too many bits, or none (P4Runtime, "Bytestrings").
    pub fn is_out_of_range(&self) -> bool {
        matches!(
            self,
            TranslationError::Empty
                | TranslationError::TooLarge { .. }
                | TranslationError::NoNumber { .. }
        )
    }
}

/// How one type is translated.
#[derive(Debug)]
pub struct Translation {
    /// Bits of the program's type.
    width: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Strings(Mutex<Strings>),
    Numbers(Numbers),
}

#[derive(Debug, Default)]
struct Strings {
    numbers: HashMap<String, BigUint>,
    texts: HashMap<BigUint, String>,
}

/// Fixed, so that nothing is locked.
#[derive(Debug)]
struct Numbers {
    /// Bits of the type that controllers see.
    sdn_width: u32,
    is_port: bool,
    to_program: HashMap<Bits, Bits>,
    to_controller: HashMap<Bits, Bits>,
}

impl Translation {
    /// To strings; `fixed` ones stand for these numbers.
    pub fn strings(width: u32, fixed: &[(String, u64)]) -> Translation {
        let mut strings = Strings::default();
        for (text, number) in fixed {
            strings.insert(text, BigUint::from(*number));
        }
        Translation {
            width,
            kind: Kind::Strings(Mutex::new(strings)),
        }
    }

    /// To numbers of `sdn_width` bits; `fixed` pairs of a controller's and the program's come first.
    pub fn numbers(width: u32, sdn_width: u32, is_port: bool, fixed: &[(u64, u64)]) -> Translation {
        let mut numbers = Numbers {
            sdn_width,
            is_port,
            to_program: HashMap::new(),
            to_controller: HashMap::new(),
        };
        for (controllers, programs) in fixed {
            let (controllers, programs) = (Bits::from(*controllers), Bits::from(*programs));
            let old = numbers
                .to_program
                .insert(controllers.clone(), programs.clone());
            if let Some(old) = old {
                numbers.to_controller.remove(&old);
            }
            numbers.to_controller.insert(programs, controllers);
        }
        Translation {
            width,
            kind: Kind::Numbers(numbers),
        }
    }

    /// Bits of what controllers see; `None` for strings.
    pub fn sdn_width(&self) -> Option<u32> {
        match &self.kind {
            Kind::Strings(_) => None,
            Kind::Numbers(numbers) => Some(numbers.sdn_width),
        }
    }

    /// What a controller's value is in the program.
    pub fn to_program(&self, bytes: &[u8]) -> Result<Bits, TranslationError> {
        match &self.kind {
            Kind::Numbers(numbers) => numbers.to_program(bytes, self.width),
            Kind::Strings(strings) => {
                let text = std::str::from_utf8(bytes).map_err(|_| TranslationError::NotText)?;
                let mut strings = strings.lock().unwrap_or_else(PoisonError::into_inner);
                strings.number(text, self.width)
            }
        }
    }

    /// What a value of the program is to controllers.
    pub fn to_controller(&self, value: &Bits) -> Vec<u8> {
        match &self.kind {
            Kind::Numbers(numbers) => numbers.to_controller(value).to_p4runtime(),
            Kind::Strings(strings) => {
                let number = BigUint::from(value);
                let strings = strings.lock().unwrap_or_else(PoisonError::into_inner);
                let text = strings.texts.get(&number).cloned();
                text.unwrap_or_else(|| number.to_string()).into_bytes()
            }
        }
    }

    /// The same for messages.
    pub fn describe(&self, value: &Bits) -> String {
        match &self.kind {
            Kind::Numbers(numbers) => numbers.to_controller(value).to_string(),
            Kind::Strings(_) => {
                format!("'{}'", String::from_utf8_lossy(&self.to_controller(value)))
            }
        }
    }
}

impl Numbers {
    fn to_program(&self, bytes: &[u8], width: u32) -> Result<Bits, TranslationError> {
        if bytes.is_empty() {
            return Err(TranslationError::Empty);
        }
        let value = Bits::from_be_bytes(bytes);
        if value.bit_length() > self.sdn_width {
            let width = self.sdn_width;
            return Err(TranslationError::TooLarge { value, width });
        }
        if let Some(number) = self.to_program.get(&value) {
            return Ok(number.clone());
        }
        let is_some_port = value
            .to_u64()
            .is_some_and(|v| (1..=SDN_PORT_MAX).contains(&v));
        if self.is_port && !is_some_port {
            return Err(TranslationError::NoPort { value });
        }
        if let Some(by) = self.to_controller.get(&value) {
            let by = by.to_string();
            return Err(TranslationError::Taken { value, by });
        }
        match value.bit_length() <= width {
            true => Ok(value),
            false => Err(TranslationError::NoNumber { value, width }),
        }
    }

    fn to_controller<'v>(&'v self, value: &'v Bits) -> &'v Bits {
        self.to_controller.get(value).unwrap_or(value)
    }
}

impl Strings {
    fn insert(&mut self, text: &str, number: BigUint) {
        self.texts.insert(number.clone(), text.to_owned());
        self.numbers.insert(text.to_owned(), number);
    }

    /// The number that a string stands for, from now on if it has none yet.
    fn number(&mut self, text: &str, width: u32) -> Result<Bits, TranslationError> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(Bits::from(number));
        }
        let itself = decimal(text)
            .filter(|number| number.bits() <= u64::from(width) && !self.texts.contains_key(number));
        let number = match itself {
            Some(number) => number,
            None => self.highest_free(width)?,
        };
        self.insert(text, number.clone());
        Ok(Bits::from(&number))
    }

    fn highest_free(&self, width: u32) -> Result<BigUint, TranslationError> {
        let mut next = BigUint::from(1u8) << width;
        while next != BigUint::ZERO {
            next -= 1u8;
            if !self.texts.contains_key(&next) {
                return Ok(next);
            }
        }
        Err(TranslationError::Full { width })
    }
}

/// A number as it is written without signs, spaces and leading zeros; nothing is 0.
fn decimal(text: &str) -> Option<BigUint> {
    if text.is_empty() {
        return Some(BigUint::ZERO);
    }
    let number: BigUint = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_decimal_number_stands_for_itself_and_a_name_for_the_highest_that_is_free() {
        let strings = Translation::strings(4, &[]);
        assert_eq!(strings.to_program(b"14"), Ok(Bits::from(14)));
        assert_eq!(strings.to_program(b"nexthop-1"), Ok(Bits::from(15)));
        assert_eq!(strings.to_program(b"nexthop-2"), Ok(Bits::from(13)));
        assert_eq!(strings.to_program(b"nexthop-1"), Ok(Bits::from(15)));
        assert_eq!(strings.to_program(b""), Ok(Bits::zero()));
        // The number itself is taken, or is none of the type.
        assert_eq!(strings.to_program(b"15"), Ok(Bits::from(12)));
        assert_eq!(strings.to_program(b"99"), Ok(Bits::from(11)));
        let texts = [(15, "nexthop-1"), (12, "15"), (14, "14"), (3, "3"), (0, "")];
        for (number, text) in texts {
            assert_eq!(strings.to_controller(&Bits::from(number)), text.as_bytes());
        }
    }

    #[test]
    fn a_type_without_a_free_number_and_bytes_that_are_no_text_are_refused() {
        let strings = Translation::strings(1, &[]);
        assert_eq!(strings.to_program(&[0xff]), Err(TranslationError::NotText));
        strings.to_program(b"a").unwrap();
        strings.to_program(b"b").unwrap();
        let full = Err(TranslationError::Full { width: 1 });
        assert_eq!(strings.to_program(b"c"), full);
    }

    #[test]
    fn a_string_that_the_configuration_knows_stands_for_its_number() {
        let ports = Translation::strings(9, &[("swp1".to_owned(), 1)]);
        assert_eq!(ports.to_program(b"swp1"), Ok(Bits::from(1)));
        assert_eq!(ports.to_controller(&Bits::from(1)), b"swp1");
        // The number is taken by its name.
        assert_eq!(ports.to_program(b"1"), Ok(Bits::from(0x1ff)));
    }

    /// P4Runtime, "Translation of Port Numbers".
    #[test]
    fn reserved_ports_stand_for_the_switchs_own_and_0_is_none() {
        let cpu = u64::from(SDN_PORT_CPU);
        let ports = Translation::numbers(9, 32, true, &[(cpu, 255), (7, 9)]);
        assert_eq!(ports.to_program(&[0, 3]), Ok(Bits::from(3)));
        assert_eq!(ports.to_program(&[7]), Ok(Bits::from(9)));
        assert_eq!(
            ports.to_program(&[0xff, 0xff, 0xff, 0xfd]),
            Ok(Bits::from(255))
        );
        assert_eq!(
            ports.to_controller(&Bits::from(255)),
            [0xff, 0xff, 0xff, 0xfd]
        );
        assert_eq!(ports.to_controller(&Bits::from(9)), [7]);
        for no_port in [&[0][..], &SDN_PORT_RECIRCULATE.to_be_bytes()] {
            let value = Bits::from_be_bytes(no_port);
            let refused = Err(TranslationError::NoPort { value });
            assert_eq!(ports.to_program(no_port), refused);
        }
        assert!(ports.to_program(&[]).unwrap_err().is_out_of_range());
        assert!(
            ports
                .to_program(&[1, 0, 0, 0, 0])
                .unwrap_err()
                .is_out_of_range()
        );
        assert!(ports.to_program(&[2, 0]).unwrap_err().is_out_of_range());
        // What is written is read: two values never stand for one.
        let taken = ports.to_program(&[255]).unwrap_err();
        assert!(taken.to_string().contains("0xfffffffd"), "{taken}");
    }
}
