//! Byte strings and matches.

use num_bigint::{BigInt, Sign};
use pointsman_p4::dataplane::{Bits, Match};
use pointsman_p4::ir::MatchKind;
use pointsman_proto::p4::v1::FieldMatch;
use pointsman_proto::p4::v1::field_match::FieldMatchType;

use super::error::{DecodeError, invalid};
use crate::schema::{FieldSchema, Schema, Translation};

/// A byte string of at most `width` bits, whatever its length.
pub(super) fn bits(
    bytes: &[u8],
    width: u32,
    place: impl Fn() -> String,
) -> Result<Bits, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::EmptyValue { place: place() });
    }
    let value = Bits::from_be_bytes(bytes);
    if value.bit_length() > width {
        return Err(DecodeError::ValueTooLarge {
            place: place(),
            value: value.to_string(),
            width,
        });
    }
    Ok(value)
}

/// An `int<W>` in two's complement, whatever its length, as its `width` bits.
pub(super) fn signed_bits(
    bytes: &[u8],
    width: u32,
    place: impl Fn() -> String,
) -> Result<Bits, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::EmptyValue { place: place() });
    }
    let value = BigInt::from_signed_bytes_be(bytes);
    // The sign takes one bit; a negative number is one further from zero than it can be above it.
    let magnitude = match value.sign() {
        Sign::Minus => -(&value + BigInt::from(1)),
        _ => value.clone(),
    };
    if magnitude.bits() >= u64::from(width) {
        return Err(DecodeError::ValueTooLarge {
            place: place(),
            value: value.to_string(),
            width,
        });
    }
    let pattern = match value.sign() {
        Sign::Minus => value + (BigInt::from(1) << width),
        _ => value,
    };
    Ok(Bits::from(pattern.magnitude()))
}

/// A value as a controller writes it: a byte string, or a value of a type that is translated.
pub(super) fn value(
    bytes: &[u8],
    width: u32,
    translation: Option<&Translation>,
    place: impl Fn() -> String,
) -> Result<Bits, DecodeError> {
    match translation {
        None => self::bits(bytes, width, place),
        Some(translation) => translated(translation, bytes, place),
    }
}

fn translated(
    translation: &Translation,
    bytes: &[u8],
    place: impl Fn() -> String,
) -> Result<Bits, DecodeError> {
    let value = translation.to_program(bytes);
    value.map_err(|error| DecodeError::Translation {
        place: place(),
        error,
    })
}

/// A port in a place that has no type of its own.
pub(super) fn port(
    schema: &Schema,
    bytes: &[u8],
    place: impl Fn() -> String,
) -> Result<u32, DecodeError> {
    let value = value(bytes, 32, schema.ports.as_deref(), &place)?;
    let port = value.to_u64().and_then(|port| u32::try_from(port).ok());
    Ok(port.expect("32 bits fit a u32"))
}

/// One value for each field of a key, in the program's order, from the matches given.
pub(super) fn key(
    owner: impl Fn() -> String,
    fields: &[FieldSchema],
    given: &[FieldMatch],
) -> Result<Vec<Match>, DecodeError> {
    let mut matches: Vec<Option<Match>> = vec![None; fields.len()];
    for field_match in given {
        let Some(field) = fields.iter().find(|f| f.id == field_match.field_id) else {
            return Err(DecodeError::UnknownId {
                place: owner(),
                kind: "match field",
                id: field_match.field_id,
                known: known_fields(fields),
            });
        };
        let place = || format!("{}, field {}", owner(), field.name);
        let Some(kind) = &field_match.field_match_type else {
            return Err(DecodeError::Missing {
                place: place(),
                what: "the match",
            });
        };
        let value = one_match(field, kind, place)?;
        if matches[field.position].replace(value).is_some() {
            return Err(DecodeError::Duplicate {
                place: owner(),
                what: format!("field {}", field.name),
            });
        }
    }
    let whole = fields.iter().zip(matches).map(|(field, value)| {
        value.or_else(|| dont_care(field)).ok_or_else(|| {
            let what = "an exact field must be given, and is missing";
            invalid(format!("{}, field {}", owner(), field.name), what)
        })
    });
    whole.collect()
}

fn known_fields(fields: &[FieldSchema]) -> String {
    let named = fields.iter().map(|f| format!("{} {}", f.id, f.name));
    named.collect::<Vec<_>>().join(", ")
}

/// What an omitted field matches: everything, unless it is exact.
pub fn dont_care(field: &FieldSchema) -> Option<Match> {
    Some(match field.kind {
        MatchKind::Exact => return None,
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

fn one_match(
    field: &FieldSchema,
    kind: &FieldMatchType,
    place: impl Fn() -> String,
) -> Result<Match, DecodeError> {
    let number = |bytes: &[u8]| value(bytes, field.width, field.translation.as_deref(), &place);
    if let Some(translation) = &field.translation {
        only_one_value(translation, kind, &place)?;
    }
    match (field.kind, kind) {
        (MatchKind::Exact, FieldMatchType::Exact(exact)) => Ok(Match::Exact(number(&exact.value)?)),
        (MatchKind::Optional, FieldMatchType::Optional(optional)) => {
            Ok(Match::Optional(Some(number(&optional.value)?)))
        }
        (MatchKind::Lpm, FieldMatchType::Lpm(lpm)) => {
            let value = number(&lpm.value)?;
            if field.translation.is_some() {
                let prefix_len = field.width;
                return Ok(Match::Lpm { value, prefix_len });
            }
            let prefix_len = u32::try_from(lpm.prefix_len)
                .ok()
                .filter(|len| (1..=field.width).contains(len))
                .ok_or_else(|| {
                    let what = format!(
                        "prefix length {} is not in 1..={}; leave the field out to match everything",
                        lpm.prefix_len, field.width
                    );
                    invalid(place(), what)
                })?;
            if value.and(&Bits::prefix_mask(prefix_len, field.width)) != value {
                let what = format!("{value} has bits beyond its prefix of {prefix_len}");
                return Err(invalid(place(), what));
            }
            Ok(Match::Lpm { value, prefix_len })
        }
        (MatchKind::Ternary, FieldMatchType::Ternary(ternary)) => {
            let value = number(&ternary.value)?;
            if field.translation.is_some() {
                let mask = Bits::ones(field.width);
                return Ok(Match::Ternary { value, mask });
            }
            let mask = number(&ternary.mask)?;
            if mask.is_zero() {
                let what = "the mask is zero; leave the field out to match everything";
                return Err(invalid(place(), what));
            }
            if value.and(&mask) != value {
                let what = format!("{value} has bits outside its mask {mask}");
                return Err(invalid(place(), what));
            }
            Ok(Match::Ternary { value, mask })
        }
        (MatchKind::Range, FieldMatchType::Range(range)) => {
            let low = number(&range.low)?;
            let high = number(&range.high)?;
            if low > high {
                let what = format!("the range starts at {low}, after its end {high}");
                return Err(invalid(place(), what));
            }
            if low.is_zero() && high == Bits::ones(field.width) {
                let what = "the range is everything; leave the field out instead";
                return Err(invalid(place(), what));
            }
            Ok(Match::Range { low, high })
        }
        _ => Err(DecodeError::MatchKind {
            place: place(),
            expected: kind_name(field.kind),
            given: given_name(kind),
        }),
    }
}

/// A range of values of a type that is translated is none of values of the program, so that only one
/// value can be matched (P4Runtime, "Translation of Match Fields").
fn only_one_value(
    translation: &Translation,
    kind: &FieldMatchType,
    place: impl Fn() -> String,
) -> Result<(), DecodeError> {
    let one = match (kind, translation.sdn_width()) {
        (FieldMatchType::Ternary(ternary), Some(width)) => {
            Bits::from_be_bytes(&ternary.mask) == Bits::ones(width)
        }
        (FieldMatchType::Lpm(lpm), Some(width)) => u32::try_from(lpm.prefix_len) == Ok(width),
        (FieldMatchType::Range(range), _) => range.low == range.high,
        (FieldMatchType::Ternary(_) | FieldMatchType::Lpm(_), None) => false,
        _ => true,
    };
    match one {
        true => Ok(()),
        false => Err(invalid(
            place(),
            "its type is translated, so that it can be matched only as one value (a mask of ones, a \
             prefix of all bits, a range from a value to itself) or left out",
        )),
    }
}

/// A match kind as P4 writes it.
pub fn kind_name(kind: MatchKind) -> &'static str {
    match kind {
        MatchKind::Exact => "exact",
        MatchKind::Lpm => "lpm",
        MatchKind::Ternary => "ternary",
        MatchKind::Optional => "optional",
        MatchKind::Range => "range",
    }
}

fn given_name(kind: &FieldMatchType) -> &'static str {
    match kind {
        FieldMatchType::Exact(_) => "exact",
        FieldMatchType::Ternary(_) => "ternary",
        FieldMatchType::Lpm(_) => "lpm",
        FieldMatchType::Range(_) => "range",
        FieldMatchType::Optional(_) => "optional",
        FieldMatchType::Other(_) => "other",
    }
}
