//! What the key-value store needs beside its state: who ends leases, who keeps them in bulk, who tells watchers.
//!
//! `state::kv` decides what a command does; `service::kv` is the API. The tasks here own the clock: [`keeper`] (pure)
//! says which leases are over.
//!
//! ```text
//! keep_lease() ──► bounded queue ──► one Keep command in flight, the next gathers ──► Store
//! every 100 ms, on the leader: state ──► Keeper::step(now) ──► Expire command ──────► Store
//! Store changed ──► revision ──► every watcher
//! ```

pub mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::raft::{Store, StoreError};
use crate::state::kv::{KvRevision, LeaseId};
use crate::state::{Command, KvCommand, KvResponse, Response};
use keeper::{Keeper, TICK};

/// Leases that wait to be kept. More wait in their callers.
const KEEP_QUEUE: usize = 4096;
/// Leases that one command keeps.
const KEEP_AT_ONCE: usize = 1024;
/// Leases that one command ends: each may have a thousand keys.
const EXPIRE_AT_ONCE: usize = 16;

/// Why a lease could not be kept; shared by all that were kept together.
pub type KeepError = Arc<StoreError>;

type Keep = (LeaseId, oneshot::Sender<Result<Option<u64>, KeepError>>);

/// The store of applications on one node. Its clones share the tasks.
#[derive(Clone)]
pub struct KvNode {
    store: Store,
    keep: mpsc::Sender<Keep>,
    revision: watch::Receiver<KvRevision>,
    watchers: Arc<AtomicUsize>,
    drain: CancellationToken,
}

/// The tasks behind it.
pub struct KvTasks(JoinSet<Option<()>>);

impl KvTasks {
    /// Waits until they have seen that they are cancelled.
    pub async fn ended(mut self) {
        while let Some(ended) = self.0.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the key-value store died");
            }
        }
    }
}

/// Counts a watcher for as long as it is there.
pub struct Watching(Arc<AtomicUsize>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl KvNode {
    /// Starts the tasks. They end with `drain`, and so do streams of events.
    pub fn start(store: Store, drain: CancellationToken) -> (Self, KvTasks) {
        let (keep, queue) = mpsc::channel(KEEP_QUEUE);
        let (announce, revision) = watch::channel(store.read(|state| state.kv().revision()));
        let mut tasks = JoinSet::new();
        let until = || drain.clone();
        tasks.spawn(until().run_until_cancelled_owned(end_leases(store.clone())));
        tasks.spawn(until().run_until_cancelled_owned(keep_leases(store.clone(), queue)));
        tasks.spawn(until().run_until_cancelled_owned(tell(store.clone(), announce)));
        let node = Self {
            store,
            keep,
            revision,
            watchers: Arc::default(),
            drain,
        };
        (node, KvTasks(tasks))
    }

    /// The replicated store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Rises with the revision of the store.
    pub fn revisions(&self) -> watch::Receiver<KvRevision> {
        self.revision.clone()
    }

    /// When this node stops.
    pub fn drain(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// Counts somebody who watches.
    pub fn watching(&self) -> Watching {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watching(self.watchers.clone())
    }

    /// How many watch.
    pub fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Keeps a lease, together with whatever other leases are to be kept meanwhile. Answers with its time, or with nothing if
    /// it has ended.
    ///
    /// # Errors
    /// When the store cannot commit that.
    pub async fn keep_lease(&self, lease: LeaseId) -> Result<Option<u64>, KeepError> {
        let stopped = || {
            Arc::new(StoreError::Stopped(
                "this controller is shutting down".to_owned(),
            ))
        };
        let (answer, answered) = oneshot::channel();
        let sent = self.keep.send((lease, answer)).await;
        sent.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

async fn keep_leases(store: Store, mut queue: mpsc::Receiver<Keep>) {
    let mut batch: Vec<Keep> = Vec::new();
    while queue.recv_many(&mut batch, KEEP_AT_ONCE).await > 0 {
        let leases = batch.iter().map(|(lease, _)| *lease).collect();
        let kept = match store.submit(Command::Kv(KvCommand::Keep(leases))).await {
            Ok(Response::Kv(KvResponse::Kept(kept))) => Ok(kept),
            Ok(other) => Err(Arc::new(StoreError::Stopped(format!(
                "leases were to be kept, and the answer was {other:?}"
            )))),
            Err(error) => Err(Arc::new(error)),
        };
        for (index, (_, answer)) in batch.drain(..).enumerate() {
            let kept = kept.as_ref().map(|kept| kept.get(index).copied().flatten());
            // Whoever does not listen any more has no use for the answer.
            let _ = answer.send(kept.map_err(Arc::clone));
        }
    }
}

async fn tell(store: Store, announce: watch::Sender<KvRevision>) {
    let mut changes = store.watch();
    while changes.changed().await.is_ok() {
        let now = store.read(|state| state.kv().revision());
        announce.send_if_modified(|told| std::mem::replace(told, now) != now);
    }
}

/// Takes office on the node that leads, as soon as there are leases, and ends those that are over.
async fn end_leases(store: Store) {
    let mut keeper: Option<Keeper> = None;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let leads = store.membership().leader == Some(store.node_id());
        let (office, has_leases) =
            store.read(|state| (state.kv().office(), !state.kv().leases().is_empty()));
        if !leads || !has_leases {
            keeper = None;
            continue;
        }
        match &mut keeper {
            Some(keeper) if keeper.office() == office => {
                let over = store.read(|state| keeper.step(state.kv().leases(), Instant::now()));
                expire(&store, office, &over).await;
            }
            _ => keeper = take_office(&store).await,
        }
    }
}

async fn take_office(store: &Store) -> Option<Keeper> {
    match store.submit(Command::Kv(KvCommand::TakeOffice)).await {
        Ok(Response::Kv(KvResponse::InOffice(office))) => {
            tracing::debug!(office, "ends leases from now on");
            Some(Keeper::new(office, Instant::now()))
        }
        Ok(other) => {
            tracing::warn!(?other, "cannot become the one who ends leases");
            None
        }
        // It is tried again.
        Err(error) => {
            tracing::debug!(%error, "cannot become the one who ends leases");
            None
        }
    }
}

async fn expire(store: &Store, office: u64, over: &[(LeaseId, u64)]) {
    for leases in over.chunks(EXPIRE_AT_ONCE) {
        for (lease, _) in leases {
            tracing::info!(%lease, "nobody keeps a lease any more; it ends with its keys and locks");
        }
        let leases = leases.to_vec();
        let expire = KvCommand::Expire { office, leases };
        // What does not end now is found again.
        if let Err(error) = store.submit(Command::Kv(expire)).await {
            tracing::warn!(%error, "leases that are over cannot be ended yet");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
