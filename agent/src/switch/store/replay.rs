//! What was written as updates that would write it again: for the state file and for pipelines
//! that keep what they can.

use pointsman_p4::dataplane::EntryKey;
use pointsman_p4::ir::{ActionProfileId, MeterId, TableId, ValueSetId};

use super::locked::Held;
use super::{
    DigestStore, Locked, MeterStore, ProfileStore, ReplicationStore, StoredEntry, TableStore,
    ValueSetStore,
};
use crate::entity::{
    DigestEntry, DirectMeter, Entity, EntryName, Member, MeterCell, TableEntry, Update, ValueSet,
};

/// What was written to parts of a store, as it was at one moment. It holds no lock; its maps share with the
/// store what has not changed since.
#[derive(Debug)]
pub struct Written {
    profiles: Vec<(ActionProfileId, ProfileStore)>,
    replication: Vec<ReplicationStore>,
    tables: Vec<(TableId, TableStore)>,
    meters: Vec<(MeterId, MeterStore)>,
    value_sets: Vec<(ValueSetId, ValueSetStore)>,
    digests: Vec<DigestStore>,
}

impl Locked<'_> {
    /// Everything that a controller wrote to the parts that are held.
    pub fn written(&self) -> Written {
        fn parts<Id, T: Clone>(held: &Held<'_, T>, id: impl Fn(u32) -> Id) -> Vec<(Id, T)> {
            let parts = held.iter().map(|(index, part)| (id(index), part.clone()));
            parts.collect()
        }
        fn alone<T: Clone>(held: &Held<'_, T>) -> Vec<T> {
            held.iter().map(|(_, part)| part.clone()).collect()
        }
        Written {
            profiles: parts(&self.profiles, ActionProfileId),
            replication: alone(&self.replication),
            tables: parts(&self.tables, TableId),
            meters: parts(&self.meters, MeterId),
            value_sets: parts(&self.value_sets, ValueSetId),
            digests: alone(&self.digests),
        }
    }

    /// The same as updates that would write it again.
    pub fn updates(&self) -> Vec<Update> {
        self.written().updates().collect()
    }
}

impl Written {
    /// Updates that write all of it, in an order in which they can be. Counters and registers are left out:
    /// their state is the data plane's.
    pub fn updates(&self) -> impl Iterator<Item = Update> {
        let profiles = self.profiles.iter();
        let profiles = profiles.flat_map(|(id, profile)| members_and_groups(*id, profile));
        let replication = self.replication.iter().flat_map(groups_and_sessions);
        let tables = self.tables.iter();
        let tables = tables.flat_map(|(id, table)| entries(*id, table));
        let meters = self.meters.iter();
        let meters = meters.flat_map(|(id, meter)| cells(*id, meter));
        let value_sets = self.value_sets.iter().filter(|(_, set)| !set.is_empty());
        let value_sets = value_sets.map(|(id, members)| {
            let (set, members) = (*id, members.clone());
            Update::modify(Entity::ValueSet(ValueSet { set, members }))
        });
        let digests = self.digests.iter().flatten().map(|(digest, config)| {
            Update::insert(Entity::Digest(DigestEntry {
                digest: *digest,
                config: *config,
            }))
        });
        profiles
            .chain(replication)
            .chain(tables)
            .chain(meters)
            .chain(value_sets)
            .chain(digests)
    }
}

fn members_and_groups(
    profile: ActionProfileId,
    store: &ProfileStore,
) -> impl Iterator<Item = Update> {
    let members = store.members.iter().map(move |(id, stored)| {
        Update::insert(Entity::Member(Member {
            profile,
            id: *id,
            call: Some(stored.call.clone()),
        }))
    });
    let groups = store.groups.values();
    let groups = groups.map(|stored| Update::insert(Entity::Group(stored.group.clone())));
    members.chain(groups)
}

fn groups_and_sessions(store: &ReplicationStore) -> impl Iterator<Item = Update> {
    let groups = store.multicast_groups.values().cloned();
    let sessions = store.clone_sessions.values().cloned();
    let groups = groups.map(|group| Update::insert(Entity::MulticastGroup(group)));
    groups.chain(sessions.map(|session| Update::insert(Entity::CloneSession(session))))
}

fn entries(id: TableId, table: &TableStore) -> impl Iterator<Item = Update> {
    let removed = table.removed.iter().map(|key| {
        let entry = TableEntry::of_key(key.clone());
        Update::delete(Entity::TableEntry(entry))
    });
    let entries = table
        .entries
        .iter()
        .filter_map(|(key, entry)| entry_update(key, entry));
    removed.chain(entries).chain(default_entry(id, table))
}

/// `None` for one that is as the program says.
fn default_entry(id: TableId, table: &TableStore) -> Option<Update> {
    let default = &table.default;
    if default.action.is_some() {
        let entity = Entity::DefaultAction(Box::new(default.to_entity(id)));
        return Some(Update::modify(entity));
    }
    // To write no action resets the meter.
    default.meter.map(|config| {
        Update::modify(Entity::DirectMeter(Box::new(DirectMeter {
            entry: EntryName::Default(id),
            config: Some(config),
            counts: None,
        })))
    })
}

/// `None` for an entry that is as the program says.
fn entry_update(key: &EntryKey, entry: &StoredEntry) -> Option<Update> {
    match (entry.declared, entry.is_const) {
        (false, _) => Some(Update::insert(Entity::TableEntry(entry.to_entity(key)))),
        (true, false) => Some(Update::modify(Entity::TableEntry(entry.to_entity(key)))),
        // All that can change of it.
        (true, true) => entry.extra.meter.map(|config| {
            Update::modify(Entity::DirectMeter(Box::new(DirectMeter {
                entry: EntryName::Keyed(key.clone()),
                config: Some(config),
                counts: None,
            })))
        }),
    }
}

fn cells(meter: MeterId, store: &MeterStore) -> impl Iterator<Item = Update> {
    store.iter().map(move |(index, config)| {
        Update::modify(Entity::Meter(Box::new(MeterCell {
            meter,
            index: Some(*index),
            config: Some(*config),
            counts: None,
        })))
    })
}
