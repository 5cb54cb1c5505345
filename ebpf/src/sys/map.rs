//! BPF maps.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::pin::{open_pinned, pin};
use super::{SharedMemory, SysError, check};

/// A map's file descriptor as instructions name it, valid while its [`Map`] lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapFd(pub i32);

/// The kinds of map in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapKind {
    /// One value that user space maps into its memory.
    Shared,
    /// One value for each CPU.
    PerCpu,
    /// Programs for tail calls.
    ProgramArray,
    /// Ports for redirects.
    DevMap,
    /// Records to user space; the value size is the buffer's.
    RingBuffer,
    /// Maps of the shape of `MapKind::Shared` with eight bytes. Replacing one waits until
    /// every program that could see the old one has ended.
    ArrayOfMaps,
}

impl MapKind {
    fn map_type(self) -> libbpf_sys::bpf_map_type {
        match self {
            MapKind::Shared => libbpf_sys::BPF_MAP_TYPE_ARRAY,
            MapKind::PerCpu => libbpf_sys::BPF_MAP_TYPE_PERCPU_ARRAY,
            MapKind::ProgramArray => libbpf_sys::BPF_MAP_TYPE_PROG_ARRAY,
            MapKind::DevMap => libbpf_sys::BPF_MAP_TYPE_DEVMAP,
            MapKind::RingBuffer => libbpf_sys::BPF_MAP_TYPE_RINGBUF,
            MapKind::ArrayOfMaps => libbpf_sys::BPF_MAP_TYPE_ARRAY_OF_MAPS,
        }
    }

    /// Bytes of a key, bytes of a value, and entries, as the kernel counts them.
    fn sizes(self, value_size: u32, entries: u32) -> (u32, u32, u32) {
        match self {
            MapKind::RingBuffer => (0, 0, value_size),
            _ => (4, value_size, entries),
        }
    }
}

/// A BPF map.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    name: String,
    value_size: u32,
}

impl Map {
    /// Creates a map. `value_size` counts bytes; `entries` is 1 for shared and per-CPU memory.
    pub fn create(
        kind: MapKind,
        name: &str,
        value_size: u32,
        entries: u32,
    ) -> Result<Map, SysError> {
        Map::create_with(kind, name, value_size, entries, None)
    }

    /// Creates an array of maps like `inner`.
    pub fn create_array_of(name: &str, entries: u32, inner: &Map) -> Result<Map, SysError> {
        Map::create_with(MapKind::ArrayOfMaps, name, 4, entries, Some(inner))
    }

    fn create_with(
        kind: MapKind,
        name: &str,
        value_size: u32,
        entries: u32,
        inner: Option<&Map>,
    ) -> Result<Map, SysError> {
        let map_type = kind.map_type();
        let flags = match kind {
            MapKind::Shared => libbpf_sys::BPF_F_MMAPABLE,
            _ => 0,
        };
        let (key_size, in_value, max_entries) = kind.sizes(value_size, entries);
        let opts = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as u64,
            map_flags: flags,
            inner_map_fd: inner.map_or(0, |m| m.fd.as_raw_fd() as u32),
            ..Default::default()
        };
        // The kernel takes 15 characters.
        let short: String = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(15)
            .collect();
        let c_name = CString::new(short).expect("alphanumeric characters only");
        // SAFETY: the name and the options outlive the call, and `sz` is the options' size.
        let fd = unsafe {
            libbpf_sys::bpf_map_create(
                map_type,
                c_name.as_ptr(),
                key_size,
                in_value,
                max_entries,
                &opts,
            )
        };
        let fd = check(fd).map_err(|error| SysError::CreateMap {
            name: name.to_owned(),
            bytes: u64::from(value_size) * u64::from(entries),
            error,
        })?;
        // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Map {
            fd,
            name: name.to_owned(),
            value_size,
        })
    }

    /// Keeps the map when this process ends.
    pub fn pin(&self, path: &Path) -> Result<(), SysError> {
        pin(self.fd.as_fd(), path)
    }

    /// Opens a map that was pinned, which must be what [`create`](Map::create) would make.
    pub fn open(
        kind: MapKind,
        name: &str,
        value_size: u32,
        entries: u32,
        path: &Path,
    ) -> Result<Map, SysError> {
        let fd = open_pinned(path)?;
        let mut info = libbpf_sys::bpf_map_info::default();
        let mut length = size_of::<libbpf_sys::bpf_map_info>() as u32;
        // SAFETY: the kernel writes at most `length` bytes, which are those of `info`.
        let result = unsafe {
            libbpf_sys::bpf_map_get_info_by_fd(fd.as_raw_fd(), &raw mut info, &raw mut length)
        };
        check(result).map_err(|error| SysError::Pin {
            operation: "look at",
            path: path.to_owned(),
            error,
        })?;
        let found = (
            info.type_,
            (info.key_size, info.value_size, info.max_entries),
        );
        if found != (kind.map_type(), kind.sizes(value_size, entries)) {
            return Err(SysError::OtherPin {
                path: path.to_owned(),
                expected: format!("a map {name} of {value_size} bytes"),
            });
        }
        Ok(Map {
            fd,
            name: name.to_owned(),
            value_size,
        })
    }

    /// For instructions that name this map.
    pub fn insn_fd(&self) -> MapFd {
        MapFd(self.fd.as_raw_fd())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of a value.
    pub fn value_size(&self) -> u32 {
        self.value_size
    }

    /// The memory of a [`MapKind::Shared`] map.
    pub fn memory(&self) -> Result<SharedMemory, SysError> {
        SharedMemory::of_map(self.fd.as_fd(), self.value_size as usize).map_err(|error| {
            SysError::Mmap {
                name: self.name.clone(),
                error,
            }
        })
    }

    /// A descriptor of its own for another library.
    pub fn duplicate(&self) -> std::io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Sets an element.
    ///
    /// # Panics
    /// If `value` is not one value long.
    pub fn set(&self, key: u32, value: &[u8]) -> Result<(), SysError> {
        assert_eq!(
            value.len(),
            self.value_size as usize,
            "a value of {}",
            self.name
        );
        // SAFETY: key and value are as long as the map says, and outlive the call.
        let result = unsafe {
            libbpf_sys::bpf_map_update_elem(
                self.fd.as_raw_fd(),
                (&raw const key).cast(),
                value.as_ptr().cast(),
                0,
            )
        };
        check(result).map(drop).map_err(|error| SysError::Map {
            operation: "set an element",
            error,
        })
    }

    /// Makes an element refer to a file descriptor: a program or a map.
    pub fn set_fd(&self, key: u32, fd: BorrowedFd<'_>) -> Result<(), SysError> {
        self.set(key, &fd.as_raw_fd().to_ne_bytes())
    }

    /// The kernel's number of what an element of four bytes refers to; `None` if there is none.
    pub fn referred(&self, key: u32) -> Result<Option<u32>, SysError> {
        assert_eq!(self.value_size, 4, "a value of {}", self.name);
        let mut value = 0u32;
        // SAFETY: key and value are as long as the map says, and outlive the call.
        let result = unsafe {
            libbpf_sys::bpf_map_lookup_elem(
                self.fd.as_raw_fd(),
                (&raw const key).cast(),
                (&raw mut value).cast(),
            )
        };
        match check(result) {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(SysError::Map {
                operation: "read an element",
                error,
            }),
        }
    }

    /// Removes an element; one that is not there is fine.
    pub fn remove(&self, key: u32) -> Result<(), SysError> {
        // SAFETY: the key is four bytes, as the map says, and outlives the call.
        let result = unsafe {
            libbpf_sys::bpf_map_delete_elem(self.fd.as_raw_fd(), (&raw const key).cast())
        };
        match check(result) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(SysError::Map {
                operation: "remove an element",
                error,
            }),
            _ => Ok(()),
        }
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
