//! Frames that we send: answers to ARP and neighbour solicitations, and questions whether a host is still there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_datalink::MacAddr;
use pnet_packet::Packet;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes};
use pnet_packet::icmpv6::{Icmpv6Packet, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::MutableIpv6Packet;

use super::{HostId, Mac};

/// Without the checksum, which the interface adds.
const MIN_FRAME: usize = 60;
const ARP_BYTES: usize = 28;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// From a router, an answer, and to replace what is known (RFC 4861, section 4.4).
const ROUTER_SOLICITED_OVERRIDE: u32 = 0xe000_0000;
const SOLICITED_OVERRIDE: u32 = 0x6000_0000;
/// To all nodes, who have no address to be answered at.
const OVERRIDE: u32 = 0x2000_0000;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Answers an ARP request of `to`: `ip` is at `mac`.
pub(super) fn arp_reply(to: HostId, to_ip: Ipv4Addr, ip: Ipv4Addr, mac: Mac) -> Vec<u8> {
    let packet = arp(ArpOperations::Reply, (mac, ip), (to.mac, to_ip));
    frame(to.mac, mac, to.vlan, EtherTypes::Arp, &packet)
}

/// Answers a neighbour solicitation of `to`: `ip` is at `mac`.
pub(super) fn advertisement(
    to: HostId,
    to_ip: Ipv6Addr,
    ip: Ipv6Addr,
    mac: Mac,
    is_router: bool,
) -> Vec<u8> {
    let is_anonymous = to_ip.is_unspecified();
    let flags = match (is_anonymous, is_router) {
        (true, _) => OVERRIDE,
        (false, true) => ROUTER_SOLICITED_OVERRIDE,
        (false, false) => SOLICITED_OVERRIDE,
    };
    let destination = if is_anonymous { ALL_NODES } else { to_ip };
    let packet = neighbor_discovery(ADVERTISEMENT, flags, (ip, destination), ip, mac);
    frame(to.mac, mac, to.vlan, EtherTypes::Ipv6, &packet)
}

/// Asks a host, and only that, whether it still has an address. The sender has none (RFC 5227), so that nobody
/// learns it; for IPv6 it is the link-local one of its MAC address.
pub(super) fn question(host: HostId, ip: IpAddr, from: Mac) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => {
            let sender = (from, Ipv4Addr::UNSPECIFIED);
            let packet = arp(ArpOperations::Request, sender, (Mac::default(), ip));
            frame(host.mac, from, host.vlan, EtherTypes::Arp, &packet)
        }
        IpAddr::V6(ip) => {
            let addresses = (link_local(from), ip);
            let packet = neighbor_discovery(SOLICITATION, 0, addresses, ip, from);
            frame(host.mac, from, host.vlan, EtherTypes::Ipv6, &packet)
        }
    }
}

/// Asks everybody in a VLAN who has an address, as `question` does.
pub fn search(ip: IpAddr, vlan: u16, from: Mac) -> Vec<u8> {
    match ip {
        IpAddr::V4(_) => {
            let mac = Mac::BROADCAST;
            question(HostId { mac, vlan }, ip, from)
        }
        IpAddr::V6(ip) => {
            // RFC 4291, section 2.7.1, and RFC 2464, section 7.
            let [.., a, b, c] = ip.octets();
            let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c];
            let addresses = (link_local(from), Ipv6Addr::from(group));
            let packet = neighbor_discovery(SOLICITATION, 0, addresses, ip, from);
            let mac = Mac([0x33, 0x33, 0xff, a, b, c]);
            frame(mac, from, vlan, EtherTypes::Ipv6, &packet)
        }
    }
}

fn frame(
    destination: Mac,
    source: Mac,
    vlan: u16,
    ether_type: EtherType,
    packet: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(MIN_FRAME.max(18 + packet.len()));
    frame.extend(destination.0);
    frame.extend(source.0);
    if vlan != 0 {
        frame.extend(EtherTypes::Vlan.0.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(ether_type.0.to_be_bytes());
    frame.extend(packet);
    frame.resize(frame.len().max(MIN_FRAME), 0);
    frame
}

fn arp(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut packet = MutableArpPacket::owned(vec![0; ARP_BYTES]).expect("ARP has 28 bytes");
    packet.set_hardware_type(ArpHardwareTypes::Ethernet);
    packet.set_protocol_type(EtherTypes::Ipv4);
    packet.set_hw_addr_len(6);
    packet.set_proto_addr_len(4);
    packet.set_operation(operation);
    packet.set_sender_hw_addr(MacAddr::from(sender.0.0));
    packet.set_sender_proto_addr(sender.1);
    packet.set_target_hw_addr(MacAddr::from(target.0.0));
    packet.set_target_proto_addr(target.1);
    packet.packet().to_vec()
}

/// A solicitation or advertisement of 24 bytes, with the link-layer address of its sender.
fn neighbor_discovery(
    kind: u8,
    flags: u32,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    target: Ipv6Addr,
    mac: Mac,
) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(flags.to_be_bytes());
    message.extend(target.octets());
    // An advertisement names its target, a solicitation its source.
    message.extend([if kind == ADVERTISEMENT { 2 } else { 1 }, 1]);
    message.extend(mac.0);
    let view = Icmpv6Packet::new(&message).expect("it is longer than its header");
    let sum = checksum(&view, &source, &destination).to_be_bytes();
    message[2..4].copy_from_slice(&sum);

    let header = vec![0; MutableIpv6Packet::minimum_packet_size()];
    let mut ip = MutableIpv6Packet::owned(header).expect("that is its length");
    ip.set_version(6);
    ip.set_payload_length(message.len() as u16);
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(255);
    ip.set_source(source);
    ip.set_destination(destination);
    [ip.packet(), &message].concat()
}

/// RFC 4291, appendix A.
fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ])
}
