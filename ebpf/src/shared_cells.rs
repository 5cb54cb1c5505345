//! Registers and meters of the program in the kernel, for the interpreter beside it.
//!
//! A packet may run in the kernel and the next one in the interpreter; they see the same cells. What
//! does not fit into a cell of the kernel (registers of more than 64 bits) is the interpreter's alone.

use std::collections::HashMap;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use pointsman_p4::dataplane::{Bits, Color, EntryKey, EntryRef};
use pointsman_p4::interpreter::SharedCells;
use pointsman_p4::ir::{MeterId, Program, RegisterId, TableId};

use crate::plan::Plan;
use crate::sys::SharedMemory;
use crate::tables::cells::MeterPlan;
use crate::tables::table::DEFAULT_CELL;

/// The widest register whose cells the kernel has.
pub const MAX_REGISTER_BITS: u32 = 64;

/// The cells of one pipeline.
#[derive(Debug)]
pub struct KernelCells {
    memory: Arc<SharedMemory>,
    /// Offset of the first cell of each register that is shared.
    registers: HashMap<RegisterId, u32>,
    meters: HashMap<MeterId, MeterPlan>,
    /// Where the direct meter of each entry is.
    direct_meters: RwLock<HashMap<EntryKey, (MeterPlan, u32)>>,
    /// The direct meters of tables, in which default entries have a cell.
    table_meters: HashMap<TableId, MeterPlan>,
}

impl KernelCells {
    /// The cells that a plan has room for.
    pub fn new(program: &Program, plan: &Plan, memory: &Arc<SharedMemory>) -> KernelCells {
        let narrow = |id: &RegisterId| program.registers[id.index()].width <= MAX_REGISTER_BITS;
        let registers = plan.registers.iter().filter(|(id, _)| narrow(id));
        let tables = (0..).map(TableId).zip(&plan.tables);
        KernelCells {
            memory: Arc::clone(memory),
            registers: registers.map(|(id, (offset, _))| (*id, *offset)).collect(),
            meters: plan.meters.clone(),
            direct_meters: RwLock::default(),
            table_meters: tables
                .filter_map(|(id, table)| Some((id, table.meter?)))
                .collect(),
        }
    }

    /// Says where the direct meter of an entry is; `None` when the entry goes.
    pub fn set_direct_meter(&self, key: &EntryKey, cell: Option<(MeterPlan, u32)>) {
        let mut all = self
            .direct_meters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match cell {
            Some(cell) => all.insert(key.clone(), cell),
            None => all.remove(key),
        };
    }

    fn at(&self, register: RegisterId, index: u32) -> Option<usize> {
        let offset = self.registers.get(&register)?;
        Some(*offset as usize + 8 * index as usize)
    }
}

impl SharedCells for KernelCells {
    fn has_register(&self, register: RegisterId) -> bool {
        self.registers.contains_key(&register)
    }

    fn register(&self, register: RegisterId, index: u32) -> Bits {
        let at = self.at(register, index);
        Bits::from(at.map_or(0, |at| self.memory.u64(at).load(Acquire)))
    }

    fn set_register(&self, register: RegisterId, index: u32, value: &Bits) {
        if let Some(at) = self.at(register, index) {
            let value = value.to_u64().unwrap_or(u64::MAX);
            self.memory.u64(at).store(value, Release);
        }
    }

    fn meter(&self, meter: MeterId, index: u32, units: u64, now: Duration) -> Option<Color> {
        let plan = self.meters.get(&meter)?;
        Some(plan.mark(&self.memory, index, units, now))
    }

    fn direct_meter(&self, entry: EntryRef<'_>, units: u64, now: Duration) -> Option<Color> {
        let (plan, cell) = match entry {
            EntryRef::Default(table) => {
                let plan = self.table_meters.get(&table)?;
                let is_set = plan.is_set(&self.memory, DEFAULT_CELL);
                is_set.then_some((*plan, DEFAULT_CELL))?
            }
            EntryRef::Keyed(key) => {
                let all = self.direct_meters.read();
                let all = all.unwrap_or_else(PoisonError::into_inner);
                *all.get(key)?
            }
        };
        Some(plan.mark(&self.memory, cell, units, now))
    }
}
