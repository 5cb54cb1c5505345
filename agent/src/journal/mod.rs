//! What survives a restart: a file of records in the state directory.
//!
//! ```text
//! DIR/LOCK      held (flock) while an agent runs on the directory
//! DIR/state     records, oldest first; the first is a header
//! DIR/state.new a compacted file being written; worthless until it is renamed
//!
//! record:  length u32 LE | CRC-32 of the payload u32 LE | payload: StateRecord
//! ```
//!
//! Before what is written together comes a *mark*, a record that says that everything before it is on the disk.
//! So what is damaged before a mark was acknowledged, and what is damaged after the last one may
//! never have been. [`Journal::append`] hands a record to the writer thread, in the order of the calls;
//! [`Ticket::wait`] returns when it is on the disk. Records that wait together share one
//! `fsync`. [`Journal::compact`] replaces the file by a [`Snapshot`]: a thread of its own writes that, while
//! records go on to be appended to the file in use; those are copied behind it before the files change
//! places. What a record means is not known here: [`crate::agent`] makes and replays them.
//!
//! # Invariants
//!
//! 1. A change is acknowledged to a client only after its ticket was waited for.
//! 2. A file that cannot be understood is never changed: the agent does not start.
//!    The exception is what comes after the last mark and is unfinished: nobody was told of it, and it is cut off.

mod error;
mod file;
mod frame;
mod writer;

pub use error::JournalError;
pub use file::StateDirectory;
pub use frame::{Frame, UpdatesOf};
pub use writer::{Journal, Snapshot, Ticket};
