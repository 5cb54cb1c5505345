//! What a field must be for a packet to match: read, checked, given one form, and printed.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::field::Field;
use crate::field::ValueKind::{Flags, Ipv4, Ipv6, Mac, Number, Port, Ranged, Vlan};
use crate::value::{
    Ipv4Prefix, Ipv6Prefix, MacAddr, PortRef, ValueError, VlanId, max_of, parse_number,
};

/// What a field must be for a packet to match. Made by [`Field::parse`] and
/// [`Field::canonical`], which leave each match one form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Match {
    /// This value.
    Exact(u128),
    /// The leading bits are these; shorter than the field.
    Prefix {
        /// No bits set behind the length.
        value: u128,
        /// Less than the field's width.
        length: u8,
    },
    /// The bits of the mask are these.
    Masked {
        /// No bits set outside the mask.
        value: u128,
        /// Not all ones.
        mask: u128,
    },
    /// Between two values, both included.
    Range {
        /// Less than `high`.
        low: u128,
        /// The last value that matches.
        high: u128,
    },
    /// This port.
    Port(PortRef),
    /// The packet carries no VLAN tag.
    Untagged,
}

/// Why a value cannot be matched on a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// The value itself is malformed.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A word that is none of the field's names.
    #[error("`{text}` is neither a number nor one of {names}")]
    UnknownName {
        /// As written.
        text: String,
        /// The names there are.
        names: String,
    },
    /// Value bits that the mask hides.
    #[error("{found} has bits set that its mask leaves out; did you mean {meant}?")]
    BehindMask {
        /// As written.
        found: String,
        /// With these bits cleared.
        meant: String,
    },
    /// A range that ends before it starts.
    #[error("the range {low}-{high} is empty; write the lower value first")]
    EmptyRange {
        /// Its first value.
        low: u128,
        /// Its last value.
        high: u128,
    },
    /// A form that the field does not have, for instance a range of MAC addresses.
    #[error("{field} cannot be matched by {}", form_of(.found))]
    Kind {
        /// The field.
        field: Field,
        /// The match.
        found: Match,
    },
    /// A form that a match on a field of a pipeline does not have.
    #[error("a field of the pipeline is matched by a value, a mask or a range")]
    P4Form,
}

impl Field {
    /// Reads the value of a criterion.
    pub fn parse(self, text: &str) -> Result<Match, MatchError> {
        let found = match self.kind() {
            Port => return Ok(Match::Port(text.parse()?)),
            Vlan if text == "untagged" => return Ok(Match::Untagged),
            Ipv4 | Ipv6 if has_address_mask(text) => self.parse_masked(text)?,
            Ipv4 => {
                let prefix = Ipv4Prefix::from_str(text)?;
                Match::Prefix {
                    value: u128::from(prefix.address().to_bits()),
                    length: prefix.length(),
                }
            }
            Ipv6 => {
                let prefix = Ipv6Prefix::from_str(text)?;
                Match::Prefix {
                    value: prefix.address().to_bits(),
                    length: prefix.length(),
                }
            }
            Ranged(_) if text.contains('-') => {
                let (low, high) = text.split_once('-').expect("it contains a dash");
                Match::Range {
                    low: self.parse_value(low.trim())?,
                    high: self.parse_value(high.trim())?,
                }
            }
            Mac | Number(..) | Ranged(_) | Flags(..) if text.contains('/') => {
                self.parse_masked(text)?
            }
            Mac | Vlan | Number(..) | Ranged(_) | Flags(..) => {
                Match::Exact(self.parse_value(text)?)
            }
        };
        self.canonical(found)
    }

    fn parse_masked(self, text: &str) -> Result<Match, MatchError> {
        let (value, mask) = text.split_once('/').expect("the caller has seen a slash");
        Ok(Match::Masked {
            value: self.parse_value(value)?,
            mask: self.parse_value(mask)?,
        })
    }

    /// Reads the value that a `set` gives the field: no mask, no prefix.
    pub fn parse_value(self, text: &str) -> Result<u128, MatchError> {
        Ok(match self.kind() {
            Port => parse_number(text, 32)?,
            Mac => MacAddr::from_str(text)?.into(),
            Vlan => u128::from(VlanId::from_str(text)?.get()),
            Ipv4 => u128::from(
                Ipv4Addr::from_str(text)
                    .map_err(|_| ValueError::Ipv4(text.to_owned()))?
                    .to_bits(),
            ),
            Ipv6 => Ipv6Addr::from_str(text)
                .map_err(|_| ValueError::Ipv6(text.to_owned()))?
                .to_bits(),
            Number(bits, names) => match names.iter().find(|(name, _)| *name == text) {
                Some((_, value)) => *value,
                None if names.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) => {
                    parse_number(text, bits)?
                }
                None => {
                    return Err(MatchError::UnknownName {
                        text: text.to_owned(),
                        names: name_list(names),
                    });
                }
            },
            Ranged(bits) => parse_number(text, bits)?,
            Flags(bits, _) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                parse_number(text, bits)?
            }
            Flags(_, names) => text.split('+').try_fold(0, |flags, flag| {
                let known = names.iter().find(|(name, _)| *name == flag);
                let (_, bit) = known.ok_or_else(|| MatchError::UnknownName {
                    text: flag.to_owned(),
                    names: name_list(names),
                })?;
                Ok::<_, MatchError>(flags | bit)
            })?,
        })
    }

    /// The one form of a match: a full mask is exact, a range of one value too.
    /// Refuses what the field cannot hold.
    pub fn canonical(self, found: Match) -> Result<Match, MatchError> {
        let (bits, kind) = (self.bits(), self.kind());
        let fits = |value: u128| {
            let number = || ValueError::Number {
                text: value.to_string(),
                max: max_of(bits),
            };
            if value > max_of(bits) {
                Err(MatchError::Value(number()))
            } else {
                Ok(value)
            }
        };
        let unsupported = || MatchError::Kind {
            field: self,
            found: found.clone(),
        };
        Ok(match found {
            Match::Port(_) if kind == Port => found,
            Match::Untagged if kind == Vlan => found,
            Match::Exact(value) if kind == Vlan => {
                let id = u16::try_from(value).ok().and_then(VlanId::new);
                id.ok_or_else(|| ValueError::Vlan(value.to_string()))?;
                found
            }
            Match::Exact(value) if kind != Port => Match::Exact(fits(value)?),
            Match::Prefix { value, length } if matches!(kind, Ipv4 | Ipv6) => {
                if u32::from(length) == bits {
                    return Ok(Match::Exact(fits(value)?));
                }
                // The prefix types know what is wrong with one.
                match kind {
                    Ipv4 => drop(Ipv4Prefix::new(ipv4(fits(value)?), length)?),
                    _ => drop(Ipv6Prefix::new(Ipv6Addr::from_bits(value), length)?),
                }
                found
            }
            Match::Masked { value, mask } if !matches!(kind, Port | Vlan) => {
                let (value, mask) = (fits(value)?, fits(mask)?);
                if value & !mask != 0 {
                    return Err(MatchError::BehindMask {
                        found: format!("{}/{}", self.format_value(value), self.format_value(mask)),
                        meant: format!(
                            "{}/{}",
                            self.format_value(value & mask),
                            self.format_value(mask)
                        ),
                    });
                }
                match prefix_length(mask, bits) {
                    _ if mask == max_of(bits) => Match::Exact(value),
                    Some(length) if matches!(kind, Ipv4 | Ipv6) => Match::Prefix { value, length },
                    _ => found,
                }
            }
            Match::Range { low, high } if matches!(kind, Ranged(_)) => {
                let (low, high) = (fits(low)?, fits(high)?);
                match low.cmp(&high) {
                    std::cmp::Ordering::Less => found,
                    std::cmp::Ordering::Equal => Match::Exact(low),
                    std::cmp::Ordering::Greater => {
                        return Err(MatchError::EmptyRange { low, high });
                    }
                }
            }
            _ => return Err(unsupported()),
        })
    }

    /// The value as it is written in YAML.
    pub fn format_value(self, value: u128) -> String {
        match self.kind() {
            Mac => {
                let bytes = value.to_be_bytes();
                MacAddr(std::array::from_fn(|index| bytes[10 + index])).to_string()
            }
            Ipv4 => ipv4(value).to_string(),
            Ipv6 => Ipv6Addr::from_bits(value).to_string(),
            Number(_, names) => match names.iter().find(|(_, known)| *known == value) {
                Some((name, _)) => (*name).to_owned(),
                None if self == Self::EthType => format!("{value:#06x}"),
                None => value.to_string(),
            },
            Flags(_, names) => flags_to_text(value, names),
            Port | Vlan | Ranged(_) => value.to_string(),
        }
    }

    /// The match as it is written in YAML.
    pub fn format(self, found: &Match) -> String {
        match found {
            Match::Port(port) => port.to_string(),
            Match::Untagged => "untagged".to_owned(),
            Match::Exact(value) => self.format_value(*value),
            Match::Prefix { value, length } => format!("{}/{length}", self.format_value(*value)),
            Match::Masked { value, mask }
                if matches!(self.kind(), Mac | Ipv4 | Ipv6 | Flags(..)) =>
            {
                format!("{}/{}", self.format_value(*value), self.format_value(*mask))
            }
            Match::Masked { value, mask } => format!("{value:#x}/{mask:#x}"),
            Match::Range { low, high } => format!("{low}-{high}"),
        }
    }
}

/// Whether what follows the slash is an address and not a length.
fn has_address_mask(text: &str) -> bool {
    let mask = text.split_once('/').map(|(_, mask)| mask);
    mask.is_some_and(|mask| mask.contains(['.', ':']))
}

/// The length of the prefix that a mask of so many bits leaves, if it leaves one.
fn prefix_length(mask: u128, bits: u32) -> Option<u8> {
    let hidden = !mask & max_of(bits);
    let is_prefix = hidden & hidden.wrapping_add(1) == 0;
    let length = bits - hidden.count_ones();
    is_prefix
        .then_some(length)
        .and_then(|length| u8::try_from(length).ok())
}

/// The names of the bits that are set; a number if none is, or one without a name.
fn flags_to_text(value: u128, names: &[(&str, u128)]) -> String {
    let set = names.iter().filter(|(_, bit)| value & bit != 0);
    let (texts, known): (Vec<&str>, Vec<u128>) = set.copied().unzip();
    match known.iter().fold(0, |all, bit| all | bit) {
        all if all == value && value != 0 => texts.join("+"),
        _ => value.to_string(),
    }
}

fn form_of(found: &Match) -> &'static str {
    match found {
        Match::Exact(_) => "a number",
        Match::Prefix { .. } => "a prefix",
        Match::Masked { .. } => "value and mask",
        Match::Range { .. } => "a range",
        Match::Port(_) => "a port",
        Match::Untagged => "`untagged`",
    }
}

fn ipv4(value: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::try_from(value).expect("an IPv4 value fits into 32 bits"))
}

fn name_list(names: &[(&str, u128)]) -> String {
    names
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(field: Field, text: &str) -> String {
        match field.parse(text) {
            Ok(found) => format!("{found:?} = {}", field.format(&found)),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn matches_have_one_form() {
        assert_eq!(
            parsed(Field::Ipv4Dst, "10.0.0.1/32"),
            "Exact(167772161) = 10.0.0.1"
        );
        assert_eq!(parsed(Field::L4Dst, "80-80"), "Exact(80) = 80");
        assert_eq!(parsed(Field::EthType, "0x0800"), "Exact(2048) = ipv4");
        assert_eq!(parsed(Field::EthType, "0x88b5"), "Exact(34997) = 0x88b5");
        assert_eq!(parsed(Field::VlanVid, "untagged"), "Untagged = untagged");
        assert_eq!(
            parsed(Field::EthDst, "01:00:00:00:00:00/ff:ff:ff:ff:ff:ff"),
            "Exact(1099511627776) = 01:00:00:00:00:00"
        );
    }

    #[test]
    fn flags_have_names_and_masks() {
        assert_eq!(parsed(Field::TcpFlags, "0x12"), "Exact(18) = syn+ack");
        assert_eq!(parsed(Field::TcpFlags, "ack+syn"), "Exact(18) = syn+ack");
        assert_eq!(parsed(Field::TcpFlags, "0"), "Exact(0) = 0");
        assert_eq!(
            parsed(Field::TcpFlags, "syn/syn+ack"),
            "Masked { value: 2, mask: 18 } = syn/syn+ack"
        );
        assert_eq!(
            parsed(Field::TcpFlags, "sin"),
            "`sin` is neither a number nor one of syn, ack, fin, rst, psh, urg, ece, cwr, ns"
        );
    }

    #[test]
    fn addresses_take_any_mask() {
        assert_eq!(
            parsed(Field::Ipv4Dst, "10.0.0.1/255.0.0.255"),
            "Masked { value: 167772161, mask: 4278190335 } = 10.0.0.1/255.0.0.255"
        );
        assert_eq!(
            parsed(Field::Ipv4Dst, "10.0.0.0/255.0.0.0"),
            "Prefix { value: 167772160, length: 8 } = 10.0.0.0/8"
        );
        assert_eq!(
            parsed(Field::Ipv6Src, "::1/::ffff"),
            "Masked { value: 1, mask: 65535 } = ::1/::ffff"
        );
        assert!(parsed(Field::Ipv4Src, "0.0.0.0/0.0.0.0").ends_with(" = 0.0.0.0/0"));
        assert_eq!(
            parsed(Field::Ipv4Dst, "10.9.0.1/255.0.0.255"),
            "10.9.0.1/255.0.0.255 has bits set that its mask leaves out; \
             did you mean 10.0.0.1/255.0.0.255?"
        );
    }

    #[test]
    fn what_a_field_cannot_hold_is_refused() {
        assert_eq!(
            parsed(Field::L4Dst, "90-80"),
            "the range 90-80 is empty; write the lower value first"
        );
        assert_eq!(
            parsed(Field::EthDst, "01:00:00:00:00:01/01:00:00:00:00:00"),
            "01:00:00:00:00:01/01:00:00:00:00:00 has bits set that its mask leaves out; \
             did you mean 01:00:00:00:00:00/01:00:00:00:00:00?"
        );
        assert_eq!(
            parsed(Field::IpDscp, "64"),
            "`64` is not a number from 0 to 63; decimal or 0x-hexadecimal is accepted"
        );
        assert!(
            parsed(Field::EthType, "ip")
                .starts_with("`ip` is neither a number nor one of ipv4, arp")
        );
    }
}
