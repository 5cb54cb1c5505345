//! The Raft log and vote in redb.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, OptionalSend, RaftLogReader};
use redb::ReadableTable;

use super::database::{DatabaseFault, LOG, StoreDatabase, Sync, put_meta};
use super::types::{Entry, LogId, StorageError, StorageIOError, TypeConfig, Vote};
use super::wire::{entry_from_row, entry_to_row};

/// The log of one node.
#[derive(Clone)]
pub struct LogStore {
    database: Arc<StoreDatabase>,
}

impl LogStore {
    /// The log in `database`.
    pub fn new(database: Arc<StoreDatabase>) -> Self {
        Self { database }
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
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let read = self.blocking(move |database| {
            let log = database.begin_read()?.open_table(LOG)?;
            log.range::<u64>(bounds)?
                .map(|row| entry_from_row(row?.1.value()))
                .collect()
        });
        read.await.map_err(read_error)
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
            database.write(Sync::Now, |transaction| {
                put_meta(transaction, "vote", &vote)
            })
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
        let entries: Vec<_> = entries
            .into_iter()
            .map(|entry| (entry.log_id.index, entry_to_row(&entry)))
            .collect();
        self.blocking(move |database| {
            database.write(Sync::Now, |transaction| {
                let mut log = transaction.open_table(LOG)?;
                for (index, entry) in &entries {
                    log.insert(index, entry.as_slice())?;
                }
                Ok(())
            })
        })
        .await
        .map_err(write_error)?;
        // Only now: the transaction above has returned from its fsync.
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.blocking(move |database| {
            database.write(Sync::Now, |transaction| {
                Ok(transaction
                    .open_table(LOG)?
                    .retain_in(log_id.index.., |_, _| false)?)
            })
        })
        .await
        .map_err(write_error)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.blocking(move |database| {
            database.write(Sync::Now, |transaction| {
                put_meta(transaction, "purged", &log_id)?;
                Ok(transaction
                    .open_table(LOG)?
                    .retain_in(..=log_id.index, |_, _| false)?)
            })
        })
        .await
        .map_err(write_error)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.blocking(move |database| {
            database.write(Sync::Later, |transaction| {
                put_meta(transaction, "committed", &committed)
            })
        })
        .await
        .map_err(write_error)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let read = self.blocking(|database| database.get_meta::<Option<LogId>>("committed"));
        Ok(read.await.map_err(read_error)?.flatten())
    }
}
