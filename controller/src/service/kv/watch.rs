//! The stream of changes. A watcher is a place in the history of the store and nothing else: it holds no events, so a
//! slow one costs nothing but what it has to be told at the end, that it is too far behind.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use pointsman_proto::pointsman::controller::v1 as pb;
use tokio::sync::watch;
use tonic::Status;

use super::convert::{self, key_error};
use crate::kv::{KvNode, Watching};
use crate::raft::Store;
use crate::state::kv::{KvEvent, KvRevision, check_namespace};

/// Revisions that are read at once.
const AT_ONCE: usize = 256;
/// How often a quiet stream says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

struct Watcher {
    store: Store,
    revisions: watch::Receiver<KvRevision>,
    namespace: String,
    prefix: String,
    /// Everything up to here was looked at.
    at: KvRevision,
    /// What the client knows of that.
    told: KvRevision,
    ready: VecDeque<pb::KvWatchResponse>,
    has_failed: bool,
    _watching: Watching,
}

/// Begins to watch. The first message says where the stream begins.
pub async fn start(
    node: &KvNode,
    request: pb::KvWatchRequest,
) -> Result<BoxStream<'static, Result<pb::KvWatchResponse, Status>>, Status> {
    if !request.namespace.is_empty() {
        check_namespace(&request.namespace).map_err(key_error)?;
    }
    let store = node.store().clone();
    // Whoever has read of a revision anywhere can watch from it here.
    store.ensure_current().await.map_err(super::store_error)?;
    let now = store.read(|state| state.kv().revision());
    let at = request.after_revision.map_or(now, KvRevision);
    if at > now {
        return Err(Status::out_of_range(format!(
            "there is no revision {at} yet, the latest is {now}; was the store restored from a backup? List the keys anew"
        )));
    }
    store
        .read(|state| state.kv().events_after(at).map(drop))
        .map_err(|compacted| Status::out_of_range(compacted.to_string()))?;
    let begins = pb::KvWatchResponse {
        revision: at.0,
        events: vec![],
    };
    let watcher = Watcher {
        store,
        revisions: node.revisions(),
        namespace: request.namespace,
        prefix: request.prefix,
        at,
        told: at,
        ready: VecDeque::from([begins]),
        has_failed: false,
        _watching: node.watching(),
    };
    let messages = stream::unfold(watcher, |mut watcher| async move {
        let message = watcher.next().await?;
        Some((message, watcher))
    });
    Ok(messages.take_until(node.drain().cancelled_owned()).boxed())
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<pb::KvWatchResponse, Status>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.told = KvRevision(message.revision);
                return Some(Ok(message));
            }
            if self.has_failed {
                return None;
            }
            self.revisions.mark_unchanged();
            match self.look() {
                Err(status) => {
                    self.has_failed = true;
                    return Some(Err(status));
                }
                Ok(true) => continue,
                Ok(false) => {}
            }
            let changed = tokio::time::timeout(PROGRESS_INTERVAL, self.revisions.changed());
            match changed.await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) if self.told < self.at => self.ready.push_back(pb::KvWatchResponse {
                    revision: self.at.0,
                    events: vec![],
                }),
                Err(_) => {}
            }
        }
    }

    /// Reads on. Says whether there may be more.
    fn look(&mut self) -> Result<bool, Status> {
        let store = self.store.clone();
        store.read(|state| {
            let kv = state.kv();
            let events = kv.events_after(self.at);
            let mut events = events.map_err(|error| Status::out_of_range(error.to_string()))?;
            for (revision, events) in events.by_ref().take(AT_ONCE) {
                self.at = revision;
                let wanted = events.iter().filter(|event| self.wants(event));
                let wanted: Vec<_> = wanted.map(message).collect();
                if !wanted.is_empty() {
                    self.ready.push_back(pb::KvWatchResponse {
                        revision: revision.0,
                        events: wanted,
                    });
                }
            }
            let more = events.next().is_some();
            if !more {
                self.at = kv.revision();
            }
            Ok(more || !self.ready.is_empty())
        })
    }

    fn wants(&self, event: &KvEvent) -> bool {
        (self.namespace.is_empty() || event.key.namespace() == self.namespace)
            && event.key.key().starts_with(&self.prefix)
    }
}

fn message(event: &KvEvent) -> pb::KvEvent {
    let entry = event.entry.as_ref();
    pb::KvEvent {
        namespace: event.key.namespace().to_owned(),
        key: event.key.key().to_owned(),
        entry: entry.map(|entry| convert::entry(&event.key, entry, true)),
    }
}
