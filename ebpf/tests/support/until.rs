//! Threads that run until another one is done.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Sets a flag when it goes, also by a failure: a thread that runs until then comes to an end.
pub struct Until<'a>(pub &'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
