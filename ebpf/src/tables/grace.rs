//! Waiting until no program can still see something that was unpublished.

use crate::sys::{Map, MapKind, SysError};

/// Replaces a map in an array of maps: the kernel returns from that only when every program
/// that ran at the time has ended (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c).
#[derive(Debug)]
pub struct Grace {
    outer: Map,
    inner: [Map; 2],
    turn: bool,
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
            turn: false,
        })
    }

    /// Waits: some milliseconds.
    pub fn wait(&mut self) -> Result<(), SysError> {
        use std::os::fd::AsFd;
        self.turn = !self.turn;
        self.outer
            .set_fd(0, self.inner[usize::from(self.turn)].as_fd())
    }
}
