//! The filters with which a server is asked what it has: one table, profile or array each, which is the least that
//! servers understand.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;

use crate::entity::Entity;
use crate::schema::{ProfileSchema, Schema, TableSchema};

/// Everything that can be written to a pipeline, with names for people.
pub(super) fn all(schema: &Schema) -> Vec<(String, Message)> {
    let mut questions = Vec::new();
    for profile in &schema.profiles {
        let about = format!("the members of {}", profile.name);
        questions.push((about, members(profile)));
        if profile.with_selector {
            let about = format!("the groups of {}", profile.name);
            questions.push((about, groups(profile)));
        }
    }
    questions.push(("multicast groups".to_owned(), multicast_groups()));
    questions.push(("clone sessions".to_owned(), clone_sessions()));
    for table in &schema.tables {
        questions.push((table.name.clone(), entries(table)));
        let about = format!("the default of {}", table.name);
        questions.push((about, default_action(table)));
    }
    for meter in &schema.meters {
        questions.push((meter.name.clone(), cells_of_meter(meter.id)));
    }
    for set in &schema.value_sets {
        questions.push((set.name.clone(), value_set(set.id)));
    }
    questions
}

/// The question whose answer has an entity; none for what is not compared.
pub(super) fn about(schema: &Schema, entity: &Entity) -> Option<Message> {
    Some(match entity {
        Entity::TableEntry(entry) => entries(schema.table_of(entry.key.table)?),
        Entity::DefaultAction(default) => default_action(schema.table_of(default.table)?),
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
