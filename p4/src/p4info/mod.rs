//! p4info beside its program: what P4Runtime's ids and names mean.
//!
//! A [`Pipeline`] is a [`Program`] and the p4info of the same compilation, every id of the one
//! resolved to the other. Where the two disagree, both are refused; but what p4c left out of the
//! program because no packet gets there may be in the p4info, and is passed over. Names are matched
//! as p4c writes them: fully qualified, in the order of the source. It holds no entries and runs
//! nothing.
//!
//! Called by [`crate::codec`], which turns P4Runtime messages into what a data plane takes, and
//! by whoever reads recorded entries.

mod alone;
mod error;
mod left_out;
mod model;
mod params;
mod resolve;
mod text;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use crate::ir::{ActionId, CounterId, LearnListId, MeterId, Program, RegisterId, TableId};

pub use alone::program_of;
pub use error::P4InfoError;
pub use left_out::is_left_out;
pub use model::{
    Action, ActionProfile, ActionRef, ActionScope, MatchField, MatchType, Object, PacketHeader,
    Param, Preamble, Table, ValueSet,
};
pub use params::{in_program_order, restore_parameters};
pub use text::{parse_p4info, parse_write_request};

/// A program and its p4info, resolved against each other.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The program.
    pub program: Arc<Program>,
    /// Tables that the control plane sees.
    pub tables: Vec<Table>,
    /// Actions that the control plane sees.
    pub actions: Vec<Action>,
    /// Action profiles.
    pub profiles: Vec<ActionProfile>,
    /// Indirect counters.
    pub counters: Vec<Object<CounterId>>,
    /// Direct counters.
    pub direct_counters: Vec<Object<CounterId>>,
    /// Indirect meters.
    pub meters: Vec<Object<MeterId>>,
    /// Direct meters.
    pub direct_meters: Vec<Object<MeterId>>,
    /// Registers.
    pub registers: Vec<Object<RegisterId>>,
    /// Digests.
    pub digests: Vec<Object<LearnListId>>,
    /// Value sets.
    pub value_sets: Vec<ValueSet>,
    /// Controller packet headers.
    pub packet_headers: Vec<PacketHeader>,
    places: HashMap<u32, Place>,
}

/// The kind of an object and its position in the vector of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Table(usize),
    Action(usize),
    Profile(usize),
    Counter(usize),
    DirectCounter(usize),
    Meter(usize),
    DirectMeter(usize),
    Register(usize),
    Digest(usize),
    ValueSet(usize),
}

macro_rules! by_id {
    ($($(#[$doc:meta])* $method:ident -> $type:ty : $place:ident in $list:ident;)*) => {$(
        $(#[$doc])*
        pub fn $method(&self, id: u32) -> Option<&$type> {
            match self.places.get(&id) {
                Some(Place::$place(index)) => Some(&self.$list[*index]),
                _ => None,
            }
        }
    )*};
}

impl Pipeline {
    by_id! {
        /// The table of that p4info id.
        table -> Table : Table in tables;
        /// The action of that p4info id.
        action -> Action : Action in actions;
        /// The action profile of that p4info id.
        profile -> ActionProfile : Profile in profiles;
        /// The counter of that p4info id.
        counter -> Object<CounterId> : Counter in counters;
        /// The direct counter of that p4info id.
        direct_counter -> Object<CounterId> : DirectCounter in direct_counters;
        /// The meter of that p4info id.
        meter -> Object<MeterId> : Meter in meters;
        /// The direct meter of that p4info id.
        direct_meter -> Object<MeterId> : DirectMeter in direct_meters;
        /// The register of that p4info id.
        register -> Object<RegisterId> : Register in registers;
        /// The digest of that p4info id.
        digest -> Object<LearnListId> : Digest in digests;
        /// The value set of that p4info id.
        value_set -> ValueSet : ValueSet in value_sets;
    }

    /// The table of that fully qualified name or alias.
    pub fn table_by_name(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.preamble.is_named(name))
    }

    /// The action of that fully qualified name or alias.
    pub fn action_by_name(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|a| a.preamble.is_named(name))
    }

    /// The action profile of that fully qualified name or alias.
    pub fn profile_by_name(&self, name: &str) -> Option<&ActionProfile> {
        self.profiles.iter().find(|p| p.preamble.is_named(name))
    }

    /// The controller packet header of that name: `packet_in` or `packet_out`.
    pub fn packet_header(&self, name: &str) -> Option<&PacketHeader> {
        self.packet_headers.iter().find(|h| h.preamble.name == name)
    }

    /// The table of the p4info that is this one of the program; none for a hidden table.
    pub fn table_of(&self, table: TableId) -> Option<&Table> {
        self.tables.iter().find(|t| t.table == table)
    }

    /// What the members of a profile may run: the actions of the tables that use it.
    pub fn profile_action(&self, profile: &ActionProfile, action: u32) -> Option<ActionId> {
        profile
            .tables
            .iter()
            .filter_map(|id| self.table(*id))
            .find_map(|table| table.action(action))
            .map(|found| found.action)
    }
}

impl Preamble {
    /// Whether this is its fully qualified name or its alias.
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.alias == name
    }
}

impl Table {
    /// The action of that p4info id, if the table may run it.
    pub fn action(&self, id: u32) -> Option<&ActionRef> {
        self.actions.iter().find(|a| a.id == id)
    }

    /// Whether its entries have priorities.
    pub fn has_priority(&self) -> bool {
        self.fields.iter().any(|f| {
            matches!(
                f.match_type,
                MatchType::Ternary | MatchType::Range | MatchType::Optional
            )
        })
    }
}
