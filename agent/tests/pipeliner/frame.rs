//! Frames as fields with the names of criteria, and back: `vlan_vid=10 tcp_dst=80`. What is not said
//! is something harmless, and what a frame says can be read out of it so that the same frame comes
//! of it. So a text says every byte.
//!
//! Checksums above IP are zero.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_model::Field;

const IPV4: u128 = 0x0800;
const ARP: u128 = 0x0806;
const VLAN: u128 = 0x8100;
const IPV6: u128 = 0x86dd;
const MPLS: u128 = 0x8847;
/// For experiments.
const LOCAL: u128 = 0x88b5;
const TCP: u128 = 6;
const UDP: u128 = 17;
const SCTP: u128 = 132;
const ICMP: u128 = 1;
const ICMPV6: u128 = 58;
const VXLAN: u128 = 4789;
const MIN_BYTES: usize = 60;

/// What a frame says, and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    fields: BTreeMap<Field, u128>,
    length: usize,
}

impl Frame {
    /// From words of the form `NAME=VALUE`.
    pub(super) fn of(text: &str) -> Frame {
        let mut fields = BTreeMap::new();
        let mut protocol = None;
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').expect("NAME=VALUE");
            let field: Field = name.parse().unwrap_or_else(|_| panic!("no field {name}"));
            let value = field
                .parse_value(value)
                .unwrap_or_else(|error| panic!("{word}: {error}"));
            fields.insert(field.generic(), value);
            protocol = protocol.or(field.implied_protocol());
            if let Some(ether_type) = field.implied_ether_type() {
                fields.entry(Field::EthType).or_insert(ether_type);
            }
        }
        let has = |wanted: &[Field]| wanted.iter().any(|field| fields.contains_key(field));
        let ports = has(&[Field::L4Src, Field::L4Dst]);
        let tunnel = has(&[Field::TunnelId]);
        let ip = [
            Field::IpProto,
            Field::IpDscp,
            Field::IpEcn,
            Field::IpTtl,
            Field::IpFrag,
        ];
        if ports || tunnel || protocol.is_some() || has(&ip) {
            let behind_label = fields.get(&Field::EthType) == Some(&MPLS);
            if !behind_label {
                fields.entry(Field::EthType).or_insert(IPV4);
            }
            let protocol = protocol.unwrap_or(if ports || tunnel { UDP } else { 253 });
            fields.entry(Field::IpProto).or_insert(protocol);
        }
        if tunnel {
            fields.insert(Field::L4Dst, VXLAN);
        }
        // What is said, and what is filled in.
        let bytes = Frame { fields, length: 0 }.bytes();
        Frame::read(&bytes)
    }

    /// The frame.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let get = |field, default| self.fields.get(&field).copied().unwrap_or(default);
        let has = |field| self.fields.contains_key(&field);
        let mut frame = low(6, get(Field::EthDst, 0x0200_0000_0002));
        frame.extend(low(6, get(Field::EthSrc, 0x0200_0000_0001)));
        let tags = [
            (Field::VlanVid, Field::VlanPcp),
            (Field::InnerVlanVid, Field::InnerVlanPcp),
        ];
        for (vid, pcp) in tags {
            if has(vid) || has(pcp) {
                frame.extend(low(2, VLAN));
                frame.extend(low(2, get(pcp, 0) << 13 | get(vid, 0)));
            }
        }
        let label = [Field::MplsLabel, Field::MplsTc, Field::MplsBos]
            .into_iter()
            .any(has);
        let ether_type = match label {
            true => {
                frame.extend(low(2, MPLS));
                let label = get(Field::MplsLabel, 16) << 12
                    | get(Field::MplsTc, 0) << 9
                    | get(Field::MplsBos, 1) << 8;
                frame.extend(low(4, label | 64));
                if has(Field::Ipv6Src) { IPV6 } else { IPV4 }
            }
            false => {
                let ether_type = get(Field::EthType, LOCAL);
                frame.extend(low(2, ether_type));
                ether_type
            }
        };
        match ether_type {
            IPV4 | IPV6 => frame.extend(self.ip(ether_type)),
            ARP => {
                frame.extend([0, 1, 8, 0, 6, 4]);
                frame.extend(low(2, get(Field::ArpOp, 1)));
                frame.extend(low(6, get(Field::ArpSha, 0x0200_0000_0001)));
                frame.extend(low(4, get(Field::ArpSpa, 0x0a00_0001)));
                frame.extend(low(6, get(Field::ArpTha, 0)));
                frame.extend(low(4, get(Field::ArpTpa, 0x0a00_0002)));
            }
            _ => {}
        }
        let length = if self.length == 0 {
            MIN_BYTES
        } else {
            self.length
        };
        frame.resize(length.max(frame.len()), 0);
        frame
    }

    fn ip(&self, ether_type: u128) -> Vec<u8> {
        let get = |field, default| self.fields.get(&field).copied().unwrap_or(default);
        let payload = self.above_ip();
        let bytes = payload.len() as u128;
        let class = get(Field::IpDscp, 0) << 2 | get(Field::IpEcn, 0);
        let (protocol, ttl) = (get(Field::IpProto, 253), get(Field::IpTtl, 64));
        let mut header;
        if ether_type == IPV4 {
            header = low(2, 0x45 << 8 | class);
            header.extend(low(2, 20 + bytes));
            // More fragments; or 100 times eight bytes in.
            let fragment =
                [0, 0x2000, 0, 100][usize::try_from(get(Field::IpFrag, 0)).expect("2 bits")];
            header.extend(low(4, fragment));
            header.extend(low(2, ttl << 8 | protocol));
            header.extend([0, 0]);
            header.extend(low(4, get(Field::Ipv4Src, 0x0a00_0001)));
            header.extend(low(4, get(Field::Ipv4Dst, 0x0a00_0002)));
            let sum: u32 = header
                .chunks(2)
                .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
                .sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            let sum = (sum & 0xffff) + (sum >> 16);
            header[10..12].copy_from_slice(&low(2, u128::from(!sum & 0xffff)));
        } else {
            header = low(4, 6 << 28 | class << 20 | get(Field::Ipv6FlowLabel, 0));
            header.extend(low(2, bytes));
            header.extend(low(2, protocol << 8 | ttl));
            header.extend(low(16, get(Field::Ipv6Src, 0xfd00 << 112 | 1)));
            header.extend(low(16, get(Field::Ipv6Dst, 0xfd00 << 112 | 2)));
        }
        header.extend(payload);
        header
    }

    fn above_ip(&self) -> Vec<u8> {
        let get = |field, default| self.fields.get(&field).copied().unwrap_or(default);
        let has = |field| self.fields.contains_key(&field);
        let mut ports = low(2, get(Field::L4Src, 49152));
        ports.extend(low(2, get(Field::L4Dst, 9)));
        match get(Field::IpProto, 253) {
            _ if get(Field::IpFrag, 0) == 3 => vec![0; 8],
            TCP => {
                ports.extend([0; 8]);
                ports.extend(low(2, 5 << 12 | get(Field::TcpFlags, 2)));
                ports.extend([0; 6]);
                ports
            }
            UDP => {
                let tunnel = has(Field::TunnelId);
                ports.extend(low(2, if tunnel { 30 } else { 8 }));
                ports.extend([0; 2]);
                if tunnel {
                    ports.extend([8, 0, 0, 0]);
                    ports.extend(low(4, get(Field::TunnelId, 0) << 8));
                    ports.extend([0; 14]);
                }
                ports
            }
            SCTP => {
                ports.extend([0; 8]);
                ports
            }
            ICMP => {
                let mut message = low(2, get(Field::IcmpType, 8) << 8 | get(Field::IcmpCode, 0));
                message.extend([0; 6]);
                message
            }
            ICMPV6 => {
                let default = match (has(Field::NdTarget), has(Field::NdSll), has(Field::NdTll)) {
                    (_, _, true) => 136,
                    (true, ..) | (_, true, _) => 135,
                    _ => 128,
                };
                let kind = get(Field::Icmpv6Type, default);
                let mut message = low(2, kind << 8 | get(Field::Icmpv6Code, 0));
                message.extend([0; 6]);
                if matches!(kind, 135 | 136) {
                    message.extend(low(16, get(Field::NdTarget, 0xfd00 << 112 | 2)));
                }
                for (number, option) in [(0x0101, Field::NdSll), (0x0201, Field::NdTll)] {
                    if has(option) {
                        message.extend(low(2, number));
                        message.extend(low(6, get(option, 0)));
                    }
                }
                message
            }
            _ => vec![0; 8],
        }
    }

    /// What a frame says. Panics if that is not all that it is.
    pub(super) fn read(bytes: &[u8]) -> Frame {
        let mut reader = Reader {
            bytes,
            at: 0,
            fields: BTreeMap::new(),
        };
        reader.frame();
        let frame = Frame {
            fields: reader.fields,
            length: bytes.len(),
        };
        assert_eq!(
            frame.bytes(),
            bytes,
            "{:?} is not all of the frame",
            frame.fields
        );
        frame
    }

    /// What is other than in `before`: `ip_ttl=63, no vlan_vid`, or `same`.
    pub(super) fn changes(&self, before: &Frame) -> String {
        let names: BTreeSet<Field> = self
            .fields
            .keys()
            .chain(before.fields.keys())
            .copied()
            .collect();
        let mut changes: Vec<String> = names
            .into_iter()
            .filter(|field| self.fields.get(field) != before.fields.get(field))
            .map(|field| match self.fields.get(&field) {
                Some(value) => format!("{field}={}", field.format_value(*value)),
                None => format!("no {field}"),
            })
            .collect();
        if self.length != before.length {
            changes.push(format!("{} bytes", self.length));
        }
        match changes.is_empty() {
            true => "same".to_owned(),
            false => changes.join(", "),
        }
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    fields: BTreeMap<Field, u128>,
}

impl Reader<'_> {
    fn take(&mut self, bytes: usize) -> u128 {
        let taken = &self.bytes[self.at..self.at + bytes];
        self.at += bytes;
        taken
            .iter()
            .fold(0, |value, byte| value << 8 | u128::from(*byte))
    }

    fn note(&mut self, field: Field, bytes: usize) -> u128 {
        let value = self.take(bytes);
        self.fields.insert(field, value);
        value
    }

    fn frame(&mut self) {
        self.note(Field::EthDst, 6);
        self.note(Field::EthSrc, 6);
        let mut ether_type = self.take(2);
        for (vid, pcp) in [
            (Field::VlanVid, Field::VlanPcp),
            (Field::InnerVlanVid, Field::InnerVlanPcp),
        ] {
            if ether_type == VLAN {
                let tag = self.take(2);
                self.fields.insert(vid, tag & 0xfff);
                self.fields.insert(pcp, tag >> 13);
                ether_type = self.take(2);
            }
        }
        self.fields.insert(Field::EthType, ether_type);
        if ether_type == MPLS {
            let label = self.take(4);
            self.fields.insert(Field::MplsLabel, label >> 12);
            self.fields.insert(Field::MplsTc, label >> 9 & 7);
            self.fields.insert(Field::MplsBos, label >> 8 & 1);
            ether_type = if self.bytes[self.at] >> 4 == 6 {
                IPV6
            } else {
                IPV4
            };
        }
        match ether_type {
            IPV4 => self.ipv4(),
            IPV6 => self.ipv6(),
            ARP => {
                self.take(6);
                self.note(Field::ArpOp, 2);
                self.note(Field::ArpSha, 6);
                self.note(Field::ArpSpa, 4);
                self.note(Field::ArpTha, 6);
                self.note(Field::ArpTpa, 4);
            }
            _ => {}
        }
    }

    fn class(&mut self, class: u128) {
        self.fields.insert(Field::IpDscp, class >> 2);
        self.fields.insert(Field::IpEcn, class & 3);
    }

    fn ipv4(&mut self) {
        let class = self.take(2) & 0xff;
        self.class(class);
        self.take(2);
        let fragment = self.take(4);
        let fragment = match (fragment & 0x1fff, fragment & 0x2000) {
            (0, 0) => 0,
            (0, _) => 1,
            _ => 3,
        };
        self.fields.insert(Field::IpFrag, fragment);
        self.note(Field::IpTtl, 1);
        let protocol = self.note(Field::IpProto, 1);
        self.take(2);
        self.note(Field::Ipv4Src, 4);
        self.note(Field::Ipv4Dst, 4);
        if fragment != 3 {
            self.above_ip(protocol);
        }
    }

    fn ipv6(&mut self) {
        let head = self.take(4);
        self.class(head >> 20 & 0xff);
        self.fields.insert(Field::Ipv6FlowLabel, head & 0xf_ffff);
        let length = self.take(2);
        let protocol = self.note(Field::IpProto, 1);
        self.note(Field::IpTtl, 1);
        self.note(Field::Ipv6Src, 16);
        self.note(Field::Ipv6Dst, 16);
        // What is behind is padding.
        let length = usize::try_from(length).expect("16 bits");
        self.bytes = &self.bytes[..self.at + length];
        self.above_ip(protocol);
    }

    fn above_ip(&mut self, protocol: u128) {
        match protocol {
            TCP | UDP | SCTP => {
                self.note(Field::L4Src, 2);
                let port = self.note(Field::L4Dst, 2);
                if protocol == TCP {
                    self.take(8);
                    let flags = self.take(2) & 0x1ff;
                    self.fields.insert(Field::TcpFlags, flags);
                } else if protocol == UDP && self.take(2) == 30 && port == VXLAN {
                    self.take(6);
                    let tunnel = self.take(4) >> 8;
                    self.fields.insert(Field::TunnelId, tunnel);
                }
            }
            ICMP => {
                self.note(Field::IcmpType, 1);
                self.note(Field::IcmpCode, 1);
            }
            ICMPV6 => {
                let kind = self.note(Field::Icmpv6Type, 1);
                self.note(Field::Icmpv6Code, 1);
                self.take(6);
                if matches!(kind, 135 | 136) {
                    self.note(Field::NdTarget, 16);
                }
                while self.at + 8 <= self.bytes.len() && matches!(kind, 133..=136) {
                    let option = self.take(2);
                    self.note(
                        if option == 0x0101 {
                            Field::NdSll
                        } else {
                            Field::NdTll
                        },
                        6,
                    );
                }
            }
            _ => {}
        }
    }
}

/// The last bytes of a number.
fn low(bytes: usize, value: u128) -> Vec<u8> {
    value.to_be_bytes()[16 - bytes..].to_vec()
}

#[test]
fn frames_say_what_they_are() {
    for (text, expected) in [
        ("eth_type=0x88b5", "same"),
        ("vlan_vid=10 vlan_pcp=3", "vlan_vid=10, vlan_pcp=3"),
        (
            "vlan_pcp=3 inner_vlan_vid=7",
            "vlan_vid=0, vlan_pcp=3, inner_vlan_vid=7, inner_vlan_pcp=0",
        ),
        ("eth_dst=00:00:00:00:00:09", "eth_dst=00:00:00:00:00:09"),
    ] {
        assert_eq!(Frame::of(text).changes(&Frame::of("")), expected, "{text}");
    }
    for text in [
        "tcp_dst=80 tcp_flags=syn+ack",
        "nd_sll=00:00:00:00:00:01",
        "tunnel_id=7",
        "ip_frag=later",
        "mpls_tc=1",
        "sctp_dst=1 ip_ecn=2",
        "arp_op=reply",
    ] {
        let frame = Frame::of(text);
        assert_eq!(Frame::read(&frame.bytes()), frame, "{text}");
    }
}
