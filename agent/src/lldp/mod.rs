//! LLDP (IEEE 802.1AB) on every port: who is at the other end, and whether it hears us.
//!
//! [`Lldp`] is a pure core: frames, ports and the clock go in, frames to send and changes of neighbours come
//! out. It opens no socket; [`crate::discovery`] gives it what the [target](crate::target) hands up, and sends what it
//! wants sent. `pdu` reads and writes frames and trusts nothing in them.
//!
//! Agents of one cluster tell each other more than the standard does, in an organisationally specific TLV
//! (`claim`) that ends in an HMAC of the whole frame with the cluster's key:
//!
//! * A frame with the fingerprint of a key that we have and another HMAC is **forged**: it is counted, and changes
//!   nothing. So is an unsigned one that calls itself by the name of a neighbour which signs.
//! * Boot ids and sequence numbers of a port only rise. A frame that does not is **replayed**: the same.
//! * Every frame says whom the sender hears at that port, with the number of the last frame of theirs. A link is
//!   *two-way* if that is us, and one of our latest frames; else it is *pending* for a while, and then *one-way*.
//!   So a frame that was recorded before we started, or on another link, never makes a link two-way.
//! * A neighbour without this TLV, or with that of another cluster, is **foreign**: it is shown, and the port is an
//!   edge of the cluster.

mod claim;
mod core;
mod key;
mod neighbor;
mod pdu;
#[cfg(test)]
mod tests;

pub use self::core::{Command, Event, Lldp, PORT_NEIGHBORS, Settings, Statistics};
pub use claim::{Claim, Heard};
pub use key::{ClusterKeys, Fingerprint, KeyError};
pub use neighbor::{Direction, Neighbor, NeighborId, NeighborKind};
pub use pdu::{Capabilities, Id, Malformed, Pdu};

/// LLDP's EtherType.
pub const ETHER_TYPE: u16 = 0x88cc;
/// The group address of the nearest bridge: what goes there, no bridge of any sort forwards.
pub const NEAREST_BRIDGE: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
