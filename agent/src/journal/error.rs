//! Why saved state cannot be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why saved state cannot be read or kept.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The system refuses.
    #[error("{}: cannot {action}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's error.
        error: io::Error,
    },
    /// Another agent runs here.
    #[error(
        "{} is in use by another agent; each switch needs its own --state-dir",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "{}: damaged at byte {offset}: {what}; nothing was changed. Restore the file from a backup, \
         or move it away to start without the saved state",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The file belongs to another switch.
    #[error(
        "{}: this is the state of device {found}, but the agent is configured as device {configured}; \
         change --device-id or --state-dir",
        path.display()
    )]
    OtherDevice {
        /// The file.
        path: PathBuf,
        /// Whose state it is.
        found: u64,
        /// Who the agent is.
        configured: u64,
    },
    /// The writer ended after an error that it reported.
    #[error("the state directory can no longer be written; see the log, and restart the agent")]
    Stopped,
}

impl JournalError {
    pub(super) fn io(path: impl Into<PathBuf>, action: &'static str, error: io::Error) -> Self {
        JournalError::Io {
            path: path.into(),
            action,
            error,
        }
    }
}
