//! Where entities are written to.

use crate::entity::{Entity, Update};
use crate::switch::{Savepoint, Transaction, UpdateError};

/// Where entities are written to: the switch, or nowhere in a dry run.
pub trait Sink {
    /// Applies one update, wholly or not at all.
    fn apply(&mut self, update: &Update) -> Result<(), UpdateError>;
    /// Whether an entity of that key is there; `None` if that is not known.
    fn holds(&self, entity: &Entity) -> Option<bool>;
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

    fn holds(&self, entity: &Entity) -> Option<bool> {
        Some(self.0.holds(entity))
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

    fn holds(&self, _entity: &Entity) -> Option<bool> {
        None
    }

    fn savepoint(&self) -> Savepoint {
        Savepoint::at(self.0.len())
    }

    fn roll_back_to(&mut self, savepoint: Savepoint) {
        self.0.truncate(savepoint.updates());
    }
}
