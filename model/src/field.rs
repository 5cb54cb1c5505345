//! The fields that criteria match and `set` rewrites, and the values they take.
//!
//! One table, [`FIELDS`], says what there is; reader, printer, JSON schema and
//! wire form all follow it. A pipeline manifest maps these names to match keys.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::value::{
    Ipv4Prefix, Ipv6Prefix, MacAddr, PortRef, ValueError, VlanId, max_of, parse_number,
};

/// How the value of a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A port by number or name.
    Port,
    /// An Ethernet address, optionally `/mask`.
    Mac,
    /// A VLAN, or `untagged`.
    Vlan,
    /// An IPv4 address or prefix.
    Ipv4,
    /// An IPv6 address or prefix.
    Ipv6,
    /// A number of so many bits, or one of the names; optionally `/mask`.
    Number(u32, &'static [(&'static str, u128)]),
    /// Like a number, and also a range `low-high`.
    Ranged(u32),
}

struct FieldSpec {
    field: Field,
    name: &'static str,
    kind: ValueKind,
    settable: bool,
    doc: &'static str,
}

const ETHER_TYPES: &[(&str, u128)] = &[
    ("ipv4", 0x0800),
    ("arp", 0x0806),
    ("vlan", 0x8100),
    ("ipv6", 0x86dd),
    ("mpls", 0x8847),
    ("eapol", 0x888e),
    ("lldp", 0x88cc),
    ("ptp", 0x88f7),
];
const IP_PROTOCOLS: &[(&str, u128)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("icmpv6", 58),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("sctp", 132),
];
const DSCP: &[(&str, u128)] = &[
    ("cs0", 0),
    ("cs1", 8),
    ("cs2", 16),
    ("cs3", 24),
    ("cs4", 32),
    ("cs5", 40),
    ("cs6", 48),
    ("cs7", 56),
    ("ef", 46),
];
const ICMP_TYPES: &[(&str, u128)] = &[
    ("echo_reply", 0),
    ("unreachable", 3),
    ("echo_request", 8),
    ("time_exceeded", 11),
];
const ICMPV6_TYPES: &[(&str, u128)] = &[
    ("unreachable", 1),
    ("packet_too_big", 2),
    ("time_exceeded", 3),
    ("echo_request", 128),
    ("echo_reply", 129),
    ("router_solicitation", 133),
    ("router_advertisement", 134),
    ("neighbor_solicitation", 135),
    ("neighbor_advertisement", 136),
];
const ARP_OPERATIONS: &[(&str, u128)] = &[("request", 1), ("reply", 2)];
const BOOLEAN: &[(&str, u128)] = &[("false", 0), ("true", 1)];

macro_rules! fields {
    ($($field:ident $name:literal $kind:expr, $settable:literal, $doc:literal;)*) => {
        /// A packet or metadata field, independent of any pipeline.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $(#[doc = $doc] $field,)*
        }

        const FIELDS: &[FieldSpec] = &[
            $(FieldSpec { field: Field::$field, name: $name, kind: $kind, settable: $settable, doc: $doc },)*
        ];
    };
}

use ValueKind::{Ipv4, Ipv6, Mac, Number, Port, Ranged, Vlan};

fields! {
    InPort "in_port" Port, false, "The port the packet came in by.";
    EthDst "eth_dst" Mac, true, "Destination MAC address.";
    EthSrc "eth_src" Mac, true, "Source MAC address.";
    EthType "eth_type" Number(16, ETHER_TYPES), false, "Type of the payload, behind any VLAN tags.";
    VlanVid "vlan_vid" Vlan, true, "VLAN of the outer tag, or `untagged`.";
    VlanPcp "vlan_pcp" Number(3, &[]), true, "Priority of the outer VLAN tag.";
    InnerVlanVid "inner_vlan_vid" Vlan, true, "VLAN of the second tag, or `untagged`.";
    MplsLabel "mpls_label" Number(20, &[]), true, "Outer MPLS label.";
    MplsTc "mpls_tc" Number(3, &[]), true, "MPLS traffic class.";
    MplsBos "mpls_bos" Number(1, BOOLEAN), false, "Whether the outer MPLS label is the last one.";
    Ipv4Src "ipv4_src" Ipv4, true, "IPv4 source address or prefix.";
    Ipv4Dst "ipv4_dst" Ipv4, true, "IPv4 destination address or prefix.";
    Ipv6Src "ipv6_src" Ipv6, true, "IPv6 source address or prefix.";
    Ipv6Dst "ipv6_dst" Ipv6, true, "IPv6 destination address or prefix.";
    Ipv6FlowLabel "ipv6_flow_label" Number(20, &[]), false, "IPv6 flow label.";
    IpProto "ip_proto" Number(8, IP_PROTOCOLS), false, "Protocol above IPv4 or IPv6.";
    IpDscp "ip_dscp" Number(6, DSCP), true, "Differentiated services code point.";
    IpEcn "ip_ecn" Number(2, &[]), true, "Congestion notification bits.";
    IpTtl "ip_ttl" Number(8, &[]), true, "TTL or hop limit.";
    L4Src "l4_src" Ranged(16), true, "TCP, UDP or SCTP source port, or a range of them.";
    L4Dst "l4_dst" Ranged(16), true, "TCP, UDP or SCTP destination port, or a range of them.";
    TcpFlags "tcp_flags" Number(9, &[]), false, "TCP flags.";
    IcmpType "icmp_type" Number(8, ICMP_TYPES), false, "ICMP (IPv4) type.";
    IcmpCode "icmp_code" Number(8, &[]), false, "ICMP (IPv4) code.";
    Icmpv6Type "icmpv6_type" Number(8, ICMPV6_TYPES), false, "ICMPv6 type.";
    Icmpv6Code "icmpv6_code" Number(8, &[]), false, "ICMPv6 code.";
    ArpOp "arp_op" Number(16, ARP_OPERATIONS), false, "ARP operation.";
    ArpSpa "arp_spa" Ipv4, false, "ARP sender protocol address.";
    ArpTpa "arp_tpa" Ipv4, false, "ARP target protocol address.";
}

impl Field {
    /// Every field, in the order in which they are documented.
    pub fn all() -> impl Iterator<Item = Self> {
        FIELDS.iter().map(|spec| spec.field)
    }

    fn spec(self) -> &'static FieldSpec {
        // The macro lists the variants and the table in the same order.
        &FIELDS[self as usize]
    }

    /// The name in YAML, on the wire and in manifests.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// How its values are written.
    pub fn kind(self) -> ValueKind {
        self.spec().kind
    }

    /// Whether a treatment can rewrite it.
    pub fn settable(self) -> bool {
        self.spec().settable
    }

    /// One sentence about it.
    pub fn doc(self) -> &'static str {
        self.spec().doc
    }

    /// The EtherType that a packet must have to have this field, if it is one only.
    pub fn implied_ether_type(self) -> Option<u128> {
        Some(match self {
            Self::Ipv4Src | Self::Ipv4Dst | Self::IcmpType | Self::IcmpCode => 0x0800,
            Self::Ipv6Src
            | Self::Ipv6Dst
            | Self::Ipv6FlowLabel
            | Self::Icmpv6Type
            | Self::Icmpv6Code => 0x86dd,
            Self::ArpOp | Self::ArpSpa | Self::ArpTpa => 0x0806,
            Self::MplsLabel | Self::MplsTc | Self::MplsBos => 0x8847,
            _ => return None,
        })
    }

    /// The IP protocol that a packet must have to have this field, if it is one only.
    pub fn implied_protocol(self) -> Option<u128> {
        Some(match self {
            Self::TcpFlags => 6,
            Self::IcmpType | Self::IcmpCode => 1,
            Self::Icmpv6Type | Self::Icmpv6Code => 58,
            _ => return None,
        })
    }

    /// Its width. A port is 32 bits wide here, whatever a pipeline makes of it.
    pub fn bits(self) -> u32 {
        match self.kind() {
            Port | Ipv4 => 32,
            Mac => 48,
            Vlan => 12,
            Ipv6 => 128,
            Number(bits, _) | Ranged(bits) => bits,
        }
    }

    /// Reads the value of a criterion.
    pub fn parse(self, text: &str) -> Result<Match, MatchError> {
        let found = match self.kind() {
            Port => return Ok(Match::Port(text.parse()?)),
            Vlan if text == "untagged" => return Ok(Match::Untagged),
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
            Mac | Number(..) | Ranged(_) if text.contains('/') => {
                let (value, mask) = text.split_once('/').expect("it contains a slash");
                Match::Masked {
                    value: self.parse_value(value)?,
                    mask: self.parse_value(mask)?,
                }
            }
            Mac | Vlan | Number(..) | Ranged(_) => Match::Exact(self.parse_value(text)?),
        };
        self.canonical(found)
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
            Match::Masked { value, mask } if matches!(kind, Mac | Number(..) | Ranged(_)) => {
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
                if mask == max_of(bits) {
                    Match::Exact(value)
                } else {
                    found
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
            Match::Masked { value, mask } if self.kind() == Mac => {
                format!("{}/{}", self.format_value(*value), self.format_value(*mask))
            }
            Match::Masked { value, mask } => format!("{value:#x}/{mask:#x}"),
            Match::Range { low, high } => format!("{low}-{high}"),
        }
    }
}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        FIELDS
            .iter()
            .find(|spec| spec.name == name)
            .map(|spec| spec.field)
            .ok_or(UnknownField)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No field has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownField;

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

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for field in Field::all() {
            assert_eq!(field.spec().field, field);
            assert_eq!(Field::from_str(field.name()), Ok(field));
        }
    }
}
