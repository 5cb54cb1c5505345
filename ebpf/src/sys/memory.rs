//! Memory shared with BPF programs: the value of an array map, mapped into this process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// The value of an array map. Programs read and write it at the same time as we do, so it is
/// reached through atomics only.
#[derive(Debug)]
pub struct SharedMemory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is ours until drop, and is reached through atomics only.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    pub(super) fn of_map(fd: BorrowedFd<'_>, len: usize) -> io::Result<SharedMemory> {
        // SAFETY: a new mapping at an address the kernel chooses; the kernel refuses a length
        // beyond the map's, and keeps the memory alive as long as it is mapped.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("a mapping is not at address 0");
        Ok(SharedMemory { base, len })
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes; a map always has some.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn at<T>(&self, offset: usize) -> &T {
        assert!(
            offset.is_multiple_of(align_of::<T>()),
            "offset {offset} is aligned"
        );
        let end = offset.checked_add(size_of::<T>());
        assert!(
            end.is_some_and(|end| end <= self.len),
            "offset {offset} is inside {}",
            self.len
        );
        // SAFETY: in bounds and aligned (just checked; the mapping is page-aligned), alive as long
        // as `self`. Called with atomics only, for which concurrent access is sound.
        unsafe { self.base.add(offset).cast::<T>().as_ref() }
    }

    /// The byte at this offset.
    pub fn u8(&self, offset: usize) -> &AtomicU8 {
        self.at(offset)
    }

    /// The two bytes at this offset, a multiple of 2.
    pub fn u16(&self, offset: usize) -> &AtomicU16 {
        self.at(offset)
    }

    /// The four bytes at this offset, a multiple of 4.
    pub fn u32(&self, offset: usize) -> &AtomicU32 {
        self.at(offset)
    }

    /// The eight bytes at this offset, a multiple of 8.
    pub fn u64(&self, offset: usize) -> &AtomicU64 {
        self.at(offset)
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `of_map`; no reference into it outlives `self`.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "our own mapping can be unmapped");
    }
}
