//! P4Runtime entities, typed and canonical: what is written to a switch, kept in its store, and
//! read back.
//!
//! Ids are those of the loaded [`Program`](crate::ir::Program), values are
//! [`Bits`](crate::dataplane::Bits), so two entities are equal exactly if they mean
//! the same. Nothing here knows prost or p4info ids; the agent translates at the gRPC edge, and
//! the pipeliner makes entities directly.
//!
//! Whether an entity suits the loaded pipeline is checked where it is decoded or compiled;
//! whether it suits what is already there is checked by the agent's switch.

mod digest;
mod extra;
mod profile;
mod replication;
mod resource;
mod table;

pub use digest::{DigestConfig, DigestEntry};
pub use extra::{Extra, ExtraFields};
pub use profile::{Group, GroupMember, Member};
pub use replication::{CloneSession, MulticastGroup, PortForm, Replica};
pub use resource::{CounterCell, DirectMeter, MeterCell, RegisterCell, ValueSet};
pub use table::{
    DefaultAction, EntryName, OneShot, OneShotAction, Selection, TableAction, TableEntry,
};

use crate::dataplane::CounterData;

/// Anything that can be written. Table entries are most of it, so what is larger is kept apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Entity {
    /// An entry of a table.
    TableEntry(TableEntry),
    /// The default entry of a table: what it does on a miss.
    DefaultAction(Box<DefaultAction>),
    /// A member of an action profile.
    Member(Member),
    /// A group of an action selector.
    Group(Group),
    /// A multicast group.
    MulticastGroup(MulticastGroup),
    /// A clone session.
    CloneSession(CloneSession),
    /// Cells of an indirect counter.
    Counter(CounterCell),
    /// The direct counter of an entry; `None` leaves it alone.
    DirectCounter(EntryName, Option<CounterData>),
    /// Cells of an indirect meter.
    Meter(Box<MeterCell>),
    /// The direct meter of an entry.
    DirectMeter(Box<DirectMeter>),
    /// Cells of a register.
    Register(RegisterCell),
    /// The members of a parser value set.
    ValueSet(ValueSet),
    /// That a digest is sent, and how.
    Digest(DigestEntry),
}

impl Entity {
    /// The group that it is of which the first live member takes all packets.
    pub fn first_live_group(&self) -> Option<&OneShot> {
        match self {
            Entity::TableEntry(entry) => match &entry.action {
                Some(TableAction::OneShot(group)) => Some(group),
                _ => None,
            },
            _ => None,
        }
        .filter(|group| group.selection == Selection::FirstLive)
    }
}

/// What an update does with its entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Adds what is not there yet.
    Insert,
    /// Changes what is there.
    Modify,
    /// Removes what is there; only the key of the entity counts.
    Delete,
}

/// One step of a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What to do.
    pub operation: Operation,
    /// With what.
    pub entity: Entity,
}

impl Update {
    /// Adds an entity.
    pub fn insert(entity: Entity) -> Update {
        Update {
            operation: Operation::Insert,
            entity,
        }
    }

    /// Changes an entity.
    pub fn modify(entity: Entity) -> Update {
        Update {
            operation: Operation::Modify,
            entity,
        }
    }

    /// Removes an entity.
    pub fn delete(entity: Entity) -> Update {
        Update {
            operation: Operation::Delete,
            entity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_hardly_larger_than_a_table_entry() {
        // Tens of thousands wait while a request is read.
        let more = size_of::<Update>() - size_of::<TableEntry>();
        assert!(more <= 16, "{more} bytes more");
    }
}
