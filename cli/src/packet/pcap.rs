//! A packet out of a capture: pcap as tcpdump writes it, pcapng as Wireshark does.
//!
//! The formats are a library's to read; here is said which packet is meant, and why it cannot be had.

use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use thiserror::Error;

/// The link type of Ethernet.
const ETHERNET: u32 = 1;
/// What the reader wants beyond the capture itself.
const SLACK: usize = 1 << 16;

/// Why there is no packet.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum CaptureError {
    /// Neither format.
    #[error("is no capture: it begins neither as pcap nor as pcapng")]
    Format,
    /// It ends too early.
    #[error("is damaged at byte {0}")]
    Damaged(usize),
    /// Another link layer.
    #[error("holds frames of link type {0}; only Ethernet (1) can be traced")]
    LinkType(u32),
    /// It has fewer.
    #[error("has {packets} packets, no number {number}")]
    NoSuchPacket {
        /// How many there are.
        packets: usize,
        /// Which was asked for.
        number: usize,
    },
    /// The capture cut it off.
    #[error(
        "has only {captured} of the {length} bytes of packet {number}; capture whole packets (tcpdump -s 0)"
    )]
    Cut {
        /// Which.
        number: usize,
        /// Bytes that are there.
        captured: usize,
        /// Bytes that it had.
        length: usize,
    },
}

/// A packet of a capture.
struct Record {
    bytes: Vec<u8>,
    /// As it was on the wire.
    length: usize,
    link_type: u32,
}

/// The packet of that number, from 1.
///
/// # Errors
/// See [`CaptureError`].
pub fn read_packet(capture: &[u8], number: usize) -> Result<Vec<u8>, CaptureError> {
    let capacity = 2 * capture.len() + SLACK;
    let mut reader = create_reader(capacity, capture).map_err(|_| CaptureError::Format)?;
    let mut link_types = Vec::new();
    let (mut packets, mut wanted) = (0, None);
    let (mut at, mut is_all_there) = (0, false);
    loop {
        match reader.next() {
            Ok((size, block)) => {
                if let Some(record) = record_of(block, &mut link_types) {
                    packets += 1;
                    if packets == number {
                        wanted = Some(record.ok_or(CaptureError::Damaged(at))?);
                    }
                }
                at += size;
                reader.consume(size);
            }
            Err(PcapError::Eof) => break,
            // The reader has the whole capture, and learns now that there is no more.
            Err(PcapError::Incomplete(_)) if !is_all_there => {
                is_all_there = true;
                reader.refill().map_err(|_| CaptureError::Damaged(at))?;
            }
            Err(_) => return Err(CaptureError::Damaged(at)),
        }
    }
    let record = wanted.ok_or(CaptureError::NoSuchPacket { packets, number })?;
    if record.link_type != ETHERNET {
        return Err(CaptureError::LinkType(record.link_type));
    }
    let captured = record.bytes.len();
    if captured < record.length {
        return Err(CaptureError::Cut {
            number,
            captured,
            length: record.length,
        });
    }
    Ok(record.bytes)
}

/// The packet of a block, if it is one's: nothing in it if its interface is not known, or it is longer than its block.
/// Other blocks say of which link types interfaces are.
fn record_of(block: PcapBlockOwned<'_>, link_types: &mut Vec<u32>) -> Option<Option<Record>> {
    let (data, captured, length, interface) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            // The upper bits say how long the frame check sequence is.
            *link_types = vec![number_of(header.network) & 0x03ff_ffff];
            return None;
        }
        PcapBlockOwned::Legacy(packet) => (packet.data, packet.caplen, packet.origlen, 0),
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            link_types.clear();
            return None;
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            link_types.push(number_of(interface.linktype));
            return None;
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            (packet.data, packet.caplen, packet.origlen, packet.if_id)
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let there = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
            (packet.data, packet.origlen.min(there), packet.origlen, 0)
        }
        PcapBlockOwned::NG(_) => return None,
    };
    let record = || {
        Some(Record {
            // What follows is padding.
            bytes: data.get(..usize::try_from(captured).ok()?)?.to_vec(),
            length: usize::try_from(length).ok()?,
            link_type: *link_types.get(usize::try_from(interface).ok()?)?,
        })
    };
    Some(record())
}

fn number_of(link_type: Linktype) -> u32 {
    link_type.0.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Types of pcapng's blocks.
    const SECTION: u32 = 0x0a0d_0d0a;
    const INTERFACE: u32 = 1;
    const ENHANCED_PACKET: u32 = 6;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn pcap_of(link_type: u32, packets: &[(&[u8], u32)]) -> Vec<u8> {
        let mut capture = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, link_type]);
        for (packet, length) in packets {
            capture.extend(words(&[0, 0, packet.len() as u32, *length]));
            capture.extend(*packet);
        }
        capture
    }

    fn pcapng_of(packet: &[u8; 4]) -> Vec<u8> {
        let mut capture = words(&[SECTION, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]);
        capture.extend(words(&[INTERFACE, 20, ETHERNET, 0, 20]));
        // Statistics, which nobody asked for.
        capture.extend(words(&[5, 24, 0, 0, 0, 24]));
        capture.extend(words(&[ENHANCED_PACKET, 36, 0, 0, 0, 4, 4]));
        capture.extend(packet);
        capture.extend(words(&[36]));
        capture
    }

    #[test]
    fn packets_are_found_by_their_number_in_either_format() {
        let capture = pcap_of(ETHERNET, &[(&[1, 2], 2), (&[3, 4, 5], 3)]);
        assert_eq!(read_packet(&capture, 2), Ok(vec![3, 4, 5]));
        assert_eq!(
            read_packet(&pcapng_of(&[6, 7, 8, 9]), 1),
            Ok(vec![6, 7, 8, 9])
        );
        let (packets, number) = (2, 3);
        let missing = CaptureError::NoSuchPacket { packets, number };
        assert_eq!(read_packet(&capture, 3), Err(missing));
    }

    #[test]
    fn what_is_no_whole_ethernet_frame_is_refused() {
        assert_eq!(read_packet(b"GIF89a", 1), Err(CaptureError::Format));
        let other = pcap_of(101, &[(&[1], 1)]);
        assert_eq!(read_packet(&other, 1), Err(CaptureError::LinkType(101)));
        let (number, captured, length) = (1, 2, 1500);
        let cut = CaptureError::Cut {
            number,
            captured,
            length,
        };
        assert_eq!(read_packet(&pcap_of(1, &[(&[1, 2], 1500)]), 1), Err(cut));
        let whole = pcapng_of(&[0; 4]);
        // A block ends with its length, which nobody needs.
        for end in 0..whole.len() - 4 {
            assert!(read_packet(&whole[..end], 1).is_err(), "{end}");
        }
    }
}
