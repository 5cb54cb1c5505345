//! The objects of a p4info, each with the id that the program knows it by.

use crate::ir;

/// The name that P4Runtime knows an object by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preamble {
    /// Its id in P4Runtime.
    pub id: u32,
    /// Fully qualified.
    pub name: String,
    /// The shortest unambiguous suffix of the name.
    pub alias: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its id and name.
    pub preamble: Preamble,
    /// The table in the program.
    pub table: ir::TableId,
    /// In the order of the key.
    pub fields: Vec<MatchField>,
    /// Which actions it may run.
    pub actions: Vec<ActionRef>,
    /// The p4info id of its action profile.
    pub profile: Option<u32>,
    /// Entries that it guarantees.
    pub size: i64,
    /// The control plane cannot change its entries.
    pub is_const: bool,
    /// The control plane cannot change its default action.
    pub const_default_action: Option<u32>,
    /// Entries can age.
    pub idle_timeout: bool,
}

/// How a field is matched, as P4Runtime sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MatchType {
    Exact,
    Lpm,
    Ternary,
    Range,
    Optional,
}

/// A part of a table's key, or of a value set's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchField {
    /// Its id within the table.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Bits; 0 if P4Runtime translates the type to strings.
    pub width: u32,
    /// How it is matched in P4Runtime.
    pub match_type: MatchType,
    /// How the program matches it: p4c makes `ternary` of `optional`.
    pub kind: ir::MatchKind,
}

/// An action that a table may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionRef {
    /// The p4info id of the action.
    pub id: u32,
    /// The action in the program; p4c may copy one action for several tables.
    pub action: ir::ActionId,
    /// Where it may stand.
    pub scope: ActionScope,
}

/// Where an action of a table may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionScope {
    /// In entries and as the default.
    TableAndDefault,
    /// In entries only.
    TableOnly,
    /// As the default only.
    DefaultOnly,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Its id and name.
    pub preamble: Preamble,
    /// In the order of the program.
    pub params: Vec<Param>,
}

/// A parameter of an action, or a field of a controller packet header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its id within the action or header.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Bits; 0 if P4Runtime translates the type to strings.
    pub width: u32,
}

/// An action profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionProfile {
    /// Its id and name.
    pub preamble: Preamble,
    /// The profile in the program.
    pub profile: ir::ActionProfileId,
    /// The p4info ids of the tables that use it.
    pub tables: Vec<u32>,
    /// Whether it has groups.
    pub with_selector: bool,
    /// The most members; for a selector, of all groups together.
    pub size: i64,
    /// The most weight of one group; 0 for no bound.
    pub max_group_size: i32,
}

/// Something with an id in P4Runtime and one in the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<Id> {
    /// Its id and name.
    pub preamble: Preamble,
    /// The object in the program.
    pub object: Id,
}

/// A value set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueSet {
    /// Its id and name.
    pub preamble: Preamble,
    /// The value set in the program.
    pub value_set: ir::ValueSetId,
    /// The parts of a member: id, name, bits.
    pub fields: Vec<Param>,
}

/// The header before packets to or from the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketHeader {
    /// Its id and name: `packet_in` or `packet_out`.
    pub preamble: Preamble,
    /// In wire order.
    pub fields: Vec<Param>,
}
