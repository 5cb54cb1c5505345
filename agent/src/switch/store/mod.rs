//! What was written: the authority on what the switch holds.
//!
//! The data plane is told differences and never asked what it has, but for counts. Everything
//! is keyed by value, so that a batch costs what its updates cost, however full the tables are.
//!
//! A store is many parts, each behind a lock of its own ([`part`]). Whoever reads or writes locks all
//! the parts of its batch at once, in one order ([`Store::lock`]), so that batches that have no part in
//! common go on side by side, and the others one after the other, as wholes. The maps in the parts can be
//! read on as they were at one moment after the lock is released ([`cow`]).

mod cow;
mod locked;
mod part;
mod references;
mod replay;
mod stored;

pub use cow::CowMap;
pub use locked::Locked;
pub use part::{Access, Footprint, Part};
pub use references::References;
pub use replay::Written;
pub use stored::{OneShotGroup, OneShotIds, StoredDefault, StoredEntry, StoredGroup, StoredMember};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::RwLock;

use pointsman_p4::dataplane::{Bits, EntryAction, EntryKey, MeterConfig, declared_entries};
use pointsman_p4::ir::{
    ActionProfileId, CounterId, LearnListId, MeterId, Program, RegisterId, TableId, ValueSetId,
};

use crate::entity::{CloneSession, DigestConfig, Entity, Extra, MulticastGroup, TableAction};
use crate::schema::Schema;

/// What was written, part by part; by the ids of the program.
#[derive(Debug)]
pub struct Store {
    profiles: Vec<RwLock<ProfileStore>>,
    tables: Vec<RwLock<TableStore>>,
    replication: RwLock<ReplicationStore>,
    /// Counts are the data plane's; here is only the order of those who read and write them.
    counters: Vec<RwLock<()>>,
    meters: Vec<RwLock<MeterStore>>,
    /// As counters.
    registers: Vec<RwLock<()>>,
    value_sets: Vec<RwLock<ValueSetStore>>,
    digests: RwLock<DigestStore>,
    references: References,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct TableStore {
    /// By key.
    pub entries: CowMap<EntryKey, StoredEntry>,
    /// Entries of the program that a client has deleted.
    pub removed: BTreeSet<EntryKey>,
    /// What it does on a miss.
    pub default: StoredDefault,
}

/// An action profile.
#[derive(Debug, Clone, Default)]
pub struct ProfileStore {
    /// By id.
    pub members: CowMap<u32, StoredMember>,
    /// By id.
    pub groups: CowMap<u32, StoredGroup>,
    /// One-shot groups in use.
    pub one_shots: OneShotIds,
}

/// The packet replication engine.
#[derive(Debug, Clone, Default)]
pub struct ReplicationStore {
    /// By id.
    pub multicast_groups: CowMap<u32, MulticastGroup>,
    /// By id.
    pub clone_sessions: CowMap<u32, CloneSession>,
}

/// The cells of an indirect meter that are configured.
pub type MeterStore = CowMap<u32, MeterConfig>;

/// The members of a value set, if it has any.
pub type ValueSetStore = Vec<Bits>;

/// How the digests are sent that are.
pub type DigestStore = BTreeMap<LearnListId, DigestConfig>;

impl ProfileStore {
    /// Whether it has members or groups that a controller wrote.
    pub fn has_explicit_members(&self) -> bool {
        !self.members.is_empty() || !self.groups.is_empty()
    }
}

impl Store {
    /// What a switch holds that has just loaded a program: the entries that it declares.
    pub fn new(program: &Program, schema: &Schema) -> Store {
        let references = References::default();
        let mut tables: Vec<TableStore> = Vec::new();
        tables.resize_with(program.tables.len(), TableStore::default);
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
                extra: Extra::default(),
                declared: true,
                is_const: described.is_const,
            };
            let entity = Entity::TableEntry(stored.to_entity(&entry.key));
            references.appear(&schema.is_referred_as(&entity));
            references.claim_ahead(&schema.refers_to(&entity));
            tables[table.index()].entries.insert(entry.key, stored);
        }
        Store {
            profiles: parts(program.action_profiles.len()),
            tables: tables.into_iter().map(RwLock::new).collect(),
            replication: RwLock::default(),
            counters: parts(program.counters.len()),
            meters: parts(program.meters.len()),
            registers: parts(program.registers.len()),
            value_sets: parts(program.value_sets.len()),
            digests: RwLock::default(),
            references,
        }
    }

    /// Who refers to what.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// Waits until nobody else has these parts, and keeps them.
    pub fn lock(&self, footprint: &Footprint) -> Locked<'_> {
        Locked::new(self, footprint)
    }

    /// All its parts.
    pub fn footprint(&self, access: Access) -> Footprint {
        let ids = |count: usize| 0..count as u32;
        let mut all = Footprint::default();
        ids(self.profiles.len()).for_each(|id| all.add(Part::Profile(ActionProfileId(id)), access));
        ids(self.tables.len()).for_each(|id| all.add(Part::Table(TableId(id)), access));
        all.add(Part::Replication, access);
        ids(self.counters.len()).for_each(|id| all.add(Part::Counter(CounterId(id)), access));
        ids(self.meters.len()).for_each(|id| all.add(Part::Meter(MeterId(id)), access));
        ids(self.registers.len()).for_each(|id| all.add(Part::Register(RegisterId(id)), access));
        ids(self.value_sets.len()).for_each(|id| all.add(Part::ValueSet(ValueSetId(id)), access));
        all.add(Part::Digests, access);
        all
    }

    /// All of it, to be read.
    pub fn read(&self) -> Locked<'_> {
        self.lock(&self.footprint(Access::Read))
    }
}

fn parts<T: Default>(count: usize) -> Vec<RwLock<T>> {
    (0..count).map(|_| RwLock::default()).collect()
}
