//! What a switch remembers from packet to packet.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use num_bigint::BigUint;

use crate::dataplane::{Bits, CloneSession, Color, ColorCounts, CounterData, Replica};
use crate::ir::{
    CalculationId, CalculationInput, CounterId, FieldRef, MeterId, MeterUnit, Program, RegisterId,
    TableId,
};

use super::bits::BitWriter;
use super::eval::Eval;
use super::flight::Flight;
use super::hash::Hasher;
use super::meter::Meter;
use super::phv::truncate;
use super::profile::ProfileState;
use super::shared::{SharedCells, SharedTables};
use super::table::TableState;
use super::trace::{TraceStep, Trial};
use super::{Anomalies, Lookup};

/// What a switch remembers from packet to packet. Cells that nobody wrote are not stored.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tables: Vec<TableState>,
    pub(super) profiles: Vec<ProfileState>,
    pub(super) multicast_groups: HashMap<u32, Vec<Replica>>,
    pub(super) clone_sessions: HashMap<u32, CloneSession>,
    pub(super) counters: HashMap<(CounterId, u32), CounterData>,
    pub(super) meters: HashMap<(MeterId, u32), Meter>,
    pub(super) meter_counts: HashMap<(MeterId, u32), ColorCounts>,
    /// Those that are not in `shared`.
    registers: HashMap<(RegisterId, u32), BigUint>,
    /// Cells of another plane of the same switch.
    pub(super) shared: Option<Arc<dyn SharedCells>>,
    /// Tables of another plane of the same switch.
    pub(super) shared_tables: Option<Arc<dyn SharedTables>>,
    pub(super) value_sets: Vec<HashSet<BigUint>>,
    pub(super) ports_down: HashSet<u32>,
    pub(super) anomalies: Anomalies,
    /// What was looked up, while somebody wants to know.
    pub(super) lookups: Option<Vec<Lookup>>,
    /// While a packet is followed, which is to leave all the rest as it is.
    pub(super) trial: Option<Box<Trial>>,
    /// Since the switch started.
    pub(super) now: Duration,
    hasher: Hasher,
    random: u64,
}

/// What the switch remembers of packets beside cells and entries.
#[derive(Debug)]
pub(super) struct Before {
    anomalies: Anomalies,
    lookups: Option<Vec<Lookup>>,
    now: Duration,
    hasher: Hasher,
    random: u64,
}

impl State {
    /// Empty, but for the entries that the program declares.
    pub(super) fn new(program: &Program) -> State {
        State {
            tables: program.tables.iter().map(TableState::new).collect(),
            profiles: program
                .action_profiles
                .iter()
                .map(|_| ProfileState::default())
                .collect(),
            multicast_groups: HashMap::new(),
            clone_sessions: HashMap::new(),
            counters: HashMap::new(),
            meters: HashMap::new(),
            meter_counts: HashMap::new(),
            registers: HashMap::new(),
            shared: None,
            shared_tables: None,
            value_sets: vec![HashSet::new(); program.value_sets.len()],
            ports_down: HashSet::new(),
            anomalies: Anomalies::default(),
            lookups: None,
            trial: None,
            now: Duration::ZERO,
            hasher: Hasher::default(),
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Follows the next packet, until the trial ends.
    pub(super) fn begin_trial(&mut self) {
        let before = Before {
            anomalies: self.anomalies,
            lookups: self.lookups.take(),
            now: self.now,
            hasher: self.hasher.clone(),
            random: self.random,
        };
        self.trial = Some(Box::new(Trial::new(before)));
    }

    /// Puts everything back as it was before the packet that was followed, if one was.
    pub(super) fn end_trial(&mut self) -> Option<Trial> {
        let mut trial = *self.trial.take()?;
        let before = &mut trial.before;
        self.anomalies = before.anomalies;
        self.lookups = before.lookups.take();
        self.now = before.now;
        self.hasher = std::mem::take(&mut before.hasher);
        self.random = before.random;
        Some(trial)
    }

    /// Whether the packet is to leave everything as it is.
    pub(super) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Takes note of what happens to a packet that is followed.
    pub(super) fn note(&mut self, step: impl FnOnce() -> TraceStep) {
        if let Some(trial) = &mut self.trial {
            trial.note(step());
        }
    }

    /// How many steps were noted.
    pub(super) fn steps(&self) -> usize {
        self.trial.as_ref().map_or(0, |trial| trial.steps())
    }

    /// Leaves out the steps from one on.
    pub(super) fn forget_from(&mut self, step: usize) {
        if let Some(trial) = &mut self.trial {
            trial.forget_from(step);
        }
    }

    /// The copies that replicas make now: port and instance of each.
    pub(super) fn active<'r>(
        &self,
        replicas: impl IntoIterator<Item = &'r Replica>,
    ) -> impl Iterator<Item = (u32, u32)> {
        let replicas = replicas.into_iter();
        replicas.filter_map(|replica| replica.active(|port| !self.ports_down.contains(&port)))
    }

    /// The other plane, if it is the one that has the entries of a table.
    pub(super) fn shared_table(&self, table: TableId) -> Option<&Arc<dyn SharedTables>> {
        let tables = self.shared_tables.as_ref();
        tables.filter(|tables| tables.has_table(table))
    }

    /// The hash of a calculation over a packet.
    pub(super) fn calculate(
        &mut self,
        program: &Program,
        flight: &Flight,
        id: CalculationId,
    ) -> u64 {
        let calculation = &program.calculations[id.index()];
        let input = input_bytes(program, flight, &calculation.input);
        self.hasher.hash(calculation.algorithm, id.0, &input)
    }

    /// A cell of a register; `index` is in range.
    pub(super) fn register(&self, register: RegisterId, index: u32) -> BigUint {
        let trial = self.trial.as_ref();
        if let Some(value) = trial.and_then(|trial| trial.registers.get(&(register, index))) {
            return value.clone();
        }
        match &self.shared {
            Some(cells) if cells.has_register(register) => {
                BigUint::from(&cells.register(register, index))
            }
            _ => {
                let cell = self.registers.get(&(register, index));
                cell.cloned().unwrap_or_default()
            }
        }
    }

    /// Writes a cell of a register; `index` is in range, and the value fits.
    pub(super) fn set_register(&mut self, register: RegisterId, index: u32, value: BigUint) {
        if let Some(trial) = &mut self.trial {
            trial.registers.insert((register, index), value);
            return;
        }
        match &self.shared {
            Some(cells) if cells.has_register(register) => {
                cells.set_register(register, index, &Bits::from(&value));
            }
            _ => {
                self.registers.insert((register, index), value);
            }
        }
    }

    /// Meters a packet; green if the cell is not configured.
    pub(super) fn meter(
        &mut self,
        meter: MeterId,
        index: u32,
        unit: MeterUnit,
        length: usize,
    ) -> Color {
        if self.is_trial() {
            // Another plane that shares the cell was configured alike.
            if self.meters.contains_key(&(meter, index)) {
                let index = Some(index);
                self.note(|| TraceStep::Metered { meter, index });
            }
            return Color::Green;
        }
        let now = self.now;
        let units = units(unit, length);
        let shared = self.shared.as_ref();
        let shared = shared.and_then(|cells| cells.meter(meter, index, units, now));
        let color = shared.unwrap_or_else(|| match self.meters.get_mut(&(meter, index)) {
            Some(meter) => meter.mark(units, now),
            None => Color::Green,
        });
        let counts = self.meter_counts.entry((meter, index)).or_default();
        count(counts.of_mut(color), length);
        color
    }

    /// The next number of a fixed sequence (xorshift64*): the same in every run.
    pub(super) fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// The inputs of a hash one after the other; those of invalid headers are left out.
fn input_bytes(program: &Program, flight: &Flight, inputs: &[CalculationInput]) -> Vec<u8> {
    let phv = &flight.phv;
    let mut out = BitWriter::default();
    for input in inputs {
        match input {
            CalculationInput::Field(field) => {
                let FieldRef { header, .. } = *field;
                if phv.is_valid(header) {
                    out.push(phv.get(*field), phv.width(program, *field));
                }
            }
            CalculationInput::Header(header) => {
                if phv.is_valid(*header) {
                    phv.emit(program, *header, &mut out);
                }
            }
            CalculationInput::Payload => out.push_bytes(&flight.payload),
            CalculationInput::Const { value, width } => out.push(value, *width),
            CalculationInput::Expr { value, width } => {
                let eval = Eval {
                    program,
                    phv,
                    args: &[],
                    ahead: &[],
                };
                out.push(&truncate(&eval.value(value), *width), *width);
            }
        }
    }
    out.finish()
}

/// What a packet costs a meter.
pub(super) fn units(unit: MeterUnit, length: usize) -> u64 {
    match unit {
        MeterUnit::Packets => 1,
        MeterUnit::Bytes => length as u64,
    }
}

/// Counts a packet.
pub(super) fn count(data: &mut CounterData, length: usize) {
    data.packets = data.packets.wrapping_add(1);
    data.bytes = data.bytes.wrapping_add(length as u64);
}
