//! Writing to a switch: updates that can still be taken back.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pointsman_p4::dataplane::{EntryKey, FORESEEN};
use smallvec::SmallVec;

use super::error::UpdateError;
use super::relayed::Relayed;
use super::store::Locked;
use super::write::{Undo, Writer};
use crate::entity::{Entity, Operation, Update};
use crate::target::relay::{Relay, RelayError};

/// Updates that can still be taken back. Each is visible to the next packet once applied, and to
/// reads and other writes when the transaction is dropped, which keeps them.
pub struct Transaction<'a> {
    writer: Writer<'a>,
    undo: Undo,
    relayed: Option<Relayed>,
    /// Updates that were applied, to be added to the switch's count at the end.
    applied: u64,
    written: &'a AtomicU64,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(
        writer: Writer<'a>,
        relay: Option<Arc<dyn Relay>>,
        written: &'a AtomicU64,
    ) -> Transaction<'a> {
        Transaction {
            writer,
            undo: Undo::new(),
            relayed: relay.map(Relayed::new),
            applied: 0,
            written,
        }
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.written.fetch_add(self.applied, Relaxed);
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
    /// These updates come next: what they need of the store and the data plane is looked at now, all
    /// at once, because memory that is far away can be waited for together.
    pub fn foresee<'u>(&self, updates: impl Iterator<Item = &'u Update>) {
        let keys = updates.filter_map(|update| match &update.entity {
            Entity::TableEntry(entry) => {
                // What they do is far away, too: it was read thousands of updates ago.
                black_box(entry.action.is_some());
                Some(&entry.key)
            }
            _ => None,
        });
        let keys: SmallVec<[&EntryKey; FORESEEN]> = keys.collect();
        for keys in keys.chunk_by(|one, other| one.table == other.table) {
            self.writer.store.table(keys[0].table).entries.foresee(keys);
        }
        self.writer.plane.foresee(&keys);
    }

    /// Applies one update, wholly or not at all. A switch in another process hears of it when it is
    /// [sent](Self::send).
    pub fn apply(&mut self, update: &Update) -> Result<(), UpdateError> {
        let before = self.undo.len();
        self.writer.apply(update, &mut self.undo)?;
        self.applied += 1;
        if let Some(relayed) = &mut self.relayed {
            let update = in_full(update, &self.writer.store);
            relayed.push(update, before..self.undo.len());
        }
        Ok(())
    }

    /// Whether an entity of that key was written, of the kinds that objectives need.
    pub fn holds(&self, entity: &Entity) -> bool {
        self.writer.store.find(entity).is_some()
    }

    /// Sends what was applied since the last time to a switch in another process, as one batch. What
    /// it refuses is taken back: the position among those updates, and the error, of each.
    pub fn send(&mut self) -> Vec<(usize, UpdateError)> {
        match &mut self.relayed {
            Some(relayed) => relayed.send(&mut self.writer, self.undo.steps()),
            None => Vec::new(),
        }
    }

    /// The same, but packets see all or none of it. If that is refused, all of it is taken back.
    pub fn send_atomically(&mut self) -> Result<(), RelayError> {
        match &mut self.relayed {
            Some(relayed) => relayed.send_atomically(&mut self.writer, self.undo.steps()),
            None => Ok(()),
        }
    }

    /// Lets all stay that is applied: there is no going back, which is less to remember.
    pub fn keep_all(&mut self) {
        // What a switch in another process refuses has to go.
        if self.relayed.is_none() {
            self.undo = Undo::Never;
        }
    }

    /// Where the transaction is now.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
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
        let Undo::Steps(steps) = &mut self.undo else {
            return;
        };
        let start = savepoint.0.min(steps.len());
        let undo = steps.split_off(start);
        if let Some(relayed) = &mut self.relayed {
            relayed.roll_back(self.writer.schema, &undo, start);
        }
        self.writer.roll_back(undo);
    }
}

/// An update that was applied, with the action that the entry keeps if it names none: not every switch keeps it.
fn in_full(update: &Update, store: &Locked<'_>) -> Update {
    let mut update = update.clone();
    if let (Operation::Modify, Entity::TableEntry(entry)) = (update.operation, &mut update.entity)
        && entry.action.is_none()
    {
        let stored = store.entry(&entry.key).filter(|stored| !stored.is_const);
        entry.action = stored.map(|stored| stored.action.clone());
    }
    update
}
