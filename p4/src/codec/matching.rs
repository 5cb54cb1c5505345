//! Matches of table entries, with the rules of the P4Runtime specification.

use crate::dataplane::{Bits, Match};
use crate::ir::MatchKind;
use crate::p4info::{MatchField, MatchType};

use super::{CodecError, decode};

/// A match as a client writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RawMatch<'a> {
    Exact(&'a [u8]),
    Lpm { value: &'a [u8], prefix_len: i32 },
    Ternary { value: &'a [u8], mask: &'a [u8] },
    Range { low: &'a [u8], high: &'a [u8] },
    Optional(&'a [u8]),
}

/// Reads a match on a field, or, for `None`, what leaving the field out means.
///
/// # Errors
/// `OutOfRange` for a value that does not fit; else `InvalidArgument`: a match of another kind,
/// a missing exact match, a don't-care that should have been left out, bits outside the mask or
/// prefix, or a range that is upside down.
pub fn decode_match(field: &MatchField, raw: Option<RawMatch>) -> Result<Match, CodecError> {
    let invalid = |problem: &'static str| CodecError::InvalidMatch {
        field: field.name.clone(),
        problem,
    };
    let value = |bytes: &[u8]| decode(bytes, field.width).map_err(|e| e.of(&field.name));
    let Some(raw) = raw else {
        return dont_care(field);
    };
    Ok(match (field.match_type, raw) {
        (MatchType::Exact, RawMatch::Exact(bytes)) => Match::Exact(value(bytes)?),
        (
            MatchType::Lpm,
            RawMatch::Lpm {
                value: v,
                prefix_len,
            },
        ) => {
            let value = value(v)?;
            let prefix_len = u32::try_from(prefix_len)
                .ok()
                .filter(|len| *len <= field.width)
                .ok_or_else(|| invalid("the prefix is longer than the field"))?;
            if prefix_len == 0 {
                return Err(invalid("a prefix of length 0 must be left out"));
            }
            let mask = Bits::prefix_mask(prefix_len, field.width);
            if value.and(&mask) != value {
                return Err(invalid("the value has bits outside the prefix"));
            }
            if field.kind == MatchKind::Ternary {
                Match::Ternary { value, mask }
            } else {
                Match::Lpm { value, prefix_len }
            }
        }
        (MatchType::Ternary, RawMatch::Ternary { value: v, mask }) => {
            let (value, mask) = (value(v)?, value(mask)?);
            if mask.is_zero() {
                return Err(invalid("a mask of 0 must be left out"));
            }
            if value.and(&mask) != value {
                return Err(invalid("the value has bits outside the mask"));
            }
            Match::Ternary { value, mask }
        }
        (MatchType::Range, RawMatch::Range { low, high }) => {
            let (low, high) = (value(low)?, value(high)?);
            if low > high {
                return Err(invalid("the lower bound is above the upper one"));
            }
            if low.is_zero() && high == Bits::ones(field.width) {
                return Err(invalid("a range of all values must be left out"));
            }
            Match::Range { low, high }
        }
        (MatchType::Optional, RawMatch::Optional(bytes)) => {
            let value = value(bytes)?;
            if field.kind == MatchKind::Optional {
                Match::Optional(Some(value))
            } else {
                Match::Ternary {
                    value,
                    mask: Bits::ones(field.width),
                }
            }
        }
        _ => {
            return Err(invalid(
                "the match is not of the kind that the table declares",
            ));
        }
    })
}

/// What leaving a field out of a match means.
fn dont_care(field: &MatchField) -> Result<Match, CodecError> {
    Ok(match field.kind {
        MatchKind::Exact => {
            return Err(CodecError::InvalidMatch {
                field: field.name.clone(),
                problem: "an exact match cannot be left out",
            });
        }
        MatchKind::Lpm => Match::Lpm {
            value: Bits::zero(),
            prefix_len: 0,
        },
        MatchKind::Ternary => Match::Ternary {
            value: Bits::zero(),
            mask: Bits::zero(),
        },
        MatchKind::Optional => Match::Optional(None),
        MatchKind::Range => Match::Range {
            low: Bits::zero(),
            high: Bits::ones(field.width),
        },
    })
}

/// A match as P4Runtime writes it, its values in canonical form; `None` for one that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum EncodedMatch {
    Exact(Vec<u8>),
    Lpm { value: Vec<u8>, prefix_len: i32 },
    Ternary { value: Vec<u8>, mask: Vec<u8> },
    Range { low: Vec<u8>, high: Vec<u8> },
    Optional(Vec<u8>),
}

/// Writes a match on a field as P4Runtime wants it.
pub fn encode_match(field: &MatchField, value: &Match) -> Option<EncodedMatch> {
    let bytes = Bits::to_p4runtime;
    match value {
        Match::Exact(value) => Some(EncodedMatch::Exact(bytes(value))),
        Match::Lpm { prefix_len: 0, .. } | Match::Optional(None) => None,
        Match::Lpm { value, prefix_len } => Some(EncodedMatch::Lpm {
            value: bytes(value),
            prefix_len: *prefix_len as i32,
        }),
        Match::Ternary { mask, .. } if mask.is_zero() => None,
        Match::Ternary { value, mask } => Some(match field.match_type {
            MatchType::Optional => EncodedMatch::Optional(bytes(value)),
            MatchType::Lpm => EncodedMatch::Lpm {
                value: bytes(value),
                prefix_len: count_ones(mask) as i32,
            },
            _ => EncodedMatch::Ternary {
                value: bytes(value),
                mask: bytes(mask),
            },
        }),
        Match::Optional(Some(value)) => Some(EncodedMatch::Optional(bytes(value))),
        Match::Range { low, high } if low.is_zero() && *high == Bits::ones(field.width) => None,
        Match::Range { low, high } => Some(EncodedMatch::Range {
            low: bytes(low),
            high: bytes(high),
        }),
    }
}

fn count_ones(mask: &Bits) -> u32 {
    mask.as_be_bytes().iter().map(|b| b.count_ones()).sum()
}
