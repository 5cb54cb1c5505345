//! What the data plane has to do: a reference interpreter that holds the model's entities.

use std::sync::Arc;

use anyhow::{Context, Result};
use pointsman_p4::codec::decode_update;
use pointsman_p4::interpreter::Interpreter;
use pointsman_p4::p4info::PacketHeader;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;
use pointsman_proto::p4::v1::table_action::Type as Action;
use pointsman_proto::p4::v1::update::Type;

use num_bigint::BigUint;

use super::model::Model;

/// Ids from here on are those of groups that are made of action sets.
const MADE: u32 = 1 << 20;

/// An interpreter that holds what the model holds.
pub fn interpreter(model: &Model) -> Result<Interpreter> {
    let interpreter = Interpreter::new(Arc::clone(&model.pipeline.program));
    for entity in entities(model) {
        let update = p4::Update {
            r#type: Type::Insert.into(),
            entity: Some(p4::Entity {
                entity: Some(entity),
            }),
        };
        let operation = decode_update(&model.pipeline, &update)
            .with_context(|| format!("the oracle does not understand {update:?}"))?;
        operation
            .apply(&interpreter)
            .with_context(|| format!("the oracle refuses {update:?}"))?;
    }
    Ok(interpreter)
}

/// Everything that packets can see, in an order in which it can be written.
fn entities(model: &Model) -> Vec<Entity> {
    let replication = |kind| {
        Entity::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry {
            r#type: Some(kind),
        })
    };
    let mut all = Vec::new();
    let sets = model.value_sets.values().cloned();
    all.extend(sets.map(Entity::ValueSetEntry));
    let groups = model.multicast.values().cloned();
    all.extend(groups.map(|group| replication(Replication::MulticastGroupEntry(group))));
    let sessions = model.sessions.values().cloned();
    all.extend(sessions.map(|session| replication(Replication::CloneSessionEntry(session))));
    let members = model.members.values().cloned();
    all.extend(members.map(Entity::ActionProfileMember));
    let groups = model.groups.values().cloned();
    all.extend(groups.map(Entity::ActionProfileGroup));
    let mut made = MADE;
    for entry in model.defaults.values().chain(model.entries.values()) {
        let mut entry = entry.clone();
        let profile = model.pipeline.table(entry.table_id).and_then(|t| t.profile);
        let action = entry
            .action
            .as_mut()
            .and_then(|action| action.r#type.as_mut());
        if let (Some(profile), Some(action @ Action::ActionProfileActionSet(_))) = (profile, action)
        {
            let group = make_group(&mut all, profile, &mut made, action);
            *action = Action::ActionProfileGroupId(group);
        }
        all.push(Entity::TableEntry(entry));
    }
    all
}

/// Makes a group, with members, of an action set.
fn make_group(all: &mut Vec<Entity>, profile: u32, made: &mut u32, set: &Action) -> u32 {
    use p4::action_profile_action::WatchKind as From;
    use p4::action_profile_group::{Member, member::WatchKind as To};
    let Action::ActionProfileActionSet(set) = set else {
        return 0;
    };
    let mut members = Vec::new();
    for action in &set.action_profile_actions {
        *made += 1;
        all.push(Entity::ActionProfileMember(p4::ActionProfileMember {
            action_profile_id: profile,
            member_id: *made,
            action: action.action.clone(),
        }));
        members.push(Member {
            member_id: *made,
            weight: action.weight,
            watch_kind: match &action.watch_kind {
                Some(From::WatchPort(port)) => Some(To::WatchPort(port.clone())),
                // Its other form is deprecated and is never drawn.
                _ => None,
            },
        });
    }
    *made += 1;
    all.push(Entity::ActionProfileGroup(p4::ActionProfileGroup {
        action_profile_id: profile,
        group_id: *made,
        members,
        max_size: 0,
    }));
    *made
}

/// A packet-in as the packet that left at the CPU port.
pub fn whole_packet(header: Option<&PacketHeader>, packet: &p4::PacketIn) -> Vec<u8> {
    let Some(header) = header else {
        return packet.payload.clone();
    };
    let mut bits = BigUint::ZERO;
    let mut width = 0;
    for field in &header.fields {
        let given = packet.metadata.iter().find(|m| m.metadata_id == field.id);
        let value = given.map_or(BigUint::ZERO, |m| BigUint::from_bytes_be(&m.value));
        bits = (bits << field.width) | value;
        width += field.width as usize;
    }
    let bytes = bits.to_bytes_be();
    let mut whole = vec![0; (width / 8).saturating_sub(bytes.len())];
    whole.extend(bytes);
    whole.truncate(width / 8);
    whole.extend(&packet.payload);
    whole
}
