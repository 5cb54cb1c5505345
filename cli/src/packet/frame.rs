//! A frame of what is given of it: lengths and checksums are right, and what is not given is something harmless.

use pointsman_model::Field;

use super::fields::Given;

pub(super) const IPV4: u128 = 0x0800;
pub(super) const IPV6: u128 = 0x86dd;
const ARP: u128 = 0x0806;
const MPLS: u16 = 0x8847;
const VLAN: u16 = 0x8100;
/// For experiments (IEEE 802).
const LOCAL_EXPERIMENT: u128 = 0x88b5;

pub(super) const ICMP: u128 = 1;
pub(super) const TCP: u128 = 6;
pub(super) const UDP: u128 = 17;
pub(super) const ICMPV6: u128 = 58;
pub(super) const SCTP: u128 = 132;

/// The shortest frame on a wire, without its check sequence.
const MIN_BYTES: usize = 60;
const ETH_DST: u128 = 0x0200_0000_0002;
const ETH_SRC: u128 = 0x0200_0000_0001;
/// Addresses for documentation.
const IPV4_SRC: u128 = 0xc000_0201;
const IPV4_DST: u128 = 0xc633_6401;
const IPV6_SRC: u128 = 0x2001_0db8_0000_0000_0000_0000_0000_0001;
const IPV6_DST: u128 = 0x2001_0db8_0000_0000_0000_0000_0000_0002;
const TTL: u128 = 64;
/// The first port for clients, and the one that answers nothing.
const L4_SRC: u128 = 49152;
const L4_DST: u128 = 9;
const SYN: u128 = 0x02;
/// Messages of neighbour discovery.
const SOLICITATION: u128 = 135;
const ADVERTISEMENT: u128 = 136;
/// UDP's port for tunnels.
const VXLAN: u128 = 4789;
const ETHERNET_BYTES: usize = 14;
/// Flags and offset of IPv4 for what `ip_frag` says: whole, the first, none, one from the middle.
const FRAGMENTS: [u128; 4] = [0, 0x2000, 0x00b9, 0x20b9];

/// Makes the frame, and takes what it uses out of what is given.
pub(super) fn frame(given: &mut Given) -> Result<Vec<u8>, String> {
    let mut frame = low(6, given.take(Field::EthDst).unwrap_or(ETH_DST));
    let source = low(6, given.take(Field::EthSrc).unwrap_or(ETH_SRC));
    frame.extend(&source);
    let priority = given.take(Field::VlanPcp);
    let outer = given.take(Field::VlanVid);
    let inner_priority = given.take(Field::InnerVlanPcp);
    let inner = given
        .take(Field::InnerVlanVid)
        .or(inner_priority.map(|_| 0));
    if inner.is_some() && outer.is_none() {
        return Err("inner_vlan_vid is behind another tag; give vlan_vid, too".to_owned());
    }
    // A tag of VLAN 0 has nothing but a priority.
    let outer = outer.or(priority.map(|_| 0));
    for (vlan, priority) in [(outer, priority), (inner, inner_priority)] {
        if let Some(vlan) = vlan {
            frame.extend(VLAN.to_be_bytes());
            frame.extend(low(2, priority.unwrap_or(0) << 13 | vlan));
        }
    }
    let label = mpls(given);
    let ether_type = given.ether_type();
    given.take(Field::EthType);
    // Behind a label there is IP.
    let ether_type = ether_type
        .or(label.as_ref().map(|_| IPV4))
        .unwrap_or(LOCAL_EXPERIMENT);
    match &label {
        None => frame.extend(low(2, ether_type)),
        Some(label) => {
            frame.extend(MPLS.to_be_bytes());
            frame.extend(label);
        }
    }
    let room = given
        .length
        .unwrap_or(MIN_BYTES)
        .saturating_sub(frame.len());
    match ether_type {
        IPV4 | IPV6 => frame.extend(ip(given, ether_type, room)?),
        ARP => frame.extend(arp(given, &source)),
        _ => {}
    }
    match given.length {
        Some(length) if length < frame.len() => {
            let least = frame.len();
            return Err(format!("length: such a packet has {least} bytes at least"));
        }
        length => frame.resize(length.unwrap_or(MIN_BYTES).max(frame.len()), 0),
    }
    Ok(frame)
}

fn mpls(given: &mut Given) -> Option<Vec<u8>> {
    given
        .has(&[Field::MplsLabel, Field::MplsTc, Field::MplsBos])
        .then(|| {
            let label = given.take(Field::MplsLabel).unwrap_or(0);
            let class = given.take(Field::MplsTc).unwrap_or(0);
            let bottom = given.take(Field::MplsBos).unwrap_or(1);
            low(4, label << 12 | class << 9 | bottom << 8 | TTL)
        })
}

fn arp(given: &mut Given, source: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 1, 0x08, 0, 6, 4];
    packet.extend(low(2, given.take(Field::ArpOp).unwrap_or(1)));
    match given.take(Field::ArpSha) {
        Some(address) => packet.extend(low(6, address)),
        None => packet.extend(source),
    }
    packet.extend(low(4, given.take(Field::ArpSpa).unwrap_or(IPV4_SRC)));
    packet.extend(low(6, given.take(Field::ArpTha).unwrap_or(0)));
    packet.extend(low(4, given.take(Field::ArpTpa).unwrap_or(IPV4_DST)));
    packet
}

fn ip(given: &mut Given, ether_type: u128, room: usize) -> Result<Vec<u8>, String> {
    given.check_icmp(ether_type)?;
    let protocol = given.protocol();
    given.take(Field::IpProto);
    let class = given.take(Field::IpDscp).unwrap_or(0) << 2 | given.take(Field::IpEcn).unwrap_or(0);
    let ttl = given.take(Field::IpTtl).unwrap_or(TTL);
    let mut is_later_fragment = false;
    let (mut header, addresses) = match ether_type {
        IPV4 => {
            let mut addresses = low(4, given.take(Field::Ipv4Src).unwrap_or(IPV4_SRC));
            addresses.extend(low(4, given.take(Field::Ipv4Dst).unwrap_or(IPV4_DST)));
            let mut header = vec![0x45];
            header.extend(low(1, class));
            // Length and identification; flags and offset.
            header.extend([0; 4]);
            let fragment = given.take(Field::IpFrag).unwrap_or(0);
            is_later_fragment = fragment & 2 != 0;
            header.extend(low(
                2,
                FRAGMENTS[usize::try_from(fragment).expect("two bits")],
            ));
            header.extend(low(1, ttl));
            header.extend(low(1, protocol));
            header.extend([0; 2]);
            (header, addresses)
        }
        _ => {
            let mut addresses = low(16, given.take(Field::Ipv6Src).unwrap_or(IPV6_SRC));
            addresses.extend(low(16, given.take(Field::Ipv6Dst).unwrap_or(IPV6_DST)));
            let flow = given.take(Field::Ipv6FlowLabel).unwrap_or(0);
            let mut header = low(4, 6 << 28 | class << 20 | flow);
            header.extend([0; 2]);
            header.extend(low(1, protocol));
            header.extend(low(1, ttl));
            (header, addresses)
        }
    };
    header.extend(&addresses);
    let mut payload = match is_later_fragment {
        true => Vec::new(),
        false => above_ip(given, protocol),
    };
    payload.resize(payload.len().max(room.saturating_sub(header.len())), 0);
    if !is_later_fragment {
        seal(&mut payload, protocol, &addresses);
    }
    match ether_type {
        IPV4 => {
            let length = low(2, (header.len() + payload.len()) as u128);
            header[2..4].copy_from_slice(&length);
            let sum = internet_checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        _ => header[4..6].copy_from_slice(&low(2, payload.len() as u128)),
    }
    header.extend(payload);
    Ok(header)
}

/// The header above IP, without its checksum.
fn above_ip(given: &mut Given, protocol: u128) -> Vec<u8> {
    let ports = |given: &mut Given| {
        let mut ports = low(2, given.take(Field::L4Src).unwrap_or(L4_SRC));
        ports.extend(low(2, given.take(Field::L4Dst).unwrap_or(L4_DST)));
        ports
    };
    match protocol {
        TCP => {
            let mut header = ports(given);
            header.extend([0; 8]);
            let flags = given.take(Field::TcpFlags).unwrap_or(SYN);
            header.extend(low(2, 5 << 12 | flags));
            header.extend([0xff, 0xff, 0, 0, 0, 0]);
            header
        }
        UDP => {
            let tunnel = given.take(Field::TunnelId);
            let port = given.take(Field::L4Dst).or(tunnel.map(|_| VXLAN));
            let mut header = low(2, given.take(Field::L4Src).unwrap_or(L4_SRC));
            header.extend(low(2, port.unwrap_or(L4_DST)));
            header.extend([0; 4]);
            if let Some(tunnel) = tunnel {
                header.extend([8, 0, 0, 0]);
                header.extend(low(4, tunnel << 8));
                header.extend([0; ETHERNET_BYTES]);
            }
            header
        }
        SCTP => {
            let mut header = ports(given);
            header.extend([0; 8]);
            header
        }
        ICMP => {
            let mut header = low(1, given.take(Field::IcmpType).unwrap_or(8));
            header.extend(low(1, given.take(Field::IcmpCode).unwrap_or(0)));
            header.extend([0; 6]);
            header
        }
        ICMPV6 => icmpv6(given),
        _ => Vec::new(),
    }
}

/// An ICMPv6 message. What is said of neighbour discovery makes it one of its messages.
fn icmpv6(given: &mut Given) -> Vec<u8> {
    let said = match given.take(Field::Icmpv6Type) {
        Some(kind) => kind,
        None if given.has(&[Field::NdTll]) => ADVERTISEMENT,
        None if given.has(&[Field::NdTarget, Field::NdSll]) => SOLICITATION,
        None => 128,
    };
    let mut message = low(1, said);
    message.extend(low(1, given.take(Field::Icmpv6Code).unwrap_or(0)));
    message.extend([0; 6]);
    if matches!(said, SOLICITATION | ADVERTISEMENT) {
        message.extend(low(16, given.take(Field::NdTarget).unwrap_or(IPV6_DST)));
    }
    for (option, field) in [(1, Field::NdSll), (2, Field::NdTll)] {
        if let Some(address) = given.take(field) {
            message.extend([option, 1]);
            message.extend(low(6, address));
        }
    }
    message
}

/// Writes lengths and checksums into what is above IP, when all else is there.
fn seal(payload: &mut [u8], protocol: u128, addresses: &[u8]) {
    let length = payload.len() as u128;
    if protocol == UDP {
        payload[4..6].copy_from_slice(&low(2, length));
    }
    let at = match protocol {
        TCP => 16,
        UDP => 6,
        ICMP | ICMPV6 => 2,
        SCTP => {
            let sum = crc32c(payload);
            return payload[8..12].copy_from_slice(&sum.to_le_bytes());
        }
        _ => return,
    };
    let mut summed = Vec::new();
    if protocol != ICMP {
        // What protects the addresses: the pseudo-header.
        summed.extend(addresses);
        summed.extend(low(4, length));
        summed.extend(low(4, protocol));
    }
    summed.extend(&*payload);
    let sum = match internet_checksum(&summed) {
        // In UDP, 0 means that there is none.
        0 if protocol == UDP => 0xffff,
        sum => sum,
    };
    payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The last bytes of a number.
fn low(bytes: usize, value: u128) -> Vec<u8> {
    value.to_be_bytes()[16 - bytes..].to_vec()
}

fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| {
        let low = word.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([word[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it was folded")
}

/// Castagnoli's CRC, of SCTP.
fn crc32c(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            0 => crc >> 1,
            _ => crc >> 1 ^ 0x82f6_3b78,
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::build;

    fn built(words: &str) -> Vec<u8> {
        build(words.split(' ')).expect("a packet").bytes
    }

    /// A sum over what has its checksum in it is all ones.
    fn is_right(pseudo: &[&[u8]], payload: &[u8]) -> bool {
        internet_checksum(&[pseudo.concat(), payload.to_vec()].concat()) == 0
    }

    #[test]
    fn checksums_and_lengths_are_right() {
        for (words, protocol) in [("tcp_dst=80", 6), ("udp_dst=80 length=101", 17)] {
            let frame = built(&format!("{words} ipv4_src=10.1.2.3"));
            let (header, payload) = frame[14..].split_at(20);
            assert!(is_right(&[], header), "{words}");
            assert_eq!(usize::from(header[3]), frame.len() - 14);
            let length = [0, 0, 0, u8::try_from(payload.len()).expect("short")];
            let pseudo = [&header[12..20], &length, &[0, 0, 0, protocol]];
            assert!(is_right(&pseudo, payload), "{words}");
        }
        let frame = built("icmpv6_type=echo_request");
        let (header, payload) = frame[14..].split_at(40);
        let length = [0, 0, 0, header[5]];
        assert_eq!(payload.len(), usize::from(header[5]));
        assert!(is_right(
            &[&header[8..40], &length, &[0, 0, 0, 58]],
            payload
        ));
        assert!(is_right(&[], &built("icmp_type=8")[34..]));
    }

    #[test]
    fn sctp_has_its_own_checksum() {
        // The check value of CRC-32C.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_ne!(built("sctp_dst=80")[42..46], [0; 4]);
    }

    #[test]
    fn a_frame_that_is_too_short_for_its_headers_is_refused() {
        let error = build(["tcp_dst=80", "length=40"]).expect_err("54 bytes of headers");
        assert_eq!(error, "length: such a packet has 54 bytes at least");
    }
}
