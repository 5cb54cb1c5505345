//! Packets as people give them: as hex, out of a capture, or by their fields; and what they are in a line.
//!
//! Nothing here knows a pipeline. Called by `pointsman trace`.

mod fields;
mod frame;
mod hex;
mod pcap;
mod summary;

pub use fields::{Built, build};
pub use hex::read_hex;
pub use pcap::read_packet;
pub use summary::summary;
