//! The fields that criteria match and `set` rewrites, and the values they take.
//!
//! One table, [`FIELDS`], says what there is; reader, printer, JSON schema and
//! wire form all follow it. A pipeline manifest maps these names to match keys.

use std::fmt;
use std::str::FromStr;

/// How the value of a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A port by number or name.
    Port,
    /// An Ethernet address, optionally `/mask`.
    Mac,
    /// A VLAN, or `untagged`.
    Vlan,
    /// An IPv4 address or prefix, or `address/mask` with any mask.
    Ipv4,
    /// An IPv6 address or prefix, or `address/mask` with any mask.
    Ipv6,
    /// A number of so many bits, or one of the names; optionally `/mask`.
    Number(u32, &'static [(&'static str, u128)]),
    /// Like a number, and also a range `low-high`.
    Ranged(u32),
    /// So many bits, each with a name: `syn+ack`; optionally `/mask`, `syn/syn+ack`.
    Flags(u32, &'static [(&'static str, u128)]),
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
/// In the order in which they are printed.
const TCP_FLAGS: &[(&str, u128)] = &[
    ("syn", 0x02),
    ("ack", 0x10),
    ("fin", 0x01),
    ("rst", 0x04),
    ("psh", 0x08),
    ("urg", 0x20),
    ("ece", 0x40),
    ("cwr", 0x80),
    ("ns", 0x100),
];
/// As OpenFlow numbers them: the first bit says that it is a fragment, the second that it is not
/// the first one. So `1/1` is any fragment, and `0/2` what has the header above IP.
const FRAGMENTS: &[(&str, u128)] = &[("none", 0), ("first", 1), ("later", 3)];
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

use ValueKind::{Flags, Ipv4, Ipv6, Mac, Number, Port, Ranged, Vlan};

fields! {
    InPort "in_port" Port, false, "The port the packet came in by.";
    EthDst "eth_dst" Mac, true, "Destination MAC address.";
    EthSrc "eth_src" Mac, true, "Source MAC address.";
    EthType "eth_type" Number(16, ETHER_TYPES), false, "Type of the payload, behind any VLAN tags.";
    VlanVid "vlan_vid" Vlan, true, "VLAN of the outer tag, or `untagged`.";
    VlanPcp "vlan_pcp" Number(3, &[]), true, "Priority of the outer VLAN tag.";
    InnerVlanVid "inner_vlan_vid" Vlan, true, "VLAN of the second tag, or `untagged`.";
    InnerVlanPcp "inner_vlan_pcp" Number(3, &[]), true, "Priority of the second VLAN tag.";
    MplsLabel "mpls_label" Number(20, &[]), true, "Outer MPLS label.";
    MplsTc "mpls_tc" Number(3, &[]), true, "MPLS traffic class.";
    MplsBos "mpls_bos" Number(1, BOOLEAN), false, "Whether the outer MPLS label is the last one.";
    Ipv4Src "ipv4_src" Ipv4, true, "IPv4 source address, prefix or address/mask.";
    Ipv4Dst "ipv4_dst" Ipv4, true, "IPv4 destination address, prefix or address/mask.";
    Ipv6Src "ipv6_src" Ipv6, true, "IPv6 source address, prefix or address/mask.";
    Ipv6Dst "ipv6_dst" Ipv6, true, "IPv6 destination address, prefix or address/mask.";
    Ipv6FlowLabel "ipv6_flow_label" Number(20, &[]), false, "IPv6 flow label.";
    IpProto "ip_proto" Number(8, IP_PROTOCOLS), false, "Protocol above IPv4 or IPv6.";
    IpDscp "ip_dscp" Number(6, DSCP), true, "Differentiated services code point.";
    IpEcn "ip_ecn" Number(2, &[]), true, "Congestion notification bits.";
    IpTtl "ip_ttl" Number(8, &[]), true, "TTL or hop limit.";
    IpFrag "ip_frag" Number(2, FRAGMENTS), false, "Whether it is a fragment; 1/1 is any, 0/2 all but later ones.";
    L4Src "l4_src" Ranged(16), true, "TCP, UDP or SCTP source port, or a range of them.";
    L4Dst "l4_dst" Ranged(16), true, "TCP, UDP or SCTP destination port, or a range of them.";
    TcpSrc "tcp_src" Ranged(16), false, "`l4_src` of TCP.";
    TcpDst "tcp_dst" Ranged(16), false, "`l4_dst` of TCP.";
    UdpSrc "udp_src" Ranged(16), false, "`l4_src` of UDP.";
    UdpDst "udp_dst" Ranged(16), false, "`l4_dst` of UDP.";
    SctpSrc "sctp_src" Ranged(16), false, "`l4_src` of SCTP.";
    SctpDst "sctp_dst" Ranged(16), false, "`l4_dst` of SCTP.";
    TcpFlags "tcp_flags" Flags(9, TCP_FLAGS), false, "TCP flags: syn is SYN alone, syn/syn+ack SYN without ACK.";
    IcmpType "icmp_type" Number(8, ICMP_TYPES), false, "ICMP (IPv4) type.";
    IcmpCode "icmp_code" Number(8, &[]), false, "ICMP (IPv4) code.";
    Icmpv6Type "icmpv6_type" Number(8, ICMPV6_TYPES), false, "ICMPv6 type.";
    Icmpv6Code "icmpv6_code" Number(8, &[]), false, "ICMPv6 code.";
    ArpOp "arp_op" Number(16, ARP_OPERATIONS), false, "ARP operation.";
    ArpSpa "arp_spa" Ipv4, false, "ARP sender protocol address.";
    ArpTpa "arp_tpa" Ipv4, false, "ARP target protocol address.";
    ArpSha "arp_sha" Mac, false, "ARP sender hardware address.";
    ArpTha "arp_tha" Mac, false, "ARP target hardware address.";
    NdTarget "nd_target" Ipv6, false, "Target address of neighbour discovery.";
    NdSll "nd_sll" Mac, false, "Source link-layer address in neighbour discovery.";
    NdTll "nd_tll" Mac, false, "Target link-layer address in neighbour discovery.";
    TunnelId "tunnel_id" Number(64, &[]), true, "Number of the tunnel or virtual network, such as a VXLAN's.";
    Metadata "metadata" Number(64, &[]), true, "What a filter noted of the packet with `set`.";
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
            | Self::Icmpv6Code
            | Self::NdTarget
            | Self::NdSll
            | Self::NdTll => 0x86dd,
            Self::ArpOp | Self::ArpSpa | Self::ArpTpa | Self::ArpSha | Self::ArpTha => 0x0806,
            Self::MplsLabel | Self::MplsTc | Self::MplsBos => 0x8847,
            _ => return None,
        })
    }

    /// The IP protocol that a packet must have to have this field, if it is one only.
    pub fn implied_protocol(self) -> Option<u128> {
        Some(match self {
            Self::TcpFlags | Self::TcpSrc | Self::TcpDst => 6,
            Self::UdpSrc | Self::UdpDst => 17,
            Self::SctpSrc | Self::SctpDst => 132,
            Self::IcmpType | Self::IcmpCode => 1,
            Self::Icmpv6Type | Self::Icmpv6Code | Self::NdTarget | Self::NdSll | Self::NdTll => 58,
            _ => return None,
        })
    }

    /// The field that pipelines know: `tcp_dst` is the `l4_dst` of a protocol that it implies. Most
    /// fields are their own.
    pub fn generic(self) -> Self {
        match self {
            Self::TcpSrc | Self::UdpSrc | Self::SctpSrc => Self::L4Src,
            Self::TcpDst | Self::UdpDst | Self::SctpDst => Self::L4Dst,
            own => own,
        }
    }

    /// Its width. A port is 32 bits wide here, whatever a pipeline makes of it.
    pub fn bits(self) -> u32 {
        match self.kind() {
            Port | Ipv4 => 32,
            Mac => 48,
            Vlan => 12,
            Ipv6 => 128,
            Number(bits, _) | Ranged(bits) | Flags(bits, _) => bits,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for field in Field::all() {
            assert_eq!(field.spec().field, field);
            assert_eq!(Field::from_str(field.name()), Ok(field));
        }
    }
}
