//! Numbered packets: each says which it is, so that one that does not arrive is known, and when it was sent.
//!
//! Called by whatever sends a stream through an agent: [`fast_repair`](crate::fast_repair) and
//! [`closed_loop`](crate::closed_loop). Needs root.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use pnet_datalink::{Channel, Config, DataLinkSender};
use pointsman_ebpf::sys::{PacketReceiver, interface_index};

/// Bytes that may wait for a receiver. A frame takes a page or more of them, and on a busy machine nobody reads for
/// hundreds of milliseconds: with the 208 KiB that sockets have, packets are lost there that the switch has sent.
const ROOM: u32 = 64 << 20;

/// From port 1 to 10.0.0.5, to be routed; the checksum of the IP header is right, UDP has none. The number takes
/// the place of the last four bytes.
const PACKET: [u8; 60] = {
    let head = [
        0x02, 0x00, 0x00, 0x00, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x08, 0x00, 0x45,
        0x00, 0x00, 0x2e, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x65, 0xb8, 0x0a, 0x01, 0x01, 0x01,
        0x0a, 0x00, 0x00, 0x05, 0x03, 0xe8, 0x07, 0xd0, 0x00, 0x1a, 0x00, 0x00,
    ];
    let mut packet = [0; 60];
    let mut at = 0;
    while at < head.len() {
        packet[at] = head[at];
        at += 1;
    }
    packet
};
const NUMBER_AT: usize = PACKET.len() - 4;
/// From the destination address on, nothing changes on the way.
const DESTINATION_AT: usize = 30;

/// The packet of a number.
pub(crate) fn packet(number: u32) -> [u8; PACKET.len()] {
    let mut packet = PACKET;
    packet[NUMBER_AT..].copy_from_slice(&number.to_be_bytes());
    packet
}

/// The number of a packet that arrives, if it is one of ours. It may have a VLAN tag now.
pub(crate) fn number(frame: &[u8]) -> Option<u32> {
    let (rest, number) = frame.split_last_chunk()?;
    let is_ours = rest.ends_with(&PACKET[DESTINATION_AT..NUMBER_AT]);
    is_ours.then_some(u32::from_be_bytes(*number))
}

/// A socket that sends from an interface.
pub(crate) fn sender(name: &str) -> Result<Box<dyn DataLinkSender>> {
    let interfaces = pnet_datalink::interfaces();
    let interface = interfaces.iter().find(|i| i.name == name);
    let interface = interface.with_context(|| format!("there is no interface {name}"))?;
    let channel = pnet_datalink::channel(interface, Config::default());
    match channel.with_context(|| format!("no packet socket on {name}"))? {
        Channel::Ethernet(sender, _) => Ok(sender),
        _ => bail!("{name} is not an Ethernet interface"),
    }
}

/// A socket that reads what an interface receives; each call takes `patience` at most.
pub(crate) fn receiver(name: &str, patience: Duration) -> Result<PacketReceiver> {
    let opened = PacketReceiver::open(interface_index(name)?, patience);
    let receiver = opened.with_context(|| format!("no packet socket on {name}"))?;
    let room = receiver.make_room(ROOM);
    room.with_context(|| format!("no room for the packets of {name}"))?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_known_by_its_number_with_and_without_a_tag() {
        let packet = packet(0x0102_0304);
        assert_eq!(number(&packet), Some(0x0102_0304));
        let tagged = [&packet[..12], &[0x81, 0, 0, 10], &packet[12..]].concat();
        assert_eq!(number(&tagged), Some(0x0102_0304));
        assert_eq!(number(&[0; 60]), None);
        assert_eq!(number(&[]), None);
    }

    #[test]
    fn the_checksum_of_the_ip_header_is_right() {
        let words = PACKET[14..34].chunks_exact(2);
        let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
