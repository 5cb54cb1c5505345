//! A packet out of a capture: pcap as tcpdump writes it, pcapng as Wireshark does.
//!
//! Only what is needed to find the bytes of Ethernet frames is read.

use thiserror::Error;

/// The link type of Ethernet.
const ETHERNET: u32 = 1;
const PCAP_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

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
struct Record<'c> {
    bytes: &'c [u8],
    /// As it was on the wire.
    length: usize,
    link_type: u32,
}

/// Reads numbers in the byte order of a capture.
#[derive(Clone, Copy)]
struct Reader<'c> {
    data: &'c [u8],
    is_little: bool,
}

/// The packet of that number, from 1.
///
/// # Errors
/// See [`CaptureError`].
pub fn read_packet(capture: &[u8], number: usize) -> Result<Vec<u8>, CaptureError> {
    let magic = capture.first_chunk().copied().map(u32::from_be_bytes);
    let records = match magic.ok_or(CaptureError::Format)? {
        0xa1b2_c3d4 | 0xa1b2_3c4d => pcap(Reader::new(capture, false)),
        0xd4c3_b2a1 | 0x4d3c_b2a1 => pcap(Reader::new(capture, true)),
        SECTION => pcapng(capture),
        _ => Err(CaptureError::Format),
    }?;
    let record = number.checked_sub(1).and_then(|index| records.get(index));
    let record = record.ok_or(CaptureError::NoSuchPacket {
        packets: records.len(),
        number,
    })?;
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
    Ok(record.bytes.to_vec())
}

fn pcap(reader: Reader<'_>) -> Result<Vec<Record<'_>>, CaptureError> {
    // The upper bits say how long the frame check sequence is.
    let link_type = reader.u32(20)? & 0x03ff_ffff;
    let mut records = Vec::new();
    let mut at = PCAP_HEADER;
    while at < reader.data.len() {
        let (captured, length) = (reader.length(at + 8)?, reader.length(at + 12)?);
        records.push(Record {
            bytes: reader.bytes(at + RECORD_HEADER, captured)?,
            length,
            link_type,
        });
        at += RECORD_HEADER + captured;
    }
    Ok(records)
}

fn pcapng(capture: &[u8]) -> Result<Vec<Record<'_>>, CaptureError> {
    let mut reader = Reader::new(capture, false);
    let mut records = Vec::new();
    let mut link_types = Vec::new();
    let mut at = 0;
    while at < capture.len() {
        if reader.u32(at)? == SECTION {
            // Its own byte order is written in it; interfaces begin anew.
            let magic = reader.bytes(at + 8, 4)?;
            reader.is_little = magic == [0x4d, 0x3c, 0x2b, 0x1a];
            link_types.clear();
        }
        let size = reader.length(at + 4)?;
        if size < 12 || !size.is_multiple_of(4) {
            return Err(CaptureError::Damaged(at));
        }
        let link_type = |interface: usize| {
            let known = link_types.get(interface).copied();
            known.ok_or(CaptureError::Damaged(at))
        };
        match reader.u32(at)? {
            INTERFACE => {
                let word = reader.bytes(at + 8, 2)?;
                let word = [word[0], word[1]];
                link_types.push(u32::from(match reader.is_little {
                    true => u16::from_le_bytes(word),
                    false => u16::from_be_bytes(word),
                }));
            }
            ENHANCED_PACKET => records.push(Record {
                bytes: reader.bytes(at + 28, reader.length(at + 20)?)?,
                length: reader.length(at + 24)?,
                link_type: link_type(reader.length(at + 8)?)?,
            }),
            SIMPLE_PACKET => {
                let length = reader.length(at + 8)?;
                records.push(Record {
                    bytes: reader.bytes(at + 12, length.min(size.saturating_sub(16)))?,
                    length,
                    link_type: link_type(0)?,
                });
            }
            _ => {}
        }
        at += size;
    }
    Ok(records)
}

impl<'c> Reader<'c> {
    fn new(data: &'c [u8], is_little: bool) -> Reader<'c> {
        Reader { data, is_little }
    }

    fn bytes(&self, at: usize, length: usize) -> Result<&'c [u8], CaptureError> {
        let end = at.checked_add(length);
        let bytes = end.and_then(|end| self.data.get(at..end));
        bytes.ok_or(CaptureError::Damaged(at))
    }

    fn u32(&self, at: usize) -> Result<u32, CaptureError> {
        let bytes = self.bytes(at, 4)?;
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Ok(match self.is_little {
            true => u32::from_le_bytes(bytes),
            false => u32::from_be_bytes(bytes),
        })
    }

    fn length(&self, at: usize) -> Result<usize, CaptureError> {
        usize::try_from(self.u32(at)?).map_err(|_| CaptureError::Damaged(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        capture.extend(words(&[5, 12, 12]));
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
