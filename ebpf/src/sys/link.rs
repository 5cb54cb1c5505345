//! XDP links: a program on an interface, for as long as somebody holds the link or it is pinned.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::pin::{open_pinned, pin};
use super::{Program, SysError, check, interface_index};

/// How a program is attached to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver.
    Native,
    /// After the kernel has made an skb; works everywhere and is slower.
    Generic,
}

/// A program on an interface. Dropping it detaches the program, unless it is pinned.
#[derive(Debug)]
pub struct XdpLink {
    fd: OwnedFd,
    /// How it is attached.
    pub mode: AttachMode,
}

/// What a pinned link was found to be.
#[derive(Debug)]
pub enum FoundLink {
    /// On an interface of this network namespace.
    Attached {
        /// The link.
        link: XdpLink,
        /// The kernel's number of the interface.
        interface: u32,
        /// The kernel's number of the program.
        program: u32,
    },
    /// Its interface is gone.
    Defunct,
    /// On an interface that is not one of this network namespace.
    Elsewhere,
}

impl XdpLink {
    /// Attaches a program to an interface, in the driver if it can, else generically.
    pub(super) fn attach(program: BorrowedFd<'_>, interface: &str) -> Result<XdpLink, SysError> {
        let index = interface_index(interface)?;
        let refused = |error| SysError::Attach {
            interface: interface.to_owned(),
            error,
        };
        match link(program, index, libbpf_sys::XDP_FLAGS_DRV_MODE) {
            Ok(fd) => Ok(XdpLink {
                fd,
                mode: AttachMode::Native,
            }),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Err(refused(error)),
            Err(_) => {
                let fd = link(program, index, libbpf_sys::XDP_FLAGS_SKB_MODE).map_err(refused)?;
                Ok(XdpLink {
                    fd,
                    mode: AttachMode::Generic,
                })
            }
        }
    }

    /// Keeps the program attached when this process ends.
    pub fn pin(&self, path: &Path) -> Result<(), SysError> {
        pin(self.fd.as_fd(), path)
    }

    /// Opens a link that was pinned.
    pub fn open(path: &Path) -> Result<FoundLink, SysError> {
        let fd = open_pinned(path)?;
        let info = info(fd.as_fd()).map_err(|error| SysError::Pin {
            operation: "look at",
            path: path.to_owned(),
            error,
        })?;
        if info.type_ != libbpf_sys::BPF_LINK_TYPE_XDP {
            return Err(SysError::OtherPin {
                path: path.to_owned(),
                expected: "an XDP link".to_owned(),
            });
        }
        // SAFETY: the type says that this is the member of the union that the kernel has filled.
        let interface = unsafe { info.__bindgen_anon_1.xdp.ifindex };
        if interface == 0 {
            return Ok(FoundLink::Defunct);
        }
        // The kernel does not say which namespace a link is in; but a program that its interface
        // does not run here is attached to the interface of that number somewhere else.
        match xdp_program(interface) {
            Some((program, mode)) if program == info.prog_id => Ok(FoundLink::Attached {
                link: XdpLink { fd, mode },
                interface,
                program,
            }),
            _ => Ok(FoundLink::Elsewhere),
        }
    }

    /// Has another program run from now on; no packet is lost.
    pub fn update(&self, program: &Program) -> Result<(), SysError> {
        // SAFETY: two descriptors that are open; no options.
        let result = unsafe {
            libbpf_sys::bpf_link_update(
                self.fd.as_raw_fd(),
                program.as_fd().as_raw_fd(),
                std::ptr::null(),
            )
        };
        check(result).map(drop).map_err(SysError::UpdateLink)
    }
}

fn link(program: BorrowedFd<'_>, interface: u32, flags: u32) -> io::Result<OwnedFd> {
    let opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as u64,
        flags,
        ..Default::default()
    };
    // SAFETY: the options outlive the call, and `sz` is their size.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            interface as i32,
            libbpf_sys::BPF_XDP,
            &opts,
        )
    };
    let fd = check(fd)?;
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn info(link: BorrowedFd<'_>) -> io::Result<libbpf_sys::bpf_link_info> {
    let mut info = libbpf_sys::bpf_link_info::default();
    let mut length = size_of::<libbpf_sys::bpf_link_info>() as u32;
    // SAFETY: the kernel writes at most `length` bytes, which are those of `info`.
    let result = unsafe {
        libbpf_sys::bpf_link_get_info_by_fd(link.as_raw_fd(), &raw mut info, &raw mut length)
    };
    check(result).map(|_| info)
}

/// The kernel's number of the XDP program that an interface of our network namespace runs, and how.
pub fn xdp_program(interface: u32) -> Option<(u32, AttachMode)> {
    let mut opts = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as u64,
        ..Default::default()
    };
    // SAFETY: the options may be written, and `sz` is their size.
    let result = unsafe { libbpf_sys::bpf_xdp_query(interface as i32, 0, &raw mut opts) };
    check(result).ok()?;
    match (opts.drv_prog_id, opts.skb_prog_id) {
        (0, 0) => None,
        (0, program) => Some((program, AttachMode::Generic)),
        (program, _) => Some((program, AttachMode::Native)),
    }
}
