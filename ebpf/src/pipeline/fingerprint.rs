//! What says whether two pipelines mean the same by each byte of their cells.

use std::sync::atomic::Ordering::Relaxed;

use pointsman_p4::ir::Program;
use sha2::{Digest, Sha256};

use crate::plan::Plan;
use crate::switch::pins::PinnedPipeline;
use crate::sys::{Map, MapKind, SharedMemory};

/// Bytes of a fingerprint.
pub const FINGERPRINT_BYTES: u64 = 32;

/// To be increased when a cell of any kind gets another meaning.
const CELL_FORMAT: u32 = 2;

/// A hash of where the cells are and what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u64; 4]);

impl Fingerprint {
    pub(super) fn new(program: &Program, plan: &Plan) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut add = |text: String| {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        };
        add(format!("{CELL_FORMAT} {} {}", plan.cpus, plan.cell_bytes));
        for region in &plan.cell_regions {
            add(format!("{} {}", region.offset, region.name));
        }
        for (table, plan) in program.tables.iter().zip(&plan.tables) {
            let key = table.key.iter().map(|key| (key.kind, key.width));
            let key: Vec<_> = key.collect();
            let cells = (plan.counter, plan.meter, plan.hits, plan.owners);
            add(format!(
                "{} {key:?} {} {cells:?}",
                table.name,
                plan.structure.name()
            ));
        }
        for register in &program.registers {
            add(format!(
                "{} {} {}",
                register.name, register.width, register.size
            ));
        }
        for counter in &program.counters {
            add(format!("{} {}", counter.name, counter.size));
        }
        for meter in &program.meters {
            add(format!("{} {} {:?}", meter.name, meter.size, meter.unit));
        }
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(hash.finalize().chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        Fingerprint(words)
    }

    /// The cells of a pipeline that runs, if they mean the same.
    pub(super) fn cells_of(&self, running: &PinnedPipeline, plan: &Plan) -> Option<Map> {
        let path = running.cells();
        let cells = Map::open(MapKind::Shared, "cells", plan.cell_bytes, 1, &path).ok()?;
        let memory = cells.memory().ok()?;
        self.is_in(&memory, plan).then_some(cells)
    }

    /// Writes it into cells.
    pub(super) fn write(&self, cells: &SharedMemory, plan: &Plan) {
        for (at, word) in words_at(plan).zip(self.0) {
            cells.u64(at).store(word, Relaxed);
        }
    }

    /// Whether these cells, of the size that the plan says, are of such a pipeline.
    fn is_in(&self, cells: &SharedMemory, plan: &Plan) -> bool {
        words_at(plan)
            .zip(self.0)
            .all(|(at, word)| cells.u64(at).load(Relaxed) == word)
    }
}

fn words_at(plan: &Plan) -> impl Iterator<Item = usize> {
    (plan.fingerprint as usize..).step_by(8)
}
