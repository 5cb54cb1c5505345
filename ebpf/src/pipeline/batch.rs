//! Batches of which each packet sees all or nothing: tables that are there twice.
//!
//! The first batch makes a second *side*: another map of tables, and the same programs loaded once
//! more to read that one. Cells, the PHV and everything of the switch are shared. From then on a batch
//!
//! 1. waits until no packet is left in the side that does not forward,
//! 2. copies into it what it lacks and leads the writers there ([`SharedMemory::turn`]); what they
//!    remember goes along, because the copy is byte for byte,
//! 3. is written with plain stores, which nobody sees,
//! 4. and leads the ports into that side by one slot of the root's program array: a packet runs wholly
//!    in one side.
//!
//! Updates that are taken back are taken back on the side that nobody sees yet. The ports are led there
//! even so: the writers are there, and it holds the same.
//!
//! Each batch gives its side a new *version*, which the packets bear that are handed to the interpreter.
//!
//! Not here: what keeps others from writing meanwhile. That is the caller's part, see
//! [`DataPlane::atomically`](pointsman_p4::dataplane::DataPlane::atomically).
//!
//! [`SharedMemory::turn`]: crate::sys::SharedMemory::turn

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use pointsman_p4::dataplane::DataPlaneError;
use pointsman_p4::simplify::simplify;

use crate::compile::{self, Maps};
use crate::switch::pins::{self, PinError};
use crate::sys::{Map, MapKind, Program};
use crate::tables::owners::Difference;
use crate::tables::table::kernel;

use super::data_plane::lock;
use super::programs::Programs;
use super::{Pipeline, PipelineError};

/// Which side forwards, and the second one if there is any. The first one is the pipeline's own.
#[derive(Debug, Default)]
pub(super) struct Sides {
    second: Option<Side>,
    forwards: Forwards,
    /// Whether what there is outlives the agent.
    pinned: bool,
    /// How many batches there were.
    version: u32,
    /// A batch is being written.
    writing: bool,
}

/// A side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Forwards {
    #[default]
    First,
    Second,
}

/// What a second side has of its own.
#[derive(Debug)]
struct Side {
    programs: Programs,
    _tables: Map,
}

/// A table that did not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDifference {
    /// Its name in P4.
    pub table: String,
    /// What was different.
    pub difference: Difference,
}

/// A batch that is being written. Packets see it when this goes.
#[must_use = "packets see the batch when this is dropped"]
pub struct Batch<'a>(&'a Pipeline);

impl Pipeline {
    /// The program that a packet enters by.
    pub fn loaded(&self) -> Arc<Program> {
        Arc::clone(self.entry(&self.sides()))
    }

    /// Forwards by this pipeline from the next packet on; none is lost. If it goes on with the cells of one that
    /// ran before, it says for which tables that one held other entries.
    pub fn activate(&self) -> Result<Vec<TableDifference>, PinError> {
        let mut sides = self.sides();
        self.pin(&mut sides)?;
        let inherited = self.inheritance.end(&self.memory.cells);
        self.shared.root.lead(self.number, self.entry(&sides))?;
        drop(sides);
        let mut differences = Vec::new();
        if inherited {
            let tables = self.program.tables.iter().zip(self.tables.each_table());
            let ended = tables.map(|(table, mut writer)| TableDifference {
                table: table.name.clone(),
                difference: writer.end_inheritance(),
            });
            differences.extend(ended.filter(|table| !table.difference.is_none()));
        }
        if let Err(error) = self.forget_others() {
            tracing::warn!(%error, "a pipeline that forwards no more is still pinned");
        }
        Ok(differences)
    }

    /// Makes what there is outlive the agent, if that is wanted.
    fn pin(&self, sides: &mut Sides) -> Result<(), PinError> {
        let Some(pins) = self.shared.pins().filter(|_| !sides.pinned) else {
            return Ok(());
        };
        let place = pins.pipeline(self.number);
        place.make()?;
        self.held.cells.pin(&place.cells())?;
        self.programs.pin(&place, pins::Side::First)?;
        if let Some(second) = &sides.second {
            second.programs.pin(&place, pins::Side::Second)?;
        }
        sides.pinned = true;
        Ok(())
    }

    /// Removes the names of pipelines that forwarded before this one.
    fn forget_others(&self) -> Result<(), PinError> {
        let number = Some(self.number);
        match self.shared.pins() {
            Some(pins) if pins.has_other_pipelines(number)? => {
                // Packets are still on their way through the chains of their programs.
                self.grace.wait()?;
                pins.keep_pipeline(number)
            }
            _ => Ok(()),
        }
    }

    /// The version of the tables that packets see: how many batches there were.
    pub fn version(&self) -> u32 {
        self.sides().version
    }

    /// Whether a batch is being written.
    pub fn is_in_batch(&self) -> bool {
        self.sides().writing
    }

    /// Begins a batch: what the writers do is seen by packets once the batch is dropped. One at a time.
    ///
    /// # Errors
    /// `NoMemory` if there is none for a second side; then nothing has changed.
    pub fn begin_batch(&self) -> Result<Batch<'_>, DataPlaneError> {
        let mut sides = self.sides();
        match sides.second {
            // Nobody has run in a new side.
            None => sides.second = Some(self.second_side(sides.pinned)?),
            // Some packets may still be in the side that was left by the last batch.
            Some(_) => self.grace.wait().map_err(kernel)?,
        }
        for mut table in self.tables.each_table() {
            table.hold_cells();
        }
        self.memory.tables.turn();
        let version = self.memory.tables.u32(self.plan.version as usize);
        version.store(sides.version.wrapping_add(1), Relaxed);
        sides.writing = true;
        Ok(Batch(self))
    }

    /// Loads the programs once more, for tables of their own. They see nothing in them yet.
    fn second_side(&self, pinned: bool) -> Result<Side, DataPlaneError> {
        let start = Instant::now();
        let side = self.load_second_side(pinned);
        let side = side.map_err(|error| DataPlaneError::NoMemory {
            what: format!("a second copy of the tables ({} bytes)", self.plan.bytes),
            error: error.to_string(),
        })?;
        tracing::info!(
            table_bytes = self.plan.bytes,
            load_ms = start.elapsed().as_secs_f64() * 1e3,
            "a batch is to be atomic for packets: the tables are held twice from now on"
        );
        Ok(side)
    }

    fn load_second_side(&self, pinned: bool) -> Result<Side, PipelineError> {
        let simplified = simplify(&self.program);
        let tables = Map::create(MapKind::Shared, "tables", self.plan.bytes, 1)?;
        let maps = Maps {
            tables: tables.insn_fd(),
            ..self.maps
        };
        let layout = compile::layout_of(&simplified);
        let compiled = compile::compile(
            &simplified,
            &self.plan,
            layout,
            maps,
            self.options,
            self.number,
        );
        let compiled = compiled.map_err(PipelineError::Refused)?;
        let length = self.options.program_instructions;
        let programs = Programs::load(&self.name(), &compiled, length)?;
        if let Some(pins) = self.shared.pins().filter(|_| pinned) {
            programs.pin(&pins.pipeline(self.number), pins::Side::Second)?;
        }
        self.memory.tables.add_side(&tables)?;
        Ok(Side {
            programs,
            _tables: tables,
        })
    }

    fn sides(&self) -> MutexGuard<'_, Sides> {
        lock(&self.sides)
    }

    fn entry<'a>(&'a self, sides: &'a Sides) -> &'a Arc<Program> {
        match (sides.forwards, &sides.second) {
            (Forwards::Second, Some(second)) => second.programs.entry(),
            _ => self.programs.entry(),
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let Batch(pipeline) = self;
        let mut sides = pipeline.sides();
        sides.forwards = match sides.forwards {
            Forwards::First => Forwards::Second,
            Forwards::Second => Forwards::First,
        };
        sides.version = sides.version.wrapping_add(1);
        sides.writing = false;
        let entry = pipeline.entry(&sides);
        if let Err(error) = pipeline.shared.root.change(pipeline.number, entry) {
            // The writers go back to where the packets stay, and with them what was written.
            tracing::error!(%error, "a batch became visible piece by piece");
            pipeline.memory.tables.turn();
            sides.forwards = match sides.forwards {
                Forwards::First => Forwards::Second,
                Forwards::Second => Forwards::First,
            };
        }
        for mut table in pipeline.tables.each_table() {
            table.release_cells();
        }
    }
}
