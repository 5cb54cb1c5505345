//! Cells of counters, meters and registers, direct resources, and value sets.

use pointsman_p4::dataplane::{CounterData, DataPlaneError, EntryKey, MeterConfig};

use super::super::error::UpdateError;
use super::{Undo, Writer};
use crate::entity::{CounterCell, Entity, MeterCell, RegisterCell, Update, ValueSet};
use crate::schema::CellSchema;

impl Writer<'_> {
    pub(super) fn set_counter(
        &mut self,
        cell: &CounterCell,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let described = self.schema.counters.iter().find(|c| c.ir == cell.counter);
        for index in indices(described, cell.index) {
            let one = CounterCell {
                index: Some(index),
                ..cell.clone()
            };
            let result = self.plane.counter(cell.counter, index).and_then(|old| {
                if let Some(data) = cell.data {
                    self.plane.set_counter(cell.counter, index, data)?;
                }
                Ok(old)
            });
            let old = result.map_err(self.refused(&Entity::Counter(one.clone())))?;
            undo.push(Update::modify(Entity::Counter(CounterCell {
                data: Some(old),
                ..one
            })));
        }
        Ok(())
    }

    pub(super) fn set_direct_counter(
        &mut self,
        key: &EntryKey,
        data: Option<CounterData>,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        self.check_entry(key)?;
        let entity = Entity::DirectCounter(key.clone(), data);
        let result = self.plane.direct_counter(key).and_then(|old| {
            if let Some(data) = data {
                self.plane.set_direct_counter(key, data)?;
            }
            Ok(old)
        });
        let old = result.map_err(self.refused(&entity))?;
        let old = Entity::DirectCounter(key.clone(), Some(old));
        undo.push(Update::modify(old));
        Ok(())
    }

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
            self.plane
                .set_meter(cell.meter, index, cell.config)
                .map_err(self.refused(&Entity::Meter(one.clone())))?;
            let cells = self.store.meter_mut(cell.meter);
            let old = match cell.config {
                Some(config) => cells.insert(index, config),
                None => cells.remove(&index),
            };
            undo.push(Update::modify(Entity::Meter(MeterCell {
                config: old,
                ..one
            })));
        }
        Ok(())
    }

    pub(super) fn set_direct_meter(
        &mut self,
        key: &EntryKey,
        config: Option<MeterConfig>,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        self.check_entry(key)?;
        self.plane
            .set_direct_meter(key, config)
            .map_err(self.refused(&Entity::DirectMeter(key.clone(), config)))?;
        let entries = &mut self.store.table_mut(key.table).entries;
        let stored = entries.get_mut(key);
        let stored = stored.expect("the entry was found above");
        let old = std::mem::replace(&mut stored.meter, config);
        undo.push(Update::modify(Entity::DirectMeter(key.clone(), old)));
        Ok(())
    }

    pub(super) fn set_register(
        &mut self,
        cell: &RegisterCell,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let described = self.schema.registers.iter().find(|r| r.ir == cell.register);
        for index in indices(described, cell.index) {
            let one = RegisterCell {
                index: Some(index),
                ..cell.clone()
            };
            let result = self.plane.register(cell.register, index).and_then(|old| {
                self.plane.set_register(cell.register, index, &cell.value)?;
                Ok::<_, DataPlaneError>(old)
            });
            let old = result.map_err(self.refused(&Entity::Register(one.clone())))?;
            undo.push(Update::modify(Entity::Register(RegisterCell {
                value: old,
                ..one
            })));
        }
        Ok(())
    }

    pub(super) fn set_value_set(
        &mut self,
        set: &ValueSet,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        self.plane
            .set_value_set(set.set, &set.members)
            .map_err(self.refused(&Entity::ValueSet(set.clone())))?;
        let members = self.store.value_set_mut(set.set);
        let old = std::mem::replace(members, set.members.clone());
        undo.push(Update::modify(Entity::ValueSet(ValueSet {
            set: set.set,
            members: old,
        })));
        Ok(())
    }

    fn check_entry(&self, key: &EntryKey) -> Result<(), UpdateError> {
        match self.store.entry(key) {
            Some(_) => Ok(()),
            None => Err(UpdateError::NotFound {
                what: self.schema.describe_key(key),
            }),
        }
    }
}

/// The one cell that is named, or all of them.
fn indices<Id>(array: Option<&CellSchema<Id>>, index: Option<u32>) -> std::ops::Range<u32> {
    match index {
        Some(index) => index..index.saturating_add(1),
        None => 0..array.map_or(0, |array| array.size),
    }
}
