//! Memory shared with BPF programs: the value of an array map, mapped into this process.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use super::touched::{PAGE_BYTES, Touched};
use super::{Map, SysError};

/// The value of an array map. Programs read and write it at the same time as we do, so it is
/// reached through atomics only.
///
/// It can get a second side: the value of another map of the same size, which other programs see.
/// Offsets mean the side that is written; [`turn`](SharedMemory::turn) goes over to the other one.
#[derive(Debug)]
pub struct SharedMemory {
    /// Where the side begins that is written: one of the two mappings.
    base: AtomicPtr<u8>,
    len: usize,
    first: Mapping,
    second: OnceLock<Second>,
}

#[derive(Debug)]
struct Second {
    mapping: Mapping,
    /// What the sides may differ in.
    touched: Touched,
}

impl SharedMemory {
    pub(super) fn of_map(fd: BorrowedFd<'_>, len: usize) -> io::Result<SharedMemory> {
        let first = Mapping::new(fd, len)?;
        Ok(SharedMemory {
            base: AtomicPtr::new(first.base.as_ptr()),
            len,
            first,
            second: OnceLock::new(),
        })
    }

    /// Its size in bytes, of one side.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes; a map always has some.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes a map of the same size the second side, unless there is one. It gets its contents by the
    /// first turn.
    ///
    /// # Panics
    /// If the map has another size.
    pub fn add_side(&self, map: &Map) -> Result<(), SysError> {
        assert_eq!(map.value_size() as usize, self.len, "sides have one size");
        let mapping = Mapping::new(map.as_fd(), self.len);
        let mapping = mapping.map_err(|error| SysError::Mmap {
            name: map.name().to_owned(),
            error,
        })?;
        // A side that another thread was faster to add is as good.
        let _ = self.second.set(Second {
            mapping,
            touched: Touched::all(self.len),
        });
        Ok(())
    }

    /// Copies to the other side what it lacks, and writes there from now on. Nobody may write to the
    /// side that is left while this is copying; what is written then may be on one side only.
    ///
    /// # Panics
    /// If there is one side only.
    pub fn turn(&self) {
        let second = self.second.get().expect("there are two sides");
        let from = self.base.load(Acquire);
        let to = match from == self.first.base.as_ptr() {
            true => second.mapping.base.as_ptr(),
            false => self.first.base.as_ptr(),
        };
        for page in second.touched.take() {
            let start = page * PAGE_BYTES;
            for offset in (start..self.len.min(start + PAGE_BYTES)).step_by(8) {
                let word = self.within::<AtomicU64>(from, offset).load(Relaxed);
                let copy = self.within::<AtomicU64>(to, offset);
                // A new side is zero, and most of a table as well.
                if copy.load(Relaxed) != word {
                    copy.store(word, Relaxed);
                }
            }
        }
        self.base.store(to, Release);
    }

    fn at<T>(&self, offset: usize) -> &T {
        if let Some(second) = self.second.get() {
            second.touched.mark(offset);
        }
        self.within(self.base.load(Acquire), offset)
    }

    /// What is at an offset of one of the sides, which are given by where they begin.
    fn within<T>(&self, side: *mut u8, offset: usize) -> &T {
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
        // SAFETY: in bounds and aligned (just checked; both mappings are page-aligned and have `len`
        // bytes), alive as long as `self`. Called with atomics only, for which concurrent access is
        // sound.
        unsafe { &*side.add(offset).cast::<T>() }
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

    /// The cache line at this offset, a multiple of 64, as eight times eight bytes.
    pub fn line(&self, offset: usize) -> &[AtomicU64; 8] {
        assert!(offset.is_multiple_of(64), "lines do not span pages");
        self.at(offset)
    }
}

/// The memory of one map.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is ours until drop, and is reached through atomics only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Mapping> {
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
        Ok(Mapping { base, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`; no reference into it outlives `self`.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "our own mapping can be unmapped");
    }
}
