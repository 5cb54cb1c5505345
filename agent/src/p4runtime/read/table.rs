//! Table entries, default actions, direct counters and meters.

use pointsman_p4::dataplane::{Bits, Call, EntryKey};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::table_action;

use super::{ReadError, Reader};
use crate::entity::{DefaultAction, TableAction, TableEntry};
use crate::p4runtime::{decode, encode};
use crate::schema::TableSchema;
use crate::switch::StoredEntry;

impl Reader<'_> {
    pub(super) fn table_entries(&mut self, filter: &p4::TableEntry) -> Result<(), ReadError> {
        for table in self.tables(filter.table_id)? {
            if filter.is_default_action {
                self.default_entry(table);
                continue;
            }
            for (key, stored) in self.entries(table, filter)? {
                let mut message = encode::table_entry(
                    self.schema,
                    &TableEntry {
                        key: key.clone(),
                        action: Some(stored.action.clone()),
                        meter: filter.meter_config.and(stored.meter),
                        counter: None,
                        metadata: stored.metadata.clone(),
                        controller_metadata: stored.controller_metadata,
                    },
                );
                if filter.counter_data.is_some() && table.direct_counter.is_some() {
                    let data = self.plane.direct_counter(key)?;
                    message.counter_data = Some(encode::counter_data(data));
                }
                message.is_const = stored.is_const;
                self.push(Message::TableEntry(message));
            }
        }
        Ok(())
    }

    pub(super) fn direct_counters(
        &mut self,
        filter: &p4::DirectCounterEntry,
    ) -> Result<(), ReadError> {
        let filter = filter.table_entry.clone().unwrap_or_default();
        for table in self.tables(filter.table_id)? {
            if table.direct_counter.is_none() {
                if filter.table_id != 0 {
                    decode::direct(table, table.direct_counter, "direct counter")?;
                }
                continue;
            }
            for (key, _) in self.entries(table, &filter)? {
                let data = self.plane.direct_counter(key)?;
                self.push(Message::DirectCounterEntry(p4::DirectCounterEntry {
                    table_entry: Some(encode::entry_key(self.schema, key)),
                    data: Some(encode::counter_data(data)),
                }));
            }
        }
        Ok(())
    }

    pub(super) fn direct_meters(&mut self, filter: &p4::DirectMeterEntry) -> Result<(), ReadError> {
        let filter = filter.table_entry.clone().unwrap_or_default();
        for table in self.tables(filter.table_id)? {
            if table.direct_meter.is_none() {
                if filter.table_id != 0 {
                    decode::direct(table, table.direct_meter, "direct meter")?;
                }
                continue;
            }
            for (key, stored) in self.entries(table, &filter)? {
                self.push(Message::DirectMeterEntry(p4::DirectMeterEntry {
                    table_entry: Some(encode::entry_key(self.schema, key)),
                    config: stored.meter.map(encode::meter_config),
                    counter_data: None,
                }));
            }
        }
        Ok(())
    }

    /// The table of an id, or all for 0.
    fn tables<'s>(&self, id: u32) -> Result<Vec<&'s TableSchema>, ReadError>
    where
        Self: 's,
    {
        let schema = self.schema;
        if id == 0 {
            return Ok(schema.tables.iter().collect());
        }
        Ok(vec![decode::table(schema, id)?])
    }

    /// The entries of a table that match the key, action and metadata of a filter.
    fn entries<'s>(
        &self,
        table: &TableSchema,
        filter: &p4::TableEntry,
    ) -> Result<Vec<(&'s EntryKey, &'s StoredEntry)>, ReadError>
    where
        Self: 's,
    {
        let store = self.store;
        let Some(entries) = store.tables.get(&table.table) else {
            return Ok(Vec::new());
        };
        if !filter.r#match.is_empty() {
            let key = decode::entry_key(table, filter)?;
            let found = entries.get_key_value(&key);
            return Ok(found
                .into_iter()
                .filter(|e| wanted(self, filter, e))
                .collect());
        }
        Ok(entries.iter().filter(|e| wanted(self, filter, e)).collect())
    }

    fn default_entry(&mut self, table: &TableSchema) {
        let declared = self.program.tables[table.table.index()].default.as_ref();
        let default = self.store.defaults.get(&table.table).cloned();
        let default = default.unwrap_or_else(|| DefaultAction {
            table: table.table,
            action: declared.map(|default| {
                TableAction::Call(Call {
                    action: default.call.action,
                    args: default.call.args.iter().map(Bits::from).collect(),
                })
            }),
            metadata: Vec::new(),
            controller_metadata: 0,
        });
        let mut message = encode::default_action(self.schema, &default);
        message.is_const = table.const_default;
        self.push(Message::TableEntry(message));
    }
}

#[allow(deprecated)]
fn wanted(
    reader: &Reader<'_>,
    filter: &p4::TableEntry,
    (key, stored): &(&EntryKey, &StoredEntry),
) -> bool {
    let priority = filter.priority == 0 || filter.priority == key.priority;
    let metadata = filter.metadata.is_empty() || filter.metadata == stored.metadata;
    let controller_metadata =
        filter.controller_metadata == 0 || filter.controller_metadata == stored.controller_metadata;
    let kind = filter.action.as_ref().and_then(|a| a.r#type.as_ref());
    let action = match (kind, &stored.action) {
        (None, _) => true,
        (Some(table_action::Type::Action(wanted)), TableAction::Call(call)) => {
            let given = encode::action(reader.schema, call);
            given.action_id == wanted.action_id
                && (wanted.params.is_empty() || given.params == wanted.params)
        }
        (Some(table_action::Type::ActionProfileMemberId(id)), TableAction::Member(member)) => {
            id == member
        }
        (Some(table_action::Type::ActionProfileGroupId(id)), TableAction::Group(group)) => {
            id == group
        }
        (Some(table_action::Type::ActionProfileActionSet(_)), TableAction::OneShot(_)) => true,
        _ => false,
    };
    priority && metadata && controller_metadata && action
}
