//! What reads have to answer.

use std::collections::BTreeMap;

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;
use prost::Message;

use super::draw::{Direct, Draw};
use super::model::{Model, default_of, key_message};
use crate::fuzz::Random;

/// A filter and the entities that pass it.
pub struct Read {
    /// What is asked.
    pub filter: p4::Entity,
    /// What has to be answered, in any order.
    pub expected: Vec<Entity>,
}

fn read(filter: Entity, expected: impl IntoIterator<Item = Entity>) -> Read {
    Read {
        filter: p4::Entity {
            entity: Some(filter),
        },
        expected: expected.into_iter().collect(),
    }
}

/// Reads that show everything that the model knows.
pub fn all_reads(model: &Model) -> Vec<Read> {
    let mut reads = vec![
        read(
            Entity::TableEntry(p4::TableEntry::default()),
            model.entries.values().map(without_meter),
        ),
        read(
            Entity::ActionProfileMember(p4::ActionProfileMember::default()),
            model
                .members
                .values()
                .cloned()
                .map(Entity::ActionProfileMember),
        ),
        read(
            Entity::ActionProfileGroup(p4::ActionProfileGroup::default()),
            model
                .groups
                .values()
                .cloned()
                .map(Entity::ActionProfileGroup),
        ),
        read(
            replication(Replication::MulticastGroupEntry(Default::default())),
            multicast(model),
        ),
        read(
            replication(Replication::CloneSessionEntry(Default::default())),
            sessions(model),
        ),
    ];
    reads.extend(model.defaults.values().map(|entry| {
        let filter = default_of(entry.table_id);
        read(
            Entity::TableEntry(filter),
            [Entity::TableEntry(entry.clone())],
        )
    }));
    reads.extend(model.default_meters.iter().filter_map(|(table, config)| {
        // Asked for, the meter of a default entry is there, too.
        let with_meter = p4::TableEntry {
            meter_config: Some(*config),
            ..model.defaults.get(table)?.clone()
        };
        let filter = p4::TableEntry {
            meter_config: Some(p4::MeterConfig::default()),
            ..default_of(*table)
        };
        Some(read(
            Entity::TableEntry(filter),
            [Entity::TableEntry(with_meter)],
        ))
    }));
    reads.extend(model.default_meters.iter().map(|(table, config)| {
        let entry = |config| {
            Entity::DirectMeterEntry(p4::DirectMeterEntry {
                table_entry: Some(default_of(*table)),
                config,
                counter_data: None,
            })
        };
        read(entry(None), [entry(Some(*config))])
    }));
    reads.extend(model.default_counts.iter().map(|(table, data)| {
        let entry = |data| {
            Entity::DirectCounterEntry(p4::DirectCounterEntry {
                table_entry: Some(default_of(*table)),
                data,
            })
        };
        read(entry(None), [entry(Some(*data))])
    }));
    reads.extend(model.counters.iter().map(|((id, index), data)| {
        let entry = |data| {
            Entity::CounterEntry(p4::CounterEntry {
                counter_id: *id,
                index: Some(p4::Index { index: *index }),
                data,
            })
        };
        read(entry(None), [entry(Some(*data))])
    }));
    reads.extend(model.meters.iter().map(|((id, index), config)| {
        let entry = |config| {
            Entity::MeterEntry(p4::MeterEntry {
                meter_id: *id,
                index: Some(p4::Index { index: *index }),
                config,
                counter_data: None,
            })
        };
        read(entry(None), [entry(Some(*config))])
    }));
    reads.extend(model.registers.iter().map(|((id, index), data)| {
        let entry = |data| {
            Entity::RegisterEntry(p4::RegisterEntry {
                register_id: *id,
                index: Some(p4::Index { index: *index }),
                data,
            })
        };
        read(entry(None), [entry(Some(data.clone()))])
    }));
    reads.extend(model.value_sets.values().map(|set| {
        let filter = p4::ValueSetEntry {
            value_set_id: set.value_set_id,
            members: Vec::new(),
        };
        read(
            Entity::ValueSetEntry(filter),
            [Entity::ValueSetEntry(set.clone())],
        )
    }));
    reads.extend(model.pipeline.digests.iter().map(|digest| {
        let id = digest.preamble.id;
        let filter = p4::DigestEntry {
            digest_id: id,
            config: None,
        };
        let there = model.digests.get(&id).cloned();
        read(Entity::DigestEntry(filter), there.map(Entity::DigestEntry))
    }));
    reads
}

/// A read of a few entities, by something that they have in common.
pub fn random_read(random: &mut Random, draw: &Draw<'_>, model: &Model) -> Read {
    let entries: Vec<&p4::TableEntry> = model.entries.values().collect();
    let one = random.pick(&entries).copied().cloned().unwrap_or_default();
    let with = |passes: &dyn Fn(&p4::TableEntry) -> bool| {
        let found = entries.iter().filter(|entry| passes(entry));
        found.map(|entry| without_meter(entry)).collect::<Vec<_>>()
    };
    let of_table = p4::TableEntry {
        table_id: one.table_id,
        ..Default::default()
    };
    match random.below(9) {
        // A key that matches everything is also the filter of a whole table.
        0 if !one.r#match.is_empty() => read(
            Entity::TableEntry(key_message(&one)),
            with(&|entry| key_message(entry) == key_message(&one)),
        ),
        1 => read(
            Entity::TableEntry(of_table),
            with(&|entry| one.table_id == 0 || entry.table_id == one.table_id),
        ),
        2 => {
            // An action without parameters stands for all of its calls.
            let filter = p4::TableEntry {
                metadata: one.metadata.clone(),
                ..of_table
            };
            let metadata =
                |entry: &p4::TableEntry| one.metadata.is_empty() || entry.metadata == one.metadata;
            read(
                Entity::TableEntry(filter),
                with(&|entry| {
                    (one.table_id == 0 || entry.table_id == one.table_id) && metadata(entry)
                }),
            )
        }
        3 => {
            let filter = p4::TableEntry {
                priority: one.priority,
                ..of_table
            };
            read(
                Entity::TableEntry(filter),
                with(&|entry| {
                    (one.table_id == 0 || entry.table_id == one.table_id)
                        && (one.priority == 0 || entry.priority == one.priority)
                }),
            )
        }
        4 if draw.direct(one.table_id, Direct::Meter).is_some() => {
            // Asked for, the meters of the entries are there, too.
            let filter = p4::TableEntry {
                meter_config: Some(p4::MeterConfig::default()),
                ..of_table
            };
            let found = entries
                .iter()
                .filter(|entry| entry.table_id == one.table_id);
            read(
                Entity::TableEntry(filter),
                found.map(|entry| Entity::TableEntry((*entry).clone())),
            )
        }
        5 => {
            let id = 1 + random.below(6) as u32;
            let group = p4::MulticastGroupEntry {
                multicast_group_id: id,
                ..Default::default()
            };
            let there = model.multicast.get(&id).cloned();
            read(
                replication(Replication::MulticastGroupEntry(group)),
                there.map(|group| replication(Replication::MulticastGroupEntry(group))),
            )
        }
        6 => {
            let id = 1 + random.below(6) as u32;
            let session = p4::CloneSessionEntry {
                session_id: id,
                ..Default::default()
            };
            let there = model.sessions.get(&id).cloned();
            read(
                replication(Replication::CloneSessionEntry(session)),
                there.map(|session| replication(Replication::CloneSessionEntry(session))),
            )
        }
        7 => {
            let members: Vec<_> = model.members.values().collect();
            let Some(member) = random.pick(&members).copied() else {
                return random_read(random, draw, model);
            };
            let filter = p4::ActionProfileMember {
                action_profile_id: member.action_profile_id,
                member_id: member.member_id,
                action: None,
            };
            read(
                Entity::ActionProfileMember(filter),
                [Entity::ActionProfileMember(member.clone())],
            )
        }
        _ => {
            let Some(profile) = random.pick(&model.pipeline.profiles) else {
                return random_read(random, draw, model);
            };
            let id = profile.preamble.id;
            let filter = p4::ActionProfileGroup {
                action_profile_id: id,
                ..Default::default()
            };
            let groups = model.groups.values().filter(|g| g.action_profile_id == id);
            read(
                Entity::ActionProfileGroup(filter),
                groups.cloned().map(Entity::ActionProfileGroup),
            )
        }
    }
}

fn replication(kind: Replication) -> Entity {
    Entity::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry { r#type: Some(kind) })
}

fn multicast(model: &Model) -> impl Iterator<Item = Entity> {
    let groups = model.multicast.values().cloned();
    groups.map(|group| replication(Replication::MulticastGroupEntry(group)))
}

fn sessions(model: &Model) -> impl Iterator<Item = Entity> {
    let sessions = model.sessions.values().cloned();
    sessions.map(|session| replication(Replication::CloneSessionEntry(session)))
}

/// An entry as a read shows it that does not ask for meters.
fn without_meter(entry: &p4::TableEntry) -> Entity {
    Entity::TableEntry(p4::TableEntry {
        meter_config: None,
        ..entry.clone()
    })
}

/// Replicas, members and matches have no order of their own.
fn in_order(entity: &mut Entity) {
    match entity {
        Entity::TableEntry(entry) => entry.r#match.sort_by_key(|field| field.field_id),
        Entity::ActionProfileGroup(group) => group.members.sort_by_key(|member| member.member_id),
        Entity::PacketReplicationEngineEntry(entry) => {
            let replicas = match &mut entry.r#type {
                Some(Replication::MulticastGroupEntry(group)) => &mut group.replicas,
                Some(Replication::CloneSessionEntry(session)) => &mut session.replicas,
                None => return,
            };
            replicas.sort_by_key(Message::encode_to_vec);
        }
        Entity::ValueSetEntry(set) => set.members.sort_by_key(Message::encode_to_vec),
        _ => {}
    }
}

/// Whether the entities are those that the reads together have to show.
pub fn compare(reads: &[Read], found: Vec<p4::Entity>) -> Result<(), String> {
    // How often each is found more than it is expected.
    let mut balance: BTreeMap<Vec<u8>, (i64, p4::Entity)> = BTreeMap::new();
    let mut count = |mut entity: Entity, by: i64| {
        in_order(&mut entity);
        let entity = p4::Entity {
            entity: Some(entity),
        };
        let entry = balance.entry(entity.encode_to_vec());
        entry.or_insert((0, entity)).0 += by;
    };
    for entity in found.into_iter().filter_map(|entity| entity.entity) {
        count(entity, 1);
    }
    for entity in reads.iter().flat_map(|read| &read.expected) {
        count(entity.clone(), -1);
    }
    let wrong = |sign: i64| {
        let wrong = balance
            .values()
            .filter(move |(count, _)| count.signum() == sign);
        wrong
            .map(|(_, entity)| format!("{entity:#?}\n"))
            .collect::<String>()
    };
    let (unexpected, missing) = (wrong(1), wrong(-1));
    if unexpected.is_empty() && missing.is_empty() {
        return Ok(());
    }
    let filters: Vec<_> = match reads {
        [one] => vec![&one.filter],
        _ => Vec::new(),
    };
    Err(format!(
        "a Read{filters:#?} differs\nunexpected:\n{unexpected}missing:\n{missing}"
    ))
}
