//! Recorded packets and the state they were recorded under, as test data.
//!
//! Three sources, all optional at run time: p4c's own STF files, `golden*.jsonl` files with
//! packets and the outputs that BMv2 gave for them, and `entries.txtpb` files, which are P4Runtime
//! `WriteRequest`s. Used by the tests of this crate and of every other data plane, so that all
//! run the same packets. Nothing in a running switch calls it.

mod command;
mod entries;
mod error;
mod golden;
mod stf;

use std::path::{Path, PathBuf};

use crate::dataplane::Operation;
use crate::ir::Program;
use crate::p4info::{Pipeline, parse_p4info, restore_parameters};

pub use command::{Commands, CounterCheck};
pub use entries::read_entries;
pub use error::VectorError;
pub use golden::{Exchange, Golden, Output};
pub use stf::{Expectation, Pattern, Stf, StfCheck, StfPacket};

/// Where the recorded data is: `$POINTSMAN_VECTORS`, else `shared` beside the project; `None` if
/// it is not there, which a test then says aloud.
pub fn directory() -> Option<PathBuf> {
    let directory = std::env::var_os("POINTSMAN_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    directory.join("vectors").is_dir().then_some(directory)
}

/// A program with its p4info and the files recorded for it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The directory's name.
    pub name: String,
    /// The program beside its p4info.
    pub pipeline: Pipeline,
    /// Where it is.
    pub directory: PathBuf,
}

impl Case {
    /// Reads `bmv2.json` and `p4info.txtpb` of a directory.
    pub fn read(directory: &Path) -> Result<Case, VectorError> {
        let mut program: Program = crate::bmv2::read(read_file(&directory.join("bmv2.json"))?)?;
        let info = parse_p4info(&read_file(&directory.join("p4info.txtpb"))?)?;
        restore_parameters(&mut program, &info);
        Ok(Case {
            name: directory
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default(),
            pipeline: Pipeline::new(program.into(), &info)?,
            directory: directory.to_owned(),
        })
    }

    /// Reads a golden file of this program.
    pub fn golden(&self, file: &Path) -> Result<Golden, VectorError> {
        Golden::parse(&read_file(file)?, &self.pipeline)
    }

    /// Reads an `entries.txtpb` file of this program.
    pub fn entries(&self, file: &Path) -> Result<Vec<Operation>, VectorError> {
        read_entries(&read_file(file)?, &self.pipeline)
    }

    /// Reads the STF file of this program.
    pub fn stf(&self) -> Result<Stf, VectorError> {
        Stf::parse(
            &read_file(&self.directory.join("test.stf"))?,
            &self.pipeline,
        )
    }
}

/// The directories in a directory, sorted.
pub fn directories(parent: &Path) -> Result<Vec<PathBuf>, VectorError> {
    let entries = std::fs::read_dir(parent).map_err(|e| VectorError::file(parent, &e))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| VectorError::file(parent, &e))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read_file(path: &Path) -> Result<String, VectorError> {
    std::fs::read_to_string(path).map_err(|e| VectorError::file(path, &e))
}
