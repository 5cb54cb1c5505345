//! How far a ring buffer is written and read. Its contents are aya's to read.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;

use super::{Map, SysError};

/// The positions of a [`MapKind::RingBuffer`](super::MapKind::RingBuffer): a page with that of the reader, and one with
/// that of the writers (kernel/bpf/ringbuf.c).
#[derive(Debug)]
pub struct RingPositions {
    base: NonNull<u8>,
    page: usize,
}

// SAFETY: the mapping is ours until drop, and is reached through atomics only.
unsafe impl Send for RingPositions {}
// SAFETY: as above.
unsafe impl Sync for RingPositions {}

impl RingPositions {
    fn new(ring: BorrowedFd<'_>) -> io::Result<RingPositions> {
        // SAFETY: it takes a number and gives a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address the kernel chooses, to be read only; the kernel refuses a length beyond
        // that of the ring buffer, and keeps the memory alive as long as it is mapped.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                2 * page,
                libc::PROT_READ,
                libc::MAP_SHARED,
                ring.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("a mapping is not at address 0");
        Ok(RingPositions { base, page })
    }

    /// Whether all is read that any program has begun to write.
    pub fn is_drained(&self) -> bool {
        let at = |offset: usize| {
            // SAFETY: both pages are mapped, and their beginning is aligned; the kernel and the reader write these
            // words as a whole.
            let word = unsafe { self.base.add(offset).cast::<AtomicU64>().as_ref() };
            word.load(Acquire)
        };
        at(0) == at(self.page)
    }
}

impl Drop for RingPositions {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`; no reference into it outlives `self`.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), 2 * self.page) };
        debug_assert_eq!(result, 0, "our own mapping can be unmapped");
    }
}

impl Map {
    /// The positions of a [`MapKind::RingBuffer`](super::MapKind::RingBuffer).
    pub fn ring_positions(&self) -> Result<RingPositions, SysError> {
        RingPositions::new(std::os::fd::AsFd::as_fd(self)).map_err(|error| SysError::Mmap {
            name: self.name().to_owned(),
            error,
        })
    }
}
