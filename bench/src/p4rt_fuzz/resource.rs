//! Random updates of what is not a table entry: replication, cells, value sets and digests.

use std::collections::HashSet;

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;
use pointsman_proto::p4::v1::update::Type;

use super::draw::{Direct, Draw, IDS, counts, operation, plenty, update};
use super::model::{Model, default_of, key_message};
use crate::fuzz::Random;
use crate::fuzz::pool::any;

/// Cells of arrays that are written.
const CELLS: usize = 4;

impl Draw<'_> {
    pub(super) fn multicast_update(&mut self, random: &mut Random) -> p4::Update {
        let metadata = random.below(3);
        let group = p4::MulticastGroupEntry {
            multicast_group_id: 1 + random.below(IDS) as u32,
            replicas: self.replicas(random),
            metadata: random.bytes(metadata),
        };
        let group = Replication::MulticastGroupEntry(group);
        update(operation(random), replication(group))
    }

    pub(super) fn session_update(&mut self, random: &mut Random) -> p4::Update {
        let session = p4::CloneSessionEntry {
            session_id: 1 + random.below(IDS) as u32,
            replicas: self.replicas(random),
            class_of_service: random.below(8) as u32,
            packet_length_bytes: match random.one_in(3) {
                true => 20 + random.below(100) as i32,
                false => 0,
            },
        };
        let session = Replication::CloneSessionEntry(session);
        update(operation(random), replication(session))
    }

    pub(super) fn counter_update(
        &mut self,
        random: &mut Random,
        model: &Model,
    ) -> Option<p4::Update> {
        if random.one_in(2) {
            let entry = self.entry_with(random, model, Direct::Counter)?;
            let direct = p4::DirectCounterEntry {
                table_entry: Some(entry),
                data: Some(counts(random)),
            };
            return Some(update(Type::Modify, Entity::DirectCounterEntry(direct)));
        }
        let counter = random.pick(&self.pipeline.counters)?;
        let size = self.pipeline.program.counters[counter.object.index()].size;
        let entry = p4::CounterEntry {
            counter_id: counter.preamble.id,
            index: Some(index(random, size)),
            data: Some(counts(random)),
        };
        Some(update(Type::Modify, Entity::CounterEntry(entry)))
    }

    /// The name of an entry, mostly one that is there, whose table has a direct resource.
    fn entry_with(
        &mut self,
        random: &mut Random,
        model: &Model,
        kind: Direct,
    ) -> Option<p4::TableEntry> {
        let known = model.entries.values();
        let known: Vec<_> = known
            .filter(|entry| self.direct(entry.table_id, kind).is_some())
            .collect();
        match random.pick(&known) {
            Some(entry) if !random.one_in(4) => Some(key_message(entry)),
            _ => {
                let table = self.table(random)?;
                self.direct(table.preamble.id, kind)?;
                match random.one_in(2) {
                    true => Some(default_of(table.preamble.id)),
                    false => Some(self.key(random, table)),
                }
            }
        }
    }

    pub(super) fn meter_update(
        &mut self,
        random: &mut Random,
        model: &Model,
    ) -> Option<p4::Update> {
        let config = (!random.one_in(3)).then(|| plenty(random));
        if random.one_in(2) {
            let direct = p4::DirectMeterEntry {
                table_entry: Some(self.entry_with(random, model, Direct::Meter)?),
                config,
                counter_data: None,
            };
            return Some(update(Type::Modify, Entity::DirectMeterEntry(direct)));
        }
        let meter = random.pick(&self.pipeline.meters)?;
        let size = self.pipeline.program.meters[meter.object.index()].size;
        let entry = p4::MeterEntry {
            meter_id: meter.preamble.id,
            index: Some(index(random, size)),
            config,
            counter_data: None,
        };
        Some(update(Type::Modify, Entity::MeterEntry(entry)))
    }

    pub(super) fn register_update(&mut self, random: &mut Random) -> Option<p4::Update> {
        let register = random.pick(&self.pipeline.registers)?;
        let shape = &self.pipeline.program.registers[register.object.index()];
        let entry = p4::RegisterEntry {
            register_id: register.preamble.id,
            index: Some(index(random, shape.size)),
            data: Some(p4::P4Data {
                data: Some(p4::p4_data::Data::Bitstring(
                    any(random, shape.width).to_p4runtime(),
                )),
            }),
        };
        Some(update(Type::Modify, Entity::RegisterEntry(entry)))
    }

    pub(super) fn value_set_update(&mut self, random: &mut Random) -> Option<p4::Update> {
        let set = random.pick(&self.pipeline.value_sets)?;
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        for _ in 0..random.below(4) {
            let matches: Vec<_> = set
                .fields
                .iter()
                .map(|field| p4::FieldMatch {
                    field_id: field.id,
                    field_match_type: Some(FieldMatchType::Exact(field_match::Exact {
                        value: self.pool.shared(random, field.width).to_p4runtime(),
                    })),
                })
                .collect();
            let member = p4::ValueSetMember { r#match: matches };
            if seen.insert(prost::Message::encode_to_vec(&member)) {
                members.push(member);
            }
        }
        let entry = p4::ValueSetEntry {
            value_set_id: set.preamble.id,
            members,
        };
        Some(update(Type::Modify, Entity::ValueSetEntry(entry)))
    }

    fn replicas(&self, random: &mut Random) -> Vec<p4::Replica> {
        let mut seen = HashSet::new();
        let drawn = (0..1 + random.below(4)).map(|_| (self.port(random), random.below(3) as u32));
        let drawn: Vec<_> = drawn.collect();
        let different = drawn
            .into_iter()
            .filter(|replica| seen.insert(replica.clone()));
        different
            .map(|(port, instance)| p4::Replica {
                port_kind: Some(p4::replica::PortKind::Port(port)),
                instance,
                backup_replicas: Vec::new(),
            })
            .collect()
    }

    pub(super) fn digest_update(&mut self, random: &mut Random) -> Option<p4::Update> {
        let digest = random.pick(&self.pipeline.digests)?;
        let entry = p4::DigestEntry {
            digest_id: digest.preamble.id,
            config: Some(p4::digest_entry::Config {
                max_timeout_ns: random.below(1 << 20) as i64,
                max_list_size: 1 + random.below(10) as i32,
                ack_timeout_ns: random.below(1 << 30) as i64,
            }),
        };
        Some(update(operation(random), Entity::DigestEntry(entry)))
    }
}

fn replication(kind: Replication) -> Entity {
    Entity::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry { r#type: Some(kind) })
}

fn index(random: &mut Random, size: u32) -> p4::Index {
    p4::Index {
        index: random.below(CELLS.min(size as usize)) as i64,
    }
}
