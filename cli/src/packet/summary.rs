//! What a packet is, in a line, for those who read it: addresses, tags, protocols, ports.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A packet in a line. What is not understood is named by its number; what is not there is left out.
pub fn summary(packet: &[u8]) -> String {
    let mut parts = Vec::new();
    if let (Some(destination), Some(source)) = (chunk::<6>(packet, 0), chunk::<6>(packet, 6)) {
        parts.push(format!("{} > {}", mac(source), mac(destination)));
    }
    let mut at = 12;
    while let Some(ether_type) = word(packet, at) {
        at += 2;
        match ether_type {
            0x8100 | 0x88a8 | 0x9100 => {
                let Some(tag) = word(packet, at) else { break };
                parts.push(format!("VLAN {}", tag & 0x0fff));
                at += 2;
                continue;
            }
            0x8847 => {
                let mut rest = packet.get(at..).unwrap_or_default();
                while let Some(label) = chunk::<4>(rest, 0).map(u32::from_be_bytes) {
                    parts.push(format!("MPLS {}", label >> 12));
                    rest = &rest[4..];
                    if label & 0x100 != 0 {
                        break;
                    }
                }
                match rest.first().map(|byte| byte >> 4) {
                    Some(4) => ipv4(rest, &mut parts),
                    Some(6) => ipv6(rest, &mut parts),
                    _ => {}
                }
            }
            0x0800 => ipv4(packet.get(at..).unwrap_or_default(), &mut parts),
            0x86dd => ipv6(packet.get(at..).unwrap_or_default(), &mut parts),
            0x0806 => arp(packet.get(at..).unwrap_or_default(), &mut parts),
            0x88cc => parts.push("LLDP".to_owned()),
            other if other >= 0x0600 => parts.push(format!("EtherType {other:#06x}")),
            _ => {}
        }
        break;
    }
    parts.push(format!("{} bytes", packet.len()));
    parts.join(", ")
}

fn ipv4(packet: &[u8], parts: &mut Vec<String>) {
    let (Some(source), Some(destination)) = (chunk(packet, 12), chunk(packet, 16)) else {
        return;
    };
    let (source, destination) = (Ipv4Addr::from(source), Ipv4Addr::from(destination));
    parts.push(format!("{source} > {destination}, TTL {}", packet[8]));
    let header = usize::from(packet[0] & 0x0f) * 4;
    above_ip(packet[9], packet.get(header..).unwrap_or_default(), parts);
}

fn ipv6(packet: &[u8], parts: &mut Vec<String>) {
    let (Some(source), Some(destination)) = (chunk::<16>(packet, 8), chunk::<16>(packet, 24))
    else {
        return;
    };
    let (source, destination) = (Ipv6Addr::from(source), Ipv6Addr::from(destination));
    parts.push(format!("{source} > {destination}, hop limit {}", packet[7]));
    above_ip(packet[6], &packet[40..], parts);
}

fn above_ip(protocol: u8, packet: &[u8], parts: &mut Vec<String>) {
    let name = match protocol {
        6 => "TCP",
        17 => "UDP",
        132 => "SCTP",
        1 | 58 => {
            let name = if protocol == 1 { "ICMP" } else { "ICMPv6" };
            match packet {
                [kind, code, ..] => parts.push(format!("{name} type {kind} code {code}")),
                _ => parts.push(name.to_owned()),
            }
            return;
        }
        other => return parts.push(format!("protocol {other}")),
    };
    match (word(packet, 0), word(packet, 2)) {
        (Some(source), Some(destination)) => {
            parts.push(format!("{name} {source} > {destination}"));
        }
        _ => parts.push(name.to_owned()),
    }
}

fn arp(packet: &[u8], parts: &mut Vec<String>) {
    let (Some(sender), Some(target)) = (chunk(packet, 14), chunk(packet, 24)) else {
        return parts.push("ARP".to_owned());
    };
    let (sender, target) = (Ipv4Addr::from(sender), Ipv4Addr::from(target));
    parts.push(match word(packet, 6) {
        Some(2) => format!("ARP reply of {sender} to {target}"),
        _ => format!("ARP request of {sender} for {target}"),
    });
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    chunk(packet, at).map(u16::from_be_bytes)
}

fn chunk<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk().copied()
}
