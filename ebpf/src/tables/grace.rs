//! Waiting until no program can still see something that was unpublished.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::sys::{Map, MapKind, SysError};

/// Replaces a map in an array of maps: the kernel returns from that only when every program
/// that ran at the time has ended (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c).
#[derive(Debug)]
pub struct Grace {
    outer: Map,
    inner: [Map; 2],
    turn: AtomicBool,
}

impl Grace {
    /// Creates the three small maps that it takes.
    pub fn new() -> Result<Grace, SysError> {
        let inner = [
            Map::create(MapKind::Shared, "grace_a", 8, 1)?,
            Map::create(MapKind::Shared, "grace_b", 8, 1)?,
        ];
        let outer = Map::create_array_of("grace", 1, &inner[0])?;
        Ok(Grace {
            outer,
            inner,
            turn: AtomicBool::new(false),
        })
    }

    /// Waits: some milliseconds. Several threads may wait at the same time; the kernel makes each wait
    /// for what ran when it came, whichever of the two maps it puts there.
    pub fn wait(&self) -> Result<(), SysError> {
        use std::os::fd::AsFd;
        let turn = usize::from(self.turn.fetch_xor(true, Relaxed));
        self.outer.set_fd(0, self.inner[turn].as_fd())
    }
}
