//! What was written: the authority on what the switch holds.
//!
//! The data plane is told differences and never asked what it has, but for counts. Everything
//! is keyed by value, so that a batch costs what its updates cost, however full the tables are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pointsman_p4::dataplane::{Bits, Call, EntryAction, EntryKey, MeterConfig, declared_entries};
use pointsman_p4::ir::{ActionProfileId, MeterId, Program, TableId, ValueSetId};

use crate::entity::{
    CloneSession, DefaultAction, Entity, Group, Member, MeterCell, MulticastGroup, TableAction,
    TableEntry, Update, ValueSet,
};
use crate::schema::Schema;

/// What was written.
#[derive(Debug, Default)]
pub struct Store {
    /// By table, then by key.
    pub tables: HashMap<TableId, BTreeMap<EntryKey, StoredEntry>>,
    /// Entries of the program that a client has deleted.
    pub removed: BTreeSet<EntryKey>,
    /// Defaults that differ from the program's.
    pub defaults: BTreeMap<TableId, DefaultAction>,
    /// By profile and id.
    pub members: BTreeMap<(ActionProfileId, u32), StoredMember>,
    /// By profile and id.
    pub groups: BTreeMap<(ActionProfileId, u32), StoredGroup>,
    /// By profile: one-shot groups in use.
    pub one_shots: HashMap<ActionProfileId, OneShotIds>,
    /// By id.
    pub multicast_groups: BTreeMap<u32, MulticastGroup>,
    /// By id.
    pub clone_sessions: BTreeMap<u32, CloneSession>,
    /// Cells that are configured.
    pub meters: BTreeMap<(MeterId, u32), MeterConfig>,
    /// Sets that have members.
    pub value_sets: BTreeMap<ValueSetId, Vec<Bits>>,
}

/// An entry, but for its key.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// What it does, as it was written.
    pub action: TableAction,
    /// The group that its one-shot action is in the data plane.
    pub one_shot: Option<OneShotGroup>,
    /// Its direct meter.
    pub meter: Option<MeterConfig>,
    /// Echoed.
    pub metadata: Vec<u8>,
    /// Echoed.
    pub controller_metadata: u64,
    /// It comes from the program.
    pub declared: bool,
    /// It comes from the program and stays.
    pub is_const: bool,
}

/// A group and members that the switch made for a one-shot action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneShotGroup {
    /// Its id in the data plane.
    pub group: u32,
    /// The ids of its members.
    pub members: Vec<u32>,
}

/// Data-plane ids for one-shot groups. A profile has either these or the controller's
/// own, so they cannot meet.
#[derive(Debug, Default)]
pub struct OneShotIds {
    /// Entries that hold one.
    pub users: u32,
    last: u32,
    free: Vec<u32>,
}

impl OneShotIds {
    /// An id that is not in use.
    pub fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.last += 1;
            self.last
        })
    }

    /// Gives an id back.
    pub fn give_back(&mut self, id: u32) {
        self.free.push(id);
    }
}

/// A member and how many entries and groups refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMember {
    /// What it does.
    pub call: Call,
    /// Entries and groups that refer to it.
    pub users: u32,
}

/// A group and how many entries refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGroup {
    /// As it was written.
    pub group: Group,
    /// Entries that refer to it.
    pub users: u32,
}

impl StoredEntry {
    /// The entry as it would be written.
    pub fn to_entity(&self, key: &EntryKey) -> TableEntry {
        TableEntry {
            key: key.clone(),
            action: Some(self.action.clone()),
            meter: self.meter,
            counter: None,
            metadata: self.metadata.clone(),
            controller_metadata: self.controller_metadata,
        }
    }
}

impl Store {
    /// What a switch holds that has just loaded a program: the entries that it declares.
    pub fn new(program: &Program, schema: &Schema) -> Store {
        let mut store = Store::default();
        for entry in declared_entries(program) {
            let table = entry.key.table;
            // Tables that p4c makes of statements are nobody's to see.
            let Some(described) = schema.table_of(table) else {
                continue;
            };
            let EntryAction::Call(call) = entry.action else {
                continue;
            };
            let stored = StoredEntry {
                action: TableAction::Call(call),
                one_shot: None,
                meter: None,
                metadata: Vec::new(),
                controller_metadata: 0,
                declared: true,
                is_const: described.is_const,
            };
            let entries = store.tables.entry(table).or_default();
            entries.insert(entry.key, stored);
        }
        store
    }

    /// An entry.
    pub fn entry(&self, key: &EntryKey) -> Option<&StoredEntry> {
        self.tables.get(&key.table)?.get(key)
    }

    /// A member of a profile.
    pub fn member_mut(&mut self, profile: ActionProfileId, id: u32) -> Option<&mut StoredMember> {
        self.members.get_mut(&(profile, id))
    }

    /// Whether the profile has members or groups that a controller wrote.
    pub fn has_explicit_members(&self, profile: ActionProfileId) -> bool {
        let range = (profile, 0)..=(profile, u32::MAX);
        self.members.range(range.clone()).next().is_some()
            || self.groups.range(range).next().is_some()
    }

    /// Everything that a controller wrote, in an order in which it can be written again.
    /// Counters and registers are left out: their state is the data plane's.
    pub fn updates(&self) -> Vec<Update> {
        let mut updates = Vec::new();
        for ((profile, id), member) in &self.members {
            updates.push(Update::insert(Entity::Member(Member {
                profile: *profile,
                id: *id,
                call: Some(member.call.clone()),
            })));
        }
        for group in self.groups.values() {
            updates.push(Update::insert(Entity::Group(group.group.clone())));
        }
        for group in self.multicast_groups.values() {
            updates.push(Update::insert(Entity::MulticastGroup(group.clone())));
        }
        for session in self.clone_sessions.values() {
            updates.push(Update::insert(Entity::CloneSession(session.clone())));
        }
        for key in &self.removed {
            updates.push(Update::delete(Entity::TableEntry(TableEntry::of_key(
                key.clone(),
            ))));
        }
        for (key, entry) in self.tables.values().flatten() {
            let entity = Entity::TableEntry(entry.to_entity(key));
            match (entry.declared, entry.is_const) {
                (false, _) => updates.push(Update::insert(entity)),
                (true, false) => updates.push(Update::modify(entity)),
                // All that can change of it.
                (true, true) if entry.meter.is_some() => {
                    let meter = Entity::DirectMeter(key.clone(), entry.meter);
                    updates.push(Update::modify(meter));
                }
                (true, true) => {}
            }
        }
        for default in self.defaults.values() {
            updates.push(Update::modify(Entity::DefaultAction(default.clone())));
        }
        for ((meter, index), config) in &self.meters {
            updates.push(Update::modify(Entity::Meter(MeterCell {
                meter: *meter,
                index: Some(*index),
                config: Some(*config),
            })));
        }
        for (set, members) in &self.value_sets {
            updates.push(Update::modify(Entity::ValueSet(ValueSet {
                set: *set,
                members: members.clone(),
            })));
        }
        updates
    }
}
