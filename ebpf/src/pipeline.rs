//! A program compiled, loaded, and its tables: the XDP data plane.

mod batch;
mod data_plane;
mod fingerprint;
mod inheritance;
mod programs;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pointsman_p4::dataplane::{DataPlane, DataPlaneError, declared_entries};
use pointsman_p4::ir::{self, TableId};
use pointsman_p4::simplify::simplify;
use thiserror::Error;

use crate::asm::Code;
use crate::compile::handoff::slow_constructs;
use crate::compile::{self, Maps, Options, Refusal, crc};
use crate::handoff::Decoder;
use crate::plan::Plan;
use crate::shared_cells::KernelCells;
use crate::shared_tables::KernelTables;
use crate::switch::Shared;
use crate::switch::pins::{PinError, PinnedPipeline};
use crate::sys::{Map, MapKind, SysError, has_may_goto};
use crate::tables::arena::Memories;
use crate::tables::bitvec;
use crate::tables::grace::Grace;
use crate::tables::selector::Profile;
use crate::tables::table::TableWriter;
use crate::tables::value_set::ValueSet;
use crate::ticks::Ticks;

use self::batch::Sides;
use self::fingerprint::Fingerprint;
use self::inheritance::Inheritance;
use self::programs::Programs;

pub use self::batch::{Batch, TableDifference};
pub use self::fingerprint::FINGERPRINT_BYTES;

/// A pipeline cannot be made.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// Constructs that are not supported, all of them.
    #[error("{}", refusals(.0))]
    Refused(Vec<Refusal>),
    /// The program is too long.
    #[error(transparent)]
    TooLong(#[from] crate::asm::AssembleError),
    /// The kernel refused something.
    #[error(transparent)]
    Kernel(#[from] SysError),
    /// It cannot be made to outlive the agent.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// An entry or default action that the program declares could not be written.
    #[error("cannot write what the program declares for {table}: {error}")]
    Declared {
        /// The table.
        table: String,
        /// Why.
        error: DataPlaneError,
    },
}

fn refusals(all: &[Refusal]) -> String {
    all.iter()
        .map(Refusal::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What it took to make a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Instructions, of all programs together.
    pub instructions: usize,
    /// Programs that they are in: more than one if the kernel does not take them as one.
    pub programs: usize,
    /// Instructions that the verifier went through, some of them more than once.
    pub verified: u64,
    /// Bytes of its tables, counters and the like included.
    pub table_bytes: u32,
    /// Planning and code generation.
    pub compile: Duration,
    /// The kernel's verification and translation.
    pub load: Duration,
}

/// A loaded pipeline. It forwards once the switch leads to it.
pub struct Pipeline {
    program: Arc<ir::Program>,
    plan: Plan,
    options: Options,
    /// Those of its first side, see [`batch`].
    programs: Programs,
    sides: Mutex<Sides>,
    number: u32,
    decoder: Arc<Decoder>,
    cells: Arc<KernelCells>,
    memory: Memories,
    tables: Arc<KernelTables>,
    /// The widths of the parameters of each action.
    widths: Vec<Box<[u32]>>,
    value_sets: Vec<Mutex<ValueSet>>,
    shared: Arc<Shared>,
    grace: Grace,
    /// If there are tables with idle timeouts.
    ticks: Option<Ticks>,
    stats: Stats,
    inheritance: Inheritance,
    /// What its programs refer to; `held` keeps it alive.
    maps: Maps,
    held: Held,
}

/// The maps of a pipeline.
struct Held {
    cells: Map,
    _tables: Map,
    _phv: Map,
}

impl Pipeline {
    /// Compiles and loads a program for a switch.
    pub fn new(
        program: Arc<ir::Program>,
        shared: Arc<Shared>,
        options: Options,
    ) -> Result<Pipeline, PipelineError> {
        Pipeline::after(None, program, shared, options)
    }

    /// Compiles and loads a program beside one that runs already, made by another process. It takes over
    /// that one's cells if they mean the same.
    pub fn after(
        running: Option<&PinnedPipeline>,
        program: Arc<ir::Program>,
        shared: Arc<Shared>,
        options: Options,
    ) -> Result<Pipeline, PipelineError> {
        let options = Options {
            may_goto: options.may_goto && has_may_goto(),
            ..options
        };
        let start = Instant::now();
        // What is compiled is less than what the interpreter runs, and does the same.
        let simplified = simplify(&program);
        let plan = Plan::new(&simplified, shared.cpus()).map_err(PipelineError::Refused)?;
        let tables = Map::create(MapKind::Shared, "tables", plan.bytes, 1)?;
        let fingerprint = Fingerprint::new(&simplified, &plan);
        let inherited = running.and_then(|running| fingerprint.cells_of(running, &plan));
        let inherits = inherited.is_some();
        let cells = match inherited {
            Some(cells) => cells,
            None => Map::create(MapKind::Shared, "cells", plan.cell_bytes, 1)?,
        };
        let layout = compile::layout_of(&simplified);
        let phv = Map::create(MapKind::PerCpu, "phv", layout.bytes, 1)?;
        let maps = Maps {
            tables: tables.insn_fd(),
            cells: cells.insn_fd(),
            phv: phv.insn_fd(),
            ports: shared.ports.map().insn_fd(),
            devmap: shared.devmap.insn_fd(),
            events: shared.events.insn_fd(),
        };
        let number = shared.ports.number_pipeline();
        let compiled = compile::compile(&simplified, &plan, layout, maps, options, number);
        let compiled = compiled.map_err(PipelineError::Refused)?;
        let generated = Instant::now();
        let programs = Programs::load(
            &program_name(&program),
            &compiled,
            options.program_instructions,
        )?;
        let stats = Stats {
            instructions: programs.code().iter().map(|c| c.insns.len()).sum(),
            programs: programs.code().len(),
            verified: programs.verified(),
            table_bytes: plan.bytes + plan.cell_bytes,
            compile: generated - start,
            load: generated.elapsed(),
        };
        let memory = Memories {
            tables: Arc::new(tables.memory()?),
            cells: Arc::new(cells.memory()?),
        };
        fingerprint.write(&memory.cells, &plan);
        let held = Held {
            cells,
            _tables: tables,
            _phv: phv,
        };
        bitvec::write_bit_numbers(&memory.tables, plan.bit_numbers);
        crc::write_tables(&memory.tables, plan.crc16, plan.crc32);
        let tables = program.tables.iter().zip(&plan.tables);
        let tables = tables
            .map(|(t, p)| TableWriter::new(t, p, &memory))
            .collect();
        let profiles = plan
            .profiles
            .iter()
            .map(|p| Profile::new(*p, Arc::clone(&memory.tables)))
            .collect();
        let value_sets = plan.value_sets.iter();
        let value_sets = value_sets
            .map(|p| Mutex::new(ValueSet::new(*p, Arc::clone(&memory.tables))))
            .collect();
        let tables = Arc::new(KernelTables::new(Arc::clone(&program), profiles, tables));
        let actions = program.actions.iter();
        let widths = actions
            .map(|action| action.params.iter().map(|param| param.width).collect())
            .collect();
        let cells = Arc::new(KernelCells::new(&program, &plan, &memory.cells));
        let mut timed = plan.tables.iter().filter(|table| table.hits.is_some());
        let ticks = timed.next().map(|_| Ticks::look());
        let pipeline = Pipeline {
            program,
            cells,
            plan,
            options,
            programs,
            sides: Mutex::default(),
            number,
            decoder: Arc::new(Decoder::new(compiled.layout, compiled.points)),
            memory,
            tables,
            widths,
            value_sets,
            shared,
            grace: Grace::new()?,
            ticks: ticks.transpose()?,
            stats,
            inheritance: Inheritance::default(),
            maps,
            held,
        };
        if inherits {
            pipeline.inheritance.begin();
            pipeline.tables.each_table().for_each(|mut t| t.inherit());
        }
        pipeline.write_declared()?;
        Ok(pipeline)
    }

    /// What it took to make it.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The instructions of each of its programs, for listings.
    pub fn code(&self) -> &[Code] {
        self.programs.code()
    }

    /// The number that its events bear.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What its events mean.
    pub fn decoder(&self) -> &Arc<Decoder> {
        &self.decoder
    }

    /// Its registers and meters.
    pub fn cells(&self) -> &Arc<KernelCells> {
        &self.cells
    }

    /// Whether it is to go on with the cells of the pipeline that runs.
    pub fn inherits(&self) -> bool {
        self.inheritance.is_under_way()
    }

    /// Those of its tables that the interpreter looks up here.
    pub fn shared_tables(&self) -> &Arc<KernelTables> {
        &self.tables
    }

    /// What of the P4 program takes the slow path, in the order of the source.
    pub fn slow_constructs(&self) -> Vec<Refusal> {
        slow_constructs(self.decoder.points())
    }

    /// What the kernel calls its programs.
    fn name(&self) -> String {
        program_name(&self.program)
    }

    /// The P4 program.
    pub fn program(&self) -> &Arc<ir::Program> {
        &self.program
    }

    /// Default actions and entries that the P4 program declares.
    fn write_declared(&self) -> Result<(), PipelineError> {
        let program = Arc::clone(&self.program);
        for (index, table) in program.tables.iter().enumerate() {
            let declared = |error| PipelineError::Declared {
                table: table.name.clone(),
                error,
            };
            self.set_default(TableId(index as u32), None)
                .map_err(declared)?;
        }
        for entry in declared_entries(&program) {
            let table = program.tables[entry.key.table.index()].name.clone();
            self.insert(&entry)
                .map_err(|error| PipelineError::Declared { table, error })?;
        }
        Ok(())
    }
}

fn program_name(program: &ir::Program) -> String {
    let stem = program.name.rsplit('/').next().unwrap_or_default();
    stem.split('.').next().unwrap_or_default().to_owned()
}
