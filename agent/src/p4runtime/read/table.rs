//! Table entries, default actions, direct counters and meters.

use std::sync::Arc;
use std::time::Duration;

use pointsman_ebpf::sys::monotonic_clock;
use pointsman_p4::dataplane::{Bits, Call, ColorCounts, CounterData, EntryKey, EntryRef};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::table_action;

use super::{ReadError, Reader, entity};
use crate::entity::{TableAction, TableEntry};
use crate::p4runtime::decode::{self, DecodeError};
use crate::p4runtime::encode;
use crate::schema::{Schema, TableSchema};
use crate::switch::{StoredEntry, View};

/// What of an entry only the data plane knows, as far as it is asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Live {
    counter: Option<CounterData>,
    meter: Option<ColorCounts>,
    /// For how long no packet has hit it.
    idle: Option<Duration>,
}

/// What of that is asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    counter: bool,
    meter: bool,
    idle: bool,
    /// An entry that is named must be there (P4Runtime, "DirectCounterEntry").
    entry: bool,
}

impl Asked {
    fn anything(self) -> bool {
        self.counter || self.meter || self.idle
    }

    fn of(self, view: &View<'_>, entry: EntryRef<'_>) -> Result<Live, ReadError> {
        let plane = view.plane;
        let counter = self.counter.then(|| plane.direct_counter(entry));
        let meter = self.meter.then(|| plane.direct_meter_counts(entry));
        let last_hit = match entry {
            EntryRef::Keyed(key) if self.idle => Some(plane.last_hit(key)?),
            _ => None,
        };
        Ok(Live {
            counter: counter.transpose()?,
            meter: meter.transpose()?,
            idle: last_hit.map(|at| monotonic_clock().saturating_sub(at)),
        })
    }
}

impl Reader<'_> {
    pub(super) fn table_entries(&mut self, filter: &p4::TableEntry) -> Result<(), ReadError> {
        let schema = Arc::clone(&self.schema);
        check_filter(&schema, filter)?;
        let with_meter = filter.meter_config.is_some();
        for table in self.tables(&schema, filter.table_id)? {
            if filter.table_id != 0 && filter.time_since_last_hit.is_some() && !table.idle_timeout {
                return Err(ReadError::Filter(DecodeError::Invalid {
                    place: format!("table {}", table.name),
                    what: "does not support idle timeouts; leave time_since_last_hit out"
                        .to_owned(),
                }));
            }
            let asked = Asked {
                counter: filter.counter_data.is_some() && table.direct_counter.is_some(),
                meter: filter.meter_counter_data.is_some() && table.direct_meter.is_some(),
                idle: filter.time_since_last_hit.is_some() && table.idle_timeout,
                entry: false,
            };
            if filter.is_default_action {
                self.default_entry(table, filter, asked)?;
                continue;
            }
            let schema = Arc::clone(&schema);
            self.entries(table, filter, asked, move |key, stored, live| {
                let mut message = encode::table_entry(
                    &schema,
                    &TableEntry {
                        key: key.clone(),
                        action: Some(stored.action.clone()),
                        extra: stored.extra.clone(),
                    },
                );
                if !with_meter {
                    message.meter_config = None;
                }
                message.meter_counter_data = live.meter.map(encode::color_counts);
                message.counter_data = live.counter.map(encode::counter_data);
                message.time_since_last_hit = live.idle.map(encode::idle_for);
                message.is_const = stored.is_const;
                entity(Message::TableEntry(message))
            })?;
        }
        Ok(())
    }

    pub(super) fn direct_counters(
        &mut self,
        filter: &p4::DirectCounterEntry,
    ) -> Result<(), ReadError> {
        let filter = filter.table_entry.clone().unwrap_or_default();
        let schema = Arc::clone(&self.schema);
        for table in self.tables(&schema, filter.table_id)? {
            if table.direct_counter.is_none() {
                if filter.table_id != 0 {
                    decode::direct(table, table.direct_counter, "direct counter")?;
                }
                continue;
            }
            let asked = Asked {
                counter: true,
                entry: true,
                ..Asked::default()
            };
            if filter.is_default_action {
                let entry = EntryRef::Default(table.table);
                let live = asked.of(self.view, entry)?;
                self.push(std::iter::once(entity(Message::DirectCounterEntry(
                    p4::DirectCounterEntry {
                        table_entry: Some(encode::entry_name(&schema, entry)),
                        data: live.counter.map(encode::counter_data),
                    },
                ))));
                continue;
            }
            let schema = Arc::clone(&schema);
            self.entries(table, &filter, asked, move |key, _, live| {
                entity(Message::DirectCounterEntry(p4::DirectCounterEntry {
                    table_entry: Some(encode::entry_key(&schema, key)),
                    data: live.counter.map(encode::counter_data),
                }))
            })?;
        }
        Ok(())
    }

    pub(super) fn direct_meters(&mut self, filter: &p4::DirectMeterEntry) -> Result<(), ReadError> {
        let asked = Asked {
            meter: filter.counter_data.is_some(),
            entry: true,
            ..Asked::default()
        };
        let filter = filter.table_entry.clone().unwrap_or_default();
        let schema = Arc::clone(&self.schema);
        for table in self.tables(&schema, filter.table_id)? {
            if table.direct_meter.is_none() {
                if filter.table_id != 0 {
                    decode::direct(table, table.direct_meter, "direct meter")?;
                }
                continue;
            }
            if filter.is_default_action {
                let entry = EntryRef::Default(table.table);
                let live = asked.of(self.view, entry)?;
                let config = self.view.store.table(table.table).default.meter;
                self.push(std::iter::once(entity(Message::DirectMeterEntry(
                    p4::DirectMeterEntry {
                        table_entry: Some(encode::entry_name(&schema, entry)),
                        config: config.map(encode::meter_config),
                        counter_data: live.meter.map(encode::color_counts),
                    },
                ))));
                continue;
            }
            let schema = Arc::clone(&schema);
            self.entries(table, &filter, asked, move |key, stored, live| {
                entity(Message::DirectMeterEntry(p4::DirectMeterEntry {
                    table_entry: Some(encode::entry_key(&schema, key)),
                    config: stored.extra.meter.map(encode::meter_config),
                    counter_data: live.meter.map(encode::color_counts),
                }))
            })?;
        }
        Ok(())
    }

    /// The table of an id, or all for 0.
    fn tables<'s>(&self, schema: &'s Schema, id: u32) -> Result<Vec<&'s TableSchema>, ReadError> {
        if id == 0 {
            return Ok(schema.tables.iter().collect());
        }
        Ok(vec![decode::table(schema, id)?])
    }

    /// Adds what is made of the entries of a table that match the key, action and metadata of a
    /// filter.
    fn entries(
        &mut self,
        table: &TableSchema,
        filter: &p4::TableEntry,
        asked: Asked,
        made: impl Fn(&EntryKey, &StoredEntry, Live) -> p4::Entity + Send + 'static,
    ) -> Result<(), ReadError> {
        let entries = &self.view.store.table(table.table).entries;
        let live = |key: &EntryKey| asked.of(self.view, key.into());
        let mut same_matches = None;
        if !filter.r#match.is_empty() && table.has_priority() && filter.priority == 0 {
            // A priority of 0 is any, as it is everywhere in a filter.
            let with_any = p4::TableEntry {
                priority: 1,
                ..filter.clone()
            };
            same_matches = Some(decode::entry_key(table, &with_any)?.matches);
        } else if !filter.r#match.is_empty() {
            let key = decode::entry_key(table, filter)?;
            let found = entries.get(&key);
            let found = found.filter(|stored| wanted(&self.schema, filter, &key, stored));
            if asked.entry && found.is_none() {
                return Err(ReadError::NoEntry {
                    what: self.schema.describe_key(&key),
                });
            }
            if let Some(stored) = found {
                let entity = made(&key, stored, live(&key)?);
                self.push(std::iter::once(entity));
            }
            return Ok(());
        }
        // What the data plane knows is looked at now, in the order in which rows come later.
        let lives: Result<Vec<Live>, ReadError> = match asked.anything() {
            true => entries.iter().map(|(key, _)| live(key)).collect(),
            false => Ok(Vec::new()),
        };
        let mut lives = lives?.into_iter();
        let (entries, filter, schema) = (entries.clone(), filter.clone(), self.schema.clone());
        self.push((0..entries.parts()).flat_map(move |part| {
            let rows = entries.part(part);
            let rows = rows.map(|(key, stored)| (key, stored, lives.next().unwrap_or_default()));
            let rows = rows.filter(|(key, stored, _)| {
                let same = same_matches.as_ref().is_none_or(|m| *m == key.matches);
                same && wanted(&schema, &filter, key, stored)
            });
            let entities: Vec<_> = rows
                .map(|(key, stored, live)| made(key, stored, live))
                .collect();
            entities
        }));
        Ok(())
    }

    fn default_entry(
        &mut self,
        table: &TableSchema,
        filter: &p4::TableEntry,
        asked: Asked,
    ) -> Result<(), ReadError> {
        let program = &self.view.pipeline.program;
        let declared = program.tables[table.table.index()].default.as_ref();
        let default = &self.view.store.table(table.table).default;
        if !filter.metadata.is_empty() && filter.metadata != default.metadata {
            return Ok(());
        }
        let live = asked.of(self.view, EntryRef::Default(table.table))?;
        let mut default = default.to_entity(table.table);
        if default.action.is_none() {
            default.action = declared.map(|default| {
                TableAction::Call(Call {
                    action: default.call.action,
                    args: default.call.args.iter().map(Bits::from).collect(),
                })
            });
        }
        default.meter = default.meter.filter(|_| filter.meter_config.is_some());
        default.counter = live.counter;
        default.meter_counts = live.meter;
        let mut message = encode::default_action(&self.schema, &default);
        message.is_const = table.const_default;
        self.push(std::iter::once(entity(Message::TableEntry(message))));
        Ok(())
    }
}

/// Refuses what makes no sense in a filter (P4Runtime, "Wildcard Reads").
#[allow(deprecated)]
fn check_filter(schema: &Schema, filter: &p4::TableEntry) -> Result<(), DecodeError> {
    let kind = filter.action.as_ref().and_then(|a| a.r#type.as_ref());
    if filter.table_id == 0 {
        let filters = !filter.r#match.is_empty()
            || kind.is_some()
            || filter.priority != 0
            || filter.controller_metadata != 0
            || !filter.metadata.is_empty();
        return match filters {
            true => Err(DecodeError::Invalid {
                place: "table entry".to_owned(),
                what:
                    "table_id 0 reads all tables, and lets nothing else be filtered; give a table"
                        .to_owned(),
            }),
            false => Ok(()),
        };
    }
    let table = decode::table(schema, filter.table_id)?;
    match kind {
        Some(table_action::Type::Action(action)) if table.action(action.action_id).is_none() => {
            let actions = table.actions.iter().filter_map(|a| schema.action(a.id));
            let actions: Vec<&str> = actions.map(|a| a.alias.as_str()).collect();
            Err(DecodeError::UnknownId {
                place: format!("table {}", table.name),
                kind: "action",
                id: action.action_id,
                known: actions.join(", "),
            })
        }
        _ => Ok(()),
    }
}

#[allow(deprecated)]
fn wanted(schema: &Schema, filter: &p4::TableEntry, key: &EntryKey, stored: &StoredEntry) -> bool {
    let priority = filter.priority == 0 || filter.priority == key.priority;
    let metadata = filter.metadata.is_empty() || filter.metadata == stored.extra.metadata;
    let controller_metadata = filter.controller_metadata == 0
        || filter.controller_metadata == stored.extra.controller_metadata;
    let kind = filter.action.as_ref().and_then(|a| a.r#type.as_ref());
    let action = match (kind, &stored.action) {
        (None, _) => true,
        (Some(table_action::Type::Action(wanted)), TableAction::Call(call)) => {
            let given = encode::action(schema, call);
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
