//! The filters with which a server is asked what it has: one table, profile or array each, which is the least that
//! servers understand. [`all`] is for the comparison with what is stored, [`live`] for clients who read.

use pointsman_p4::ir::TableId;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;

use crate::entity::{Entity, EntryName};
use crate::schema::{ProfileSchema, Schema, TableSchema};

/// A question, with a name for people.
pub(super) struct Question {
    pub about: String,
    /// The table whose entries it asks for.
    pub table: Option<TableId>,
    pub filter: Message,
}

/// Everything that can be written to a pipeline.
pub(super) fn all(schema: &Schema) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut ask = |about: String, table, filter| {
        questions.push(Question {
            about,
            table,
            filter,
        });
    };
    for profile in &schema.profiles {
        let about = format!("the members of {}", profile.name);
        ask(about, None, members(profile));
        if profile.with_selector {
            let about = format!("the groups of {}", profile.name);
            ask(about, None, groups(profile));
        }
    }
    ask("multicast groups".to_owned(), None, multicast_groups());
    ask("clone sessions".to_owned(), None, clone_sessions());
    for table in &schema.tables {
        ask(table.name.clone(), Some(table.table), entries(table));
        let about = format!("the default of {}", table.name);
        ask(about, None, default_action(table));
    }
    for meter in &schema.meters {
        ask(meter.name.clone(), None, cells_of_meter(meter.id));
    }
    for set in &schema.value_sets {
        ask(set.name.clone(), None, value_set(set.id));
    }
    questions
}

/// The question whose answer has an entity; none for what is not compared.
pub(super) fn about(schema: &Schema, entity: &Entity) -> Option<Message> {
    Some(match entity {
        Entity::TableEntry(entry) => entries(schema.table_of(entry.key.table)?),
        Entity::DefaultAction(default) => default_action(schema.table_of(default.table)?),
        Entity::DirectMeter(meter) => match meter.entry {
            EntryName::Default(table) => default_action(schema.table_of(table)?),
            EntryName::Keyed(_) => return None,
        },
        Entity::Member(member) => members(schema.profile_of(member.profile)?),
        Entity::Group(group) => groups(schema.profile_of(group.profile)?),
        Entity::MulticastGroup(_) => multicast_groups(),
        Entity::CloneSession(_) => clone_sessions(),
        Entity::Meter(cell) => {
            let mut meters = schema.meters.iter();
            cells_of_meter(meters.find(|meter| meter.ir == cell.meter)?.id)
        }
        Entity::ValueSet(set) => value_set(schema.value_set_of(set.set)?.id),
        _ => return None,
    })
}

/// What of a client's filter only the server can answer: counts, registers, last hits. Without conditions on what
/// is stored.
pub(super) fn live(schema: &Schema, filter: &p4::Entity) -> Vec<p4::Entity> {
    let mut asked = Vec::new();
    match &filter.entity {
        Some(Message::CounterEntry(counter)) => {
            let arrays = schema.counters.iter().map(|array| array.id);
            asked.extend(wanted(arrays, counter.counter_id).map(|counter_id| {
                Message::CounterEntry(p4::CounterEntry {
                    counter_id,
                    ..*counter
                })
            }));
        }
        Some(Message::RegisterEntry(register)) => {
            let arrays = schema.registers.iter().map(|array| array.id);
            asked.extend(wanted(arrays, register.register_id).map(|register_id| {
                Message::RegisterEntry(p4::RegisterEntry {
                    register_id,
                    ..register.clone()
                })
            }));
        }
        Some(Message::MeterEntry(meter)) if meter.counter_data.is_some() => {
            let arrays = schema.meters.iter().map(|array| array.id);
            asked.extend(
                wanted(arrays, meter.meter_id)
                    .map(|meter_id| Message::MeterEntry(p4::MeterEntry { meter_id, ..*meter })),
            );
        }
        Some(Message::DirectCounterEntry(counter)) => {
            let entry = counter.table_entry.clone().unwrap_or_default();
            asked.extend(direct_counters(schema, &entry));
        }
        Some(Message::DirectMeterEntry(meter)) if meter.counter_data.is_some() => {
            let entry = meter.table_entry.clone().unwrap_or_default();
            asked.extend(direct_meters(schema, &entry));
        }
        Some(Message::TableEntry(entry)) => {
            if entry.counter_data.is_some() {
                asked.extend(direct_counters(schema, entry));
            }
            if entry.meter_counter_data.is_some() {
                asked.extend(direct_meters(schema, entry));
            }
            if entry.time_since_last_hit.is_some() {
                asked.extend(last_hits(schema, entry));
            }
        }
        _ => {}
    }
    let asked = asked.into_iter().map(|message| p4::Entity {
        entity: Some(message),
    });
    asked.collect()
}

/// Of these ids, the one that a filter names, or all for 0.
fn wanted(ids: impl Iterator<Item = u32>, named: u32) -> impl Iterator<Item = u32> {
    ids.filter(move |id| named == 0 || named == *id)
}

fn direct_counters(schema: &Schema, entry: &p4::TableEntry) -> impl Iterator<Item = Message> {
    let counted = schema.tables.iter().filter(|t| t.direct_counter.is_some());
    wanted(counted.map(|table| table.id), entry.table_id).map(|table| {
        Message::DirectCounterEntry(p4::DirectCounterEntry {
            table_entry: Some(key(table, entry)),
            data: None,
        })
    })
}

fn direct_meters(schema: &Schema, entry: &p4::TableEntry) -> impl Iterator<Item = Message> {
    let metered = schema.tables.iter().filter(|t| t.direct_meter.is_some());
    wanted(metered.map(|table| table.id), entry.table_id).map(|table| {
        Message::DirectMeterEntry(p4::DirectMeterEntry {
            table_entry: Some(key(table, entry)),
            config: None,
            counter_data: Some(p4::MeterCounterData::default()),
        })
    })
}

fn last_hits(schema: &Schema, entry: &p4::TableEntry) -> impl Iterator<Item = Message> {
    let timed = schema.tables.iter().filter(|t| t.idle_timeout);
    wanted(timed.map(|table| table.id), entry.table_id).map(|table| {
        Message::TableEntry(p4::TableEntry {
            time_since_last_hit: Some(p4::table_entry::IdleTimeout::default()),
            ..key(table, entry)
        })
    })
}

/// A filter for the same entries of one table.
fn key(table_id: u32, entry: &p4::TableEntry) -> p4::TableEntry {
    p4::TableEntry {
        table_id,
        r#match: entry.r#match.clone(),
        is_default_action: entry.is_default_action,
        priority: match entry.r#match.is_empty() {
            true => 0,
            false => entry.priority,
        },
        ..p4::TableEntry::default()
    }
}

fn entries(table: &TableSchema) -> Message {
    Message::TableEntry(p4::TableEntry {
        table_id: table.id,
        meter_config: table.direct_meter.map(|_| p4::MeterConfig::default()),
        ..p4::TableEntry::default()
    })
}

fn default_action(table: &TableSchema) -> Message {
    Message::TableEntry(p4::TableEntry {
        table_id: table.id,
        is_default_action: true,
        meter_config: table.direct_meter.map(|_| p4::MeterConfig::default()),
        ..p4::TableEntry::default()
    })
}

fn members(profile: &ProfileSchema) -> Message {
    Message::ActionProfileMember(p4::ActionProfileMember {
        action_profile_id: profile.id,
        ..p4::ActionProfileMember::default()
    })
}

fn groups(profile: &ProfileSchema) -> Message {
    Message::ActionProfileGroup(p4::ActionProfileGroup {
        action_profile_id: profile.id,
        ..p4::ActionProfileGroup::default()
    })
}

fn multicast_groups() -> Message {
    let all = Replication::MulticastGroupEntry(p4::MulticastGroupEntry::default());
    Message::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry { r#type: Some(all) })
}

fn clone_sessions() -> Message {
    let all = Replication::CloneSessionEntry(p4::CloneSessionEntry::default());
    Message::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry { r#type: Some(all) })
}

fn cells_of_meter(id: u32) -> Message {
    Message::MeterEntry(p4::MeterEntry {
        meter_id: id,
        ..p4::MeterEntry::default()
    })
}

fn value_set(id: u32) -> Message {
    Message::ValueSetEntry(p4::ValueSetEntry {
        value_set_id: id,
        ..p4::ValueSetEntry::default()
    })
}
