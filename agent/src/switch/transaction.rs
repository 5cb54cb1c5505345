//! Writing to a switch: updates that can still be taken back.

use super::error::UpdateError;
use super::write::{Undo, Writer};
use crate::entity::Update;

/// Updates that can still be taken back. Each is visible to the next packet once applied, and to
/// reads and other writes when the transaction is dropped, which keeps them.
pub struct Transaction<'a> {
    writer: Writer<'a>,
    undo: Undo,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(writer: Writer<'a>) -> Transaction<'a> {
        Transaction {
            writer,
            undo: Undo::new(),
        }
    }
}

/// A point of a transaction to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Savepoint(usize);

impl Savepoint {
    /// The point after so many updates.
    pub fn at(updates: usize) -> Savepoint {
        Savepoint(updates)
    }

    /// How many updates came before.
    pub fn updates(self) -> usize {
        self.0
    }
}

impl Transaction<'_> {
    /// Applies one update, wholly or not at all.
    pub fn apply(&mut self, update: &Update) -> Result<(), UpdateError> {
        self.writer.apply(update, &mut self.undo)
    }

    /// Lets all stay that is applied: there is no going back, which is less to remember.
    pub fn keep_all(&mut self) {
        self.undo = Undo::Never;
    }

    /// Where the transaction is now.
    pub fn savepoint(&self) -> Savepoint {
        match &self.undo {
            Undo::Steps(steps) => Savepoint(steps.len()),
            Undo::Never => Savepoint(0),
        }
    }

    /// Lets packets see all that `batch` applies at one moment, once it is done; until then none of it.
    /// Nobody else may be writing: see [`Switch::begin_all`](super::Switch::begin_all).
    ///
    /// # Errors
    /// The data plane cannot do that; `batch` has not run.
    pub fn atomically(&mut self, mut batch: impl FnMut(&mut Self)) -> Result<(), UpdateError> {
        let plane = self.writer.plane;
        let seen_at_once = plane.atomically(&mut || batch(self));
        seen_at_once.map_err(|error| UpdateError::DataPlane {
            what: "a batch that is DATAPLANE_ATOMIC".to_owned(),
            error,
        })
    }

    /// Takes back what was applied after a savepoint.
    pub fn roll_back_to(&mut self, savepoint: Savepoint) {
        if let Undo::Steps(steps) = &mut self.undo {
            let undo = steps.split_off(savepoint.0.min(steps.len()));
            self.writer.roll_back(undo);
        }
    }
}
