//! What agents of one cluster tell each other beside the standard: an organisationally specific TLV.
//!
//! ```text
//! 3    organisation: fa 50 4d, locally administered, so nobody's
//! 1    subtype: 1
//! 1    version: 1
//! 8    fingerprint of the key that signs
//! 8    device id      4    port      8    boot id      8    sequence number
//! 1    how many neighbours are heard at that port, at most 8; for each:
//!        8 device id  4 port  8 boot id  8 the number of their last frame
//! 32   HMAC-SHA256 of the LLDPDU from its first byte to the one before this
//! ```
//!
//! It is the last TLV before the end, so everything that counts is signed.

use super::Fingerprint;

/// What a frame is signed with.
pub type Signature = [u8; SIGNATURE_BYTES];

/// Bytes of the HMAC.
pub const SIGNATURE_BYTES: usize = 32;
/// Neighbours that a frame has room for.
pub const MAX_HEARD: usize = 8;
const PREFIX: [u8; 4] = [0xfa, 0x50, 0x4d, 1];
const VERSION: u8 = 1;

/// What a sender says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of the key that it signs with.
    pub fingerprint: Fingerprint,
    /// P4Runtime's `device_id`.
    pub device_id: u64,
    /// The P4 port that the frame left by.
    pub port: u32,
    /// Rises with every start of the agent.
    pub boot: u64,
    /// Rises with every frame of a boot.
    pub sequence: u64,
    /// Whom it hears at that port.
    pub heard: Vec<Heard>,
}

/// A neighbour that a sender hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its device.
    pub device_id: u64,
    /// Its port.
    pub port: u32,
    /// Its boot.
    pub boot: u64,
    /// The number of its last frame.
    pub sequence: u64,
}

/// The value after our organisation and subtype; `None` if it is another's.
pub(super) fn of_ours(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(&PREFIX)
}

impl Claim {
    /// Reads what follows organisation and subtype, signature and all.
    pub(super) fn read(value: &[u8]) -> Option<Claim> {
        let mut value = value;
        if take(&mut value)? != [VERSION] {
            return None;
        }
        let mut claim = Claim {
            fingerprint: Fingerprint(take(&mut value)?),
            device_id: u64::from_be_bytes(take(&mut value)?),
            port: u32::from_be_bytes(take(&mut value)?),
            boot: u64::from_be_bytes(take(&mut value)?),
            sequence: u64::from_be_bytes(take(&mut value)?),
            heard: Vec::new(),
        };
        let [heard] = take(&mut value)?;
        if usize::from(heard) > MAX_HEARD {
            return None;
        }
        for _ in 0..heard {
            claim.heard.push(Heard {
                device_id: u64::from_be_bytes(take(&mut value)?),
                port: u32::from_be_bytes(take(&mut value)?),
                boot: u64::from_be_bytes(take(&mut value)?),
                sequence: u64::from_be_bytes(take(&mut value)?),
            });
        }
        (value.len() == SIGNATURE_BYTES).then_some(claim)
    }

    /// The value of the TLV, without the signature. Neighbours beyond those that there is room for are left out.
    pub(super) fn value(&self) -> Vec<u8> {
        let heard = &self.heard[..self.heard.len().min(MAX_HEARD)];
        let mut value = PREFIX.to_vec();
        value.push(VERSION);
        value.extend(self.fingerprint.0);
        value.extend(self.device_id.to_be_bytes());
        value.extend(self.port.to_be_bytes());
        value.extend(self.boot.to_be_bytes());
        value.extend(self.sequence.to_be_bytes());
        value.push(heard.len() as u8);
        for heard in heard {
            value.extend(heard.device_id.to_be_bytes());
            value.extend(heard.port.to_be_bytes());
            value.extend(heard.boot.to_be_bytes());
            value.extend(heard.sequence.to_be_bytes());
        }
        value
    }
}

fn take<const N: usize>(value: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = value.split_first_chunk()?;
    *value = rest;
    Some(*bytes)
}
