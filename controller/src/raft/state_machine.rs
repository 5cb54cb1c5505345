//! Applies committed entries to the state, in memory and in redb, and makes snapshots.

use std::sync::{Arc, PoisonError, RwLock};

use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::database::{DatabaseFault, META, StoreDatabase, decode, put_meta};
use super::rows;
use super::snapshot::SnapshotData;
use super::types::{
    Batch, EncodedCommand, Entry, LogId, SnapshotMeta, StorageError, StorageIOError,
    StoredMembership, TypeConfig,
};
use crate::state::{Response, Revision, RowKey, State};

/// The state in memory, as everyone on this node reads it.
pub struct SharedState {
    state: RwLock<State>,
    changed: watch::Sender<Revision>,
    applied: watch::Sender<Option<u64>>,
}

impl SharedState {
    /// Reads the state from the database.
    pub fn load(database: &StoreDatabase) -> Result<Self, DatabaseFault> {
        let state = rows::load(&database.begin_read()?)?;
        let (changed, _) = watch::channel(state.revision());
        let applied: Option<Applied> = database.get_meta("applied")?;
        let applied = applied.and_then(|applied| applied.last);
        let (applied, _) = watch::channel(applied.map(|last| last.index));
        Ok(Self {
            state: RwLock::new(state),
            changed,
            applied,
        })
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Rises whenever the state has changed.
    pub fn watch(&self) -> watch::Receiver<Revision> {
        self.changed.subscribe()
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The index up to which the log has been applied, as it rises.
    pub fn watch_applied(&self) -> watch::Receiver<Option<u64>> {
        self.applied.subscribe()
    }

    /// Tells who looks at the state, and switches, that it has changed: a majority has that on disk.
    fn announce_change(&self) {
        self.changed.send_replace(self.read(State::revision));
    }

    /// Tells who waits for an answer, once the disk of this node has it, too.
    fn announce_applied(&self, applied: Option<LogId>) {
        self.applied.send_replace(applied.map(|last| last.index));
    }
}

/// How far the state machine is. One row, so that it changes with the state or not at all.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembership,
}

/// The state machine of one node. Its clones share everything.
#[derive(Clone)]
pub struct StateMachine {
    database: Arc<StoreDatabase>,
    shared: Arc<SharedState>,
}

impl StateMachine {
    /// The state machine over `database`, whose state is already in `shared`.
    pub fn new(database: Arc<StoreDatabase>, shared: Arc<SharedState>) -> Self {
        Self { database, shared }
    }

    /// Looks at the state in memory.
    #[cfg(test)]
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.shared.read(look)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, DatabaseFault> + Send + 'static,
    ) -> Result<T, DatabaseFault> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this)).await?
    }

    fn applied(&self) -> Result<Applied, DatabaseFault> {
        Ok(self.database.get_meta("applied")?.unwrap_or_default())
    }

    fn apply_entries(&self, entries: Vec<Entry>) -> Result<Vec<Vec<Response>>, DatabaseFault> {
        let mut applied = self.applied()?;
        let mut touched: Vec<RowKey> = Vec::new();
        let mut responses = Vec::with_capacity(entries.len());
        for entry in entries {
            applied.last = Some(entry.log_id);
            responses.push(match entry.payload {
                EntryPayload::Blank => vec![],
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                    vec![]
                }
                EntryPayload::Normal(Batch(commands)) => {
                    let commands = commands.iter().map(EncodedCommand::decode);
                    let commands: Vec<_> = commands.collect::<Result<_, _>>()?;
                    self.shared.write(|state| {
                        let responses = commands.into_iter().map(|command| {
                            let effect = state.apply(command);
                            touched.extend(effect.touched);
                            effect.response
                        });
                        responses.collect()
                    })
                }
            });
        }
        touched.sort_unstable();
        touched.dedup();
        self.shared.announce_change();
        let committed = self.database.noted_committed();
        self.database.write(|transaction| {
            put_meta(transaction, "applied", &applied)?;
            put_meta(transaction, "committed", &committed)?;
            self.shared
                .read(|state| rows::store(transaction, state, &touched))
        })?;
        self.shared.announce_applied(applied.last);
        Ok(responses)
    }

    /// A snapshot is what the rows are at a point, so making one is a matter of naming the point. What it
    /// holds is read when it is sent.
    fn build(&self) -> Result<Snapshot<TypeConfig>, DatabaseFault> {
        let snapshot = self.snapshot_now()?;
        self.database
            .write(|transaction| put_meta(transaction, "snapshot_meta", &snapshot.meta))?;
        Ok(snapshot)
    }

    fn snapshot_now(&self) -> Result<Snapshot<TypeConfig>, DatabaseFault> {
        // One transaction sees `applied` and the rows that were committed with it, whatever is applied meanwhile.
        let transaction = self.database.begin_read()?;
        let applied: Option<Applied> = match transaction.open_table(META)?.get("applied")? {
            Some(row) => Some(decode("meta", row.value())?),
            None => None,
        };
        let Applied { last, membership } = applied.unwrap_or_default();
        let point = last.map_or("0-0".to_owned(), |id| {
            format!("{}-{}", id.leader_id, id.index)
        });
        Ok(Snapshot {
            meta: SnapshotMeta {
                last_log_id: last,
                last_membership: membership,
                snapshot_id: point,
            },
            snapshot: Box::new(SnapshotData::Rows(transaction)),
        })
    }

    /// The rows as they are now, which is at least what the last snapshot was made of.
    fn current_snapshot(&self) -> Result<Option<Snapshot<TypeConfig>>, DatabaseFault> {
        match self.database.get_meta::<SnapshotMeta>("snapshot_meta")? {
            Some(_) => self.snapshot_now().map(Some),
            None => Ok(None),
        }
    }

    /// Puts a state that was not applied here in the place of what there is.
    pub fn begin_with(&self, meta: &SnapshotMeta, state: State) -> Result<(), DatabaseFault> {
        let state = state.reindexed();
        let applied = Applied {
            last: meta.last_log_id,
            membership: meta.last_membership.clone(),
        };
        self.database.write(|transaction| {
            put_meta(transaction, "applied", &applied)?;
            put_meta(transaction, "snapshot_meta", meta)?;
            rows::replace(transaction, &state)
        })?;
        self.shared.write(|shared| *shared = state);
        self.shared.announce_change();
        self.shared.announce_applied(applied.last);
        Ok(())
    }
}

fn write_error(fault: DatabaseFault) -> StorageError {
    StorageIOError::write_state_machine(AnyError::new(&fault)).into()
}

fn read_error(fault: DatabaseFault) -> StorageError {
    StorageIOError::read_state_machine(AnyError::new(&fault)).into()
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        self.blocking(Self::build)
            .await
            .map_err(|fault| StorageIOError::write_snapshot(None, AnyError::new(&fault)).into())
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let applied = self.blocking(Self::applied).await.map_err(read_error)?;
        Ok((applied.last, applied.membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Response>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        self.blocking(move |this| this.apply_entries(entries))
            .await
            .map_err(write_error)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    /// Only openraft's tests ask for it: snapshots come whole, from the peer port.
    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        let now = self
            .blocking(Self::snapshot_now)
            .await
            .map_err(read_error)?;
        Ok(now.snapshot)
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        let meta = meta.clone();
        self.blocking(move |this| this.begin_with(&meta, snapshot.into_state()?))
            .await
            .map_err(write_error)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        self.blocking(Self::current_snapshot)
            .await
            .map_err(|fault| StorageIOError::read_snapshot(None, AnyError::new(&fault)).into())
    }
}
