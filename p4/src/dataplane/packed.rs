//! The matches of a key, and the arguments of a call, each as one run of bytes.
//!
//! There may be millions of them, and each is hashed, compared and copied for every write. So they are [bytes],
//! few of which live inline, and equality is that of bytes.
//!
//! ```text
//! list     item item ...
//! match    kind u8 | one number or value after the other, as the kind has them
//! value    length | canonical bytes: see Bits
//! length   u8, or 255 and u32 LE; numbers are written like that too
//! ```

mod bytes;

use std::fmt;

use super::{Bits, Match};
use bytes::Bytes;

/// A length of this says that the real one follows.
const LONG: u8 = u8::MAX;

/// The matches of a key, one for each of its parts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Matches(Bytes);

/// The arguments of a call, one for each parameter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Args(Bytes);

const EXACT: u8 = 0;
const LPM: u8 = 1;
const TERNARY: u8 = 2;
const OPTIONAL: u8 = 3;
const ANYTHING: u8 = 4;
const RANGE: u8 = 5;

impl Matches {
    /// Adds a match. Values are numbers; leading zeros do not count.
    pub fn push<B: AsRef<[u8]>>(&mut self, part: &Match<B>) {
        let out = &mut self.0;
        match part {
            Match::Exact(value) => {
                out.push(EXACT);
                push_value(out, value.as_ref());
            }
            Match::Lpm { value, prefix_len } => {
                out.push(LPM);
                push_number(out, *prefix_len);
                push_value(out, value.as_ref());
            }
            Match::Ternary { value, mask } => {
                out.push(TERNARY);
                push_value(out, value.as_ref());
                push_value(out, mask.as_ref());
            }
            Match::Optional(Some(value)) => {
                out.push(OPTIONAL);
                push_value(out, value.as_ref());
            }
            Match::Optional(None) => out.push(ANYTHING),
            Match::Range { low, high } => {
                out.push(RANGE);
                push_value(out, low.as_ref());
                push_value(out, high.as_ref());
            }
        }
    }

    /// The matches, in the order of the parts.
    pub fn iter(&self) -> impl Iterator<Item = Match> {
        self.views().map(|part| part.map(Bits::from_be_bytes))
    }

    /// The same, with values as their canonical bytes.
    pub fn views(&self) -> impl Iterator<Item = Match<&[u8]>> {
        let mut rest = Unpack(&self.0);
        std::iter::from_fn(move || {
            Some(match rest.byte()? {
                EXACT => Match::Exact(rest.value()),
                LPM => {
                    let prefix_len = rest.number();
                    let value = rest.value();
                    Match::Lpm { value, prefix_len }
                }
                TERNARY => {
                    let value = rest.value();
                    let mask = rest.value();
                    Match::Ternary { value, mask }
                }
                OPTIONAL => Match::Optional(Some(rest.value())),
                ANYTHING => Match::Optional(None),
                _ => {
                    let low = rest.value();
                    let high = rest.value();
                    Match::Range { low, high }
                }
            })
        })
    }

    /// The match of a part.
    pub fn get(&self, part: usize) -> Option<Match> {
        self.iter().nth(part)
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<Match> {
        self.iter().collect()
    }
}

impl Args {
    /// The arguments, in the order of the parameters.
    pub fn iter(&self) -> impl Iterator<Item = Bits> {
        self.values().map(Bits::from_be_bytes)
    }

    /// The same, as their canonical bytes.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Unpack(&self.0);
        std::iter::from_fn(move || (!rest.0.is_empty()).then(|| rest.value()))
    }

    /// The argument of a parameter.
    pub fn get(&self, param: usize) -> Option<Bits> {
        self.iter().nth(param)
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<Bits> {
        self.iter().collect()
    }
}

impl<B: AsRef<[u8]>> FromIterator<Match<B>> for Matches {
    fn from_iter<I: IntoIterator<Item = Match<B>>>(parts: I) -> Matches {
        let mut matches = Matches::default();
        parts.into_iter().for_each(|part| matches.push(&part));
        matches
    }
}

impl From<Vec<Match>> for Matches {
    fn from(parts: Vec<Match>) -> Matches {
        parts.into_iter().collect()
    }
}

impl<B: AsRef<[u8]>> FromIterator<B> for Args {
    fn from_iter<I: IntoIterator<Item = B>>(values: I) -> Args {
        let mut args = Args::default();
        for value in values {
            push_value(&mut args.0, value.as_ref());
        }
        args
    }
}

impl From<Vec<Bits>> for Args {
    fn from(values: Vec<Bits>) -> Args {
        values.into_iter().collect()
    }
}

impl fmt::Debug for Matches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn push_number(out: &mut Bytes, number: u32) {
    match u8::try_from(number) {
        Ok(short) if short != LONG => out.push(short),
        _ => {
            out.push(LONG);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn push_value(out: &mut Bytes, bytes: &[u8]) {
    let first = bytes.iter().position(|byte| *byte != 0);
    let canonical = &bytes[first.unwrap_or(bytes.len())..];
    push_number(out, canonical.len() as u32);
    out.extend_from_slice(canonical);
}

/// What is left of a list. It was packed here, so it is whole.
struct Unpack<'a>(&'a [u8]);

impl<'a> Unpack<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> u32 {
        match self.byte() {
            Some(LONG) => {
                let (bytes, rest) = self.0.split_first_chunk().expect("four bytes were packed");
                self.0 = rest;
                u32::from_le_bytes(*bytes)
            }
            short => u32::from(short.expect("a number was packed")),
        }
    }

    fn value(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        let (value, rest) = self.0.split_at(length);
        self.0 = rest;
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_bits() -> impl Strategy<Value = Bits> {
        let length = prop_oneof![0usize..20, 250usize..300];
        let bytes = length.prop_flat_map(|length| prop::collection::vec(any::<u8>(), length));
        bytes.prop_map(|bytes| Bits::from_be_bytes(&bytes))
    }

    fn any_match() -> impl Strategy<Value = Match> {
        prop_oneof![
            any_bits().prop_map(Match::Exact),
            (any_bits(), 0u32..400)
                .prop_map(|(value, prefix_len)| Match::Lpm { value, prefix_len }),
            (any_bits(), any_bits()).prop_map(|(value, mask)| Match::Ternary { value, mask }),
            prop::option::of(any_bits()).prop_map(Match::Optional),
            (any_bits(), any_bits()).prop_map(|(low, high)| Match::Range { low, high }),
        ]
    }

    proptest! {
        #[test]
        fn matches_are_as_they_were_packed(parts in prop::collection::vec(any_match(), 0..6)) {
            let packed = Matches::from(parts.clone());
            prop_assert_eq!(packed.to_vec(), parts);
        }

        #[test]
        fn arguments_are_as_they_were_packed(values in prop::collection::vec(any_bits(), 0..6)) {
            let packed = Args::from(values.clone());
            prop_assert_eq!(packed.to_vec(), values);
        }

        #[test]
        fn keys_are_equal_if_their_matches_are(
            a in prop::collection::vec(any_match(), 0..3),
            b in prop::collection::vec(any_match(), 0..3),
        ) {
            prop_assert_eq!(Matches::from(a.clone()) == Matches::from(b.clone()), a == b);
        }
    }

    #[test]
    fn leading_zeros_do_not_count() {
        let padded = [Match::Exact([0u8, 0, 1])].into_iter().collect::<Matches>();
        assert_eq!(padded, Matches::from(vec![Match::Exact(Bits::from(1))]));
        assert_eq!(
            [[0u8, 0]].into_iter().collect::<Args>().to_vec(),
            [Bits::zero()]
        );
    }
}
