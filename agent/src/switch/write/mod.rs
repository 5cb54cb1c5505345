//! Applying updates: the only path to the data plane, for P4Runtime and objectives alike.
//!
//! An update is applied wholly or not at all: checks come first, then the data plane, then
//! the store. Each applied update yields its inverse, from which a batch is rolled back.

mod cell;
mod default;
mod digest;
mod meter;
mod profile;
mod references;
mod replication;
mod table;

use pointsman_p4::dataplane::{DataPlane, DataPlaneError};

use super::error::UpdateError;
use super::store::{Locked, References};
use crate::entity::{Entity, Operation, Update};
use crate::schema::Schema;

/// Applies updates to a store and a data plane that agree. What updates touch is locked.
pub(super) struct Writer<'a> {
    pub schema: &'a Schema,
    pub store: Locked<'a>,
    pub plane: &'a dyn DataPlane,
    /// Who refers to what.
    pub references: &'a References,
    /// The updates are what was saved, in any order.
    pub is_restoring: bool,
}

/// The updates that take back those applied so far; to be applied from last to first.
#[derive(Debug)]
pub(super) enum Undo {
    /// In the order in which what they take back was applied.
    Steps(Vec<Update>),
    /// What is applied stays, and nobody needs to know how it was before.
    Never,
}

impl Undo {
    /// Nothing was applied yet.
    pub fn new() -> Undo {
        Undo::Steps(Vec::new())
    }

    /// How many updates would be needed to go back.
    pub fn len(&self) -> usize {
        match self {
            Undo::Steps(steps) => steps.len(),
            Undo::Never => 0,
        }
    }

    /// The updates so far. Going back is possible from now on.
    pub fn steps(&mut self) -> &mut Vec<Update> {
        if let Undo::Never = self {
            *self = Undo::new();
        }
        match self {
            Undo::Steps(steps) => steps,
            Undo::Never => unreachable!("it was replaced above"),
        }
    }

    fn push(&mut self, inverse: impl FnOnce() -> Update) {
        if let Undo::Steps(steps) = self {
            steps.push(inverse());
        }
    }

    /// The inverse of what was applied last.
    fn last(&self) -> Option<&Update> {
        match self {
            Undo::Steps(steps) => steps.last(),
            Undo::Never => None,
        }
    }

    /// Notes what `later` has noted.
    fn append(&mut self, later: Undo) {
        if let (Undo::Steps(steps), Undo::Steps(mut later)) = (self, later) {
            steps.append(&mut later);
        }
    }
}

impl Writer<'_> {
    /// Applies one update and notes its inverse, whatever it refers to.
    fn apply_alone(&mut self, update: &Update, undo: &mut Undo) -> Result<(), UpdateError> {
        match (&update.entity, update.operation) {
            (Entity::TableEntry(entry), Operation::Insert) => self.insert_entry(entry, undo),
            (Entity::TableEntry(entry), Operation::Modify) => self.modify_entry(entry, undo),
            (Entity::TableEntry(entry), Operation::Delete) => self.delete_entry(&entry.key, undo),
            (Entity::DefaultAction(default), Operation::Modify) => self.set_default(default, undo),
            (Entity::Member(member), Operation::Insert) => self.insert_member(member, undo),
            (Entity::Member(member), Operation::Modify) => self.modify_member(member, undo),
            (Entity::Member(member), Operation::Delete) => self.delete_member(member, undo),
            (Entity::Group(group), Operation::Insert) => self.insert_group(group, undo),
            (Entity::Group(group), Operation::Modify) => self.modify_group(group, undo),
            (Entity::Group(group), Operation::Delete) => self.delete_group(group, undo),
            (Entity::MulticastGroup(group), operation) => {
                self.write_multicast(operation, group, undo)
            }
            (Entity::CloneSession(session), operation) => {
                self.write_clone_session(operation, session, undo)
            }
            (Entity::Counter(cell), Operation::Modify) => self.set_counter(cell, undo),
            (Entity::DirectCounter(entry, data), Operation::Modify) => {
                self.set_direct_counter(entry, *data, undo)
            }
            (Entity::Meter(cell), Operation::Modify) => self.set_meter(cell, undo),
            (Entity::DirectMeter(meter), Operation::Modify) => self.set_direct_meter(meter, undo),
            (Entity::Register(cell), Operation::Modify) => self.set_register(cell, undo),
            (Entity::ValueSet(set), Operation::Modify) => self.set_value_set(set, undo),
            (Entity::Digest(entry), operation) => self.write_digest(operation, entry, undo),
            (entity, Operation::Insert | Operation::Delete) => Err(UpdateError::OnlyModify {
                what: self.schema.describe(entity),
            }),
        }
    }

    /// Takes back what was applied, last first.
    pub fn roll_back(&mut self, undo: Vec<Update>) {
        let mut redo = Undo::Never;
        for update in undo.into_iter().rev() {
            if let Err(error) = self.apply(&update, &mut redo) {
                // The inverse of what has just succeeded can only fail if the data plane is
                // in trouble; the store still says what it holds.
                let entity = self.schema.describe(&update.entity);
                tracing::error!(%error, entity, "an update could not be rolled back");
            }
        }
    }

    fn refused(&self, entity: &Entity) -> impl FnOnce(DataPlaneError) -> UpdateError + use<> {
        let what = self.schema.describe(entity);
        move |error| UpdateError::DataPlane { what, error }
    }

    fn already_exists(&self, entity: &Entity) -> UpdateError {
        UpdateError::AlreadyExists {
            what: self.schema.describe(entity),
        }
    }

    fn not_found(&self, entity: &Entity) -> UpdateError {
        UpdateError::NotFound {
            what: self.schema.describe(entity),
        }
    }
}
