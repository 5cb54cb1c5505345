//! Ingress and egress: tables and conditions as a control-flow graph without cycles.

use num_bigint::BigUint;

use super::{
    ActionId, ActionProfileId, CalculationId, ConditionalId, CounterId, Expr, HeaderRef, LValue,
    MeterId, SourceInfo, TableId,
};

/// Which of the two controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlKind {
    /// Before the traffic manager.
    Ingress,
    /// After it, once for each copy of the packet.
    Egress,
}

/// A control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Which one.
    pub kind: ControlKind,
    /// Where it starts; `None` if it does nothing.
    pub start: Option<Node>,
}

/// A point in the control-flow graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// Apply a table.
    Table(TableId),
    /// Branch.
    Conditional(ConditionalId),
}

/// A branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditional {
    /// Its name in the JSON.
    pub name: String,
    /// Which control it is in.
    pub control: ControlKind,
    /// A boolean.
    pub condition: Expr,
    /// Where to go if it is true; `None` ends the control.
    pub then: Option<Node>,
    /// Where to go if it is false.
    pub otherwise: Option<Node>,
    /// The line of the `if`.
    pub source: SourceInfo,
}

/// How a key is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchKind {
    /// Equal.
    Exact,
    /// Longest prefix.
    Lpm,
    /// Under a mask, by priority.
    Ternary,
    /// Equal or anything, by priority.
    Optional,
    /// Between two bounds, by priority.
    Range,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The fully qualified name in P4.
    pub name: String,
    /// Which control it is in.
    pub control: ControlKind,
    /// In the order of P4; empty for what p4c makes of statements.
    pub key: Vec<Key>,
    /// Which actions its entries may name.
    pub actions: Vec<ActionId>,
    /// Whether entries hold actions or refer to an action profile.
    pub implementation: Implementation,
    /// What happens on a miss; `None` does nothing.
    pub default: Option<DefaultAction>,
    /// Where to go from here.
    pub next: TableNext,
    /// The most entries the program asks for.
    pub size: u32,
    /// Its direct counter.
    pub counter: Option<CounterId>,
    /// Its direct meter.
    pub meter: Option<MeterId>,
    /// Entries can age.
    pub idle_timeout: bool,
    /// Entries that the program declares.
    pub entries: Vec<ConstEntry>,
    /// Where it is declared.
    pub source: SourceInfo,
}

/// One part of a table's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in P4Runtime.
    pub name: String,
    /// How it is matched.
    pub kind: MatchKind,
    /// Where the value comes from. Fields of invalid headers match as 0.
    pub source: KeySource,
    /// Bits.
    pub width: u32,
    /// Applied to the value before it is matched.
    pub mask: Option<BigUint>,
}

/// Where the value of a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A field.
    Field(LValue),
    /// The validity of a header: one bit.
    Valid(HeaderRef),
    /// The validity of a union: one bit.
    UnionValid(super::UnionId),
}

/// What the entries of a table hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implementation {
    /// An action with its arguments.
    Direct,
    /// A member of a profile, or a group of a selector.
    Profile(ActionProfileId),
}

/// An action with its arguments, one for each parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionCall {
    /// The action.
    pub action: ActionId,
    /// Its arguments.
    pub args: Vec<BigUint>,
}

/// What happens on a miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultAction {
    /// The action.
    pub call: ActionCall,
    /// The control plane may not change it.
    pub is_const: bool,
}

/// Where a table leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableNext {
    /// By whether an entry matched.
    HitMiss {
        /// On a hit.
        hit: Option<Node>,
        /// On a miss.
        miss: Option<Node>,
    },
    /// By the action that ran.
    Action {
        /// One for each action of the table.
        actions: Vec<(ActionId, Option<Node>)>,
        /// If no action ran.
        otherwise: Option<Node>,
    },
}

impl TableNext {
    /// Where the table leads after a hit or miss on which `action` ran, if any did.
    pub fn after(&self, hit: bool, action: Option<ActionId>) -> Option<Node> {
        match self {
            TableNext::HitMiss { hit: on_hit, miss } => {
                if hit {
                    *on_hit
                } else {
                    *miss
                }
            }
            TableNext::Action { actions, otherwise } => action
                .and_then(|a| actions.iter().find(|(id, _)| *id == a))
                .map_or(*otherwise, |(_, next)| *next),
        }
    }
}

/// An entry that the program declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstEntry {
    /// One for each part of the table's key.
    pub key: Vec<ConstKey>,
    /// P4Runtime's: the higher one wins. 0 where the table has no priorities.
    pub priority: i32,
    /// What it does.
    pub call: ActionCall,
    /// The line it stands in.
    pub source: SourceInfo,
}

/// A match of a declared entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConstKey {
    Exact(BigUint),
    Lpm { value: BigUint, prefix_len: u32 },
    Ternary { value: BigUint, mask: BigUint },
    Range { low: BigUint, high: BigUint },
}

/// Members and, for a selector, groups of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionProfile {
    /// Its name in P4.
    pub name: String,
    /// The most members.
    pub size: u32,
    /// How a member of a group is chosen; `None` for a plain profile.
    pub selector: Option<Selector>,
    /// Where it is declared.
    pub source: SourceInfo,
}

/// How a member of a group is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selector {
    /// `hash(inputs) % members`, members in creation order, then the extra copies that weights ask for.
    pub calculation: CalculationId,
}
