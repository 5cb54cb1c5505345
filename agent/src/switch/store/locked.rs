//! The parts of a store that somebody has locked.

use std::ops::Deref;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use pointsman_p4::dataplane::EntryKey;
use pointsman_p4::ir::{ActionProfileId, MeterId, TableId, ValueSetId};

use super::part::{Access, Footprint, Part};
use super::{
    DigestStore, MeterStore, ProfileStore, ReplicationStore, Store, StoredEntry, TableStore,
    ValueSetStore,
};
use crate::entity::Entity;

/// Parts of a store, locked until this is dropped.
///
/// # Panics
/// Its methods panic for a part that the [`Footprint`] does not have, or has only to be read.
pub struct Locked<'a> {
    pub(super) profiles: Held<'a, ProfileStore>,
    pub(super) tables: Held<'a, TableStore>,
    pub(super) replication: Held<'a, ReplicationStore>,
    pub(super) meters: Held<'a, MeterStore>,
    pub(super) value_sets: Held<'a, ValueSetStore>,
    pub(super) digests: Held<'a, DigestStore>,
    /// What is in these is the data plane's alone.
    _cells: Held<'a, ()>,
}

impl<'a> Locked<'a> {
    /// Waits for the parts of a footprint, in their order.
    pub(super) fn new(store: &'a Store, footprint: &Footprint) -> Locked<'a> {
        let mut locked = Locked {
            profiles: Held::default(),
            tables: Held::default(),
            replication: Held::default(),
            meters: Held::default(),
            value_sets: Held::default(),
            digests: Held::default(),
            _cells: Held::default(),
        };
        for (part, access) in footprint.parts() {
            match part {
                Part::Profile(id) => locked.profiles.lock(&store.profiles, id.index(), access),
                Part::Table(id) => locked.tables.lock(&store.tables, id.index(), access),
                Part::Replication => {
                    let replication = std::slice::from_ref(&store.replication);
                    locked.replication.lock(replication, 0, access);
                }
                Part::Counter(id) => locked._cells.lock(&store.counters, id.index(), access),
                Part::Meter(id) => locked.meters.lock(&store.meters, id.index(), access),
                Part::Register(id) => locked._cells.lock(&store.registers, id.index(), access),
                Part::Digests => {
                    let digests = std::slice::from_ref(&store.digests);
                    locked.digests.lock(digests, 0, access);
                }
                Part::ValueSet(id) => locked
                    .value_sets
                    .lock(&store.value_sets, id.index(), access),
            }
        }
        locked
    }

    /// A profile.
    pub fn profile(&self, id: ActionProfileId) -> &ProfileStore {
        self.profiles.get(id.index())
    }

    /// A profile, to be changed.
    pub fn profile_mut(&mut self, id: ActionProfileId) -> &mut ProfileStore {
        self.profiles.get_mut(id.index())
    }

    /// A table.
    pub fn table(&self, id: TableId) -> &TableStore {
        self.tables.get(id.index())
    }

    /// A table, to be changed.
    pub fn table_mut(&mut self, id: TableId) -> &mut TableStore {
        self.tables.get_mut(id.index())
    }

    /// An entry of a table.
    pub fn entry(&self, key: &EntryKey) -> Option<&StoredEntry> {
        self.table(key.table).entries.get(key)
    }

    /// What was written of an entity of this key, if it is of a kind that objectives need.
    pub fn find(&self, entity: &Entity) -> Option<Entity> {
        match entity {
            Entity::TableEntry(entry) => {
                let stored = self.entry(&entry.key)?;
                Some(Entity::TableEntry(stored.to_entity(&entry.key)))
            }
            Entity::MulticastGroup(group) => {
                let group = self.replication().multicast_groups.get(&group.id)?;
                Some(Entity::MulticastGroup(group.clone()))
            }
            Entity::CloneSession(session) => {
                let session = self.replication().clone_sessions.get(&session.id)?;
                Some(Entity::CloneSession(session.clone()))
            }
            _ => None,
        }
    }

    /// Multicast groups and clone sessions.
    pub fn replication(&self) -> &ReplicationStore {
        self.replication.get(0)
    }

    /// Multicast groups and clone sessions, to be changed.
    pub fn replication_mut(&mut self) -> &mut ReplicationStore {
        self.replication.get_mut(0)
    }

    /// The cells of a meter.
    pub fn meter(&self, id: MeterId) -> &MeterStore {
        self.meters.get(id.index())
    }

    /// The cells of a meter, to be changed.
    pub fn meter_mut(&mut self, id: MeterId) -> &mut MeterStore {
        self.meters.get_mut(id.index())
    }

    /// The members of a value set.
    pub fn value_set(&self, id: ValueSetId) -> &ValueSetStore {
        self.value_sets.get(id.index())
    }

    /// The members of a value set, to be changed.
    pub fn value_set_mut(&mut self, id: ValueSetId) -> &mut ValueSetStore {
        self.value_sets.get_mut(id.index())
    }

    /// How digests are sent.
    pub fn digests(&self) -> &DigestStore {
        self.digests.get(0)
    }

    /// How digests are sent, to be changed.
    pub fn digests_mut(&mut self) -> &mut DigestStore {
        self.digests.get_mut(0)
    }
}

/// The parts of one kind that are held, by number.
pub(super) struct Held<'a, T>(Vec<(usize, Guard<'a, T>)>);

enum Guard<'a, T> {
    Read(RwLockReadGuard<'a, T>),
    Write(RwLockWriteGuard<'a, T>),
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Guard::Read(guard) => guard,
            Guard::Write(guard) => guard,
        }
    }
}

impl<T> Default for Held<'_, T> {
    fn default() -> Self {
        Held(Vec::new())
    }
}

impl<'a, T> Held<'a, T> {
    fn lock(&mut self, parts: &'a [RwLock<T>], index: usize, access: Access) {
        // A panic leaves a part as consistent as an error would: an update is applied to the
        // data plane before the store.
        let lock = &parts[index];
        let guard = match access {
            Access::Read => Guard::Read(lock.read().unwrap_or_else(PoisonError::into_inner)),
            Access::Write => Guard::Write(lock.write().unwrap_or_else(PoisonError::into_inner)),
        };
        self.0.push((index, guard));
    }

    fn get(&self, index: usize) -> &T {
        let found = self.0.iter().find(|(held, _)| *held == index);
        let (_, guard) = found.expect("the footprint has all parts that are touched");
        guard
    }

    /// All of them with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let parts = self.0.iter();
        parts.map(|(index, guard)| (*index as u32, guard.deref()))
    }

    fn get_mut(&mut self, index: usize) -> &mut T {
        let found = self.0.iter_mut().find(|(held, _)| *held == index);
        let (_, guard) = found.expect("the footprint has all parts that are touched");
        match guard {
            Guard::Read(_) => panic!("a part that is changed is held to be changed"),
            Guard::Write(guard) => &mut *guard,
        }
    }
}
