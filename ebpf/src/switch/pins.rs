//! What of a switch outlives its agent, by names in a BPF file system.
//!
//! ```text
//! DIR/DEVICE/                locked (flock) while an agent has it
//! DIR/DEVICE/link_PORT       the XDP link of a port; this name never changes
//! DIR/DEVICE/layout_2/       what the root program of this layout refers to:
//!     ports events egress front local stations      maps, see `Shared`
//!     program                  the root program
//!     root                     its way into the pipeline; pinned last: where it is, the rest is
//!     pipeline_N/              a pipeline: cells, the programs that packets may enter by (first,
//!                              second), and the arrays of their chains (chain_first, chain_second)
//! ```
//!
//! Which pipeline runs is nowhere written down, because it could be wrong: it is the one with the program
//! that the root's slot refers to. What else is there was left by an agent that was killed between two
//! steps, and goes with the next pipeline.
//!
//! An agent with another root program has the links run that, one after the other. One with another layout
//! takes nothing but the links, and fills maps of its own before that. Either way each packet is forwarded, by the
//! old or by the new pipeline.
//!
//! Not here: what is made of it. That is [`Switch`](super::Switch)'s.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::sys::{FoundLink, Program, SysError, XdpLink, is_bpf_filesystem};

/// To be increased when the maps that pipelines share, or the root program, get another meaning.
const LAYOUT: u32 = 2;
const LINK: &str = "link_";
const PIPELINE: &str = "pipeline_";

/// Why there is no directory to pin in.
#[derive(Debug, Error)]
pub enum PinError {
    /// It is none in which objects can be pinned.
    #[error(
        "{} is not on a BPF file system, so that nothing can be pinned there; mount one \
         (mount -t bpf bpf {})", path.display(), path.display()
    )]
    NotBpf {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has it.
    #[error(
        "{} is in use: another agent of this device id runs. Stop it, or choose another device id or \
         another directory to pin in", path.display()
    )]
    InUse {
        /// The directory of the device.
        path: PathBuf,
    },
    /// The ports are in another network namespace.
    #[error(
        "{} is the link of an interface in another network namespace: an agent of this device id has run \
         there. Start the agent there, have `pointsman-agent detach` take it down, or choose another device id or \
         another directory to pin in", path.display()
    )]
    Elsewhere {
        /// The name of the link.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("cannot {operation} {}: {error}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// The kernel refuses.
    #[error(transparent)]
    Kernel(#[from] SysError),
}

impl PinError {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PinError {
        let path = path.to_owned();
        move |error| PinError::Io {
            operation,
            path,
            error,
        }
    }
}

/// The directory of one device, which no other agent uses meanwhile.
#[derive(Debug)]
pub struct PinDirectory {
    path: PathBuf,
    _lock: File,
}

/// A port that was found to be attached.
#[derive(Debug)]
pub struct FoundPort {
    /// Its number.
    pub port: u32,
    /// Its link.
    pub link: XdpLink,
    /// The kernel's number of its interface.
    pub interface: u32,
    /// The kernel's number of the program that it runs.
    pub program: u32,
}

/// What was taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Ports that were attached.
    pub ports: usize,
}

impl PinDirectory {
    /// Takes the directory of a device, making it if need be.
    pub fn open(base: &Path, device_id: u64) -> Result<PinDirectory, PinError> {
        let path = base.join(device_id.to_string());
        let missing = PinError::io("look at", base);
        // The base may be a directory yet to be made.
        let existing = base.ancestors().find(|path| path.is_dir());
        let existing = existing.unwrap_or(base);
        if !is_bpf_filesystem(existing).map_err(missing)? {
            return Err(PinError::NotBpf {
                path: base.to_owned(),
            });
        }
        std::fs::create_dir_all(&path).map_err(PinError::io("make the directory", &path))?;
        let lock = File::open(&path).map_err(PinError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(PinDirectory { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PinError::InUse { path }),
            Err(TryLockError::Error(error)) => Err(PinError::io("lock", &path)(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of something that all pipelines of this layout share.
    pub fn shared(&self, name: &str) -> PathBuf {
        self.layout().join(name)
    }

    /// Whether everything of this layout is there; what is there of an unfinished one is removed.
    pub fn is_complete(&self) -> Result<bool, PinError> {
        let complete = self.shared("root").exists();
        if !complete {
            remove(&self.layout())?;
            make(&self.layout())?;
        }
        Ok(complete)
    }

    /// Gives another root program the name, that all links run by now.
    pub fn rename_program(&self, program: &Program) -> Result<(), PinError> {
        let path = self.shared("program");
        remove(&path)?;
        Ok(program.pin(&path)?)
    }

    /// The name of a port's link.
    pub fn link(&self, port: u32) -> PathBuf {
        self.path.join(format!("{LINK}{port}"))
    }

    /// The links that are here, with their ports. Names of links whose interfaces are gone are removed.
    pub fn links(&self) -> Result<Vec<FoundPort>, PinError> {
        let mut ports = Vec::new();
        for (number, path) in numbered(&self.path, LINK)? {
            match XdpLink::open(&path)? {
                FoundLink::Attached {
                    link,
                    interface,
                    program,
                } => ports.push(FoundPort {
                    port: number,
                    link,
                    interface,
                    program,
                }),
                FoundLink::Defunct => remove(&path)?,
                FoundLink::Elsewhere => return Err(PinError::Elsewhere { path }),
            }
        }
        Ok(ports)
    }

    /// Forgets a link.
    pub fn remove_link(&self, port: u32) -> Result<(), PinError> {
        remove(&self.link(port))
    }

    /// The place of a pipeline.
    pub fn pipeline(&self, number: u32) -> PinnedPipeline {
        PinnedPipeline {
            path: self.layout().join(format!("{PIPELINE}{number}")),
        }
    }

    /// The pipeline that packets enter by the program of this number.
    pub fn running(&self, program: u32) -> Result<Option<PinnedPipeline>, PinError> {
        for (number, _) in numbered(&self.layout(), PIPELINE)? {
            let pipeline = self.pipeline(number);
            for entry in [pipeline.entry(Side::First), pipeline.entry(Side::Second)] {
                if entry.exists() && Program::open(&entry)?.id()? == program {
                    return Ok(Some(pipeline));
                }
            }
        }
        Ok(None)
    }

    /// Forgets all pipelines but one. No packet may be in them any more.
    pub fn keep_pipeline(&self, kept: Option<u32>) -> Result<(), PinError> {
        for (number, path) in numbered(&self.layout(), PIPELINE)? {
            if Some(number) != kept {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Whether there are pipelines but this one.
    pub fn has_other_pipelines(&self, kept: Option<u32>) -> Result<bool, PinError> {
        let pipelines = numbered(&self.layout(), PIPELINE)?;
        Ok(pipelines.iter().any(|(number, _)| Some(*number) != kept))
    }

    /// Forgets what agents of other layouts have left.
    pub fn remove_other_layouts(&self) -> Result<(), PinError> {
        for (number, path) in numbered(&self.path, "layout_")? {
            if number != LAYOUT {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Takes everything down: ports forward nothing any more, and nothing of it is left.
    pub fn remove_all(self) -> Result<Removed, PinError> {
        let links = numbered(&self.path, LINK)?;
        for (_, path) in &links {
            remove(path)?;
        }
        remove(&self.path)?;
        Ok(Removed { ports: links.len() })
    }

    fn layout(&self) -> PathBuf {
        self.path.join(format!("layout_{LAYOUT}"))
    }
}

/// One of the two programs that packets may enter a pipeline by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that every pipeline has.
    First,
    /// The one of its second set of tables.
    Second,
}

/// The names of what a pipeline needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedPipeline {
    path: PathBuf,
}

impl PinnedPipeline {
    /// Makes the place.
    pub fn make(&self) -> Result<(), PinError> {
        make(&self.path)
    }

    /// Its counters, meters and registers.
    pub fn cells(&self) -> PathBuf {
        self.path.join("cells")
    }

    /// A program that packets enter by.
    pub fn entry(&self, side: Side) -> PathBuf {
        self.path.join(match side {
            Side::First => "first",
            Side::Second => "second",
        })
    }

    /// The programs that follow on it.
    pub fn chain(&self, side: Side) -> PathBuf {
        self.path.join(match side {
            Side::First => "chain_first",
            Side::Second => "chain_second",
        })
    }
}

/// What is in a directory by names that begin in one way and end with a number.
fn numbered(directory: &Path, prefix: &str) -> Result<Vec<(u32, PathBuf)>, PinError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(PinError::io("read", directory))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(PinError::io("read", directory))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn make(directory: &Path) -> Result<(), PinError> {
    std::fs::create_dir_all(directory).map_err(PinError::io("make the directory", directory))
}

/// Removes a name, or a directory with all that is in it.
fn remove(path: &Path) -> Result<(), PinError> {
    let removed = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(PinError::io("remove", path)),
    }
}
