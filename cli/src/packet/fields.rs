//! A packet by its fields: `eth_dst=00:00:5e:00:53:01 ipv4_dst=10.0.2.1 udp_dst=80 vlan=10`.
//!
//! Names and values are those of criteria of objectives; what is not said is filled in so that the packet is well
//! formed ([`super::frame`]).

use std::collections::BTreeMap;

use pointsman_model::{Field, PortRef};

use super::frame::{self, ICMP, ICMPV6, IPV4, IPV6, UDP};

/// A packet, and where it comes in, if that was one of the fields.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    pub bytes: Vec<u8>,
    pub port: Option<PortRef>,
}

const MAX_LENGTH: usize = 9000;

/// What was said of a packet.
#[derive(Default)]
pub(super) struct Given {
    values: BTreeMap<Field, u128>,
    port: Option<PortRef>,
    /// Of the whole frame.
    pub(super) length: Option<usize>,
    /// The payload of Ethernet, and who says so.
    ether_type: Option<(u128, String)>,
    /// The payload of IP, and who says so.
    protocol: Option<(u128, String)>,
    /// Something of IP is said, or above it.
    is_ip: bool,
}

/// Makes a packet of words of the form `NAME=VALUE`.
///
/// # Errors
/// Says which word is wrong and what would be right.
pub fn build<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Built, String> {
    let mut given = Given::default();
    for word in words {
        given.read(word)?;
    }
    let port = given.port.take();
    let bytes = frame::frame(&mut given)?;
    match given.values.keys().next() {
        Some(unused) => Err(format!(
            "{unused} is no field of such a packet; leave it out or say what has it (eth_type, ip_proto)"
        )),
        None => Ok(Built { bytes, port }),
    }
}

impl Given {
    fn read(&mut self, word: &str) -> Result<(), String> {
        let Some((name, value)) = word.split_once('=') else {
            return Err(format!(
                "`{word}` is neither NAME=VALUE nor hexadecimal; give for example ipv4_dst=10.0.2.1"
            ));
        };
        let at = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        if name == "length" {
            let length = value.parse().ok().filter(|length| *length <= MAX_LENGTH);
            let wanted = format!("`{value}` is not a number of bytes up to {MAX_LENGTH}");
            self.length = Some(length.ok_or_else(|| at(&wanted))?);
            return Ok(());
        }
        let field = self.field(name)?;
        if field == Field::InPort {
            let port = value.parse::<PortRef>();
            self.port = Some(port.map_err(|error| at(&error))?);
            return Ok(());
        }
        if value == "untagged" && matches!(field, Field::VlanVid | Field::InnerVlanVid) {
            return Ok(());
        }
        if value.contains('/') {
            return Err(at(&format!(
                "`{value}` is more than one value, and a packet has one"
            )));
        }
        let value = field.parse_value(value).map_err(|error| at(&error))?;
        if self.values.insert(field, value).is_some() {
            return Err(at(&"it is there twice"));
        }
        match field {
            Field::EthType => self.be(value, "eth_type"),
            Field::IpProto => self.carry(value, "ip_proto"),
            _ => Ok(()),
        }
    }

    /// The field of a name, with what it says of the packet.
    fn field(&mut self, name: &str) -> Result<Field, String> {
        let field = match name {
            "vlan" => Field::VlanVid,
            "inner_vlan" => Field::InnerVlanVid,
            name => name.parse().map_err(|_| unknown(name))?,
        };
        let is_mpls = matches!(field, Field::MplsLabel | Field::MplsTc | Field::MplsBos);
        if let Some(ether_type) = field.implied_ether_type().filter(|_| !is_mpls) {
            self.be(ether_type, name)?;
        }
        if let Some(protocol) = field.implied_protocol() {
            self.carry(protocol, name)?;
        }
        self.is_ip |= matches!(
            field,
            Field::IpProto
                | Field::IpDscp
                | Field::IpEcn
                | Field::IpTtl
                | Field::IpFrag
                | Field::L4Src
                | Field::L4Dst
        );
        if field == Field::TunnelId {
            self.carry(UDP, name)?;
        }
        Ok(field.generic())
    }

    fn be(&mut self, ether_type: u128, name: &str) -> Result<(), String> {
        agree(&mut self.ether_type, ether_type, name, Field::EthType)
    }

    fn carry(&mut self, protocol: u128, name: &str) -> Result<(), String> {
        self.is_ip = true;
        agree(&mut self.protocol, protocol, name, Field::IpProto)
    }

    /// A value that was given, which counts as used from now on.
    pub(super) fn take(&mut self, field: Field) -> Option<u128> {
        self.values.remove(&field)
    }

    /// Whether one of these was given.
    pub(super) fn has(&self, fields: &[Field]) -> bool {
        fields.iter().any(|field| self.values.contains_key(field))
    }

    /// What is in the frame, if anything says so.
    pub(super) fn ether_type(&self) -> Option<u128> {
        let said = self.ether_type.as_ref().map(|(ether_type, _)| *ether_type);
        said.or_else(|| self.is_ip.then_some(IPV4))
    }

    /// What is in the IP packet.
    pub(super) fn protocol(&self) -> u128 {
        self.protocol
            .as_ref()
            .map_or(UDP, |(protocol, _)| *protocol)
    }

    /// Whether ICMP's version is that of IP.
    pub(super) fn check_icmp(&self, ether_type: u128) -> Result<(), String> {
        match (ether_type, self.protocol()) {
            (IPV6, ICMP) => Err("IPv6 carries icmpv6, not icmp".to_owned()),
            (IPV4, ICMPV6) => Err("IPv4 carries icmp, not icmpv6".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Takes note of what a field says of the packet, if no other says otherwise.
fn agree(
    said: &mut Option<(u128, String)>,
    value: u128,
    by: &str,
    what: Field,
) -> Result<(), String> {
    match said {
        Some((before, who)) if *before != value => {
            let text = |value| what.format(&pointsman_model::Match::Exact(value));
            Err(format!(
                "{by} makes the {what} {}, but {who} makes it {}; a packet has one",
                text(value),
                text(*before)
            ))
        }
        Some(_) => Ok(()),
        None => {
            *said = Some((value, by.to_owned()));
            Ok(())
        }
    }
}

fn unknown(name: &str) -> String {
    let names = Field::all().map(Field::name);
    let names: Vec<_> = names.chain(["vlan", "inner_vlan", "length"]).collect();
    format!("there is no field {name}; there are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::summary;

    fn made(words: &str) -> String {
        match build(words.split(' ')) {
            Ok(built) => summary(&built.bytes),
            Err(error) => error,
        }
    }

    #[test]
    fn packets_are_what_their_fields_say() {
        let macs = "02:00:00:00:00:01 > 02:00:00:00:00:02";
        for (words, expected) in [
            ("eth_type=lldp", "LLDP"),
            (
                "ipv4_dst=10.0.2.1 udp_dst=80 vlan=10",
                "VLAN 10, 192.0.2.1 > 10.0.2.1, TTL 64, UDP 49152 > 80",
            ),
            (
                "ipv6_src=2001:db8::5 ip_ttl=1 tcp_dst=22",
                "2001:db8::5 > 2001:db8::2, hop limit 1, TCP 49152 > 22",
            ),
            (
                "icmp_type=echo_request ipv4_src=10.0.0.9",
                "10.0.0.9 > 198.51.100.1, TTL 64, ICMP type 8 code 0",
            ),
            (
                "arp_op=request arp_spa=10.0.0.1 arp_tpa=10.0.0.2",
                "ARP request of 10.0.0.1 for 10.0.0.2",
            ),
            (
                "vlan=10 inner_vlan_pcp=3 arp_sha=02:00:00:00:00:09 arp_op=reply arp_tha=02:00:00:00:00:07",
                "VLAN 10, VLAN 0, ARP reply of 192.0.2.1 to 198.51.100.1",
            ),
            (
                "tunnel_id=7",
                "192.0.2.1 > 198.51.100.1, TTL 64, UDP 49152 > 4789",
            ),
            (
                "vlan=10 inner_vlan=20 mpls_label=100 l4_dst=53",
                "VLAN 10, VLAN 20, MPLS 100, 192.0.2.1 > 198.51.100.1, TTL 64, UDP 49152 > 53",
            ),
        ] {
            let bytes = match words {
                words if words.starts_with("ipv6") => 74,
                "tunnel_id=7" => 64,
                _ => 60,
            };
            assert_eq!(
                made(words),
                format!("{macs}, {expected}, {bytes} bytes"),
                "{words}"
            );
        }
        assert!(made("udp_dst=80 length=1500").ends_with("1500 bytes"));
    }

    #[test]
    fn what_no_packet_can_be_is_refused_with_the_reason() {
        for (words, expected) in [
            (
                "ipv4_dst=10.0.0.0/8",
                "ipv4_dst: `10.0.0.0/8` is more than one value, and a packet has one",
            ),
            (
                "ipv4_dst=10.0.0",
                "ipv4_dst: `10.0.0` is not an IPv4 address; write four numbers from 0 to 255, like 10.0.2.1",
            ),
            (
                "ipv4_dst=10.0.0.1 ipv6_src=::1",
                "ipv6_src makes the eth_type ipv6, but ipv4_dst makes it ipv4; a packet has one",
            ),
            (
                "tcp_dst=1 udp_src=2",
                "udp_src makes the ip_proto udp, but tcp_dst makes it tcp; a packet has one",
            ),
            (
                "eth_type=arp ip_ttl=3",
                "ip_ttl is no field of such a packet; leave it out or say what has it (eth_type, ip_proto)",
            ),
            (
                "eth_type=ipv6 ip_proto=icmp",
                "IPv6 carries icmpv6, not icmp",
            ),
            (
                "vlan=4095",
                "vlan: `4095` is not a VLAN; write a number from 1 to 4094",
            ),
            (
                "telnet",
                "`telnet` is neither NAME=VALUE nor hexadecimal; give for example ipv4_dst=10.0.2.1",
            ),
        ] {
            assert_eq!(made(words), expected, "{words}");
        }
        assert!(made("ipv5_dst=1").starts_with("there is no field ipv5_dst; there are in_port, "));
    }

    #[test]
    fn the_port_is_a_field_of_its_own() {
        let built = build(["in_port=swp1", "vlan=untagged"]).expect("a packet");
        assert_eq!(built.port, Some(PortRef::Name("swp1".to_owned())));
        assert_eq!(built.bytes.len(), 60);
    }
}
