//! LLDP frames on the wire (IEEE 802.1AB-2016, clauses 8 and 9).
//!
//! Reading is total: whatever comes is either a [`Pdu`] or [`Malformed`]. What the standard lets a receiver ignore is
//! ignored: TLVs of unknown type, and what stands after the end.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use super::claim::{self, Claim};
use super::{ETHER_TYPE, NEAREST_BRIDGE};

const END: u8 = 0;
const CHASSIS_ID: u8 = 1;
const PORT_ID: u8 = 2;
const TIME_TO_LIVE: u8 = 3;
const PORT_DESCRIPTION: u8 = 4;
const SYSTEM_NAME: u8 = 5;
const SYSTEM_DESCRIPTION: u8 = 6;
const SYSTEM_CAPABILITIES: u8 = 7;
const ORGANISATION: u8 = 127;

/// The longest text of a TLV.
const MAX_TEXT: usize = 255;
const ETHERNET_HEADER: usize = 14;
/// Without the checksum, which the interface adds.
const MIN_FRAME: usize = 60;

/// Why a frame is no LLDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Another EtherType, or no whole header.
    #[error("not an LLDP frame")]
    NotLldp,
    /// A TLV reaches beyond the frame.
    #[error("a TLV is cut off")]
    CutOff,
    /// The first three are not chassis, port and time to live.
    #[error("a mandatory TLV is missing, or not in its place")]
    Mandatory,
    /// One of those three has a length that it must not have.
    #[error("a mandatory TLV has a wrong length")]
    Length,
    /// One of those three is there twice.
    #[error("a mandatory TLV is repeated")]
    Repeated,
    /// The TLV of our own organisation cannot be read.
    #[error("the TLV of Pointsman is malformed")]
    Claim,
}

/// How a chassis or port is called: a kind of name, and the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// What sort of name it is; chassis and ports have different lists.
    pub subtype: u8,
    /// 1 to 255 bytes.
    pub bytes: Vec<u8>,
}

impl Id {
    /// A chassis by a name that its operator gave it.
    pub fn local_chassis(name: &str) -> Id {
        Id::new(7, name)
    }

    /// A port by the name of its interface.
    pub fn interface(name: &str) -> Id {
        Id::new(5, name)
    }

    fn new(subtype: u8, name: &str) -> Id {
        let bytes = name.as_bytes();
        Id {
            subtype,
            bytes: bytes[..bytes.len().min(MAX_TEXT)].to_vec(),
        }
    }

    /// The name of a chassis, for people.
    pub fn chassis_text(&self) -> String {
        match (self.subtype, self.bytes.as_slice()) {
            (4, mac) if mac.len() == 6 => hex(mac, ":"),
            (5, address) => network_address(address),
            (_, text) => printable(text),
        }
    }

    /// The name of a port, for people.
    pub fn port_text(&self) -> String {
        match (self.subtype, self.bytes.as_slice()) {
            (3, mac) if mac.len() == 6 => hex(mac, ":"),
            (4, address) => network_address(address),
            (_, text) => printable(text),
        }
    }
}

/// What a system is able to do, as bits of the standard's table 8-4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// What it could do.
    pub supported: u16,
    /// What of that it does.
    pub enabled: u16,
}

impl Capabilities {
    const NAMES: [&str; 11] = [
        "other",
        "repeater",
        "bridge",
        "wlan-ap",
        "router",
        "telephone",
        "docsis",
        "station",
        "c-vlan",
        "s-vlan",
        "two-port-relay",
    ];

    /// A bridge that routes: that is what pipelines are for.
    pub const SWITCH: Capabilities = Capabilities {
        supported: 1 << 2 | 1 << 4,
        enabled: 1 << 2 | 1 << 4,
    };

    /// Names of what is enabled.
    pub fn names(self) -> Vec<&'static str> {
        let bits = Capabilities::NAMES.into_iter().enumerate();
        bits.filter(|(bit, _)| self.enabled >> bit & 1 == 1)
            .map(|(_, name)| name)
            .collect()
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    /// Who sends it.
    pub chassis: Id,
    /// By which port.
    pub port: Id,
    /// Seconds for which it is true; 0 takes everything back.
    pub ttl: u16,
    /// Empty if it is not told.
    pub port_description: String,
    /// Empty if it is not told.
    pub system_name: String,
    /// Empty if it is not told.
    pub system_description: String,
    /// What the system can do, if told.
    pub capabilities: Option<Capabilities>,
    /// What an agent of some cluster says.
    pub claim: Option<Claim>,
}

/// A frame that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<'a> {
    /// What it says.
    pub pdu: Pdu,
    /// What the signature is about, and the signature. There with a claim.
    pub signature: Option<(&'a [u8], &'a [u8])>,
}

/// Reads a frame from its Ethernet header on.
pub fn read(frame: &[u8]) -> Result<Received<'_>, Malformed> {
    let is_lldp = frame
        .get(12..ETHERNET_HEADER)
        .is_some_and(|ether_type| ether_type == ETHER_TYPE.to_be_bytes());
    if !is_lldp {
        return Err(Malformed::NotLldp);
    }
    let mut tlvs = Tlvs {
        data: &frame[ETHERNET_HEADER..],
        at: 0,
    };
    let mut mandatory = |kind| match tlvs.next()? {
        Some(tlv) if tlv.kind == kind => Ok(tlv.value),
        _ => Err(Malformed::Mandatory),
    };
    let (chassis, port) = (id(mandatory(CHASSIS_ID)?)?, id(mandatory(PORT_ID)?)?);
    let ttl = mandatory(TIME_TO_LIVE)?;
    let [high, low, ..] = *ttl else {
        return Err(Malformed::Length);
    };
    let mut pdu = Pdu {
        chassis,
        port,
        ttl: u16::from_be_bytes([high, low]),
        port_description: String::new(),
        system_name: String::new(),
        system_description: String::new(),
        capabilities: None,
        claim: None,
    };
    let mut signature = None;
    while let Some(tlv) = tlvs.next()? {
        if pdu.claim.is_some() {
            // Ours is the last, so that everything is signed.
            return Err(Malformed::Claim);
        }
        match tlv.kind {
            CHASSIS_ID | PORT_ID | TIME_TO_LIVE => return Err(Malformed::Repeated),
            PORT_DESCRIPTION => pdu.port_description = printable(tlv.value),
            SYSTEM_NAME => pdu.system_name = printable(tlv.value),
            SYSTEM_DESCRIPTION => pdu.system_description = printable(tlv.value),
            SYSTEM_CAPABILITIES => {
                if let [a, b, c, d] = *tlv.value {
                    pdu.capabilities = Some(Capabilities {
                        supported: u16::from_be_bytes([a, b]),
                        enabled: u16::from_be_bytes([c, d]),
                    });
                }
            }
            ORGANISATION => {
                if let Some(value) = claim::of_ours(tlv.value) {
                    let claim = Claim::read(value).ok_or(Malformed::Claim)?;
                    let end = tlvs.at - claim::SIGNATURE_BYTES;
                    signature = Some((&tlvs.data[..end], &tlvs.data[end..tlvs.at]));
                    pdu.claim = Some(claim);
                }
            }
            _ => {}
        }
    }
    Ok(Received { pdu, signature })
}

impl Pdu {
    /// The frame, with the claim signed by `sign`.
    pub fn frame(&self, source: [u8; 6], sign: impl FnOnce(&[u8]) -> claim::Signature) -> Vec<u8> {
        let mut data = Vec::with_capacity(512);
        let mut tlv = |kind: u8, parts: &[&[u8]]| {
            let length: usize = parts.iter().map(|part| part.len()).sum();
            data.extend((u16::from(kind) << 9 | length as u16).to_be_bytes());
            data.extend(parts.concat());
        };
        tlv(CHASSIS_ID, &[&[self.chassis.subtype], &self.chassis.bytes]);
        tlv(PORT_ID, &[&[self.port.subtype], &self.port.bytes]);
        tlv(TIME_TO_LIVE, &[&self.ttl.to_be_bytes()]);
        let texts = [
            (PORT_DESCRIPTION, &self.port_description),
            (SYSTEM_NAME, &self.system_name),
            (SYSTEM_DESCRIPTION, &self.system_description),
        ];
        for (kind, text) in texts {
            if !text.is_empty() {
                tlv(kind, &[&text.as_bytes()[..text.len().min(MAX_TEXT)]]);
            }
        }
        if let Some(capabilities) = self.capabilities {
            let supported = capabilities.supported.to_be_bytes();
            let enabled = capabilities.enabled.to_be_bytes();
            tlv(SYSTEM_CAPABILITIES, &[&supported, &enabled]);
        }
        if let Some(claim) = &self.claim {
            let unsigned = claim.value();
            tlv(ORGANISATION, &[&unsigned, &[0; claim::SIGNATURE_BYTES]]);
            let signed = data.len() - claim::SIGNATURE_BYTES;
            let signature = sign(&data[..signed]);
            data[signed..].copy_from_slice(&signature);
        }
        data.extend([END, 0]);
        let mut frame = Vec::with_capacity(ETHERNET_HEADER + data.len());
        frame.extend(NEAREST_BRIDGE);
        frame.extend(source);
        frame.extend(ETHER_TYPE.to_be_bytes());
        frame.extend(data);
        frame.resize(frame.len().max(MIN_FRAME), 0);
        frame
    }
}

struct Tlv<'a> {
    kind: u8,
    value: &'a [u8],
}

/// TLVs up to the one that ends them.
struct Tlvs<'a> {
    data: &'a [u8],
    /// Where the next begins.
    at: usize,
}

impl<'a> Tlvs<'a> {
    fn next(&mut self) -> Result<Option<Tlv<'a>>, Malformed> {
        // A frame may end without the TLV that says so.
        if self.at == self.data.len() {
            return Ok(None);
        }
        let header = self.data.get(self.at..self.at + 2);
        let header = header.ok_or(Malformed::CutOff)?;
        let header = u16::from_be_bytes([header[0], header[1]]);
        let (kind, length) = ((header >> 9) as u8, usize::from(header & 0x1ff));
        if kind == END {
            return Ok(None);
        }
        let start = self.at + 2;
        let value = self.data.get(start..start + length);
        let value = value.ok_or(Malformed::CutOff)?;
        self.at = start + length;
        Ok(Some(Tlv { kind, value }))
    }
}

fn id(value: &[u8]) -> Result<Id, Malformed> {
    match value {
        [subtype, bytes @ ..] if (1..=MAX_TEXT).contains(&bytes.len()) => Ok(Id {
            subtype: *subtype,
            bytes: bytes.to_vec(),
        }),
        _ => Err(Malformed::Length),
    }
}

/// Text as it may be shown: what a neighbour sends must not reach a terminal as it is.
fn printable(text: &[u8]) -> String {
    let text = &text[..text.len().min(MAX_TEXT)];
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn hex(bytes: &[u8], separator: &str) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(separator)
}

/// An address after its family's number (IANA's address family numbers).
fn network_address(address: &[u8]) -> String {
    match address {
        [1, a, b, c, d] => Ipv4Addr::new(*a, *b, *c, *d).to_string(),
        [2, rest @ ..] => match <[u8; 16]>::try_from(rest) {
            Ok(octets) => Ipv6Addr::from(octets).to_string(),
            Err(_) => hex(address, ""),
        },
        other => hex(other, ""),
    }
}
