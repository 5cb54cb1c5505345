//! Tables: their keys and the actions they allow.

use std::borrow::Cow;
use std::sync::Arc;

use pointsman_p4::constraints::Constraint;
use pointsman_p4::dataplane::{Bits, Match};
use pointsman_p4::ir::{ActionId, ActionProfileId, MatchKind, TableId};

use super::{Strings, controller_bytes};

/// A table.
#[derive(Debug, Clone)]
pub struct TableSchema {
    /// Its p4info id.
    pub id: u32,
    /// Its fully qualified name.
    pub name: String,
    /// Its short name.
    pub alias: String,
    /// What the program calls it.
    pub table: TableId,
    /// Its key, in the program's order.
    pub fields: Vec<FieldSchema>,
    /// The actions it allows.
    pub actions: Vec<ActionRef>,
    /// The default action cannot be changed.
    pub const_default: bool,
    /// Its action profile, if its entries do not hold actions.
    pub profile: Option<ActionProfileId>,
    /// Whether that profile has groups.
    pub with_selector: bool,
    /// The p4info id of its direct counter.
    pub direct_counter: Option<u32>,
    /// The p4info id of its direct meter.
    pub direct_meter: Option<u32>,
    /// Entries that it must hold at least.
    pub size: u64,
    /// The switch may report entries that age.
    pub idle_timeout: bool,
    /// Its entries come from the program and cannot be written.
    pub is_const: bool,
    /// What its entries must satisfy.
    pub restriction: Option<Constraint>,
}

impl TableSchema {
    /// Whether its entries need a priority: it has a ternary, range or optional field.
    pub fn has_priority(&self) -> bool {
        self.fields.iter().any(|f| {
            matches!(
                f.kind,
                MatchKind::Ternary | MatchKind::Range | MatchKind::Optional
            )
        })
    }

    /// Matches as controllers see them: where a type is translated to strings, the bytes of those.
    pub fn seen_by_controllers<'m>(&self, matches: &'m [Match]) -> Cow<'m, [Match]> {
        if self.fields.iter().all(|field| field.strings.is_none()) {
            return Cow::Borrowed(matches);
        }
        let fields = self.fields.iter().zip(matches);
        let seen = fields.map(|(field, value)| {
            let text = |bits: &Bits| {
                Bits::from_be_bytes(&controller_bytes(bits, field.strings.as_deref()))
            };
            match value {
                Match::Exact(bits) => Match::Exact(text(bits)),
                Match::Optional(Some(bits)) => Match::Optional(Some(text(bits))),
                other => other.clone(),
            }
        });
        Cow::Owned(seen.collect())
    }

    /// The field with this p4info id.
    pub fn field(&self, id: u32) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.id == id)
    }

    /// The reference to the action with this p4info id.
    pub fn action(&self, id: u32) -> Option<&ActionRef> {
        self.actions.iter().find(|a| a.id == id)
    }
}

/// One part of a table's key.
#[derive(Debug, Clone)]
pub struct FieldSchema {
    /// Its p4info id.
    pub id: u32,
    /// Its name in p4info.
    pub name: String,
    /// How it is matched.
    pub kind: MatchKind,
    /// Bits.
    pub width: u32,
    /// Controllers see strings.
    pub strings: Option<Arc<Strings>>,
    /// Its position in the program's key, and so in `EntryKey::matches`.
    pub position: usize,
}

/// Where an action may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In entries and as the default.
    TableAndDefault,
    /// In entries only.
    TableOnly,
    /// As the default only.
    DefaultOnly,
    /// Only as what a one-shot group does before the action that it chooses.
    GroupOnly,
}

/// An action that a table allows.
#[derive(Debug, Clone)]
pub struct ActionRef {
    /// Its p4info id.
    pub id: u32,
    /// What the program calls this table's copy of it.
    pub action: ActionId,
    /// Where it may be used.
    pub scope: Scope,
}
