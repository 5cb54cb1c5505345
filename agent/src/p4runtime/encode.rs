//! Entities to messages, in the canonical form: shortest byte strings, no don't-care fields.
//!
//! Used for Read and for the journal, whose records are P4Runtime updates.

mod digest;

pub use digest::digest_list;

use std::time::Duration;

use num_bigint::{BigInt, BigUint};
use pointsman_p4::dataplane::{
    BackupReplica, Bits, Call, ColorCounts, CounterData, EntryKey, EntryRef, Match, MeterConfig,
};
use pointsman_p4::ir::{ActionProfileId, TableId};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};

use crate::entity::{
    CloneSession, DefaultAction, Entity, Group, Member, MulticastGroup, OneShot, Operation,
    PortForm, Replica, TableAction, TableEntry, Update, ValueSet,
};
use crate::schema::{CellSchema, FieldSchema, ProfileSchema, Schema, Translation};

/// An update as a message.
pub fn update(schema: &Schema, update: &Update) -> p4::Update {
    let operation = match update.operation {
        Operation::Insert => p4::update::Type::Insert,
        Operation::Modify => p4::update::Type::Modify,
        Operation::Delete => p4::update::Type::Delete,
    };
    p4::Update {
        r#type: operation.into(),
        entity: Some(entity(schema, &update.entity)),
    }
}

/// An entity as a message.
pub fn entity(schema: &Schema, entity: &Entity) -> p4::Entity {
    let message = match entity {
        Entity::TableEntry(entry) => Message::TableEntry(table_entry(schema, entry)),
        Entity::DefaultAction(default) => Message::TableEntry(default_action(schema, default)),
        Entity::Member(member) => Message::ActionProfileMember(self::member(schema, member)),
        Entity::Group(group) => Message::ActionProfileGroup(self::group(schema, group)),
        Entity::MulticastGroup(group) => replication(
            p4::packet_replication_engine_entry::Type::MulticastGroupEntry(multicast(
                schema, group,
            )),
        ),
        Entity::CloneSession(session) => replication(
            p4::packet_replication_engine_entry::Type::CloneSessionEntry(clone_session(
                schema, session,
            )),
        ),
        Entity::Counter(cell) => {
            let described = schema.counters.iter().find(|c| c.ir == cell.counter);
            Message::CounterEntry(p4::CounterEntry {
                counter_id: described.map_or(0, |c| c.id),
                index: cell.index.map(|cell| index(described, cell)),
                data: cell.data.map(counter_data),
            })
        }
        Entity::DirectCounter(entry, data) => Message::DirectCounterEntry(p4::DirectCounterEntry {
            table_entry: Some(entry_name(schema, entry.as_ref())),
            data: data.map(counter_data),
        }),
        Entity::Meter(cell) => {
            let described = schema.meters.iter().find(|m| m.ir == cell.meter);
            Message::MeterEntry(p4::MeterEntry {
                meter_id: described.map_or(0, |m| m.id),
                index: cell.index.map(|cell| index(described, cell)),
                config: cell.config.map(meter_config),
                counter_data: cell.counts.map(color_counts),
            })
        }
        Entity::DirectMeter(meter) => Message::DirectMeterEntry(p4::DirectMeterEntry {
            table_entry: Some(entry_name(schema, meter.entry.as_ref())),
            config: meter.config.map(meter_config),
            counter_data: meter.counts.map(color_counts),
        }),
        Entity::Register(cell) => {
            let described = schema.registers.iter().find(|r| r.ir == cell.register);
            Message::RegisterEntry(p4::RegisterEntry {
                register_id: described.map_or(0, |r| r.id),
                index: cell.index.map(|cell| index(described, cell)),
                data: Some(p4::P4Data {
                    data: Some(p4::p4_data::Data::Bitstring(match described {
                        Some(register) if register.signed => {
                            signed_bytes(&cell.value, register.width)
                        }
                        _ => schema.bytes(&cell.value, described.map_or(0, |r| r.width), None),
                    })),
                }),
            })
        }
        Entity::ValueSet(set) => Message::ValueSetEntry(value_set(schema, set)),
        Entity::Digest(entry) => Message::DigestEntry(digest::entry(schema, entry)),
    };
    p4::Entity {
        entity: Some(message),
    }
}

/// A table entry, with its meter.
pub fn table_entry(schema: &Schema, entry: &TableEntry) -> p4::TableEntry {
    let extra = &entry.extra;
    #[allow(deprecated)]
    p4::TableEntry {
        action: entry
            .action
            .as_ref()
            .map(|action| table_action(schema, entry.key.table, action)),
        controller_metadata: extra.controller_metadata,
        meter_config: extra.meter.map(meter_config),
        counter_data: extra.counter.map(counter_data),
        meter_counter_data: extra.meter_counts.map(color_counts),
        idle_timeout_ns: i64::try_from(extra.idle_timeout_ns).unwrap_or(i64::MAX),
        metadata: extra.metadata.clone(),
        ..entry_key(schema, &entry.key)
    }
}

/// The default action of a table.
pub fn default_action(schema: &Schema, default: &DefaultAction) -> p4::TableEntry {
    let action = default.action.as_ref();
    #[allow(deprecated)]
    p4::TableEntry {
        table_id: schema.table_of(default.table).map_or(0, |t| t.id),
        action: action.map(|action| table_action(schema, default.table, action)),
        is_default_action: true,
        meter_config: default.meter.map(meter_config),
        counter_data: default.counter.map(counter_data),
        meter_counter_data: default.meter_counts.map(color_counts),
        metadata: default.metadata.clone(),
        controller_metadata: default.controller_metadata,
        ..p4::TableEntry::default()
    }
}

/// An entry with nothing but what names it.
pub fn entry_name(schema: &Schema, entry: EntryRef<'_>) -> p4::TableEntry {
    match entry {
        EntryRef::Keyed(key) => entry_key(schema, key),
        EntryRef::Default(table) => p4::TableEntry {
            table_id: schema.table_of(table).map_or(0, |table| table.id),
            is_default_action: true,
            ..p4::TableEntry::default()
        },
    }
}

/// A table entry with nothing but its key.
pub fn entry_key(schema: &Schema, key: &EntryKey) -> p4::TableEntry {
    let Some(table) = schema.table_of(key.table) else {
        return p4::TableEntry::default();
    };
    let matches = table.fields.iter().zip(key.matches.iter());
    p4::TableEntry {
        table_id: table.id,
        r#match: matches
            .filter_map(|(field, value)| field_match(schema, field, &value))
            .collect(),
        priority: key.priority,
        ..p4::TableEntry::default()
    }
}

/// `None` for what matches everything.
fn field_match(schema: &Schema, field: &FieldSchema, value: &Match) -> Option<p4::FieldMatch> {
    let translation = field.translation.as_deref();
    let sdn_width = translation.and_then(Translation::sdn_width);
    let bytes = |value: &Bits| schema.bytes(value, field.width, translation);
    let kind = match value {
        Match::Exact(value) => FieldMatchType::Exact(field_match::Exact {
            value: bytes(value),
        }),
        Match::Lpm { prefix_len: 0, .. } => return None,
        Match::Lpm { value, prefix_len } => FieldMatchType::Lpm(field_match::Lpm {
            value: bytes(value),
            prefix_len: i32::try_from(match sdn_width {
                Some(width) => width,
                None => *prefix_len,
            })
            .ok()?,
        }),
        Match::Ternary { mask, .. } if mask.is_zero() => return None,
        Match::Ternary { value, mask } => FieldMatchType::Ternary(field_match::Ternary {
            value: bytes(value),
            mask: match sdn_width {
                Some(width) => Bits::ones(width).to_p4runtime(),
                None => bytes(mask),
            },
        }),
        Match::Optional(value) => FieldMatchType::Optional(field_match::Optional {
            value: bytes(value.as_ref()?),
        }),
        Match::Range { low, high } if low.is_zero() && *high == Bits::ones(field.width) => {
            return None;
        }
        Match::Range { low, high } => FieldMatchType::Range(field_match::Range {
            low: bytes(low),
            high: bytes(high),
        }),
    };
    Some(p4::FieldMatch {
        field_id: field.id,
        field_match_type: Some(kind),
    })
}

fn table_action(schema: &Schema, table: TableId, action: &TableAction) -> p4::TableAction {
    use p4::table_action::Type;
    let action_profile = schema.table_of(table).and_then(|table| table.profile);
    let action_profile = action_profile.and_then(|profile| schema.profile_of(profile));
    let kind = match action {
        TableAction::Call(call) => Type::Action(self::action(schema, call)),
        TableAction::Member(id) => Type::ActionProfileMemberId(*id),
        TableAction::Group(id) => Type::ActionProfileGroupId(*id),
        TableAction::OneShot(group) => {
            Type::ActionProfileActionSet(one_shot(schema, group, action_profile))
        }
    };
    p4::TableAction { r#type: Some(kind) }
}

fn one_shot(
    schema: &Schema,
    group: &OneShot,
    profile: Option<&ProfileSchema>,
) -> p4::ActionProfileActionSet {
    use p4::action_profile_action::WatchKind;
    use p4::action_profile_action_set::{ActionSelectionMode, SizeSemantics};
    let actions = group.actions.iter().map(|action| p4::ActionProfileAction {
        action: Some(self::action(schema, &action.call)),
        weight: weight(profile, action.weight),
        watch_kind: action.watch_port.map(|port| match group.ports {
            PortForm::Bytes => WatchKind::WatchPort(schema.port_bytes(port)),
            #[allow(deprecated)]
            PortForm::Number => WatchKind::Watch(port_number(schema, port).cast_signed()),
        }),
    });
    let mode = match group.says_mode {
        true => ActionSelectionMode::Hash,
        false => ActionSelectionMode::DefaultModeDeterminedByActionSelector,
    };
    let size = match (group.says_size, profile.is_some_and(|p| p.counts_members)) {
        (false, _) => SizeSemantics::DefaultSizeDeterminedByActionSelector,
        (true, true) => SizeSemantics::SumOfMembers,
        (true, false) => SizeSemantics::SumOfWeights,
    };
    p4::ActionProfileActionSet {
        group_action: None,
        action_profile_actions: actions.collect(),
        action_selection_mode: mode.into(),
        size_semantics: size.into(),
    }
}

/// An action with its arguments.
pub fn action(schema: &Schema, call: &Call) -> p4::Action {
    let Some(described) = schema.action_of(call.action) else {
        return p4::Action::default();
    };
    let params = described.params.iter().zip(call.args.iter());
    p4::Action {
        action_id: described.id,
        params: params
            .map(|(param, value)| p4::action::Param {
                param_id: param.id,
                value: schema.bytes(&value, param.width, param.translation.as_deref()),
            })
            .collect(),
    }
}

fn profile_id(schema: &Schema, profile: ActionProfileId) -> u32 {
    schema.profile_of(profile).map_or(0, |p| p.id)
}

fn member(schema: &Schema, member: &Member) -> p4::ActionProfileMember {
    p4::ActionProfileMember {
        action_profile_id: profile_id(schema, member.profile),
        member_id: member.id,
        action: member.call.as_ref().map(|call| action(schema, call)),
    }
}

fn group(schema: &Schema, group: &Group) -> p4::ActionProfileGroup {
    use p4::action_profile_group::{Member, member::WatchKind};
    let profile = schema.profile_of(group.profile);
    let members = group.members.iter().map(|member| Member {
        member_id: member.member,
        weight: weight(profile, member.weight),
        watch_kind: member.watch_port.map(|port| match group.ports {
            PortForm::Bytes => WatchKind::WatchPort(schema.port_bytes(port)),
            #[allow(deprecated)]
            PortForm::Number => WatchKind::Watch(port_number(schema, port).cast_signed()),
        }),
    });
    p4::ActionProfileGroup {
        action_profile_id: profile_id(schema, group.profile),
        group_id: group.id,
        members: members.collect(),
        max_size: i32::try_from(group.max_size).unwrap_or(i32::MAX),
    }
}

/// Weights that a profile disallows are neither given nor shown.
fn weight(profile: Option<&ProfileSchema>, weight: u32) -> i32 {
    match profile {
        Some(profile) if profile.weights_disallowed => 0,
        _ => i32::try_from(weight).unwrap_or(i32::MAX),
    }
}

fn replication(kind: p4::packet_replication_engine_entry::Type) -> Message {
    Message::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry { r#type: Some(kind) })
}

fn multicast(schema: &Schema, group: &MulticastGroup) -> p4::MulticastGroupEntry {
    p4::MulticastGroupEntry {
        multicast_group_id: group.id,
        replicas: replicas(schema, &group.replicas, group.ports),
        metadata: group.metadata.clone(),
    }
}

fn clone_session(schema: &Schema, session: &CloneSession) -> p4::CloneSessionEntry {
    p4::CloneSessionEntry {
        session_id: session.id,
        replicas: replicas(schema, &session.replicas, session.ports),
        class_of_service: session.class_of_service,
        packet_length_bytes: i32::try_from(session.packet_length_bytes).unwrap_or(i32::MAX),
    }
}

fn replicas(schema: &Schema, replicas: &[Replica], form: PortForm) -> Vec<p4::Replica> {
    use p4::replica::PortKind;
    let replicas = replicas.iter().map(|replica| p4::Replica {
        port_kind: Some(match form {
            PortForm::Bytes => PortKind::Port(schema.port_bytes(replica.port)),
            #[allow(deprecated)]
            PortForm::Number => PortKind::EgressPort(port_number(schema, replica.port)),
        }),
        instance: replica.instance,
        backup_replicas: backups(schema, &replica.backups),
    });
    replicas.collect()
}

fn backups(schema: &Schema, backups: &[BackupReplica]) -> Vec<p4::BackupReplica> {
    let backups = backups.iter().map(|backup| p4::BackupReplica {
        port: schema.port_bytes(backup.port),
        instance: backup.instance,
    });
    backups.collect()
}

/// A port in the deprecated form, a number; one that is a string to controllers has none.
fn port_number(schema: &Schema, port: u32) -> u32 {
    let bytes = Bits::from_be_bytes(&schema.port_bytes(port));
    let is_number = schema
        .ports
        .as_ref()
        .is_none_or(|ports| ports.sdn_width().is_some());
    let number = bytes.to_u64().filter(|_| is_number);
    number
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(port)
}

fn value_set(schema: &Schema, set: &ValueSet) -> p4::ValueSetEntry {
    let Some(described) = schema.value_set_of(set.set) else {
        return p4::ValueSetEntry::default();
    };
    let members = set.members.iter().map(|member| {
        let mut rest = num_bigint::BigUint::from(member);
        let mut matches = Vec::with_capacity(described.fields.len());
        for field in described.fields.iter().rev() {
            let modulus = num_bigint::BigUint::from(1u8) << field.width;
            let value = Match::Exact(Bits::from(&(&rest % &modulus)));
            matches.extend(field_match(schema, field, &value));
            rest >>= field.width;
        }
        matches.reverse();
        p4::ValueSetMember { r#match: matches }
    });
    p4::ValueSetEntry {
        value_set_id: described.id,
        members: members.collect(),
    }
}

/// The bits of an `int<W>` in two's complement, as short as they can be.
fn signed_bytes(value: &Bits, width: u32) -> Vec<u8> {
    let number = BigInt::from(BigUint::from(value));
    match value.bit_length() == width {
        true => (number - (BigInt::from(1) << width)).to_signed_bytes_be(),
        false => number.to_signed_bytes_be(),
    }
}

/// A cell of an array, as controllers number it.
pub fn index<Id>(array: Option<&CellSchema<Id>>, index: u32) -> p4::Index {
    let translation = array.and_then(|array| array.index.as_deref());
    let seen = translation.and_then(|translation| {
        let bytes = translation.to_controller(&Bits::from(u64::from(index)));
        let number = Bits::from_be_bytes(&bytes).to_u64()?;
        i64::try_from(number).ok()
    });
    p4::Index {
        index: seen.unwrap_or(i64::from(index)),
    }
}

/// Counts.
pub fn counter_data(data: CounterData) -> p4::CounterData {
    p4::CounterData {
        byte_count: i64::try_from(data.bytes).unwrap_or(i64::MAX),
        packet_count: i64::try_from(data.packets).unwrap_or(i64::MAX),
    }
}

/// For how long no packet has hit an entry.
pub fn idle_for(idle: Duration) -> p4::table_entry::IdleTimeout {
    p4::table_entry::IdleTimeout {
        elapsed_ns: i64::try_from(idle.as_nanos()).unwrap_or(i64::MAX),
    }
}

/// Counts by colour.
pub fn color_counts(counts: ColorCounts) -> p4::MeterCounterData {
    p4::MeterCounterData {
        green: Some(counter_data(counts.green)),
        yellow: Some(counter_data(counts.yellow)),
        red: Some(counter_data(counts.red)),
    }
}

/// How a meter is configured.
pub fn meter_config(config: MeterConfig) -> p4::MeterConfig {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    p4::MeterConfig {
        cir: number(config.committed_rate),
        cburst: number(config.committed_burst),
        pir: number(config.peak_rate),
        pburst: number(config.peak_burst),
        eburst: number(config.excess_burst),
    }
}
