//! The Raft log and vote in redb. What is acknowledged here is on the disk.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, OptionalSend, RaftLogReader};
use redb::ReadableTable;

use super::database::{DatabaseFault, LOG, StoreDatabase, put_meta};
use super::recent::{Recent, weight};
use super::types::{Entry, LogId, StorageError, StorageIOError, TypeConfig, Vote};
use super::wire::{entry_from_row, entry_to_row};

/// What is sent to a follower at once, unless a single entry is larger.
const REQUEST_BYTES: usize = 4 << 20;

/// The log of one node. Its clones share it.
#[derive(Clone)]
pub struct LogStore {
    database: Arc<StoreDatabase>,
    recent: Arc<Mutex<Recent>>,
}

impl LogStore {
    /// The log in `database`.
    pub fn new(database: Arc<StoreDatabase>) -> Self {
        Self {
            database,
            recent: Arc::default(),
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a transaction where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&StoreDatabase) -> Result<T, DatabaseFault> + Send + 'static,
    ) -> Result<T, DatabaseFault> {
        let database = self.database.clone();
        tokio::task::spawn_blocking(move || work(&database)).await?
    }
}

fn write_error(fault: DatabaseFault) -> StorageError {
    StorageIOError::write_logs(AnyError::new(&fault)).into()
}

fn read_error(fault: DatabaseFault) -> StorageError {
    StorageIOError::read_logs(AnyError::new(&fault)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        if let Some(entries) = self.recent().get(&range) {
            return Ok(entries);
        }
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let read = self.blocking(move |database| {
            let log = database.begin_read()?.open_table(LOG)?;
            log.range::<u64>(bounds)?
                .map(|row| entry_from_row(row?.1.value()))
                .collect()
        });
        read.await.map_err(read_error)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        let mut entries = self.try_get_log_entries(start..end).await?;
        let mut bytes = 0;
        let fitting = entries.iter().take_while(|entry| {
            bytes += weight(entry);
            bytes <= REQUEST_BYTES
        });
        let fitting = fitting.count();
        entries.truncate(fitting.max(1));
        Ok(entries)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let read = self.blocking(|database| {
            let last_purged_log_id: Option<LogId> = database.get_meta("purged")?;
            let log = database.begin_read()?.open_table(LOG)?;
            let last: Option<Entry> = log
                .last()?
                .map(|(_, entry)| entry_from_row(entry.value()))
                .transpose()?;
            let last_log_id = last.map(|entry| entry.log_id).or(last_purged_log_id);
            Ok(LogState {
                last_purged_log_id,
                last_log_id,
            })
        });
        read.await.map_err(read_error)
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.blocking(move |database| {
            database.write(|transaction| put_meta(transaction, "vote", &vote))
        })
        .await
        .map_err(|fault| StorageIOError::write_vote(AnyError::new(&fault)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.blocking(|database| database.get_meta("vote"))
            .await
            .map_err(|fault| StorageIOError::read_vote(AnyError::new(&fault)).into())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let entries = self.blocking(move |database| {
            database.write(|transaction| {
                let mut log = transaction.open_table(LOG)?;
                for entry in &entries {
                    log.insert(entry.log_id.index, entry_to_row(entry).as_slice())?;
                }
                Ok(())
            })?;
            Ok(entries)
        });
        let entries = entries.await.map_err(write_error)?;
        self.recent().append(entries);
        // Only now: the transaction above has returned from its fsync.
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.recent().truncate(log_id.index);
        self.blocking(move |database| {
            database.write(|transaction| {
                Ok(transaction
                    .open_table(LOG)?
                    .retain_in(log_id.index.., |_, _| false)?)
            })
        })
        .await
        .map_err(write_error)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.recent().purge(log_id.index);
        self.blocking(move |database| {
            database.write(|transaction| {
                put_meta(transaction, "purged", &log_id)?;
                Ok(transaction
                    .open_table(LOG)?
                    .retain_in(..=log_id.index, |_, _| false)?)
            })
        })
        .await
        .map_err(write_error)
    }

    /// The index goes to the disk with what is applied because of it, before anybody is told of that: one write for both.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.database.note_committed(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        if let Some(noted) = self.database.noted_committed() {
            return Ok(Some(noted));
        }
        let read = self.blocking(|database| database.get_meta::<Option<LogId>>("committed"));
        Ok(read.await.map_err(read_error)?.flatten())
    }
}
