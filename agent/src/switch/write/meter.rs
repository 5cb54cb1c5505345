//! Meters, direct and indirect: how they mark, and what they have counted by colour.

use pointsman_p4::dataplane::{ColorCounts, DataPlaneError, EntryRef};

use super::super::error::UpdateError;
use super::cell::indices;
use super::{Undo, Writer};
use crate::entity::{DirectMeter, Entity, MeterCell, Update};

impl Writer<'_> {
    pub(super) fn set_meter(
        &mut self,
        cell: &MeterCell,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let described = self.schema.meters.iter().find(|m| m.ir == cell.meter);
        for index in indices(described, cell.index) {
            let one = MeterCell {
                index: Some(index),
                ..cell.clone()
            };
            let old_counts = self
                .reset(
                    cell.counts,
                    || self.plane.meter_counts(cell.meter, index),
                    |counts| self.plane.set_meter_counts(cell.meter, index, counts),
                )
                .map_err(self.refused(&Entity::Meter(Box::new(one.clone()))))?;
            self.plane
                .set_meter(cell.meter, index, cell.config)
                .map_err(self.refused(&Entity::Meter(Box::new(one.clone()))))?;
            let cells = self.store.meter_mut(cell.meter);
            let old = match cell.config {
                Some(config) => cells.insert(index, config),
                None => cells.remove(&index),
            };
            undo.push(|| {
                Update::modify(Entity::Meter(Box::new(MeterCell {
                    config: old,
                    counts: old_counts,
                    ..one
                })))
            });
        }
        Ok(())
    }

    pub(super) fn set_direct_meter(
        &mut self,
        meter: &DirectMeter,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        self.check_entry(&meter.entry)?;
        let entry = meter.entry.as_ref();
        let refused = || self.refused(&Entity::DirectMeter(Box::new(meter.clone())));
        let old_counts = self
            .reset(
                meter.counts,
                || self.plane.direct_meter_counts(entry),
                |counts| self.plane.set_direct_meter_counts(entry, counts),
            )
            .map_err(refused())?;
        self.plane
            .set_direct_meter(entry, meter.config)
            .map_err(refused())?;
        let table = self.store.table_mut(entry.table());
        let old = match entry {
            EntryRef::Keyed(key) => {
                let stored = table.entries.get_mut(key);
                let stored = stored.expect("the entry was found above");
                stored.set_meter(meter.config)
            }
            EntryRef::Default(_) => std::mem::replace(&mut table.default.meter, meter.config),
        };
        undo.push(|| {
            Update::modify(Entity::DirectMeter(Box::new(DirectMeter {
                entry: meter.entry.clone(),
                config: old,
                counts: old_counts,
            })))
        });
        Ok(())
    }

    /// Sets counts, if any are given; returns what they were then.
    fn reset(
        &self,
        counts: Option<ColorCounts>,
        read: impl FnOnce() -> Result<ColorCounts, DataPlaneError>,
        write: impl FnOnce(ColorCounts) -> Result<(), DataPlaneError>,
    ) -> Result<Option<ColorCounts>, DataPlaneError> {
        let Some(counts) = counts else {
            return Ok(None);
        };
        let old = read()?;
        write(counts)?;
        Ok(Some(old))
    }
}
