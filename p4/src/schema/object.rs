//! Actions, action profiles, and arrays of cells.

use std::borrow::Cow;
use std::sync::Arc;

use crate::constraints::Constraint;
use crate::dataplane::Bits;
use crate::ir::{ActionId, ActionProfileId, ValueSetId};

use super::{FieldSchema, Reference, Translation};

/// An action, whichever table uses it.
#[derive(Debug, Clone)]
pub struct ActionSchema {
    /// Its p4info id.
    pub id: u32,
    /// Its fully qualified name.
    pub name: String,
    /// Its short name.
    pub alias: String,
    /// In the program's order.
    pub params: Vec<ParamSchema>,
    /// What its arguments must satisfy.
    pub restriction: Option<Constraint>,
    /// What its arguments refer to.
    pub references: Vec<Reference>,
}

impl ActionSchema {
    /// Arguments as controllers see them; a string is the number that its bytes are.
    pub fn seen_by_controllers<'a>(&self, args: &'a [Bits]) -> Cow<'a, [Bits]> {
        if self.params.iter().all(|param| param.translation.is_none()) {
            return Cow::Borrowed(args);
        }
        let params = self.params.iter().zip(args);
        let seen = params.map(|(param, value)| match &param.translation {
            None => value.clone(),
            Some(translation) => Bits::from_be_bytes(&translation.to_controller(value)),
        });
        Cow::Owned(seen.collect())
    }
}

/// A parameter of an action.
#[derive(Debug, Clone)]
pub struct ParamSchema {
    /// Its p4info id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Bits.
    pub width: u32,
    /// Controllers see other values than the program.
    pub translation: Option<Arc<Translation>>,
}

/// An action profile or selector.
#[derive(Debug, Clone)]
pub struct ProfileSchema {
    /// Its p4info id.
    pub id: u32,
    /// Its fully qualified name.
    pub name: String,
    /// Its short name.
    pub alias: String,
    /// What the program calls it.
    pub profile: ActionProfileId,
    /// The actions that its members may run, by p4info id, as the program calls them.
    pub actions: Vec<(u32, ActionId)>,
    /// It has groups.
    pub with_selector: bool,
    /// The most members (or the most weight, see p4info). 0 does not say.
    pub size: u64,
    /// The most members or weight of one group. 0 does not say.
    pub max_group_size: u32,
    /// Sizes count members instead of weights.
    pub counts_members: bool,
    /// The most weight of one member, where sizes count members. 0 does not say.
    pub max_member_weight: u32,
    /// Members cannot have weights (P4Runtime 1.5).
    pub weights_disallowed: bool,
}

/// A counter, meter or register array.
#[derive(Debug, Clone)]
pub struct CellSchema<Id> {
    /// Its p4info id.
    pub id: u32,
    /// Its fully qualified name.
    pub name: String,
    /// What the program calls it.
    pub ir: Id,
    /// Cells.
    pub size: u32,
    /// Bits of a cell, of a register.
    pub width: u32,
    /// Its cells are `int<W>`, of a register.
    pub signed: bool,
    /// Controllers see other indices than the program.
    pub index: Option<Arc<Translation>>,
}

/// A parser value set.
#[derive(Debug, Clone)]
pub struct ValueSetSchema {
    /// Its p4info id.
    pub id: u32,
    /// Its fully qualified name.
    pub name: String,
    /// What the program calls it.
    pub set: ValueSetId,
    /// What its members consist of.
    pub fields: Vec<FieldSchema>,
    /// The most members.
    pub size: u32,
}

/// What kind of object a p4info id names, by its high byte (P4Runtime, "ID Allocation").
pub fn p4_id_kind(id: u32) -> &'static str {
    match id >> 24 {
        0x01 => "an action",
        0x02 => "a table",
        0x03 => "a value set",
        0x04 => "a controller header",
        0x11 => "an action profile",
        0x12 => "a counter",
        0x13 => "a direct counter",
        0x14 => "a meter",
        0x15 => "a direct meter",
        0x16 => "a register",
        0x17 => "a digest",
        _ => "nothing that P4Runtime defines",
    }
}
