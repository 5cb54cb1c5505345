//! The thread that writes records, many with one `fsync`.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

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
    thread: Option<JoinHandle<()>>,
    /// Bytes in the file beyond twice what its last compaction left.
    surplus: Arc<AtomicU64>,
}

/// A record on its way to the disk.
#[derive(Debug)]
#[must_use = "a change is durable only when its ticket was waited for"]
pub struct Ticket(Option<Receiver<()>>);

/// Gives the records of a snapshot to a function, in order, until that fails.
pub type Snapshot =
    Box<dyn FnOnce(&mut dyn FnMut(Frame) -> io::Result<()>) -> io::Result<()> + Send>;

enum Job {
    Append(Frame, SyncSender<()>),
    /// With the way back to the writer.
    Compact(Snapshot, SyncSender<Job>),
    /// A snapshot is in a file of this length.
    Compacted(Result<(File, u64), JournalError>),
}

impl Journal {
    /// Starts with a file that holds exactly these records.
    pub fn start(directory: StateDirectory, snapshot: Snapshot) -> Result<Journal, JournalError> {
        let (file, length) = directory.write_new(snapshot)?;
        directory.adopt(&file)?;
        let (jobs, queue) = sync_channel(QUEUE);
        let surplus = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            directory: Arc::new(directory),
            file,
            length,
            compacted: length,
            compaction: None,
            surplus: surplus.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(queue))
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
        let Some(jobs) = &self.jobs else {
            return Ticket(None);
        };
        let (done, ticket) = sync_channel(1);
        // A writer that has stopped drops `done`, and the ticket tells.
        let _ = jobs.send(Job::Append(frame, done));
        Ticket(Some(ticket))
    }

    /// Replaces what is in the file by a snapshot of what earlier calls have kept. It takes its time, in
    /// which others go on.
    pub fn compact(&self, snapshot: Snapshot) {
        self.surplus.store(0, Ordering::Relaxed);
        if let Some(jobs) = &self.jobs {
            // As above.
            let _ = jobs.send(Job::Compact(snapshot, jobs.clone()));
        }
    }

    /// Whether the file has grown enough to be worth it.
    pub fn wants_compaction(&self) -> bool {
        self.surplus.load(Ordering::Relaxed) > COMPACT_ABOVE
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
    directory: Arc<StateDirectory>,
    file: File,
    length: u64,
    compacted: u64,
    compaction: Option<Compaction>,
    surplus: Arc<AtomicU64>,
}

/// A snapshot that is being written.
struct Compaction {
    thread: JoinHandle<()>,
    /// Where in the file in use the records begin that it does not have.
    tail: u64,
}

impl Writer {
    fn run(mut self, queue: Receiver<Job>) {
        let served = self.serve(&queue);
        // Nobody is to wait for us any more.
        drop(queue);
        // What a failed write has left may be anything: it stays without a mark.
        if let Err(error) = served.and_then(|()| self.mark_end()) {
            tracing::error!(%error, "saving state failed; nothing more is acknowledged");
        }
        if let Some(compaction) = self.compaction.take() {
            compaction.end();
        }
    }

    fn serve(&mut self, queue: &Receiver<Job>) -> Result<(), JournalError> {
        while let Ok(first) = queue.recv() {
            self.write(std::iter::once(first).chain(queue.try_iter()).collect())?;
        }
        Ok(())
    }

    fn write(&mut self, jobs: Vec<Job>) -> Result<(), JournalError> {
        let mut frames = Vec::with_capacity(jobs.len());
        let mut waiting = Vec::with_capacity(jobs.len());
        let mark = Frame::mark();
        let mut length = self.length + mark.bytes().len() as u64;
        let mut snapshot = None;
        for job in jobs {
            match job {
                Job::Append(frame, done) => {
                    length += frame.bytes().len() as u64;
                    frames.push(frame);
                    waiting.push(done);
                }
                Job::Compact(records, back) => self.begin(records, back, length)?,
                Job::Compacted(written) => snapshot = Some(written?),
            }
        }
        let written = self.file.write_all(mark.bytes());
        // Small ones are one write together.
        let written = written.and_then(|()| match frames.as_slice() {
            [frame] => self.file.write_all(frame.bytes()),
            frames => {
                let frames: Vec<&[u8]> = frames.iter().map(Frame::bytes).collect();
                self.file.write_all(&frames.concat())
            }
        });
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|e| JournalError::io(self.directory.state(), "write", e))?;
        self.length = length;
        for done in waiting {
            // A caller that no longer waits does not mind.
            let _ = done.send(());
        }
        if let Some((file, length)) = snapshot {
            self.finish(file, length)?;
        }
        if self.compaction.is_none() {
            let surplus = self.length.saturating_sub(2 * self.compacted);
            self.surplus.store(surplus, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Marks what was written last.
    fn mark_end(&mut self) -> Result<(), JournalError> {
        let written = self.file.write_all(Frame::mark().bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|e| JournalError::io(self.directory.state(), "write", e))
    }

    /// Has a snapshot written that holds what is in the file up to `tail`. One at a time is enough.
    fn begin(
        &mut self,
        snapshot: Snapshot,
        back: SyncSender<Job>,
        tail: u64,
    ) -> Result<(), JournalError> {
        if self.compaction.is_some() {
            return Ok(());
        }
        let directory = Arc::clone(&self.directory);
        let thread = std::thread::Builder::new()
            .name("compaction".to_owned())
            .spawn(move || {
                // A writer that has stopped needs no snapshot.
                let _ = back.send(Job::Compacted(directory.write_new(snapshot)));
            })
            .map_err(|e| JournalError::io("compaction", "start the thread of", e))?;
        self.compaction = Some(Compaction { thread, tail });
        Ok(())
    }

    /// Goes over to the file of a snapshot, with what came after that.
    fn finish(&mut self, mut file: File, length: u64) -> Result<(), JournalError> {
        let Some(compaction) = self.compaction.take() else {
            return Ok(());
        };
        let tail = self.directory.copy_tail(compaction.tail, &mut file)?;
        self.directory.adopt(&file)?;
        compaction.end();
        self.file = file;
        self.length = length + tail;
        self.compacted = length;
        Ok(())
    }
}

impl Compaction {
    fn end(self) {
        if self.thread.join().is_err() {
            tracing::error!("a snapshot of the state was not written to its end");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pointsman_proto::pointsman::agent::v1::StatePort;

    use super::*;

    fn record(number: u32) -> StateRecord {
        StateRecord {
            ports: vec![StatePort {
                number,
                ..StatePort::default()
            }],
            ..StateRecord::default()
        }
    }

    fn kept(path: &std::path::Path) -> Vec<u32> {
        let directory = StateDirectory::open(path, 1).unwrap();
        let records = directory.read().unwrap().into_iter();
        records
            .flat_map(|record| record.ports)
            .map(|port| port.number)
            .collect()
    }

    #[test]
    fn what_is_appended_while_a_snapshot_is_written_comes_after_it() {
        let place = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(place.path(), 1).unwrap();
        let journal = Journal::start(directory, Box::new(|_| Ok(()))).unwrap();
        journal.append(record(1)).wait().unwrap();
        let (go_on, wait) = sync_channel::<()>(0);
        journal.compact(Box::new(move |out| {
            out(Frame::of(&record(10)))?;
            wait.recv().map_err(io::Error::other)?;
            out(Frame::of(&record(11)))
        }));
        // It does not wait for the snapshot, nor does a second one begin.
        journal.append(record(2)).wait().unwrap();
        journal.compact(Box::new(|out| out(Frame::of(&record(20)))));
        journal.append(record(3)).wait().unwrap();
        go_on.send(()).unwrap();
        drop(journal);
        assert_eq!(kept(place.path()), [10, 11, 2, 3]);
    }

    #[test]
    fn a_snapshot_that_fails_leaves_the_file_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(place.path(), 1).unwrap();
        let journal = Journal::start(directory, Box::new(|_| Ok(()))).unwrap();
        journal.append(record(1)).wait().unwrap();
        journal.compact(Box::new(|_| Err(io::Error::other("no room"))));
        drop(journal);
        assert_eq!(kept(place.path()), [1]);
    }
}
