//! The way from the ports into the pipeline: what the root program's tail call leads to.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::sys::{Map, MapFd, MapKind, Program, SysError};

/// A program array of one slot. Replacing the program in it loses no packet: each runs in the old one
/// or in the new one.
#[derive(Debug)]
pub struct Root {
    map: Map,
    /// The number of the pipeline that it leads to.
    pipeline: Mutex<Option<u32>>,
}

impl Root {
    /// Leads nowhere.
    pub fn new() -> Result<Root, SysError> {
        Ok(Root {
            map: Map::create(MapKind::ProgramArray, "pipelines", 4, 1)?,
            pipeline: Mutex::new(None),
        })
    }

    /// Opens one that was pinned; it leads to where it did.
    pub fn open(path: &Path) -> Result<Root, SysError> {
        Ok(Root {
            map: Map::open(MapKind::ProgramArray, "pipelines", 4, 1, path)?,
            pipeline: Mutex::new(None),
        })
    }

    /// Keeps it, and what it leads to, when this process ends.
    pub fn pin(&self, path: &Path) -> Result<(), SysError> {
        self.map.pin(path)
    }

    /// The kernel's number of the program that it leads to.
    pub fn leads_to(&self) -> Result<Option<u32>, SysError> {
        self.map.referred(0)
    }

    /// For the root program.
    pub fn insn_fd(&self) -> MapFd {
        self.map.insn_fd()
    }

    /// Leads to a pipeline by one of its programs.
    pub fn lead(&self, pipeline: u32, program: &Program) -> Result<(), SysError> {
        let mut leads_to = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        self.map.set_fd(0, program.as_fd())?;
        *leads_to = Some(pipeline);
        Ok(())
    }

    /// Leads nowhere from now on.
    pub fn clear(&self) -> Result<(), SysError> {
        let mut leads_to = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        *leads_to = None;
        self.map.remove(0)
    }

    /// If it leads to that pipeline, does so by this program from now on.
    pub fn change(&self, pipeline: u32, program: &Program) -> Result<(), SysError> {
        let leads_to = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        match *leads_to == Some(pipeline) {
            true => self.map.set_fd(0, program.as_fd()),
            false => Ok(()),
        }
    }
}
