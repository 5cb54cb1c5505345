//! The way out of the vocabulary: matches and actions of the loaded pipeline by their names in its
//! p4info, with values of any width up to 128 bits.
//!
//! Nothing here knows which names there are; the agent checks them when it compiles an objective.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::matching::{Match, MatchError};
use crate::value::{Ipv4Prefix, Ipv6Prefix, MacAddr, ValueError, parse_number};

/// From here on numbers are printed in hexadecimal.
const HEXADECIMAL_FROM: u128 = 1 << 16;

/// An action of a table in place of the one that the manifest would choose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableAction {
    /// The table's name or alias.
    pub name: String,
    /// The action's name or alias.
    pub action: String,
    /// Its arguments by their names.
    pub args: BTreeMap<String, u128>,
}

/// Whether `name` could be the name of an object of a pipeline.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && name.chars().all(|c| c.is_ascii_graphic())
}

/// Reads one value: a number, a MAC address, an IPv4 or an IPv6 address.
pub(crate) fn parse_value(text: &str) -> Result<u128, ValueError> {
    if let Ok(mac) = text.parse::<MacAddr>() {
        return Ok(mac.into());
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(address.to_bits().into());
    }
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Ok(address.to_bits()),
        Err(_) => parse_number(text, 128),
    }
}

/// Reads a match: a value, `value/mask`, a prefix of an IP address, or a range `low-high`.
pub(crate) fn parse_match(text: &str) -> Result<Match, MatchError> {
    if let Ok(value) = parse_value(text) {
        return Ok(Match::Exact(value));
    }
    let found = if let Some((value, mask)) = text.split_once('/') {
        let (value, mask) = match (
            text.parse::<Ipv4Prefix>(),
            text.parse::<Ipv6Prefix>(),
            mask.parse::<u32>(),
        ) {
            (Ok(prefix), _, Ok(length)) => {
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                (prefix.address().to_bits().into(), mask.into())
            }
            (_, Ok(prefix), Ok(length)) => {
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                (prefix.address().to_bits(), mask)
            }
            _ => (parse_value(value)?, parse_value(mask)?),
        };
        Match::Masked { value, mask }
    } else if let Some((low, high)) = text.split_once('-') {
        Match::Range {
            low: parse_value(low.trim())?,
            high: parse_value(high.trim())?,
        }
    } else {
        Match::Exact(parse_value(text)?)
    };
    canonical(found)
}

/// The one form of a match, if a field of a pipeline can be matched like that.
pub(crate) fn canonical(found: Match) -> Result<Match, MatchError> {
    match found {
        Match::Masked { value, mask } if value & !mask != 0 => Err(MatchError::BehindMask {
            found: format_match(&found),
            meant: format_match(&Match::Masked {
                value: value & mask,
                mask,
            }),
        }),
        Match::Range { low, high } if low > high => Err(MatchError::EmptyRange { low, high }),
        Match::Range { low, high } if low == high => Ok(Match::Exact(low)),
        Match::Exact(_) | Match::Masked { .. } | Match::Range { .. } => Ok(found),
        Match::Prefix { .. } | Match::Port(_) | Match::Untagged => Err(MatchError::P4Form),
    }
}

/// A value as it is written in YAML.
pub(crate) fn format_value(value: u128) -> String {
    match value {
        HEXADECIMAL_FROM.. => format!("{value:#x}"),
        _ => value.to_string(),
    }
}

/// A match as it is written in YAML.
pub(crate) fn format_match(found: &Match) -> String {
    match found {
        Match::Exact(value) => format_value(*value),
        Match::Masked { value, mask } => format!("{value:#x}/{mask:#x}"),
        Match::Range { low, high } => format!("{}-{}", format_value(*low), format_value(*high)),
        Match::Prefix { value, length } => format!("{value:#x}/{length}"),
        Match::Port(port) => port.to_string(),
        Match::Untagged => "untagged".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse_match(text) {
            Ok(found) => format_match(&found),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn values_are_numbers_or_addresses() {
        for (text, expected) in [
            ("7", "7"),
            ("0x10000", "0x10000"),
            ("00:00:00:00:01:00", "256"),
            ("10.0.0.0/8", "0xa000000/0xff000000"),
            (
                "2001:db8::/32",
                "0x20010db8000000000000000000000000/0xffffffff000000000000000000000000",
            ),
            ("0x10/0xf0", "0x10/0xf0"),
            ("1-9", "1-9"),
            ("9-9", "9"),
            ("9-1", "the range 9-1 is empty; write the lower value first"),
            (
                "0x1f/0xf0",
                "0x1f/0xf0 has bits set that its mask leaves out; did you mean 0x10/0xf0?",
            ),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert!(read("swp1").starts_with("`swp1` is not a number from 0 to "));
    }
}
