//! The one shared-memory map of a pipeline, and who has which bytes of it.
//!
//! One map for all tables, because a program can name only 64 maps.

/// Hands out parts of a memory that is created once all are known.
#[derive(Debug, Default)]
pub struct Arena {
    len: u32,
    regions: Vec<Region>,
}

/// A part of the memory that belongs to one thing of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Where it begins.
    pub offset: u32,
    /// Whose it is, for listings.
    pub name: String,
}

/// The verifier takes offsets from a map value below 2^29.
pub const MAX_ARENA_BYTES: u64 = 1 << 29;

impl Arena {
    /// Says whose the following reservations are.
    pub fn begin(&mut self, name: impl Into<String>) {
        self.regions.push(Region {
            offset: self.len,
            name: name.into(),
        });
    }

    /// What was begun, in the order of offsets.
    pub fn into_regions(self) -> Vec<Region> {
        self.regions
    }

    /// Reserves bytes, aligned to a cache line. Beyond [`MAX_ARENA_BYTES`] the offsets saturate
    /// and [`fits`](Arena::fits) says no.
    pub fn reserve(&mut self, bytes: u64) -> u32 {
        let at = self.len;
        let end = u64::from(at) + bytes.next_multiple_of(64);
        self.len = u32::try_from(end).unwrap_or(!63);
        at
    }

    /// Bytes reserved.
    pub fn bytes(&self) -> u32 {
        self.len.max(64)
    }

    /// Whether a program can address all of it.
    pub fn fits(&self) -> bool {
        u64::from(self.len) < MAX_ARENA_BYTES
    }
}
