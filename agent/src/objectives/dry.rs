//! A dry run of objectives over what the switch holds.
//!
//! It finds entries that others wrote, and tables that have no room; whether the data plane can do what an entry says is
//! left to the pipeliner. Nothing is changed.

use std::collections::HashMap;

use pointsman_p4::dataplane::{DataPlaneError, EntryKey};
use pointsman_p4::ir::TableId;

use super::sink::Sink;
use crate::entity::{Entity, Operation, Update};
use crate::schema::Schema;
use crate::switch::{Locked, Savepoint, Switch, UpdateError};

/// Where updates are counted instead of written.
pub struct DrySink<'a> {
    schema: &'a Schema,
    store: Locked<'a>,
    rooms: HashMap<TableId, Room>,
    applied: Vec<Update>,
    /// Of what `applied` names: insertions less deletions.
    net: HashMap<Key, i32>,
}

/// How full a table is.
struct Room {
    entries: u64,
    capacity: u64,
}

/// What can be there once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    TableEntry(EntryKey),
    MulticastGroup(u32),
    CloneSession(u32),
}

impl Key {
    fn of(entity: &Entity) -> Option<Key> {
        match entity {
            Entity::TableEntry(entry) => Some(Key::TableEntry(entry.key.clone())),
            Entity::MulticastGroup(group) => Some(Key::MulticastGroup(group.id)),
            Entity::CloneSession(session) => Some(Key::CloneSession(session.id)),
            _ => None,
        }
    }
}

impl<'a> DrySink<'a> {
    /// A dry run on a switch; `None` without a pipeline.
    pub fn new(switch: &'a Switch) -> Option<DrySink<'a>> {
        let (pipeline, store) = switch.contents()?;
        let rooms = switch.occupancies().into_iter().map(|(table, occupancy)| {
            let room = Room {
                entries: occupancy.entries,
                capacity: occupancy.capacity,
            };
            (table.table, room)
        });
        Some(DrySink {
            schema: &pipeline.schema,
            rooms: rooms.collect(),
            store,
            applied: Vec::new(),
            net: HashMap::new(),
        })
    }

    fn exists(&self, key: &Key) -> bool {
        let was_there = match key {
            Key::TableEntry(key) => self.store.entry(key).is_some(),
            Key::MulticastGroup(id) => {
                let groups = &self.store.replication().multicast_groups;
                groups.contains_key(id)
            }
            Key::CloneSession(id) => {
                let sessions = &self.store.replication().clone_sessions;
                sessions.contains_key(id)
            }
        };
        i32::from(was_there) + self.net.get(key).copied().unwrap_or(0) > 0
    }

    fn check(&self, entity: &Entity) -> Result<(), UpdateError> {
        let Some(key) = Key::of(entity) else {
            return Ok(());
        };
        let what = || self.schema.describe(entity);
        if self.exists(&key) {
            return Err(UpdateError::AlreadyExists { what: what() });
        }
        let Key::TableEntry(key) = key else {
            return Ok(());
        };
        match self.rooms.get(&key.table) {
            Some(room) if room.entries >= room.capacity => {
                let table = self.schema.table_of(key.table);
                let error = DataPlaneError::Full {
                    what: table.map(|table| table.name.clone()).unwrap_or_default(),
                    capacity: room.capacity,
                };
                Err(UpdateError::DataPlane {
                    what: what(),
                    error,
                })
            }
            _ => Ok(()),
        }
    }

    /// Counts an update, or takes it back.
    fn count(&mut self, update: &Update, forward: bool) {
        let comes = match update.operation {
            Operation::Insert => forward,
            Operation::Delete => !forward,
            Operation::Modify => return,
        };
        let Some(key) = Key::of(&update.entity) else {
            return;
        };
        if let Key::TableEntry(key) = &key
            && let Some(room) = self.rooms.get_mut(&key.table)
        {
            room.entries = match comes {
                true => room.entries + 1,
                false => room.entries.saturating_sub(1),
            };
        }
        *self.net.entry(key).or_default() += if comes { 1 } else { -1 };
    }
}

impl Sink for DrySink<'_> {
    fn apply(&mut self, update: &Update) -> Result<(), UpdateError> {
        if update.operation == Operation::Insert {
            self.check(&update.entity)?;
        }
        self.count(update, true);
        self.applied.push(update.clone());
        Ok(())
    }

    fn holds(&self, entity: &Entity) -> Option<bool> {
        Key::of(entity).map(|key| self.exists(&key))
    }

    fn savepoint(&self) -> Savepoint {
        Savepoint::at(self.applied.len())
    }

    fn roll_back_to(&mut self, savepoint: Savepoint) {
        for update in self.applied.split_off(savepoint.updates()).iter().rev() {
            self.count(update, false);
        }
    }
}
