//! The two shared-memory maps of a pipeline, and who has which bytes of them.
//!
//! | map | what is there | who writes |
//! |---|---|---|
//! | tables | structures, records, default actions, profiles, value sets | the agent |
//! | cells | counters, meters, registers | programs, and the agent beside them |
//!
//! What programs only read can be there twice, so that many changes become visible at once
//! ([`crate::pipeline`]); what they write is there once. Few maps for all, because a program can
//! name only 64.

use std::sync::Arc;

use crate::sys::SharedMemory;

/// Both memories, while it is decided who has which bytes of them.
#[derive(Debug, Default)]
pub struct Arenas {
    /// What the agent writes.
    pub tables: Arena,
    /// What programs write.
    pub cells: Arena,
}

impl Arenas {
    /// Says whose the following reservations are.
    pub fn begin(&mut self, name: impl Into<String>) {
        let name = name.into();
        self.tables.begin(name.clone());
        self.cells.begin(name);
    }

    /// Whether a program can address all of both.
    pub fn fit(&self) -> bool {
        self.tables.fits() && self.cells.fits()
    }
}

/// Both memories of a loaded pipeline.
#[derive(Debug, Clone)]
pub struct Memories {
    /// What the agent writes.
    pub tables: Arc<SharedMemory>,
    /// What programs write.
    pub cells: Arc<SharedMemory>,
}

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

    /// What has bytes here, in the order of offsets.
    pub fn into_regions(self) -> Vec<Region> {
        let ends = self.regions.iter().skip(1).map(|region| region.offset);
        let ends: Vec<u32> = ends.chain([self.len]).collect();
        let regions = self.regions.into_iter().zip(ends);
        let used = regions.filter(|(region, end)| region.offset < *end);
        used.map(|(region, _)| region).collect()
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
