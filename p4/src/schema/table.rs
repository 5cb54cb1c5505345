//! Tables: their keys and the actions they allow.

use std::borrow::Cow;
use std::sync::Arc;

use crate::constraints::Constraint;
use crate::dataplane::{Bits, Match};
use crate::ir::{ActionId, ActionProfileId, MatchKind, TableId};

use super::{Reference, Translation};

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
    /// What its keys refer to.
    pub references: Vec<Reference>,
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

    /// Matches as controllers see them; a string is the number that its bytes are.
    pub fn seen_by_controllers<'m>(&self, matches: &'m [Match]) -> Cow<'m, [Match]> {
        if self.fields.iter().all(|field| field.translation.is_none()) {
            return Cow::Borrowed(matches);
        }
        let fields = self.fields.iter().zip(matches);
        let seen = fields.map(|(field, value)| {
            let Some(translation) = &field.translation else {
                return value.clone();
            };
            let seen = |bits: &Bits| Bits::from_be_bytes(&translation.to_controller(bits));
            let width = translation.sdn_width().unwrap_or_default();
            match value {
                Match::Exact(bits) => Match::Exact(seen(bits)),
                Match::Optional(Some(bits)) => Match::Optional(Some(seen(bits))),
                // What is not exactly one value is all of them.
                Match::Ternary { value, mask } if !mask.is_zero() => Match::Ternary {
                    value: seen(value),
                    mask: Bits::ones(width),
                },
                Match::Lpm { value, prefix_len } if *prefix_len > 0 => Match::Lpm {
                    value: seen(value),
                    prefix_len: width,
                },
                Match::Range { low, high } if low == high => Match::Range {
                    low: seen(low),
                    high: seen(high),
                },
                Match::Range { .. } => Match::Range {
                    low: Bits::zero(),
                    high: Bits::ones(width),
                },
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
    /// Controllers see other values than the program.
    pub translation: Option<Arc<Translation>>,
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
