//! Tables of the program in the kernel, for the interpreter beside it.
//!
//! A table of a million entries is kept once: in the memory that programs read, which is looked up here
//! for a packet on the slow path as a program would, under the lock of the table's writer. Tables with masks
//! and priorities are not shared; those are small, and the interpreter is told their entries.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use pointsman_p4::dataplane::{Bits, Call, EntryAction, EntryKey, Match};
use pointsman_p4::interpreter::{Hit, Passing, SharedTables};
use pointsman_p4::ir::{
    ActionId, ActionProfileId, Implementation, MatchKind, Program, Table, TableId,
};

use crate::tables::records::{GROUP, MEMBER, RecordPool};
use crate::tables::selector::Profile;
use crate::tables::table::TableWriter;

/// The tables of one pipeline and the profiles that their entries refer to.
///
/// Each writer has a lock of its own, so that different tables are written at the same time. A
/// profile is locked before a table: whoever writes an entry that refers to a member holds the profile for
/// reading, so that the member stays until the entry is there.
#[derive(Debug)]
pub struct KernelTables {
    program: Arc<Program>,
    profiles: Vec<RwLock<Profile>>,
    tables: Vec<Mutex<TableWriter>>,
    /// Which of the tables packets on the slow path are looked up in.
    shared: Vec<bool>,
}

impl KernelTables {
    /// The writers of a program's tables and profiles, by their ids.
    pub fn new(
        program: Arc<Program>,
        profiles: Vec<Profile>,
        tables: Vec<TableWriter>,
    ) -> KernelTables {
        KernelTables {
            program,
            profiles: profiles.into_iter().map(RwLock::new).collect(),
            shared: tables.iter().map(TableWriter::is_shared).collect(),
            tables: tables.into_iter().map(Mutex::new).collect(),
        }
    }

    /// The writer of a table.
    pub fn table(&self, id: TableId) -> MutexGuard<'_, TableWriter> {
        let table = self.tables[id.index()].lock();
        table.unwrap_or_else(PoisonError::into_inner)
    }

    /// The writers of all tables, one after the other.
    pub fn each_table(&self) -> impl Iterator<Item = MutexGuard<'_, TableWriter>> {
        let tables = self.tables.iter();
        tables.map(|table| table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A profile, which stays as it is while this is held.
    pub fn profile(&self, id: ActionProfileId) -> RwLockReadGuard<'_, Profile> {
        let profile = self.profiles[id.index()].read();
        profile.unwrap_or_else(PoisonError::into_inner)
    }

    /// A profile, to be changed.
    pub fn profile_mut(&self, id: ActionProfileId) -> RwLockWriteGuard<'_, Profile> {
        let profile = self.profiles[id.index()].write();
        profile.unwrap_or_else(PoisonError::into_inner)
    }

    /// What an entry's record stands for. The profile is that of its table.
    fn action(&self, profile: Option<&Profile>, records: &RecordPool, slot: u32) -> EntryAction {
        let what = records.what(slot);
        let number = what & !(MEMBER | GROUP);
        match profile {
            Some(profile) if what & MEMBER != 0 => EntryAction::Member(profile.member_id(number)),
            Some(profile) if what & GROUP != 0 => EntryAction::Group(profile.group_id(number)),
            _ => {
                let action = ActionId(number);
                let params = &self.program.actions[action.index()].params;
                let args = records.args(slot, params.iter().map(|param| param.width));
                EntryAction::Call(Call { action, args })
            }
        }
    }

    fn profile_of(&self, table: TableId) -> Option<RwLockReadGuard<'_, Profile>> {
        match self.program.tables[table.index()].implementation {
            Implementation::Profile(id) => Some(self.profile(id)),
            Implementation::Direct => None,
        }
    }
}

impl SharedTables for KernelTables {
    fn has_table(&self, table: TableId) -> bool {
        self.shared[table.index()]
    }

    fn hit(&self, table: TableId, key: &[Bits], packet: &Passing) -> Option<Hit> {
        // Before the table, as writers lock them.
        let profile = self.profile_of(table);
        let mut writer = self.table(table);
        let slot = writer.lookup(key)?;
        let action = self.action(profile.as_deref(), writer.records(), slot);
        let color = writer.pass(slot, packet);
        Some(Hit { action, color })
    }

    fn find(&self, table: TableId, key: &[Bits]) -> Option<(EntryKey, EntryAction)> {
        let profile = self.profile_of(table);
        let writer = self.table(table);
        let slot = writer.lookup(key)?;
        let action = self.action(profile.as_deref(), writer.records(), slot);
        let mut keys = matching_keys(table, &self.program.tables[table.index()], key);
        let entry = keys.find(|entry| writer.slot(entry) == Some(slot))?;
        Some((entry, action))
    }

    fn has_action(&self, table: TableId, action: &EntryAction) -> bool {
        let what = self.profile_of(table).and_then(|profile| match action {
            EntryAction::Call(_) => None,
            EntryAction::Member(id) => Some(MEMBER | profile.member(*id)?),
            EntryAction::Group(id) => Some(GROUP | profile.group(*id)?),
        });
        what.is_some_and(|what| self.table(table).refers_to(what))
    }
}

/// The entries of a shared table that match these values, if they are there: of one with prefixes, one for each length,
/// the longest first.
fn matching_keys(id: TableId, table: &Table, key: &[Bits]) -> impl Iterator<Item = EntryKey> {
    let lengths = table.key.iter().find(|part| part.kind == MatchKind::Lpm);
    let lengths = (0..=lengths.map_or(0, |part| part.width)).rev();
    lengths.map(move |prefix_len| {
        let parts = table.key.iter().zip(key);
        let matches = parts.map(|(part, value)| match part.kind {
            MatchKind::Lpm => Match::Lpm {
                value: value.and(&Bits::prefix_mask(prefix_len, part.width)),
                prefix_len,
            },
            _ => Match::Exact(value.clone()),
        });
        EntryKey {
            table: id,
            matches: matches.collect(),
            priority: 0,
        }
    })
}
