//! Updates of forwarding state as operations of a data plane.

use std::collections::HashSet;

use pointsman_proto::p4::v1 as proto;
use proto::field_match::FieldMatchType;
use proto::table_action::Type as ActionType;
use proto::update::Type as UpdateType;

use crate::dataplane::{
    Args, BackupReplica, Bits, Call, CloneSession, EntryAction, EntryKey, GroupMember, Matches,
    Operation, Replica, Selection, TableEntry,
};
use crate::ir::ActionId;
use crate::p4info::{Action, ActionProfile, Pipeline, Table};

use super::{CodecError, RawMatch, decode, decode_match};

/// Turns an update of a table entry, action profile, multicast group, clone session or value set
/// into an operation.
///
/// # Errors
/// What the p4info or the specification forbid.
pub fn decode_update(pipeline: &Pipeline, update: &proto::Update) -> Result<Operation, CodecError> {
    use proto::entity::Entity;
    let kind = update.r#type();
    let entity = update.entity.as_ref().and_then(|e| e.entity.as_ref());
    match entity {
        Some(Entity::TableEntry(entry)) => table_entry(pipeline, kind, entry),
        Some(Entity::ActionProfileMember(member)) => profile_member(pipeline, kind, member),
        Some(Entity::ActionProfileGroup(group)) => profile_group(pipeline, kind, group),
        Some(Entity::PacketReplicationEngineEntry(entry)) => replication(kind, entry),
        Some(Entity::ValueSetEntry(entry)) => value_set(pipeline, entry),
        Some(_) => Err(CodecError::NotWritable("entity of this kind")),
        None => Err(CodecError::NotWritable("update without an entity")),
    }
}

fn table_entry(
    pipeline: &Pipeline,
    kind: UpdateType,
    entry: &proto::TableEntry,
) -> Result<Operation, CodecError> {
    let table = pipeline.table(entry.table_id).ok_or(CodecError::Unknown {
        kind: "table",
        id: entry.table_id,
    })?;
    let action = match entry.action.as_ref().and_then(|a| a.r#type.as_ref()) {
        None => None,
        Some(action) => Some(entry_action(pipeline, table, action)?),
    };
    if entry.is_default_action {
        return Ok(Operation::SetDefault {
            table: table.table,
            action,
        });
    }
    let key = entry_key(table, &entry.r#match, entry.priority)?;
    if kind == UpdateType::Delete {
        return Ok(Operation::Delete(key));
    }
    let action = action.ok_or_else(|| CodecError::Invalid {
        name: table.preamble.name.clone(),
        problem: "the entry has no action",
    })?;
    let entry = TableEntry { key, action };
    Ok(match kind {
        UpdateType::Modify => Operation::Modify(entry),
        _ => Operation::Insert(entry),
    })
}

fn entry_key(
    table: &Table,
    matches: &[proto::FieldMatch],
    priority: i32,
) -> Result<EntryKey, CodecError> {
    let name = &table.preamble.name;
    let invalid = |problem: &'static str| CodecError::Invalid {
        name: name.clone(),
        problem,
    };
    let mut seen = HashSet::new();
    for given in matches {
        if !table.fields.iter().any(|f| f.id == given.field_id) {
            return Err(CodecError::UnknownIn {
                name: name.clone(),
                kind: "match field",
                id: given.field_id,
            });
        }
        if !seen.insert(given.field_id) {
            return Err(invalid("a match field is given twice"));
        }
    }
    if table.has_priority() != (priority > 0) {
        return Err(invalid(if table.has_priority() {
            "its entries need a priority above 0"
        } else {
            "its entries have no priority"
        }));
    }
    let matches: Matches = table
        .fields
        .iter()
        .map(|field| {
            let given = matches.iter().find(|m| m.field_id == field.id);
            let raw = given
                .and_then(|m| m.field_match_type.as_ref())
                .map(raw_match);
            decode_match(field, raw.transpose()?)
        })
        .collect::<Result<_, CodecError>>()?;
    Ok(EntryKey {
        table: table.table,
        matches,
        priority,
    })
}

fn raw_match(given: &FieldMatchType) -> Result<RawMatch<'_>, CodecError> {
    Ok(match given {
        FieldMatchType::Exact(m) => RawMatch::Exact(&m.value),
        FieldMatchType::Lpm(m) => RawMatch::Lpm {
            value: &m.value,
            prefix_len: m.prefix_len,
        },
        FieldMatchType::Ternary(m) => RawMatch::Ternary {
            value: &m.value,
            mask: &m.mask,
        },
        FieldMatchType::Range(m) => RawMatch::Range {
            low: &m.low,
            high: &m.high,
        },
        FieldMatchType::Optional(m) => RawMatch::Optional(&m.value),
        FieldMatchType::Other(_) => return Err(CodecError::NotWritable("match of another kind")),
    })
}

fn entry_action(
    pipeline: &Pipeline,
    table: &Table,
    action: &ActionType,
) -> Result<EntryAction, CodecError> {
    Ok(match action {
        ActionType::Action(action) => {
            let id = table
                .action(action.action_id)
                .ok_or_else(|| CodecError::UnknownIn {
                    name: table.preamble.name.clone(),
                    kind: "action",
                    id: action.action_id,
                })?
                .action;
            EntryAction::Call(call(pipeline, id, action)?)
        }
        ActionType::ActionProfileMemberId(member) => EntryAction::Member(*member),
        ActionType::ActionProfileGroupId(group) => EntryAction::Group(*group),
        ActionType::ActionProfileActionSet(_) => {
            return Err(CodecError::NotWritable(
                "one-shot action set without the members and groups that a server makes of it",
            ));
        }
    })
}

fn call(pipeline: &Pipeline, id: ActionId, given: &proto::Action) -> Result<Call, CodecError> {
    let action: &Action = pipeline
        .action(given.action_id)
        .ok_or(CodecError::Unknown {
            kind: "action",
            id: given.action_id,
        })?;
    let name = &action.preamble.name;
    for param in &given.params {
        if !action.params.iter().any(|p| p.id == param.param_id) {
            return Err(CodecError::UnknownIn {
                name: name.clone(),
                kind: "parameter",
                id: param.param_id,
            });
        }
    }
    if given.params.len() != action.params.len() {
        return Err(CodecError::Invalid {
            name: name.clone(),
            problem: "each parameter must be given exactly once",
        });
    }
    let args = action
        .params
        .iter()
        .map(|param| {
            let value = given
                .params
                .iter()
                .find(|p| p.param_id == param.id)
                .ok_or_else(|| CodecError::Invalid {
                    name: format!("{name}.{}", param.name),
                    problem: "the parameter is missing",
                })?;
            decode(&value.value, param.width).map_err(|e| e.of(&format!("{name}.{}", param.name)))
        })
        .collect::<Result<Args, CodecError>>()?;
    Ok(Call { action: id, args })
}

fn find_profile(pipeline: &Pipeline, id: u32) -> Result<&ActionProfile, CodecError> {
    pipeline.profile(id).ok_or(CodecError::Unknown {
        kind: "action profile",
        id,
    })
}

fn profile_member(
    pipeline: &Pipeline,
    kind: UpdateType,
    member: &proto::ActionProfileMember,
) -> Result<Operation, CodecError> {
    let profile = find_profile(pipeline, member.action_profile_id)?;
    let name = &profile.preamble.name;
    if kind == UpdateType::Delete {
        return Ok(Operation::DeleteMember {
            profile: profile.profile,
            member: member.member_id,
        });
    }
    let action = member.action.as_ref().ok_or_else(|| CodecError::Invalid {
        name: name.clone(),
        problem: "the member has no action",
    })?;
    let id = pipeline
        .profile_action(profile, action.action_id)
        .ok_or_else(|| CodecError::UnknownIn {
            name: name.clone(),
            kind: "action",
            id: action.action_id,
        })?;
    Ok(Operation::PutMember {
        profile: profile.profile,
        member: member.member_id,
        call: call(pipeline, id, action)?,
    })
}

fn profile_group(
    pipeline: &Pipeline,
    kind: UpdateType,
    group: &proto::ActionProfileGroup,
) -> Result<Operation, CodecError> {
    use proto::action_profile_group::member::WatchKind;
    let profile = find_profile(pipeline, group.action_profile_id)?;
    if kind == UpdateType::Delete {
        return Ok(Operation::DeleteGroup {
            profile: profile.profile,
            group: group.group_id,
        });
    }
    let members: Vec<GroupMember> = group
        .members
        .iter()
        .map(|m| {
            let watch_port = match &m.watch_kind {
                Some(WatchKind::WatchPort(port)) => Some(decode_port(port)?),
                #[allow(deprecated)] // older clients send numbers
                Some(WatchKind::Watch(port)) => u32::try_from(*port).ok(),
                None => None,
            };
            let weight = u32::try_from(m.weight).ok().filter(|w| *w > 0);
            Ok(GroupMember {
                member: m.member_id,
                weight: weight.ok_or_else(|| CodecError::Invalid {
                    name: profile.preamble.name.clone(),
                    problem: "the weight of a member must be above 0",
                })?,
                watch_port,
            })
        })
        .collect::<Result<_, CodecError>>()?;
    Ok(Operation::PutGroup {
        profile: profile.profile,
        group: group.group_id,
        selection: Selection::Hash,
        members: GroupMember::in_order(&members),
    })
}

fn decode_port(bytes: &[u8]) -> Result<u32, CodecError> {
    let port = decode(bytes, 32).map_err(|e| e.of("port"))?;
    Ok(port.to_u64().expect("32 bits fit 64") as u32)
}

fn replication(
    kind: UpdateType,
    entry: &proto::PacketReplicationEngineEntry,
) -> Result<Operation, CodecError> {
    use proto::packet_replication_engine_entry::Type;
    let delete = kind == UpdateType::Delete;
    Ok(match &entry.r#type {
        Some(Type::MulticastGroupEntry(group)) => Operation::SetMulticastGroup {
            group: group.multicast_group_id,
            replicas: match delete {
                true => Vec::new(),
                false => replicas(&group.replicas)?,
            },
        },
        Some(Type::CloneSessionEntry(session)) => Operation::SetCloneSession {
            session: session.session_id,
            clone: match delete {
                true => None,
                false => Some(CloneSession {
                    replicas: replicas(&session.replicas)?,
                    packet_length_bytes: u32::try_from(session.packet_length_bytes)
                        .unwrap_or_default(),
                }),
            },
        },
        None => return Err(CodecError::NotWritable("replication entry without a type")),
    })
}

fn replicas(given: &[proto::Replica]) -> Result<Vec<Replica>, CodecError> {
    use proto::replica::PortKind;
    given
        .iter()
        .map(|replica| {
            let port = match &replica.port_kind {
                Some(PortKind::Port(bytes)) => decode_port(bytes)?,
                #[allow(deprecated)] // older clients send numbers
                Some(PortKind::EgressPort(port)) => *port,
                None => {
                    return Err(CodecError::Invalid {
                        name: "replica".to_owned(),
                        problem: "it has no port",
                    });
                }
            };
            let backups = replica.backup_replicas.iter().map(|backup| {
                Ok(BackupReplica {
                    port: decode_port(&backup.port)?,
                    instance: backup.instance,
                })
            });
            Ok(Replica {
                backups: backups.collect::<Result<_, CodecError>>()?,
                ..Replica::new(port, replica.instance)
            })
        })
        .collect()
}

fn value_set(pipeline: &Pipeline, entry: &proto::ValueSetEntry) -> Result<Operation, CodecError> {
    let id = entry.value_set_id;
    let set = pipeline.value_set(id).ok_or(CodecError::Unknown {
        kind: "value set",
        id,
    })?;
    let members = entry
        .members
        .iter()
        .map(|member| value_set_member(set, member))
        .collect::<Result<_, _>>()?;
    Ok(Operation::SetValueSet {
        set: set.value_set,
        members,
    })
}

/// The parts of a member, concatenated.
fn value_set_member(
    set: &crate::p4info::ValueSet,
    member: &proto::ValueSetMember,
) -> Result<Bits, CodecError> {
    let mut number = num_bigint::BigUint::ZERO;
    for field in &set.fields {
        let given = member.r#match.iter().find(|m| m.field_id == field.id);
        let bits = match given.and_then(|m| m.field_match_type.as_ref()) {
            Some(FieldMatchType::Exact(exact)) => {
                decode(&exact.value, field.width).map_err(|e| e.of(&field.name))?
            }
            _ => {
                return Err(CodecError::InvalidMatch {
                    field: field.name.clone(),
                    problem: "each part of a member is given as an exact match",
                });
            }
        };
        number = (number << field.width) | num_bigint::BigUint::from(&bits);
    }
    Ok(Bits::from(&number))
}
