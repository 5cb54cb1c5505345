//! The audit log: who changed what, as a file of JSON lines.
//!
//! | module | what it is |
//! |---|---|
//! | [`record`] | what a line says |
//! | [`mod@file`] | the file: appended to, rotated by size |
//! | [`writer`] | the thread that writes, and its bounded queue |
//!
//! A record is queued before its request is answered, so that a change which a client knows of comes
//! before everything the client does after it; changes at the same time may be recorded in either order.
//! The log loses no records: where the queue is full, requests wait for it, and while the file cannot be
//! written, requests that would have to be recorded are refused. It is not synced to the disk, as the
//! journal is: what is lost in a power failure is the end of the log.

pub mod file;
pub mod record;
pub mod writer;

pub use record::{Mastership, Record, Rpc, UpdateRecord, code_name};
pub use writer::{Audit, AuditError};

use std::path::PathBuf;

/// Where the log is, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditOptions {
    /// The file that is written; older ones are beside it as `FILE.1`, `FILE.2` and so on.
    pub file: PathBuf,
    /// Bytes after which another file is begun.
    pub max_bytes: u64,
    /// How many older files are kept.
    pub keep: u32,
}
