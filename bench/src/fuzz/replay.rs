//! Directories of cases: what the fuzzer once found, so that it stays found.
//!
//! ```text
//! DIR/NAME/bmv2.json    a program, small enough to keep
//! DIR/NAME/*.json       its cases, see `case`
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pointsman_p4::bmv2::{self, ReadError};
use pointsman_p4::interpreter::{Interpreter, Output, Packet};
use pointsman_p4::ir::Program;
use thiserror::Error;

use crate::conformance::hex;

use super::case::{CaseFile, StepText};
use super::names::NameError;
use super::pair::Pair;
use super::step::Step;

const PROGRAM: &str = "bmv2.json";

/// Why a case fails.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum ReplayError {
    #[error("{path}: {error}")]
    File {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{path}: {error}")]
    Program { path: PathBuf, error: ReadError },
    #[error("{path}: {error}")]
    Json {
        path: PathBuf,
        error: serde_json::Error,
    },
    #[error("{path}: {error}")]
    Name { path: PathBuf, error: NameError },
    #[error("{path}: packet {packet}: expected {expected:?} to leave, not {found:?}")]
    Output {
        path: PathBuf,
        packet: usize,
        expected: Vec<String>,
        found: Vec<String>,
    },
    #[error("{path}: {difference}")]
    Differ { path: PathBuf, difference: String },
}

/// Replays all cases below a directory: the interpreter gives what they say, and the kernel, if
/// it is `privileged`, the same. Returns how many there are.
pub fn replay_all(directory: &Path, privileged: bool) -> Result<usize, ReplayError> {
    let mut count = 0;
    for program_directory in list(directory)?.into_iter().filter(|path| path.is_dir()) {
        let path = program_directory.join(PROGRAM);
        let program = bmv2::read(read(&path)?);
        let program = program.map_err(|error| ReplayError::Program { path, error })?;
        let program = Arc::new(program);
        for path in list(&program_directory)? {
            let is_case = path.extension().is_some_and(|e| e == "json") && !path.ends_with(PROGRAM);
            if is_case {
                replay(&program, &path, privileged)?;
                count += 1;
            }
        }
    }
    Ok(count)
}

fn replay(program: &Arc<Program>, path: &Path, privileged: bool) -> Result<(), ReplayError> {
    let case: CaseFile = serde_json::from_str(&read(path)?).map_err(|error| ReplayError::Json {
        path: path.to_owned(),
        error,
    })?;
    let script = case.script(program).map_err(|error| ReplayError::Name {
        path: path.to_owned(),
        error,
    })?;
    let outputs = interpret(program, &script.steps);
    for (packet, (step, found)) in case.steps.iter().zip(&outputs).enumerate() {
        if let StepText::Packet {
            out: Some(expected),
            ..
        } = step
            && expected != found
        {
            return Err(ReplayError::Output {
                path: path.to_owned(),
                packet,
                expected: expected.clone(),
                found: found.clone(),
            });
        }
    }
    if privileged && let Err(difference) = Pair::run(program, &script) {
        return Err(ReplayError::Differ {
            path: path.to_owned(),
            difference: difference.to_string(),
        });
    }
    Ok(())
}

/// What leaves the interpreter after each step, sorted by port, as cases write it.
pub fn interpret(program: &Arc<Program>, steps: &[Step]) -> Vec<Vec<String>> {
    let interpreter = Interpreter::new(Arc::clone(program));
    let step = |step: &Step| {
        let Step::Packet { port, bytes } = step else {
            // A case may hold writes that are refused; both planes must refuse them.
            let _ = step.apply(&interpreter);
            return Vec::new();
        };
        let packet = Packet {
            port: *port,
            bytes: bytes.clone(),
        };
        let mut outputs = interpreter.process(&packet, Duration::ZERO);
        outputs.sort_by_key(|output| output.port);
        let text = |Output { port, bytes }: Output| format!("{port} {}", hex(&bytes));
        outputs.into_iter().map(text).collect()
    };
    steps.iter().map(step).collect()
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, ReplayError> {
    let failed = |error| ReplayError::File {
        path: directory.to_owned(),
        error,
    };
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, ReplayError> {
    std::fs::read_to_string(path).map_err(|error| ReplayError::File {
        path: path.to_owned(),
        error,
    })
}
