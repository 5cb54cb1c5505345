//! Names in a BPF file system: what has one lives on when the process that made it ends.
//!
//! A pin counts as a user of the object. That matters for arrays of programs, which the kernel empties with
//! their last user (`map_release_uref`), whatever programs still refer to them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{SysError, check};

/// Whether a directory is one of a BPF file system, in which objects can have names.
pub fn is_bpf_filesystem(path: &Path) -> io::Result<bool> {
    let path = c_path(path)?;
    // SAFETY: all zero is a valid statfs.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated path and a statfs that may be written; both outlive the call.
    let result = unsafe { libc::statfs(path.as_ptr(), &raw mut stat) };
    match result {
        0 => Ok(stat.f_type == libc::BPF_FS_MAGIC),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives an object a name.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<(), SysError> {
    let pinned = c_path(path).and_then(|path| {
        // SAFETY: a descriptor that is open, and a NUL-terminated path that outlives the call.
        let result = unsafe { libbpf_sys::bpf_obj_pin(object.as_raw_fd(), path.as_ptr()) };
        check(result)
    });
    pinned.map(drop).map_err(|error| SysError::Pin {
        operation: "pin",
        path: path.to_owned(),
        error,
    })
}

/// Opens the object of a name.
pub(super) fn open_pinned(path: &Path) -> Result<OwnedFd, SysError> {
    let opened = c_path(path).and_then(|path| {
        // SAFETY: a NUL-terminated path that outlives the call.
        check(unsafe { libbpf_sys::bpf_obj_get(path.as_ptr()) })
    });
    let fd = opened.map_err(|error| SysError::Pin {
        operation: "open",
        path: path.to_owned(),
        error,
    })?;
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}
