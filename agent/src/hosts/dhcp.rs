//! What DHCP says of hosts: who asks, and what is granted (RFC 2131 and 8415). Messages between relays and servers
//! are not looked into.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Mac;
use super::read::Unread;

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const MESSAGE_TYPE: u8 = 53;
const ACK: u8 = 5;
const IA_NA: u16 = 3;
const IA_ADDRESS: u16 = 5;
/// Addresses of a grant that are looked at.
const MAX_GRANTED: usize = 8;

/// DHCP for IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dhcp4 {
    /// Which exchange it is of.
    pub transaction: u32,
    /// The host that it is about.
    pub client: Mac,
    /// What it says.
    pub message: Dhcp4Message,
}

/// What DHCP for IPv4 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dhcp4Message {
    /// A client speaks.
    FromClient,
    /// A server grants an address.
    Grant(Ipv4Addr),
    /// A server says something else.
    FromServer,
}

/// DHCP for IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dhcp6 {
    /// Which exchange it is of.
    pub transaction: u32,
    /// What it says.
    pub message: Dhcp6Message,
}

/// What DHCP for IPv6 says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dhcp6Message {
    /// A client speaks.
    FromClient,
    /// A server grants addresses that are valid for some time.
    Grant(Vec<Ipv6Addr>),
}

pub(super) fn read4(message: &[u8]) -> Result<Dhcp4, Unread> {
    let fixed = message.get(..240).ok_or(Unread::Malformed)?;
    let is_ethernet = fixed[1..3] == [1, 6];
    if !is_ethernet || fixed[236..] != COOKIE {
        return Err(Unread::Malformed);
    }
    let word = |at: usize| [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
    let mut client = Mac::default();
    client.0.copy_from_slice(&fixed[28..34]);
    let kind = message_type(&message[240..])?;
    let message = match (fixed[0], kind) {
        (1, _) => Dhcp4Message::FromClient,
        (2, ACK) => Dhcp4Message::Grant(Ipv4Addr::from(word(16))),
        (2, _) => Dhcp4Message::FromServer,
        _ => return Err(Unread::Malformed),
    };
    Ok(Dhcp4 {
        transaction: u32::from_be_bytes(word(4)),
        client,
        message,
    })
}

fn message_type(mut options: &[u8]) -> Result<u8, Unread> {
    loop {
        match options {
            // Padding.
            [0, rest @ ..] => options = rest,
            [MESSAGE_TYPE, 1, kind, ..] => return Ok(*kind),
            [255, ..] | [] => return Err(Unread::Malformed),
            [_, length, rest @ ..] => {
                let rest = rest.get(usize::from(*length)..);
                options = rest.ok_or(Unread::Malformed)?;
            }
            [_] => return Err(Unread::Malformed),
        }
    }
}

pub(super) fn read6(message: &[u8]) -> Result<Dhcp6, Unread> {
    let [kind, a, b, c, options @ ..] = message else {
        return Err(Unread::Malformed);
    };
    let message = match kind {
        1 | 3..=6 | 8 | 9 | 11 => Dhcp6Message::FromClient,
        7 => {
            let mut granted = Vec::new();
            each_option(options, |code, value| {
                if code == IA_NA {
                    let options = value.get(12..).ok_or(Unread::Malformed)?;
                    each_option(options, |code, value| {
                        granted.extend(ia_address(code, value)?);
                        Ok(())
                    })?;
                }
                Ok(())
            })?;
            granted.truncate(MAX_GRANTED);
            Dhcp6Message::Grant(granted)
        }
        _ => return Err(Unread::Other),
    };
    Ok(Dhcp6 {
        transaction: u32::from_be_bytes([0, *a, *b, *c]),
        message,
    })
}

/// The address of an IA Address option that is valid at all.
fn ia_address(code: u16, value: &[u8]) -> Result<Option<Ipv6Addr>, Unread> {
    if code != IA_ADDRESS {
        return Ok(None);
    }
    let value: &[u8; 24] = value.first_chunk().ok_or(Unread::Malformed)?;
    let mut octets = [0; 16];
    octets.copy_from_slice(&value[..16]);
    let is_valid = value[20..] != [0; 4];
    Ok(is_valid.then(|| Ipv6Addr::from(octets)))
}

fn each_option(
    mut options: &[u8],
    mut see: impl FnMut(u16, &[u8]) -> Result<(), Unread>,
) -> Result<(), Unread> {
    while let [c, d, e, f, rest @ ..] = options {
        let length = usize::from(u16::from_be_bytes([*e, *f]));
        let value = rest.get(..length).ok_or(Unread::Malformed)?;
        see(u16::from_be_bytes([*c, *d]), value)?;
        options = &rest[length..];
    }
    match options.is_empty() {
        true => Ok(()),
        false => Err(Unread::Malformed),
    }
}
