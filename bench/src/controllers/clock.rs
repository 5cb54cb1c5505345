//! A wall clock for one process that can be set while it runs: libfaketime, which is loaded before the program. Only the
//! time of day jumps; the monotonic clock goes on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Of the Debian package libfaketime.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
const DIRECTORIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
];

/// The clock of one process.
pub(super) struct Clock {
    offset: PathBuf,
}

impl Clock {
    /// The clock whose offset is kept in that file. It is right.
    pub(super) fn new(offset: PathBuf) -> Clock {
        Clock { offset }
    }

    /// Gives a process this clock, if the library is there.
    pub(super) fn give(&self, command: &mut Command) -> Result<()> {
        self.set(0)?;
        if let Some(library) = library() {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME_CACHE_DURATION", "1");
        }
        Ok(())
    }

    /// So many seconds before or after the true time, within a second.
    pub(super) fn set(&self, seconds: i64) -> Result<()> {
        let replaced = self.offset.with_extension("new");
        std::fs::write(&replaced, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&replaced, &self.offset))
            .with_context(|| format!("the clock {}", self.offset.display()))
    }
}

/// Can clocks be set on this machine?
pub fn library() -> Option<PathBuf> {
    let mut paths = DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(LIBRARY));
    paths.find(|path| path.exists())
}
