//! BPF maps.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

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
        let (map_type, flags) = match kind {
            MapKind::Shared => (libbpf_sys::BPF_MAP_TYPE_ARRAY, libbpf_sys::BPF_F_MMAPABLE),
            MapKind::PerCpu => (libbpf_sys::BPF_MAP_TYPE_PERCPU_ARRAY, 0),
            MapKind::ProgramArray => (libbpf_sys::BPF_MAP_TYPE_PROG_ARRAY, 0),
            MapKind::DevMap => (libbpf_sys::BPF_MAP_TYPE_DEVMAP, 0),
            MapKind::RingBuffer => (libbpf_sys::BPF_MAP_TYPE_RINGBUF, 0),
            MapKind::ArrayOfMaps => (libbpf_sys::BPF_MAP_TYPE_ARRAY_OF_MAPS, 0),
        };
        let (key_size, in_value, max_entries) = match kind {
            MapKind::RingBuffer => (0, 0, value_size),
            _ => (4, value_size, entries),
        };
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
