//! The thread that writes records, many with one `fsync`.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use pointsman_proto::pointsman::agent::v1::StateRecord;

use super::error::JournalError;
use super::file::StateDirectory;
use super::frame::Frame;

/// Records that may wait to be written; more callers than that wait for room.
const QUEUE: usize = 1024;

/// Bytes after which the file is worth compacting.
const COMPACT_ABOVE: u64 = 64 << 20;

/// Appends records. Dropping it writes what is queued and ends the thread.
#[derive(Debug)]
pub struct Journal {
    jobs: Option<SyncSender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Bytes in the file beyond twice what its last compaction left.
    surplus: Arc<AtomicU64>,
}

/// A record on its way to the disk.
#[derive(Debug)]
#[must_use = "a change is durable only when its ticket was waited for"]
pub struct Ticket(Option<Receiver<()>>);

enum Job {
    Append(Frame, SyncSender<()>),
    Replace(Vec<StateRecord>, SyncSender<()>),
}

impl Journal {
    /// Starts with a file that holds exactly these records.
    pub fn start(
        directory: StateDirectory,
        records: &[StateRecord],
    ) -> Result<Journal, JournalError> {
        let (file, length) = directory.replace(records)?;
        let (jobs, queue) = sync_channel(QUEUE);
        let surplus = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            directory,
            file,
            length,
            compacted: length,
            surplus: surplus.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|e| JournalError::io("journal", "start the thread of", e))?;
        Ok(Journal {
            jobs: Some(jobs),
            thread: Some(thread),
            surplus,
        })
    }

    /// An agent that keeps nothing.
    pub fn none() -> Journal {
        Journal {
            jobs: None,
            thread: None,
            surplus: Arc::default(),
        }
    }

    /// Queues a record after those of earlier calls.
    pub fn append(&self, record: StateRecord) -> Ticket {
        self.append_frame(Frame::of(&record))
    }

    /// The same for one that is encoded already.
    pub fn append_frame(&self, frame: Frame) -> Ticket {
        self.send(|done| Job::Append(frame, done))
    }

    /// Queues the replacement of the file by these records.
    pub fn replace(&self, records: Vec<StateRecord>) -> Ticket {
        self.surplus.store(0, Ordering::Relaxed);
        self.send(|done| Job::Replace(records, done))
    }

    /// Whether the file has grown enough to be worth replacing.
    pub fn wants_compaction(&self) -> bool {
        self.surplus.load(Ordering::Relaxed) > COMPACT_ABOVE
    }

    fn send(&self, job: impl FnOnce(SyncSender<()>) -> Job) -> Ticket {
        let Some(jobs) = &self.jobs else {
            return Ticket(None);
        };
        let (done, ticket) = sync_channel(1);
        // A writer that has stopped drops `done`, and the ticket tells.
        let _ = jobs.send(job(done));
        Ticket(Some(ticket))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // It logs what goes wrong.
            let _ = thread.join();
        }
    }
}

impl Ticket {
    /// Waits until the record is on the disk.
    pub fn wait(self) -> Result<(), JournalError> {
        match self.0 {
            None => Ok(()),
            Some(done) => done.recv().map_err(|_| JournalError::Stopped),
        }
    }
}

struct Writer {
    directory: StateDirectory,
    file: File,
    length: u64,
    compacted: u64,
    surplus: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
            if let Err(error) = self.write(jobs) {
                tracing::error!(%error, "saving state failed; nothing more is acknowledged");
                return;
            }
        }
    }

    fn write(&mut self, jobs: Vec<Job>) -> Result<(), JournalError> {
        let mut frames = Vec::with_capacity(jobs.len());
        let mut waiting = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                Job::Append(frame, done) => {
                    frames.push(frame);
                    waiting.push(done);
                }
                Job::Replace(records, done) => {
                    // The records hold what was queued before them.
                    frames.clear();
                    (self.file, self.length) = self.directory.replace(&records)?;
                    self.compacted = self.length;
                    waiting.push(done);
                }
            }
        }
        // Small ones are one write together.
        let written = match frames.as_slice() {
            [frame] => self.file.write_all(frame.bytes()),
            frames => {
                let frames: Vec<&[u8]> = frames.iter().map(Frame::bytes).collect();
                self.file.write_all(&frames.concat())
            }
        };
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|e| JournalError::io(self.directory.state(), "write", e))?;
        let lengths = frames.iter().map(|frame| frame.bytes().len() as u64);
        self.length += lengths.sum::<u64>();
        let surplus = self.length.saturating_sub(2 * self.compacted);
        self.surplus.store(surplus, Ordering::Relaxed);
        for done in waiting {
            // A caller that no longer waits does not mind.
            let _ = done.send(());
        }
        Ok(())
    }
}
