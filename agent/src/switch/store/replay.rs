//! What was written as updates that would write it again: for the state file and for pipelines
//! that keep what they can.

use pointsman_p4::ir::{ActionProfileId, MeterId, TableId, ValueSetId};

use super::{Locked, MeterStore, ProfileStore, ReplicationStore, TableStore};
use crate::entity::{
    DigestEntry, DirectMeter, Entity, EntryName, Member, MeterCell, TableEntry, Update, ValueSet,
};

impl Locked<'_> {
    /// Everything that a controller wrote to the parts that are held, in an order in which it can be
    /// written again. Counters and registers are left out: their state is the data plane's.
    pub fn updates(&self) -> Vec<Update> {
        let mut updates = Vec::new();
        for (index, profile) in self.profiles.iter() {
            members_and_groups(ActionProfileId(index), profile, &mut updates);
        }
        for (_, replication) in self.replication.iter() {
            groups_and_sessions(replication, &mut updates);
        }
        for (index, table) in self.tables.iter() {
            entries(table, &mut updates);
            default_entry(TableId(index), table, &mut updates);
        }
        for (index, meter) in self.meters.iter() {
            cells(MeterId(index), meter, &mut updates);
        }
        for (index, members) in self.value_sets.iter().filter(|(_, set)| !set.is_empty()) {
            updates.push(Update::modify(Entity::ValueSet(ValueSet {
                set: ValueSetId(index),
                members: members.clone(),
            })));
        }
        for (digest, config) in self.digests.iter().flat_map(|(_, digests)| digests) {
            updates.push(Update::insert(Entity::Digest(DigestEntry {
                digest: *digest,
                config: *config,
            })));
        }
        updates
    }
}

fn members_and_groups(id: ActionProfileId, profile: &ProfileStore, updates: &mut Vec<Update>) {
    for (member, stored) in profile.members.iter() {
        updates.push(Update::insert(Entity::Member(Member {
            profile: id,
            id: *member,
            call: Some(stored.call.clone()),
        })));
    }
    for stored in profile.groups.values() {
        updates.push(Update::insert(Entity::Group(stored.group.clone())));
    }
}

fn groups_and_sessions(replication: &ReplicationStore, updates: &mut Vec<Update>) {
    for group in replication.multicast_groups.values() {
        updates.push(Update::insert(Entity::MulticastGroup(group.clone())));
    }
    for session in replication.clone_sessions.values() {
        updates.push(Update::insert(Entity::CloneSession(session.clone())));
    }
}

fn entries(table: &TableStore, updates: &mut Vec<Update>) {
    for key in &table.removed {
        let entry = TableEntry::of_key(key.clone());
        updates.push(Update::delete(Entity::TableEntry(entry)));
    }
    for (key, entry) in table.entries.iter() {
        let entity = Entity::TableEntry(entry.to_entity(key));
        match (entry.declared, entry.is_const) {
            (false, _) => updates.push(Update::insert(entity)),
            (true, false) => updates.push(Update::modify(entity)),
            // All that can change of it.
            (true, true) if entry.extra.meter.is_some() => {
                updates.push(Update::modify(Entity::DirectMeter(Box::new(DirectMeter {
                    entry: EntryName::Keyed(key.clone()),
                    config: entry.extra.meter,
                    counts: None,
                }))));
            }
            (true, true) => {}
        }
    }
}

fn default_entry(id: TableId, table: &TableStore, updates: &mut Vec<Update>) {
    let default = &table.default;
    if default.action.is_some() {
        let entity = Entity::DefaultAction(default.to_entity(id));
        updates.push(Update::modify(entity));
    } else if default.meter.is_some() {
        // To write no action resets the meter.
        updates.push(Update::modify(Entity::DirectMeter(Box::new(DirectMeter {
            entry: EntryName::Default(id),
            config: default.meter,
            counts: None,
        }))));
    }
}

fn cells(id: MeterId, meter: &MeterStore, updates: &mut Vec<Update>) {
    for (index, config) in meter.iter() {
        updates.push(Update::modify(Entity::Meter(Box::new(MeterCell {
            meter: id,
            index: Some(*index),
            config: Some(*config),
            counts: None,
        }))));
    }
}
