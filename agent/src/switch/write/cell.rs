//! Cells of counters and registers, direct counters, and value sets.

use pointsman_p4::dataplane::{CounterData, DataPlaneError};

use super::super::error::UpdateError;
use super::{Undo, Writer};
use crate::entity::{CounterCell, Entity, EntryName, RegisterCell, Update, ValueSet};
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
            undo.push(|| {
                Update::modify(Entity::Counter(CounterCell {
                    data: Some(old),
                    ..one
                }))
            });
        }
        Ok(())
    }

    pub(super) fn set_direct_counter(
        &mut self,
        entry: &EntryName,
        data: Option<CounterData>,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        self.check_entry(entry)?;
        let entity = Entity::DirectCounter(entry.clone(), data);
        let result = self.plane.direct_counter(entry.as_ref()).and_then(|old| {
            if let Some(data) = data {
                self.plane.set_direct_counter(entry.as_ref(), data)?;
            }
            Ok(old)
        });
        let old = result.map_err(self.refused(&entity))?;
        let old = Entity::DirectCounter(entry.clone(), Some(old));
        undo.push(|| Update::modify(old));
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
            undo.push(|| Update::modify(Entity::Register(RegisterCell { value: old, ..one })));
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
        undo.push(|| {
            Update::modify(Entity::ValueSet(ValueSet {
                set: set.set,
                members: old,
            }))
        });
        Ok(())
    }

    /// Whether an entry is there; the default one always is.
    pub(super) fn check_entry(&self, entry: &EntryName) -> Result<(), UpdateError> {
        match entry {
            EntryName::Keyed(key) if self.store.entry(key).is_none() => {
                Err(UpdateError::NotFound {
                    what: self.schema.describe_key(key),
                })
            }
            _ => Ok(()),
        }
    }
}

/// The one cell that is named, or all of them.
pub(super) fn indices<Id>(
    array: Option<&CellSchema<Id>>,
    index: Option<u32>,
) -> std::ops::Range<u32> {
    match index {
        Some(index) => index..index.saturating_add(1),
        None => 0..array.map_or(0, |array| array.size),
    }
}
