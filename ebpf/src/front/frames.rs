//! Frames for the agent's own protocols, as they come off the ring buffer.
//!
//! ```text
//! u32 kind | u32 port | u32 bytes of the frame | unused
//! the frame, at most its first 2048 bytes; of a new station 64
//! ```

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{Map as AyaMap, MapData, RingBuf};
use thiserror::Error;

use super::LocalKind;
use crate::sys::Map;

pub(super) const FRAME_HEADER_BYTES: usize = 16;
/// Room for frames, smallest first: a record's size must be known when it is reserved.
pub(super) const FRAME_CLASSES: [usize; 3] = [128, 512, 2048];

/// What is handed up of a frame of a new station: its headers.
pub(super) const STATION_BYTES: usize = 64;

/// Why the ring buffer cannot be read.
#[derive(Debug, Error)]
#[error("cannot open the ring buffer of frames for the agent: {0}")]
pub struct FramesError(String);

/// A frame of a protocol that the agent speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFrame {
    /// Which protocol.
    pub kind: LocalKind,
    /// The port it came in by.
    pub port: u32,
    /// It, from its Ethernet header on.
    pub bytes: Vec<u8>,
}

/// Reads frames. There is one reader of a switch. Its descriptor polls readable when there are some.
pub struct Frames {
    ring: RingBuf<MapData>,
}

impl Frames {
    pub(super) fn open(ring: &Map) -> Result<Frames, FramesError> {
        let fd = ring.duplicate().map_err(|e| FramesError(e.to_string()))?;
        let data = MapData::from_fd(fd).map_err(|e| FramesError(e.to_string()))?;
        let map = AyaMap::from_map_data(data).map_err(|e| FramesError(e.to_string()))?;
        let ring = RingBuf::try_from(map).map_err(|e| FramesError(e.to_string()))?;
        Ok(Frames { ring })
    }

    /// The next frame, if there is one now.
    pub fn next_frame(&mut self) -> Option<LocalFrame> {
        loop {
            let item = self.ring.next()?;
            // A record that cannot be read is none of ours.
            if let Some(frame) = decode(&item) {
                return Some(frame);
            }
        }
    }
}

impl AsRawFd for Frames {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl AsFd for Frames {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn decode(record: &[u8]) -> Option<LocalFrame> {
    let word = |at: usize| {
        let bytes = record.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    let kind = *LocalKind::ALL.get(word(0)? as usize)?;
    let length = word(8)? as usize;
    let bytes = record.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + length)?;
    Some(LocalFrame {
        kind,
        port: word(4)?,
        bytes: bytes.to_vec(),
    })
}
