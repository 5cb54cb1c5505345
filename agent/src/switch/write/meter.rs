//! Meters, direct and indirect: how they mark, and what they have counted by colour.

use pointsman_p4::dataplane::{ColorCounts, DataPlaneError};

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
                .map_err(self.refused(&Entity::Meter(one.clone())))?;
            self.plane
                .set_meter(cell.meter, index, cell.config)
                .map_err(self.refused(&Entity::Meter(one.clone())))?;
            let cells = self.store.meter_mut(cell.meter);
            let old = match cell.config {
                Some(config) => cells.insert(index, config),
                None => cells.remove(&index),
            };
            undo.push(|| {
                Update::modify(Entity::Meter(MeterCell {
                    config: old,
                    counts: old_counts,
                    ..one
                }))
            });
        }
        Ok(())
    }

    pub(super) fn set_direct_meter(
        &mut self,
        meter: &DirectMeter,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let key = &meter.key;
        self.check_entry(key)?;
        let refused = || self.refused(&Entity::DirectMeter(meter.clone()));
        let old_counts = self
            .reset(
                meter.counts,
                || self.plane.direct_meter_counts(key),
                |counts| self.plane.set_direct_meter_counts(key, counts),
            )
            .map_err(refused())?;
        self.plane
            .set_direct_meter(key, meter.config)
            .map_err(refused())?;
        let entries = &mut self.store.table_mut(key.table).entries;
        let stored = entries.get_mut(key);
        let stored = stored.expect("the entry was found above");
        let old = std::mem::replace(&mut stored.meter, meter.config);
        undo.push(|| {
            Update::modify(Entity::DirectMeter(DirectMeter {
                key: key.clone(),
                config: old,
                counts: old_counts,
            }))
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
