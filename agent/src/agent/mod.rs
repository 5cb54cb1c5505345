//! The agent: one switch, who may write it, what is wanted of it, and its journal, behind
//! one lock.
//!
//! Everything here is synchronous. The gRPC services call it from blocking threads, so the
//! lock is never held across an await; it *is* held while an election id goes to the disk,
//! which happens once in a change of mastership. A write leaves the lock before it waits for
//! the disk, so that concurrent writes share one `fsync`.

mod objective;
mod packet;
mod port;
mod restore;
mod stream;

pub use objective::{PipelinerState, SyncError};
pub use packet::{PacketError, PacketIn};
pub use restore::{RestoreError, Start, restore, snapshot};
pub use stream::{StreamNote, Streams};

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::arbitration::Arbitration;
use crate::journal::{Journal, JournalError};
use crate::objectives::Objectives;
use crate::ports::Ports;
use crate::schema::Presentation;
use crate::switch::Switch;

/// Who this agent is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// P4Runtime's `device_id`; not 0.
    pub device_id: u64,
    /// For people.
    pub name: String,
    /// New at every start.
    pub boot_id: String,
    /// When it started.
    pub started: Instant,
    /// How it shows itself to controllers.
    pub presentation: Presentation,
}

/// What the lock protects.
pub struct State {
    /// Pipeline, entries and target.
    pub switch: Switch,
    /// What VERIFY_AND_SAVE saved, with what was written since; clients read and write this
    /// until they commit it. It forwards nothing.
    pub draft: Option<Switch>,
    /// Who may write.
    pub arbitration: Arbitration,
    /// Where to tell streams what they must know.
    pub streams: Streams,
    /// What is wanted, and what of it is done.
    pub objectives: Objectives,
    /// How objectives become entries of the pipeline.
    pub pipeliner: PipelinerState,
    /// The ports there are.
    pub ports: Ports,
}

/// One switch and everything that is known about it.
pub struct Agent {
    /// Who it is.
    pub identity: Identity,
    state: Mutex<State>,
    journal: Journal,
}

impl Agent {
    /// An agent over a state that was restored or is new.
    pub fn new(identity: Identity, state: State, journal: Journal) -> Agent {
        Agent {
            identity,
            state: Mutex::new(state),
            journal,
        }
    }

    /// The state, for as long as the guard lives. Do not wait for anything slow with it.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of another request leaves the state as consistent as an error would:
        // an update is applied to the data plane before the store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where changes are kept. Append with the lock held, wait without it.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Replaces the journal by a snapshot if it has grown too long. Call with the lock held.
    pub fn compact(&self, state: &State) -> Result<(), JournalError> {
        if self.journal.wants_compaction() {
            tracing::info!("compacting the state file");
            // It holds only what earlier tickets were for; nobody needs to wait for it.
            let _ticket = self.journal.replace(snapshot(state));
        }
        Ok(())
    }
}
