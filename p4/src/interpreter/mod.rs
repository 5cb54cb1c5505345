//! The reference interpreter: executes a program on bytes, exactly as BMv2's simple_switch does.
//!
//! Written for clarity. It is the oracle of differential tests, the slow path for what XDP cannot
//! do, and a data plane of its own that needs no privileges. It opens no sockets and reads no
//! clock: packets and the time come as arguments.
//!
//! Where BMv2 dies or reads stale memory there is a defined result here: an index out of range
//! reads 0 and writes nothing, division by zero is 0, fields of headers that were never valid are
//! 0, endless loops in parsers, actions and recirculation are cut off.

mod action;
mod bits;
mod control;
mod control_plane;
mod copies;
pub(crate) mod eval;
mod flight;
mod handoff;
mod hash;
mod locked;
mod meter;
mod parser;
mod phv;
mod profile;
mod shared;
mod state;
mod switch;
mod table;
mod trace;

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use crate::dataplane::{Bits, DataPlaneError, EntryKey, declared_entries};
use crate::ir::{LearnListId, Program, TableId};

pub use action::MAX_ROUNDS;
pub use flight::Requests;
pub use handoff::{Handoff, HeaderValues, Resume, Step};
pub use shared::{Hit, Passing, SharedCells, SharedTables};
use state::State;
use table::TableState;
pub use trace::{Candidate, InstanceType, MAX_STEPS, Trace, TraceStep};

/// A packet on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Where it enters.
    pub port: u32,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A packet that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where; for a packet to the controller the CPU port of the program.
    pub port: u32,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A digest for the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Which.
    pub list: LearnListId,
    /// Its elements, in order.
    pub values: Vec<Bits>,
}

/// Digests that wait to be taken. What comes then is lost, and counted.
pub const MAX_DIGESTS: usize = 4096;

/// How often something happened that BMv2 does not survive or has no bound for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Anomalies {
    /// An `assert` or `assume` was not true.
    pub failed_assertions: u64,
    /// A write to an element that its stack does not have.
    pub lost_writes: u64,
    /// An action, or the rounds or copies of a packet, without end.
    pub cut_off: u64,
    /// A digest that nobody took in time.
    pub lost_digests: u64,
}

/// A table that a packet was matched against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Which.
    pub table: TableId,
    /// The value of each part of its key.
    pub key: Vec<Bits>,
    /// Whether an entry matched.
    pub hit: bool,
}

/// A switch that runs one program. It is one lock around a `Machine`, see `locked`.
#[derive(Debug)]
pub struct Interpreter {
    program: Arc<Program>,
    machine: Mutex<Machine>,
    /// Held by whoever runs a packet; exclusively by a batch that packets see all of or nothing.
    open: RwLock<()>,
}

/// What runs packets and is told entries.
#[derive(Debug)]
struct Machine {
    program: Arc<Program>,
    state: State,
    digests: Vec<Digest>,
    /// See [`Handoff::version`].
    version: u32,
}

impl Interpreter {
    /// A switch that holds the entries that the program declares, and nothing else.
    pub fn new(program: Arc<Program>) -> Interpreter {
        let mut state = State::new(&program);
        for entry in declared_entries(&program) {
            state.tables[entry.key.table.index()].insert(&entry, Duration::ZERO);
        }
        Interpreter {
            program: program.clone(),
            machine: Mutex::new(Machine {
                program,
                state,
                digests: Vec::new(),
                version: 0,
            }),
            open: RwLock::default(),
        }
    }

    /// Lets packets see the registers and meters of another plane of the same switch.
    pub fn share(&self, cells: Arc<dyn SharedCells>) {
        self.lock().state.shared = Some(cells);
    }

    /// Says what time it is, to what is written before the next packet comes: see
    /// [`Interpreter::process`].
    pub fn advance(&self, now: Duration) {
        let state = &mut self.lock().state;
        state.now = state.now.max(now);
    }

    /// Says when an entry was last hit, where it was not by a packet of this plane.
    pub fn set_last_hit(&self, key: &EntryKey, at: Duration) -> Result<(), DataPlaneError> {
        let tables = &mut self.lock().state.tables;
        let entry = tables[key.table.index()].get_mut(key);
        entry.ok_or(DataPlaneError::NotFound)?.last_hit = at;
        Ok(())
    }

    /// Looks packets up in the tables that another plane of the same switch keeps. Its entries, which
    /// are those that the program declares at least, take the place of what is in them here.
    pub fn share_tables(&self, tables: Arc<dyn SharedTables>) {
        let state = &mut self.lock().state;
        let own = (0..).map(TableId).zip(&mut state.tables);
        for (id, own) in own.filter(|(id, _)| tables.has_table(*id)) {
            *own = TableState::new(&self.program.tables[id.index()]);
        }
        state.shared_tables = Some(tables);
    }

    /// The program that runs.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Digests since the last call, the oldest first; of more than [`MAX_DIGESTS`] only those.
    pub fn take_digests(&self) -> Vec<Digest> {
        std::mem::take(&mut self.lock().digests)
    }

    /// What packets look up from now on, and have looked up since the last call.
    pub fn take_lookups(&self) -> Vec<Lookup> {
        let mut machine = self.lock();
        let lookups = machine.state.lookups.replace(Vec::new());
        lookups.unwrap_or_default()
    }

    /// How often something happened that BMv2 does not survive or has no bound for.
    pub fn anomalies(&self) -> Anomalies {
        self.lock().state.anomalies
    }
}
