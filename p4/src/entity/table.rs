//! Table entries and default actions.

use crate::dataplane::{Call, ColorCounts, CounterData, EntryKey, EntryRef, MeterConfig};
use crate::ir::TableId;

pub use crate::dataplane::Selection;

use super::{Extra, PortForm};

/// An entry of a table, as its controller wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableEntry {
    /// What makes it the entry it is.
    pub key: EntryKey,
    /// What it does. `None` only in a modification, where it means "as before".
    pub action: Option<TableAction>,
    /// What few entries have.
    pub extra: Extra,
}

impl TableEntry {
    /// An entry with a key and an action and nothing else.
    pub fn new(key: EntryKey, action: TableAction) -> TableEntry {
        TableEntry {
            action: Some(action),
            ..TableEntry::of_key(key)
        }
    }

    /// An entry with nothing but its key, to be deleted.
    pub fn of_key(key: EntryKey) -> TableEntry {
        TableEntry {
            key,
            action: None,
            extra: Extra::default(),
        }
    }
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableAction {
    /// Runs this action.
    Call(Call),
    /// Runs the action of this member of the table's profile.
    Member(u32),
    /// Runs the action of a member of this group.
    Group(u32),
    /// A group of the entry's own.
    OneShot(OneShot),
}

/// A group that belongs to one entry (P4Runtime, "One Shot Action Selector Programming").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OneShot {
    /// What it chooses from.
    pub actions: Vec<OneShotAction>,
    /// How. P4Runtime knows of no other way than by hash: clients read and write sets as if they were all so.
    pub selection: Selection,
    /// How watched ports were written, and are read.
    pub ports: PortForm,
    /// Whether it says how actions are chosen. It can say only what the selector does anyway.
    pub says_mode: bool,
    /// Whether it says what its size is. It can say only what the profile says anyway.
    pub says_size: bool,
}

impl OneShot {
    /// A group of these actions that leaves all else to the selector.
    pub fn new(selection: Selection, actions: Vec<OneShotAction>) -> OneShot {
        OneShot {
            actions,
            selection,
            ..OneShot::default()
        }
    }
}

/// One action of a one-shot group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneShotAction {
    /// The action.
    pub call: Call,
    /// Its share; at least 1.
    pub weight: u32,
    /// Passed over while this port is down.
    pub watch_port: Option<u32>,
}

/// An entry that is named for its direct resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryName {
    /// The one with this key.
    Keyed(EntryKey),
    /// The default entry of a table.
    Default(TableId),
}

impl EntryName {
    /// As data planes name it.
    pub fn as_ref(&self) -> EntryRef<'_> {
        match self {
            EntryName::Keyed(key) => EntryRef::Keyed(key),
            EntryName::Default(table) => EntryRef::Default(*table),
        }
    }
}

impl From<EntryRef<'_>> for EntryName {
    fn from(entry: EntryRef<'_>) -> EntryName {
        match entry {
            EntryRef::Keyed(key) => EntryName::Keyed(key.clone()),
            EntryRef::Default(table) => EntryName::Default(table),
        }
    }
}

/// The default entry of a table: what it does on a miss.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultAction {
    /// The table.
    pub table: TableId,
    /// `None` is what the program says.
    pub action: Option<TableAction>,
    /// Its direct meter; `None` is always green.
    pub meter: Option<MeterConfig>,
    /// What its direct counter is set to; `None` leaves it alone.
    pub counter: Option<CounterData>,
    /// What its direct meter's colours are set to; `None` leaves them alone.
    pub meter_counts: Option<ColorCounts>,
    /// Echoed on Read.
    pub metadata: Vec<u8>,
    /// Echoed on Read.
    pub controller_metadata: u64,
}
