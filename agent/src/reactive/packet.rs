//! Packets that were handed up because nobody knew where to: whose they are, and how they leave.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHERNET_BYTES: usize = 14;
const TAG_BYTES: usize = 4;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const VLAN: [u8; 2] = [0x81, 0x00];

/// Where an IP packet of a frame is for, and where in the frame it begins. `None` if it is no IP packet.
pub(super) fn destination(frame: &[u8]) -> Option<(IpAddr, usize)> {
    let (ether_type, at) = match frame.get(12..14)? {
        [0x81, 0x00] => (frame.get(16..18)?, ETHERNET_BYTES + TAG_BYTES),
        _ => (frame.get(12..14)?, ETHERNET_BYTES),
    };
    let packet = frame.get(at..)?;
    let ip = match ether_type.try_into().ok()? {
        IPV4 => {
            let octets: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        IPV6 => {
            let octets: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some((ip, at))
}

/// The packet of a frame as a router sends it on, with a tag if `vlan` says so. `None` if it may go no further.
pub(super) fn routed(
    frame: &[u8],
    from: [u8; 6],
    to: [u8; 6],
    vlan: Option<u16>,
) -> Option<Vec<u8>> {
    let (ip, at) = destination(frame)?;
    let mut out = Vec::with_capacity(frame.len() + TAG_BYTES);
    out.extend(to);
    out.extend(from);
    if let Some(vlan) = vlan {
        out.extend(VLAN);
        out.extend(vlan.to_be_bytes());
    }
    out.extend(if ip.is_ipv4() { IPV4 } else { IPV6 });
    let header = out.len();
    out.extend(&frame[at..]);
    let hops = header + if ip.is_ipv4() { 8 } else { 7 };
    let left = out.get_mut(hops)?;
    *left = left.checked_sub(1).filter(|left| *left > 0)?;
    if ip.is_ipv4() {
        // The TTL is the upper byte of its word: RFC 1624, with one less there.
        let sum = out.get_mut(header + 10..header + 12)?;
        let old = u16::from_be_bytes([sum[0], sum[1]]);
        let (new, carry) = old.overflowing_add(0x0100);
        sum.copy_from_slice(&(new + u16::from(carry)).to_be_bytes());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 10.0.0.1 to 10.0.0.2 with this TTL.
    fn ipv4(ttl: u8) -> Vec<u8> {
        let mut packet = vec![
            0x45, 0, 0, 20, 0, 1, 0, 0, ttl, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        let sum = sum(&packet);
        packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
        let mut frame = vec![9; 12];
        frame.extend(IPV4);
        frame.extend(packet);
        frame
    }

    fn sum(bytes: &[u8]) -> u16 {
        let words = bytes
            .chunks(2)
            .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
        let sum: u32 = words.sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        ((sum & 0xffff) + (sum >> 16)) as u16
    }

    #[test]
    fn a_packet_leaves_with_one_hop_less_and_a_right_checksum() {
        for ttl in 2..=255 {
            let out = routed(&ipv4(ttl), [1; 6], [2; 6], None).expect("it may go on");
            assert_eq!(out[..14], [&[2; 6][..], &[1; 6], &IPV4].concat());
            assert_eq!(out[14 + 8], ttl - 1);
            assert_eq!(sum(&out[14..]), 0xffff, "ttl {ttl}");
        }
        assert_eq!(routed(&ipv4(1), [1; 6], [2; 6], None), None);
        assert_eq!(routed(&ipv4(0), [1; 6], [2; 6], None), None);
    }

    #[test]
    fn tags_come_and_go() {
        let plain = ipv4(64);
        let tagged = routed(&plain, [1; 6], [2; 6], Some(10)).expect("it may go on");
        assert_eq!(tagged[12..18], [0x81, 0, 0, 10, 0x08, 0]);
        let again = routed(&tagged, [1; 6], [2; 6], None).expect("it may go on");
        assert_eq!(again.len(), plain.len());
        let to = Ipv4Addr::new(10, 0, 0, 2).into();
        assert_eq!(destination(&tagged), Some((to, 18)));
        assert_eq!(destination(&plain[..30]), None);
    }
}
