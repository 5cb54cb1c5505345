//! The state that packets leave in a data plane, as updates that would write it.

use pointsman_p4::dataplane::{CounterData, EntryRef};

use super::View;
use crate::entity::{CounterCell, Entity, RegisterCell, Update};

/// Counters and registers that are not zero. What cannot be read is left out.
pub(super) fn counts(view: &View<'_>) -> Vec<Update> {
    let View { store, plane, .. } = view;
    let schema = &view.pipeline.schema;
    let mut updates = Vec::new();
    let nothing = CounterData::default();
    for array in &schema.counters {
        for index in 0..array.size {
            if let Ok(data) = plane.counter(array.ir, index)
                && data != nothing
            {
                updates.push(Update::modify(Entity::Counter(CounterCell {
                    counter: array.ir,
                    index: Some(index),
                    data: Some(data),
                })));
            }
        }
    }
    for array in &schema.registers {
        for index in 0..array.size {
            if let Ok(value) = plane.register(array.ir, index)
                && !value.is_zero()
            {
                updates.push(Update::modify(Entity::Register(RegisterCell {
                    register: array.ir,
                    index: Some(index),
                    value,
                })));
            }
        }
    }
    let counted = schema.tables.iter().filter(|t| t.direct_counter.is_some());
    for table in counted {
        let entries = store.table(table.table).entries.iter();
        let entries = entries.map(|(key, _)| EntryRef::Keyed(key));
        for entry in entries.chain([EntryRef::Default(table.table)]) {
            if let Ok(data) = plane.direct_counter(entry)
                && data != nothing
            {
                let entity = Entity::DirectCounter(entry.into(), Some(data));
                updates.push(Update::modify(entity));
            }
        }
    }
    updates
}
