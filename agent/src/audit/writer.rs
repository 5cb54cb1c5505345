//! The thread that writes the audit log.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tonic::Status;

use super::file::LogFile;
use super::{AuditOptions, Record};

/// Records that may wait to be written; then requests wait.
const QUEUE: usize = 1024;

/// How long to wait before the file is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Why nothing is recorded.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The file cannot be opened.
    #[error("audit log {}: {error}", path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It cannot be written, so that nothing may be changed.
    #[error("nothing can be changed while the audit log cannot be written: {0}")]
    Broken(String),
}

impl From<AuditError> for Status {
    fn from(error: AuditError) -> Status {
        Status::unavailable(error.to_string())
    }
}

/// The audit log. Dropping it writes what is queued.
#[derive(Debug)]
pub struct Audit {
    records: Option<SyncSender<Box<Record>>>,
    /// Why the file could not be written when it was tried last.
    broken: Arc<Mutex<Option<String>>>,
    /// There will be no more records.
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Audit {
    /// Opens the log.
    pub fn start(options: AuditOptions) -> Result<Audit, AuditError> {
        let path = options.file.clone();
        let refused = |error| AuditError::Open { path, error };
        let file = LogFile::open(options.clone());
        let (records, queue) = sync_channel(QUEUE);
        let broken = Arc::new(Mutex::new(None));
        let closing = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            broken: Arc::clone(&broken),
            closing: Arc::clone(&closing),
            options,
        };
        let started = file.and_then(|file| {
            std::thread::Builder::new()
                .name("audit".to_owned())
                .spawn(move || writer.run(file, &queue))
        });
        Ok(Audit {
            records: Some(records),
            broken,
            closing,
            thread: Some(started.map_err(refused)?),
        })
    }

    /// Can a change be recorded? To be asked before it is made.
    pub fn check(&self) -> Result<(), AuditError> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        match &*broken {
            None => Ok(()),
            Some(error) => Err(AuditError::Broken(error.clone())),
        }
    }

    /// Queues a record; waits if the queue is full. Not to be called where waiting is not allowed.
    pub fn record(&self, record: Record) {
        let queue = self.records.as_ref().expect("there until it is dropped");
        if queue.send(Box::new(record)).is_err() {
            tracing::error!("the thread of the audit log has ended; restart the agent");
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.records.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was said.
            let _ = thread.join();
        }
    }
}

struct Writer {
    options: AuditOptions,
    broken: Arc<Mutex<Option<String>>>,
    closing: Arc<AtomicBool>,
}

impl Writer {
    fn run(self, mut file: LogFile, queue: &Receiver<Box<Record>>) {
        while let Ok(record) = queue.recv() {
            let mut line = match serde_json::to_vec(&record) {
                Ok(line) => line,
                Err(error) => {
                    tracing::error!(%error, "a record of the audit log is no JSON");
                    continue;
                }
            };
            line.push(b'\n');
            while let Err(error) = file.append(&line) {
                self.complain(&error);
                if self.closing.load(Ordering::Relaxed) {
                    tracing::error!(record = %String::from_utf8_lossy(&line), "lost for the audit log");
                    break;
                }
                std::thread::sleep(RETRY);
                // The file may have been moved away, or its disk be back.
                match LogFile::open(self.options.clone()) {
                    Ok(opened) => file = opened,
                    Err(error) => self.complain(&error),
                }
            }
            self.set(None);
        }
    }

    fn complain(&self, error: &io::Error) {
        tracing::error!(
            file = %self.options.file.display(), %error,
            "the audit log cannot be written; changes are refused"
        );
        self.set(Some(format!("{}: {error}", self.options.file.display())));
    }

    fn set(&self, broken: Option<String>) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = broken;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rpc;
    use super::*;
    use crate::server::Peer;

    fn record(role: &str) -> Record {
        let peer = Peer {
            address: "127.0.0.1:1".parse().expect("an address"),
            identity: None,
        };
        let updates = Vec::new();
        Record::new(&peer, role, None, Rpc::Write { updates })
    }

    #[test]
    fn every_record_is_in_the_file_in_order_when_the_log_is_dropped() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("audit.jsonl");
        let audit = Audit::start(AuditOptions {
            file: file.clone(),
            max_bytes: 1 << 30,
            keep: 1,
        });
        let audit = audit.expect("it opens");
        // More than the queue holds.
        for number in 0..3 * QUEUE {
            audit.record(record(&number.to_string()));
        }
        drop(audit);
        let text = std::fs::read_to_string(&file).expect("it is there");
        let roles = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line["role"].as_str().expect("text").to_owned()
        });
        let expected: Vec<_> = (0..3 * QUEUE).map(|number| number.to_string()).collect();
        assert_eq!(roles.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn while_the_disk_is_full_changes_are_refused() {
        let audit = Audit::start(AuditOptions {
            file: "/dev/full".into(),
            max_bytes: 1 << 30,
            keep: 1,
        });
        let audit = audit.expect("it opens");
        assert!(audit.check().is_ok());
        audit.record(record(""));
        while audit.check().is_ok() {
            std::thread::yield_now();
        }
        let error = audit.check().expect_err("it is full").to_string();
        assert!(error.contains("/dev/full"), "{error}");
    }
}
