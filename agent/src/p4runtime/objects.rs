//! The objects of a p4info that entities belong to, by id and by name.

use pointsman_proto::p4::config::v1 as config;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;

/// What an entity belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// An object of the pipeline, by its p4info id; 0 in the filter of a Read is all of a kind.
    Object(u32),
    /// Multicast groups, which are in no p4info.
    MulticastGroups,
    /// Clone sessions, which neither are.
    CloneSessions,
}

/// What an entity belongs to; `None` if it says nothing that P4Runtime knows. What is direct to a
/// table belongs to the table.
pub fn owner(entity: &p4::Entity) -> Option<Owner> {
    let id = match entity.entity.as_ref()? {
        Entity::TableEntry(entry) => entry.table_id,
        Entity::DirectCounterEntry(entry) => table_of(entry.table_entry.as_ref()),
        Entity::DirectMeterEntry(entry) => table_of(entry.table_entry.as_ref()),
        Entity::ActionProfileMember(member) => member.action_profile_id,
        Entity::ActionProfileGroup(group) => group.action_profile_id,
        Entity::CounterEntry(cell) => cell.counter_id,
        Entity::MeterEntry(cell) => cell.meter_id,
        Entity::RegisterEntry(cell) => cell.register_id,
        Entity::ValueSetEntry(set) => set.value_set_id,
        Entity::DigestEntry(digest) => digest.digest_id,
        Entity::ExternEntry(instance) => instance.extern_id,
        Entity::PacketReplicationEngineEntry(entry) => {
            return Some(match entry.r#type.as_ref()? {
                Replication::MulticastGroupEntry(_) => Owner::MulticastGroups,
                Replication::CloneSessionEntry(_) => Owner::CloneSessions,
            });
        }
    };
    Some(Owner::Object(id))
}

fn table_of(entry: Option<&p4::TableEntry>) -> u32 {
    entry.map_or(0, |entry| entry.table_id)
}

/// The objects that entities belong to.
pub fn objects(p4info: &config::P4Info) -> impl Iterator<Item = &config::Preamble> {
    fn preambles<T>(
        objects: &[T],
        preamble: impl Fn(&T) -> Option<&config::Preamble>,
    ) -> impl Iterator<Item = &config::Preamble> {
        objects.iter().filter_map(preamble)
    }
    let externs = p4info.externs.iter().flat_map(|kind| &kind.instances);
    preambles(&p4info.tables, |o| o.preamble.as_ref())
        .chain(preambles(&p4info.action_profiles, |o| o.preamble.as_ref()))
        .chain(preambles(&p4info.counters, |o| o.preamble.as_ref()))
        .chain(preambles(&p4info.direct_counters, |o| o.preamble.as_ref()))
        .chain(preambles(&p4info.meters, |o| o.preamble.as_ref()))
        .chain(preambles(&p4info.direct_meters, |o| o.preamble.as_ref()))
        .chain(preambles(&p4info.registers, |o| o.preamble.as_ref()))
        .chain(preambles(&p4info.value_sets, |o| o.preamble.as_ref()))
        .chain(preambles(&p4info.digests, |o| o.preamble.as_ref()))
        .chain(externs.filter_map(|instance| instance.preamble.as_ref()))
}

/// What an object is called in messages: its alias, or its id if there is none of it.
pub fn name(p4info: &config::P4Info, id: u32) -> String {
    let found = objects(p4info).find(|preamble| preamble.id == id);
    match found {
        None => format!("{id:#010x}"),
        Some(preamble) if preamble.alias.is_empty() => preamble.name.clone(),
        Some(preamble) => preamble.alias.clone(),
    }
}
