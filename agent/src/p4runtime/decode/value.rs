//! Byte strings and matches.

use pointsman_p4::dataplane::{Bits, Match};
use pointsman_p4::ir::MatchKind;
use pointsman_proto::p4::v1::FieldMatch;
use pointsman_proto::p4::v1::field_match::FieldMatchType;

use super::error::{DecodeError, invalid};
use crate::schema::{FieldSchema, Strings};

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

/// A value as a controller writes it: a byte string, or a string of a type that has strings.
pub(super) fn value(
    bytes: &[u8],
    width: u32,
    strings: Option<&Strings>,
    place: impl Fn() -> String,
) -> Result<Bits, DecodeError> {
    match strings {
        None => self::bits(bytes, width, place),
        Some(strings) => strings
            .number(bytes)
            .map_err(|error| invalid(place(), error.to_string())),
    }
}

/// A port number: canonical bytes of at most 32 bits.
pub(super) fn port(bytes: &[u8], place: impl Fn() -> String) -> Result<u32, DecodeError> {
    let value = bits(bytes, 32, &place)?;
    let port = value.to_u64().and_then(|port| u32::try_from(port).ok());
    Ok(port.expect("32 bits fit a u32"))
}

/// One value for each field of a key, in the program's order, from the matches given.
pub(super) fn key(
    owner: &str,
    fields: &[FieldSchema],
    given: &[FieldMatch],
) -> Result<Vec<Match>, DecodeError> {
    let mut matches: Vec<Option<Match>> = vec![None; fields.len()];
    for field_match in given {
        let Some(field) = fields.iter().find(|f| f.id == field_match.field_id) else {
            return Err(DecodeError::UnknownId {
                place: owner.to_owned(),
                kind: "match field",
                id: field_match.field_id,
                known: known_fields(fields),
            });
        };
        let place = || format!("{owner}, field {}", field.name);
        let Some(kind) = &field_match.field_match_type else {
            return Err(DecodeError::Missing {
                place: place(),
                what: "the match",
            });
        };
        let value = one_match(field, kind, place)?;
        if matches[field.position].replace(value).is_some() {
            return Err(DecodeError::Duplicate {
                place: owner.to_owned(),
                what: format!("field {}", field.name),
            });
        }
    }
    let whole = fields.iter().zip(matches).map(|(field, value)| {
        value.or_else(|| dont_care(field)).ok_or_else(|| {
            let what = "an exact field must be given, and is missing";
            invalid(format!("{owner}, field {}", field.name), what)
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
    let number = |bytes: &[u8]| value(bytes, field.width, field.strings.as_deref(), &place);
    match (field.kind, kind) {
        (MatchKind::Exact, FieldMatchType::Exact(exact)) => Ok(Match::Exact(number(&exact.value)?)),
        (MatchKind::Optional, FieldMatchType::Optional(optional)) => {
            Ok(Match::Optional(Some(number(&optional.value)?)))
        }
        (MatchKind::Lpm, FieldMatchType::Lpm(lpm)) => {
            let value = number(&lpm.value)?;
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
