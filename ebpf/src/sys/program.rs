//! BPF programs: load, attach, run once.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::pin::{open_pinned, pin};
use super::{SysError, XdpLink, check};
use crate::asm::Code;

/// Where a program may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKind {
    /// On a frame that an interface received.
    Xdp,
    /// On a frame that a devmap is about to send (`BPF_XDP_DEVMAP`, kernel 5.8).
    XdpEgress,
}

/// A loaded program.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
    verified: u32,
}

/// What a program made of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRun {
    /// XDP_ABORTED 0, XDP_DROP 1, XDP_PASS 2, XDP_TX 3, XDP_REDIRECT 4.
    pub verdict: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
    /// Mean nanoseconds a run.
    pub duration_ns: u32,
}

const LOG_BYTES: usize = 1 << 20;
const SHORT_LOG_BYTES: usize = 4 << 10;

/// What the verifier writes into its log (`BPF_LOG_*` in the kernel's bpf_verifier.h).
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
enum LogLevel {
    /// Each instruction that it goes through.
    Instructions = 1,
    /// Its verdict, and how much work it was (kernel 5.2).
    Summary = 4,
}

impl Program {
    /// Loads instructions. The verifier's whole log is asked for only after a refusal.
    pub fn load(kind: ProgramKind, name: &str, code: &Code) -> Result<Program, SysError> {
        let (loaded, summary) = load(kind, name, code, LogLevel::Summary);
        match loaded {
            Ok(fd) => Ok(Program {
                fd,
                verified: processed(&summary).unwrap_or(0),
            }),
            Err(_) if is_too_complex(&summary) => Err(SysError::TooComplex {
                name: name.to_owned(),
                verdict: summary.lines().next().unwrap_or_default().to_owned(),
            }),
            Err(_) => {
                let (loaded, log) = load(kind, name, code, LogLevel::Instructions);
                let fd = loaded.map_err(|error| SysError::Load {
                    name: name.to_owned(),
                    error,
                    origin: refused_instruction(&log).and_then(|index| code.origin(index)),
                    log,
                })?;
                Ok(Program { fd, verified: 0 })
            }
        }
    }

    /// How many instructions the verifier went through, each as often as it did.
    pub fn verified(&self) -> u32 {
        self.verified
    }

    /// Attaches the program to an interface, in the driver if it can, else generically.
    pub fn attach(&self, interface: &str) -> Result<XdpLink, SysError> {
        XdpLink::attach(self.fd.as_fd(), interface)
    }

    /// Keeps the program when this process ends.
    pub fn pin(&self, path: &Path) -> Result<(), SysError> {
        pin(self.fd.as_fd(), path)
    }

    /// Opens a program that was pinned.
    pub fn open(path: &Path) -> Result<Program, SysError> {
        let fd = open_pinned(path)?;
        Ok(Program { fd, verified: 0 })
    }

    /// The kernel's number of it.
    pub fn id(&self) -> Result<u32, SysError> {
        Ok(self.info()?.id)
    }

    /// A hash of its instructions, whichever maps they name.
    pub fn tag(&self) -> Result<[u8; 8], SysError> {
        Ok(self.info()?.tag)
    }

    fn info(&self) -> Result<libbpf_sys::bpf_prog_info, SysError> {
        let mut info = libbpf_sys::bpf_prog_info::default();
        let mut length = size_of::<libbpf_sys::bpf_prog_info>() as u32;
        // SAFETY: the kernel writes at most `length` bytes, which are those of `info`.
        let result = unsafe {
            libbpf_sys::bpf_prog_get_info_by_fd(self.fd.as_raw_fd(), &raw mut info, &raw mut length)
        };
        check(result).map_err(SysError::ProgramInfo)?;
        Ok(info)
    }

    /// Runs the program on a frame, `repeat` times on the same buffer.
    pub fn test_run(&self, frame: &[u8], repeat: u32) -> Result<TestRun, SysError> {
        // The kernel asks for room for whatever the program makes the frame.
        let mut out = vec![0u8; frame.len() + 512];
        let mut opts = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as u64,
            data_in: frame.as_ptr().cast(),
            data_size_in: frame.len() as u32,
            data_out: out.as_mut_ptr().cast(),
            data_size_out: out.len() as u32,
            repeat: repeat as i32,
            ..Default::default()
        };
        // SAFETY: the buffers outlive the call and are as long as the options say.
        let result = unsafe { libbpf_sys::bpf_prog_test_run_opts(self.fd.as_raw_fd(), &mut opts) };
        check(result).map_err(SysError::TestRun)?;
        out.truncate(opts.data_size_out as usize);
        Ok(TestRun {
            verdict: opts.retval,
            frame: out,
            duration_ns: opts.duration,
        })
    }

    /// Runs an XDP program on frames that all come as this one, as a driver would: what the program makes of one is
    /// not what the next one is, and those that it redirects are sent. They come in by the loopback interface.
    pub fn run_live(&self, frame: &[u8], repeat: u32) -> Result<(), SysError> {
        let mut opts = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as u64,
            data_in: frame.as_ptr().cast(),
            data_size_in: frame.len() as u32,
            repeat: repeat as i32,
            flags: libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES,
            ..Default::default()
        };
        // SAFETY: the frame outlives the call and is as long as the options say; nothing is written.
        let result = unsafe { libbpf_sys::bpf_prog_test_run_opts(self.fd.as_raw_fd(), &mut opts) };
        check(result).map(drop).map_err(SysError::TestRun)
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn load(
    kind: ProgramKind,
    name: &str,
    code: &Code,
    level: LogLevel,
) -> (io::Result<OwnedFd>, String) {
    let bytes = match level {
        LogLevel::Instructions => LOG_BYTES,
        LogLevel::Summary => SHORT_LOG_BYTES,
    };
    let mut log = vec![0u8; bytes];
    let mut opts = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as u64,
        // Frames may be larger than a page (kernel 5.18). All programs that a tail call or a devmap
        // joins must agree on this.
        prog_flags: libbpf_sys::BPF_F_XDP_HAS_FRAGS,
        expected_attach_type: match kind {
            ProgramKind::Xdp => libbpf_sys::BPF_XDP,
            ProgramKind::XdpEgress => libbpf_sys::BPF_XDP_DEVMAP,
        },
        log_level: level as u32,
        log_size: log.len() as u32,
        log_buf: log.as_mut_ptr().cast(),
        ..Default::default()
    };
    let short: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(15)
        .collect();
    let c_name = CString::new(short).expect("alphanumeric characters only");
    // SAFETY: `Insn` has the layout of `bpf_insn`; all buffers outlive the call and are as long as
    // the options say.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            c_name.as_ptr(),
            c"GPL".as_ptr(),
            code.insns.as_ptr().cast(),
            code.insns.len() as u64,
            &mut opts,
        )
    };
    let fd = check(fd).map(|fd| {
        // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
        unsafe { OwnedFd::from_raw_fd(fd) }
    });
    let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
    (fd, String::from_utf8_lossy(&log[..end]).into_owned())
}

/// Too many instructions to go through, or branches to come back to (`check_cfg`, `do_check` and `push_stack`
/// in the kernel's verifier.c; its error codes differ by version).
fn is_too_complex(log: &str) -> bool {
    ["program is too large", "is too complex"]
        .iter()
        .any(|verdict| log.contains(verdict))
}

/// The summary says `processed N insns (limit ...`.
fn processed(log: &str) -> Option<u32> {
    let (_, rest) = log.rsplit_once("processed ")?;
    rest.split(' ').next()?.parse().ok()
}

/// The verifier's log ends with the instruction it refuses: the last line that begins `N: (`.
fn refused_instruction(log: &str) -> Option<usize> {
    log.lines().rev().find_map(|line| {
        let (index, rest) = line.split_once(": (")?;
        rest.as_bytes()
            .first()?
            .is_ascii_hexdigit()
            .then(|| index.parse().ok())?
    })
}

/// The kernel's number of an interface in our network namespace.
pub fn interface_index(name: &str) -> Result<u32, SysError> {
    let c_name = CString::new(name).map_err(|e| SysError::NoInterface {
        name: name.to_owned(),
        error: io::Error::new(io::ErrorKind::InvalidInput, e),
    })?;
    // SAFETY: a NUL-terminated string that outlives the call.
    let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    if index == 0 {
        return Err(SysError::NoInterface {
            name: name.to_owned(),
            error: io::Error::last_os_error(),
        });
    }
    Ok(index)
}
