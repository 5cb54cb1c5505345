//! The one place that talks to the kernel in raw form: maps, shared memory, program
//! load, links, pins and test runs. Everything above it is safe code.
//!
//! The compiler's needs go through libbpf (raw instructions, maps of any size); the
//! ring buffer is read by aya from a map created here. Each `unsafe` block holds one
//! operation and says why it is sound.
#![allow(unsafe_code)]

mod btf;
mod ethtool;
mod features;
mod link;
mod map;
mod memory;
mod packet;
mod pin;
mod program;
mod ring;
mod thread;
mod touched;

pub use ethtool::{Driver, Offload};
pub use features::{FrameFlags, frame_flags, has_may_goto};
pub use link::{AttachMode, FoundLink, XdpLink, xdp_program};
pub use map::{Map, MapFd, MapKind};
pub use memory::SharedMemory;
pub use packet::PacketReceiver;
pub use pin::is_bpf_filesystem;
pub use program::{Program, ProgramKind, TestRun, interface_index};
pub use ring::RingPositions;
pub use thread::be_urgent;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// The kernel refused something.
#[derive(Debug, Error)]
pub enum SysError {
    /// A map could not be created.
    #[error(
        "cannot create the BPF map {name} ({bytes} bytes): {error}. Running as root (CAP_BPF, CAP_NET_ADMIN) is needed, and enough memory"
    )]
    CreateMap {
        /// Its name.
        name: String,
        /// How big it was to be.
        bytes: u64,
        /// The system's error.
        error: io::Error,
    },
    /// A map operation failed.
    #[error("cannot {operation} in a BPF map: {error}")]
    Map {
        /// What was tried.
        operation: &'static str,
        /// The system's error.
        error: io::Error,
    },
    /// A map's memory could not be shared.
    #[error("cannot map the memory of BPF map {name}: {error}")]
    Mmap {
        /// Its name.
        name: String,
        /// The system's error.
        error: io::Error,
    },
    /// The verifier or the loader refused a program.
    #[error("the kernel refuses the program {name}: {error}{}", verdict(log, origin.as_deref()))]
    Load {
        /// Its name.
        name: String,
        /// The system's error.
        error: io::Error,
        /// What the verifier said.
        log: String,
        /// The part of the P4 program that the refused instruction came from.
        origin: Option<String>,
    },
    /// The verifier gave up before it came to an end.
    #[error("the program {name} is too complex for the kernel to verify: {verdict}")]
    TooComplex {
        /// Its name.
        name: String,
        /// What the verifier said.
        verdict: String,
    },
    /// An interface does not exist.
    #[error("there is no network interface {name}: {error}")]
    NoInterface {
        /// Its name.
        name: String,
        /// The system's error.
        error: io::Error,
    },
    /// A program could not be attached.
    #[error(
        "cannot attach XDP to {interface}: {error}. If another XDP program is there, remove it with `ip link set dev {interface} xdp off`"
    )]
    Attach {
        /// The interface.
        interface: String,
        /// The system's error.
        error: io::Error,
    },
    /// A name in a BPF file system could not be used.
    #[error("cannot {operation} {}: {error}", path.display())]
    Pin {
        /// What was tried.
        operation: &'static str,
        /// The name.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A name in a BPF file system is of something else.
    #[error("{} is not {expected}; another program has pinned it, or another version", path.display())]
    OtherPin {
        /// The name.
        path: PathBuf,
        /// What was looked for.
        expected: String,
    },
    /// A port goes on with the program that it has.
    #[error("cannot have a port run another program: {0}")]
    UpdateLink(io::Error),
    /// The kernel does not tell about a program.
    #[error("cannot look at a program: {0}")]
    ProgramInfo(io::Error),
    /// A test run failed.
    #[error("cannot run the program: {0}")]
    TestRun(io::Error),
}

fn verdict(log: &str, origin: Option<&str>) -> String {
    let last: Vec<&str> = log
        .lines()
        .rev()
        .filter(|l| !l.starts_with("processed"))
        .take(3)
        .collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    let origin = origin
        .map(|o| format!(", in the code for {o}"))
        .unwrap_or_default();
    format!("{origin}; the verifier says: {}", last.join(" | "))
}

/// libbpf returns `-errno`.
fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(result)
    }
}

/// The clock of `bpf_ktime_get_ns`: the time since the machine started, without the time it slept.
pub fn monotonic_clock() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a timespec that may be written.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    assert_eq!(result, 0, "every Linux has a monotonic clock");
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// How long a tick of the kernel takes: what its coarse clocks go by.
pub fn tick_length() -> Duration {
    let mut length = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `length` is a timespec that may be written.
    let result = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut length) };
    assert_eq!(result, 0, "every Linux has a coarse clock");
    Duration::new(length.tv_sec as u64, length.tv_nsec as u32)
}

/// CPUs that there can be: per-CPU data needs room for each.
pub fn possible_cpus() -> u32 {
    libbpf_rs::num_possible_cpus().map_or(1, |n| n as u32)
}
