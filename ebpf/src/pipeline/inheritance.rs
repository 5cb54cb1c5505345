//! A pipeline that takes over the cells of the one that runs: what an agent does that starts beside the
//! programs of the one before it.
//!
//! Packets count, meter and write registers in those cells all the while. So until the new pipeline forwards,
//! nothing is written that would make a cell forget: counts are left as they are, and a meter is configured only
//! if it turns out to be configured otherwise. What entries had which cell is
//! [`owners`](crate::tables::owners)' to know.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pointsman_p4::dataplane::MeterConfig;

use crate::sys::SharedMemory;
use crate::tables::cells::MeterPlan;

/// The meters that the new pipeline should have, by the offset of their cells.
type Meters = HashMap<usize, (MeterPlan, u32, Option<MeterConfig>)>;

/// Whether cells are being taken over.
#[derive(Debug, Default)]
pub(super) struct Inheritance {
    meters: Mutex<Option<Meters>>,
}

impl Inheritance {
    /// Cells are taken over until [`end`](Inheritance::end).
    pub(super) fn begin(&self) {
        self.lock().get_or_insert_default();
    }

    /// Whether cells are to be left as they are.
    pub(super) fn is_under_way(&self) -> bool {
        self.lock().is_some()
    }

    /// Configures a meter; for now or, if cells are being taken over, at the end.
    pub(super) fn configure(
        &self,
        cells: &SharedMemory,
        meter: MeterPlan,
        cell: u32,
        config: Option<MeterConfig>,
    ) {
        match &mut *self.lock() {
            Some(meters) => drop(meters.insert(meter.at(cell), (meter, cell, config))),
            None => meter.configure(cells, cell, config),
        }
    }

    /// All are as they should be; returns whether there was anything to end.
    pub(super) fn end(&self, cells: &SharedMemory) -> bool {
        let meters = self.lock().take();
        let ended = meters.is_some();
        for (meter, cell, config) in meters.into_iter().flatten().map(|(_, meter)| meter) {
            if !meter.is_configured(cells, cell, config) {
                meter.configure(cells, cell, config);
            }
        }
        ended
    }

    fn lock(&self) -> MutexGuard<'_, Option<Meters>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
