//! Where entities are written to.

use crate::entity::{Entity, Operation, Update};
use crate::schema::Schema;
use crate::switch::{Locked, Savepoint, Transaction, UpdateError};

/// Where entities are written to: the switch, or nowhere in a dry run.
pub trait Sink {
    /// Applies one update, wholly or not at all.
    fn apply(&mut self, update: &Update) -> Result<(), UpdateError>;
    /// Where to go back to.
    fn savepoint(&self) -> Savepoint;
    /// Takes back what came after a savepoint.
    fn roll_back_to(&mut self, savepoint: Savepoint);
}

/// The switch.
pub struct SwitchSink<'a>(pub Transaction<'a>);

impl Sink for SwitchSink<'_> {
    fn apply(&mut self, update: &Update) -> Result<(), UpdateError> {
        self.0.apply(update)?;
        match self.0.send().pop() {
            Some((_, refusal)) => Err(refusal),
            None => Ok(()),
        }
    }

    fn savepoint(&self) -> Savepoint {
        self.0.savepoint()
    }

    fn roll_back_to(&mut self, savepoint: Savepoint) {
        self.0.roll_back_to(savepoint);
    }
}

/// A list of what to write later.
#[derive(Debug, Default)]
pub struct RecordingSink(pub Vec<Update>);

impl Sink for RecordingSink {
    fn apply(&mut self, update: &Update) -> Result<(), UpdateError> {
        self.0.push(update.clone());
        Ok(())
    }

    fn savepoint(&self) -> Savepoint {
        Savepoint::at(self.0.len())
    }

    fn roll_back_to(&mut self, savepoint: Savepoint) {
        self.0.truncate(savepoint.updates());
    }
}

/// A dry run over what the switch holds: it finds entries that others wrote, but not a table
/// that would overflow.
pub struct DrySink<'a> {
    schema: &'a Schema,
    store: &'a Locked<'a>,
    applied: Vec<Update>,
}

impl<'a> DrySink<'a> {
    /// A dry run on a switch that holds this.
    pub fn new(schema: &'a Schema, store: &'a Locked<'a>) -> DrySink<'a> {
        DrySink {
            schema,
            store,
            applied: Vec::new(),
        }
    }

    fn holds(&self, entity: &Entity) -> bool {
        match entity {
            Entity::TableEntry(entry) => self.store.entry(&entry.key).is_some(),
            Entity::MulticastGroup(group) => {
                let groups = &self.store.replication().multicast_groups;
                groups.contains_key(&group.id)
            }
            Entity::CloneSession(session) => {
                let sessions = &self.store.replication().clone_sessions;
                sessions.contains_key(&session.id)
            }
            _ => false,
        }
    }
}

impl Sink for DrySink<'_> {
    fn apply(&mut self, update: &Update) -> Result<(), UpdateError> {
        if update.operation == Operation::Insert && self.holds(&update.entity) {
            // It may be one that this run has deleted.
            let freed = |earlier: &Update| earlier.operation == Operation::Delete;
            let what = self.schema.describe(&update.entity);
            if !self
                .applied
                .iter()
                .filter(|u| freed(u))
                .any(|u| self.schema.describe(&u.entity) == what)
            {
                return Err(UpdateError::AlreadyExists { what });
            }
        }
        self.applied.push(update.clone());
        Ok(())
    }

    fn savepoint(&self) -> Savepoint {
        Savepoint::at(self.applied.len())
    }

    fn roll_back_to(&mut self, savepoint: Savepoint) {
        self.applied.truncate(savepoint.updates());
    }
}
