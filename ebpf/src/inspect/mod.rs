//! A compiled pipeline for people to read: its listing and its figures.
//!
//! Compiles as [`crate::pipeline`] does and loads nothing, so that it needs neither privileges nor a
//! kernel. Called by `pointsman pipeline compile`.

mod listing;
mod names;
mod stats;
#[cfg(test)]
mod tests;

use pointsman_p4::ir::Program;
use pointsman_p4::simplify::simplify;

use crate::asm::{AssembleError, Code};
use crate::compile::chain::{Compiled, PROGRAM_INSTRUCTIONS};
use crate::compile::handoff::slow_constructs;
use crate::compile::layout::Layout;
use crate::compile::{self, Maps, Options, Refusal};
use crate::pipeline::PipelineError;
use crate::plan::Plan;

pub use listing::{Block, PartListing};
pub use stats::{PartStats, Stats, TableStats};

/// A program with what was planned and compiled for it.
#[derive(Debug)]
pub struct Inspection<'a> {
    /// As it was written.
    program: &'a Program,
    /// As it was compiled.
    simplified: Program,
    plan: Plan,
    layout: Layout,
    maps: Maps,
    /// In the order of a packet's way.
    programs: Vec<Code>,
    slow_constructs: Vec<Refusal>,
}

impl<'a> Inspection<'a> {
    /// Plans and compiles a program for a machine with so many CPUs.
    ///
    /// # Errors
    /// What the agent would answer when the pipeline is set, as far as the kernel has no say in it.
    pub fn new(program: &'a Program, cpus: u32, options: Options) -> Result<Self, PipelineError> {
        let simplified = simplify(program);
        let plan = Plan::new(&simplified, cpus).map_err(PipelineError::Refused)?;
        let maps = Maps::UNLOADED;
        let layout = compile::layout_of(&simplified);
        let compiled = compile::compile(&simplified, &plan, layout, maps, options, 0);
        let compiled = compiled.map_err(PipelineError::Refused)?;
        let programs = programs(&compiled, options.program_instructions)?;
        Ok(Inspection {
            program,
            simplified,
            layout: compiled.layout,
            plan,
            maps,
            programs,
            slow_constructs: slow_constructs(&compiled.points),
        })
    }

    /// Every instruction, under the statement that it was made for.
    pub fn listing(&self) -> Vec<PartListing> {
        listing::of(self)
    }

    /// How much of everything.
    pub fn stats(&self) -> Stats {
        stats::of(self)
    }
}

/// The programs that the kernel is asked to take first: it may find one too complex, which makes more
/// of them. That is not known here.
fn programs(compiled: &Compiled, instructions: Option<usize>) -> Result<Vec<Code>, AssembleError> {
    let longest = match (instructions, compiled.whole()) {
        (None, Ok(whole)) => return Ok(vec![whole]),
        (None, Err(AssembleError::JumpTooFar { .. })) => PROGRAM_INSTRUCTIONS,
        (Some(longest), _) => longest,
    };
    compiled.chain(longest, Maps::UNLOADED_CHAIN)
}
