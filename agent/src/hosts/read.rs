//! What a frame says of a host. Total: whatever comes is read or [`Unread`].
//!
//! Headers of a fixed length are `pnet_packet`'s to read. What has lengths of its own (options) is walked here, because
//! its iterators trust them.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes, EthernetPacket};
use pnet_packet::icmpv6::{Icmpv6Packet, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::udp::UdpPacket;
use pnet_packet::vlan::VlanPacket;

use super::Mac;
use super::dhcp::{self, Dhcp4, Dhcp6};

const QINQ: EtherType = EtherType(0x88a8);
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
/// RFC 4861: whoever receives another has it from beyond the link.
const ND_HOP_LIMIT: u8 = 255;

/// What a frame says, and who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The sender, by its Ethernet header.
    pub source: Mac,
    /// For whom.
    pub destination: Mac,
    /// The outermost VLAN; 0 without a tag.
    pub vlan: u16,
    /// What it says.
    pub said: Said,
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// ARP. A sender without an address asks whether somebody else has it.
    Arp {
        /// Who sends.
        sender: Mac,
        /// Its address.
        sender_ip: Ipv4Addr,
        /// Which address it is about.
        target_ip: Ipv4Addr,
        /// It wants an answer.
        is_request: bool,
    },
    /// A neighbour solicitation.
    Solicitation {
        /// Who sends; unspecified if it does not have the address yet.
        source: Ipv6Addr,
        /// Which address it is about.
        target: Ipv6Addr,
        /// The sender, if it says so.
        link: Option<Mac>,
    },
    /// A neighbour advertisement.
    Advertisement {
        /// Whose.
        target: Ipv6Addr,
        /// Where, if it says so.
        link: Option<Mac>,
    },
    /// A router solicitation or advertisement.
    Router {
        /// Who sends.
        source: Ipv6Addr,
        /// Where, if it says so.
        link: Option<Mac>,
    },
    /// DHCP for IPv4.
    Dhcp4(Dhcp4),
    /// DHCP for IPv6.
    Dhcp6(Dhcp6),
}

/// Why a frame says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is cut off, or contradicts itself.
    Malformed,
    /// It says nothing of hosts.
    Other,
}

/// Reads a frame from its Ethernet header on.
pub fn read(frame: &[u8]) -> Result<Heard, Unread> {
    let ethernet = EthernetPacket::new(frame).ok_or(Unread::Malformed)?;
    let mut ether_type = ethernet.get_ethertype();
    let mut rest = &frame[EthernetPacket::minimum_packet_size()..];
    let mut vlan = None;
    for _ in 0..2 {
        if ether_type != EtherTypes::Vlan && ether_type != QINQ {
            break;
        }
        let tag = VlanPacket::new(rest).ok_or(Unread::Malformed)?;
        vlan.get_or_insert(tag.get_vlan_identifier());
        ether_type = tag.get_ethertype();
        rest = &rest[VlanPacket::minimum_packet_size()..];
    }
    let said = match ether_type {
        EtherTypes::Arp => arp(rest)?,
        EtherTypes::Ipv4 => ipv4(rest)?,
        EtherTypes::Ipv6 => ipv6(rest)?,
        _ => return Err(Unread::Other),
    };
    Ok(Heard {
        source: Mac(ethernet.get_source().octets()),
        destination: Mac(ethernet.get_destination().octets()),
        vlan: vlan.unwrap_or(0),
        said,
    })
}

fn arp(packet: &[u8]) -> Result<Said, Unread> {
    let arp = ArpPacket::new(packet).ok_or(Unread::Malformed)?;
    let is_ethernet = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && (arp.get_hw_addr_len(), arp.get_proto_addr_len()) == (6, 4);
    let is_request = match arp.get_operation() {
        ArpOperations::Request => true,
        ArpOperations::Reply => false,
        _ => return Err(Unread::Other),
    };
    if !is_ethernet {
        return Err(Unread::Malformed);
    }
    Ok(Said::Arp {
        sender: Mac(arp.get_sender_hw_addr().octets()),
        sender_ip: arp.get_sender_proto_addr(),
        target_ip: arp.get_target_proto_addr(),
        is_request,
    })
}

fn ipv4(packet: &[u8]) -> Result<Said, Unread> {
    let ip = Ipv4Packet::new(packet).ok_or(Unread::Malformed)?;
    let header = usize::from(ip.get_header_length()) * 4;
    let total = usize::from(ip.get_total_length());
    if ip.get_version() != 4 || header < 20 {
        return Err(Unread::Malformed);
    }
    // The rest of a fragment begins with no header of UDP.
    if ip.get_next_level_protocol() != IpNextHeaderProtocols::Udp || ip.get_fragment_offset() != 0 {
        return Err(Unread::Other);
    }
    let segment = packet.get(header..total).ok_or(Unread::Malformed)?;
    dhcp::read4(datagram(segment)?).map(Said::Dhcp4)
}

fn ipv6(packet: &[u8]) -> Result<Said, Unread> {
    let ip = Ipv6Packet::new(packet).ok_or(Unread::Malformed)?;
    let start = Ipv6Packet::minimum_packet_size();
    let end = start + usize::from(ip.get_payload_length());
    let payload = packet.get(start..end).ok_or(Unread::Malformed)?;
    if ip.get_version() != 6 {
        return Err(Unread::Malformed);
    }
    match ip.get_next_header() {
        IpNextHeaderProtocols::Udp => dhcp::read6(datagram(payload)?).map(Said::Dhcp6),
        IpNextHeaderProtocols::Icmpv6 => {
            let message = Icmpv6Packet::new(payload).ok_or(Unread::Malformed)?;
            let sum = checksum(&message, &ip.get_source(), &ip.get_destination());
            if ip.get_hop_limit() != ND_HOP_LIMIT || sum != message.get_checksum() {
                return Err(Unread::Malformed);
            }
            neighbor_discovery(ip.get_source(), payload)
        }
        _ => Err(Unread::Other),
    }
}

/// What is in a UDP datagram.
fn datagram(segment: &[u8]) -> Result<&[u8], Unread> {
    let udp = UdpPacket::new(segment).ok_or(Unread::Malformed)?;
    let start = UdpPacket::minimum_packet_size();
    let end = usize::from(udp.get_length());
    segment.get(start..end).ok_or(Unread::Malformed)
}

/// RFC 4861, section 4.
fn neighbor_discovery(source: Ipv6Addr, message: &[u8]) -> Result<Said, Unread> {
    let address = |at: usize| {
        let octets: Option<[u8; 16]> = message.get(at..at + 16).and_then(|o| o.try_into().ok());
        octets.map(Ipv6Addr::from).ok_or(Unread::Malformed)
    };
    let link = |options_at, kind| link_address(message.get(options_at..), kind);
    let said = match message.first() {
        Some(133) => Said::Router {
            source,
            link: link(8, SOURCE_LINK_ADDRESS)?,
        },
        Some(134) => Said::Router {
            source,
            link: link(16, SOURCE_LINK_ADDRESS)?,
        },
        Some(135) => Said::Solicitation {
            source,
            target: address(8)?,
            link: link(24, SOURCE_LINK_ADDRESS)?,
        },
        Some(136) => Said::Advertisement {
            target: address(8)?,
            link: link(24, TARGET_LINK_ADDRESS)?,
        },
        _ => return Err(Unread::Other),
    };
    Ok(said)
}

/// The link-layer address of a kind among options.
fn link_address(options: Option<&[u8]>, wanted: u8) -> Result<Option<Mac>, Unread> {
    let mut options = options.ok_or(Unread::Malformed)?;
    let mut found = None;
    while let [kind, words, ..] = *options {
        // An option without a length would be read for ever (RFC 4861, section 4.6).
        if words == 0 {
            return Err(Unread::Malformed);
        }
        let length = usize::from(words) * 8;
        let option = options.get(..length).ok_or(Unread::Malformed)?;
        if kind == wanted && length == 8 {
            found = option[2..].first_chunk().copied().map(Mac);
        }
        options = &options[length..];
    }
    match options.is_empty() {
        true => Ok(found),
        false => Err(Unread::Malformed),
    }
}
