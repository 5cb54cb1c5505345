//! The parts of a store that are locked on their own, and which of them a batch touches.

use std::collections::BTreeMap;

use pointsman_p4::ir::{ActionProfileId, CounterId, MeterId, RegisterId, TableId, ValueSetId};

use crate::entity::{Entity, Update};
use crate::schema::{Referred, Schema};

/// A part of a store and of the data plane below it, with a lock of its own.
///
/// Locks are taken in this order, and within a kind by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Members and groups of a profile, and who refers to them.
    Profile(ActionProfileId),
    /// Entries of a table, their direct resources, and its default action.
    Table(TableId),
    /// Multicast groups and clone sessions.
    Replication,
    /// Cells of an indirect counter.
    Counter(CounterId),
    /// Cells of an indirect meter.
    Meter(MeterId),
    /// Cells of a register.
    Register(RegisterId),
    /// Members of a value set.
    ValueSet(ValueSetId),
    /// How digests are sent.
    Digests,
}

/// What is done with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It is read; others may read it at the same time.
    Read,
    /// It is changed.
    Write,
}

/// The parts that a batch or a read touches: all of them are locked before its first step and until
/// its last, so that batches are strictly serialisable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint(BTreeMap<Part, Access>);

impl Footprint {
    /// What these updates need.
    pub fn of<'u>(schema: &Schema, updates: impl IntoIterator<Item = &'u Update>) -> Footprint {
        let mut footprint = Footprint::default();
        // Most batches are about one table.
        let mut last = None;
        for update in updates {
            let part = part_of(&update.entity);
            if last.replace(part) != Some(part) {
                footprint.write(schema, part);
            }
        }
        footprint
    }

    /// Adds a part that is written, with what a write of it looks at or changes elsewhere.
    fn write(&mut self, schema: &Schema, part: Part) {
        self.add(part, Access::Write);
        if let Part::Table(table) = part {
            let profile = schema.table_of(table).and_then(|table| table.profile);
            if let Some(profile) = profile {
                // Entries are counted as users of members and groups.
                self.add(Part::Profile(profile), Access::Write);
            }
        }
        // What is referred to stays as it is while it is.
        for referred in referred_from(schema, part) {
            self.add(referred, Access::Read);
        }
    }

    /// Adds a part.
    pub fn add(&mut self, part: Part, access: Access) {
        let held = self.0.entry(part).or_insert(access);
        *held = access.max(*held);
    }

    /// Its parts, in the order in which they are locked.
    pub fn parts(&self) -> impl Iterator<Item = (Part, Access)> {
        self.0.iter().map(|(part, access)| (*part, *access))
    }
}

/// The parts that entities of a part may refer to.
fn referred_from(schema: &Schema, part: Part) -> Vec<Part> {
    let referred = match part {
        Part::Table(table) => schema.referred_from_table(table),
        Part::Profile(profile) => schema.referred_from_profile(profile),
        _ => Vec::new(),
    };
    let parts = referred.into_iter().map(|referred| match referred {
        Referred::Entry(table, _) => Part::Table(*table),
        Referred::MulticastGroup => Part::Replication,
    });
    parts.collect()
}

/// Where an entity is.
fn part_of(entity: &Entity) -> Part {
    match entity {
        Entity::TableEntry(entry) => Part::Table(entry.key.table),
        Entity::DefaultAction(default) => Part::Table(default.table),
        Entity::DirectCounter(entry, _) => Part::Table(entry.as_ref().table()),
        Entity::DirectMeter(meter) => Part::Table(meter.entry.as_ref().table()),
        Entity::Member(member) => Part::Profile(member.profile),
        Entity::Group(group) => Part::Profile(group.profile),
        Entity::MulticastGroup(_) | Entity::CloneSession(_) => Part::Replication,
        Entity::Counter(cell) => Part::Counter(cell.counter),
        Entity::Meter(cell) => Part::Meter(cell.meter),
        Entity::Register(cell) => Part::Register(cell.register),
        Entity::ValueSet(set) => Part::ValueSet(set.set),
        Entity::Digest(_) => Part::Digests,
    }
}
