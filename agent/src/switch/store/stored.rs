//! What is kept of an entity beside its key.

use pointsman_p4::dataplane::{Call, EntryKey, MeterConfig};
use pointsman_p4::ir::TableId;

use crate::entity::{DefaultAction, Extra, Group, TableAction, TableEntry};

/// An entry, but for its key.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// What it does, as it was written.
    pub action: TableAction,
    /// The group that its one-shot action is in the data plane.
    pub one_shot: Option<Box<OneShotGroup>>,
    /// What few entries have, without counts.
    pub extra: Extra,
    /// It comes from the program.
    pub declared: bool,
    /// It comes from the program and stays.
    pub is_const: bool,
}

/// The default entry of a table, as far as it differs from the program's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredDefault {
    /// What it does; `None` is what the program says.
    pub action: Option<TableAction>,
    /// The group that its one-shot action is in the data plane.
    pub one_shot: Option<OneShotGroup>,
    /// Its direct meter.
    pub meter: Option<MeterConfig>,
    /// Echoed.
    pub metadata: Vec<u8>,
    /// Echoed.
    pub controller_metadata: u64,
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
#[derive(Debug, Clone, Default)]
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

impl StoredDefault {
    /// The default entry as it would be written.
    pub fn to_entity(&self, table: TableId) -> DefaultAction {
        DefaultAction {
            table,
            action: self.action.clone(),
            meter: self.meter,
            counter: None,
            meter_counts: None,
            metadata: self.metadata.clone(),
            controller_metadata: self.controller_metadata,
        }
    }
}

impl StoredEntry {
    /// The entry as it would be written.
    pub fn to_entity(&self, key: &EntryKey) -> TableEntry {
        TableEntry {
            key: key.clone(),
            action: Some(self.action.clone()),
            extra: self.extra.clone(),
        }
    }

    /// Configures its meter; returns how it was.
    pub fn set_meter(&mut self, config: Option<MeterConfig>) -> Option<MeterConfig> {
        match self.extra.meter == config {
            true => config,
            false => std::mem::replace(&mut self.extra.make().meter, config),
        }
    }
}
