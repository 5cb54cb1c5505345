//! What a pipeline has in the kernel: one program, or a chain of them where one is not enough.
//!
//! A program is kept whole if its jumps reach and the verifier follows it to the end. If not, it is cut,
//! finer each time that the verifier finds a program of the chain too complex.

use std::os::fd::AsFd;
use std::sync::Arc;

use crate::asm::{AssembleError, Code};
use crate::compile::chain::{Compiled, MAX_PROGRAMS, PROGRAM_INSTRUCTIONS};
use crate::switch::pins::{PinnedPipeline, Side};
use crate::sys::{Map, MapKind, Program, ProgramKind, SysError};
use crate::tables::grace::Grace;

use super::PipelineError;

/// Shorter programs than these are not tried.
const MIN_INSTRUCTIONS: usize = 256;

/// The programs of a pipeline.
#[derive(Debug)]
pub(super) struct Programs {
    /// The first is the one that a packet enters by.
    loaded: Vec<Arc<Program>>,
    code: Vec<Code>,
    // Kept alive with the programs.
    chain: Option<Chain>,
}

/// How the programs find each other.
#[derive(Debug)]
struct Chain {
    grace: Grace,
    array: Map,
}

impl Programs {
    /// Loads a compiled program; `instructions` is how long a program of a chain should be, and
    /// `None` makes a chain only of what the kernel does not take whole.
    pub(super) fn load(
        name: &str,
        compiled: &Compiled,
        instructions: Option<usize>,
    ) -> Result<Programs, PipelineError> {
        if instructions.is_none() {
            match Programs::load_whole(name, compiled) {
                Ok(programs) => return Ok(programs),
                Err(error) if !can_be_cut(&error) => return Err(error),
                Err(_) => {}
            }
        }
        // In halves at least: what is too complex is not always long.
        let half = compiled.instructions().div_ceil(2);
        let mut longest = instructions.unwrap_or(PROGRAM_INSTRUCTIONS.min(half));
        loop {
            match Programs::load_chain(name, compiled, longest) {
                Err(error) if can_be_cut(&error) && longest / 2 >= MIN_INSTRUCTIONS => longest /= 2,
                result => return result,
            }
        }
    }

    fn load_whole(name: &str, compiled: &Compiled) -> Result<Programs, PipelineError> {
        let code = compiled.whole()?;
        let program = Program::load(ProgramKind::Xdp, name, &code)?;
        Ok(Programs {
            loaded: vec![Arc::new(program)],
            code: vec![code],
            chain: None,
        })
    }

    fn load_chain(
        name: &str,
        compiled: &Compiled,
        instructions: usize,
    ) -> Result<Programs, PipelineError> {
        let array = Map::create(MapKind::ProgramArray, "chain", 4, MAX_PROGRAMS)?;
        let code = compiled.chain(instructions, array.insn_fd())?;
        let mut loaded = Vec::with_capacity(code.len());
        for (number, code) in code.iter().enumerate() {
            let program = Program::load(ProgramKind::Xdp, name, code)?;
            array.set_fd(number as u32, program.as_fd())?;
            loaded.push(Arc::new(program));
        }
        let grace = Grace::new()?;
        Ok(Programs {
            loaded,
            code,
            chain: Some(Chain { grace, array }),
        })
    }

    /// The program that a packet enters by.
    pub(super) fn entry(&self) -> &Arc<Program> {
        &self.loaded[0]
    }

    /// Keeps them when this process ends.
    pub(super) fn pin(&self, to: &PinnedPipeline, side: Side) -> Result<(), SysError> {
        self.entry().pin(&to.entry(side))?;
        match &self.chain {
            Some(chain) => chain.array.pin(&to.chain(side)),
            None => Ok(()),
        }
    }

    /// The instructions of each.
    pub(super) fn code(&self) -> &[Code] {
        &self.code
    }

    /// Instructions that the verifier went through.
    pub(super) fn verified(&self) -> u64 {
        self.loaded.iter().map(|p| u64::from(p.verified())).sum()
    }
}

/// The kernel empties an array of programs when the last descriptor of it is closed, whoever is still
/// running one of them: packets that are on their way through the chain go first.
impl Drop for Chain {
    fn drop(&mut self) {
        // If the kernel cannot wait, some packets are lost, and there is nothing better to do.
        let _ = self.grace.wait();
    }
}

/// Whether shorter programs may be what the kernel takes.
fn can_be_cut(error: &PipelineError) -> bool {
    matches!(
        error,
        PipelineError::TooLong(AssembleError::JumpTooFar { .. })
            | PipelineError::Kernel(SysError::TooComplex { .. })
    )
}
