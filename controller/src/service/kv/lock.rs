//! Waiting for a lock.
//!
//! The queue is in the replicated state, so that a wait survives the node that it began on: whoever asks again, anywhere,
//! has the place that he had. Who does not want to wait any longer leaves the queue; who just goes away without a word
//! keeps his place until he unlocks, or his lease ends.

use std::time::Duration;

use pointsman_proto::pointsman::controller::v1 as pb;
use tonic::Status;

use super::convert::{key_error, refusal};
use super::{KvService, store_error, unexpected};
use crate::state::kv::{EntryKey, KvRefusal, KvRevision, LeaseId};
use crate::state::{KvCommand, KvResponse};

impl KvService {
    pub(super) async fn take_lock(
        &self,
        request: pb::LockRequest,
    ) -> Result<pb::LockResponse, Status> {
        let key = EntryKey::new(&request.namespace, &request.name).map_err(key_error)?;
        let lease = LeaseId(request.lease);
        let wait = Duration::from_millis(request.wait_milliseconds.into());
        let lock = KvCommand::Lock {
            key: key.clone(),
            lease,
            wait: !wait.is_zero(),
        };
        let holder = match self.submit(lock).await? {
            KvResponse::Locked(token) => return Ok(pb::LockResponse { token: token.0 }),
            KvResponse::Waiting { holder } => holder,
            other => return Err(unexpected(&other)),
        };
        let busy = Status::aborted(format!("the lock {key} is held by lease {holder}"));
        if wait.is_zero() {
            return Err(busy);
        }
        let token = tokio::select! {
            token = self.wait_for(&key, lease) => Some(token?),
            () = tokio::time::sleep(wait) => None,
            () = self.node.drain().cancelled_owned() => {
                return Err(Status::unavailable(
                    "this controller is shutting down; ask another one, the place in the queue is kept",
                ));
            }
        };
        if let Some(token) = token {
            return Ok(pb::LockResponse { token: token.0 });
        }
        // It may have come at the last moment: giving it up then is as good as not having had it.
        self.release(key, lease).await?;
        Err(busy)
    }

    pub(super) async fn release(&self, key: EntryKey, lease: LeaseId) -> Result<bool, Status> {
        match self.submit(KvCommand::Unlock { key, lease }).await? {
            KvResponse::Unlocked(released) => Ok(released),
            other => Err(unexpected(&other)),
        }
    }

    async fn wait_for(&self, key: &EntryKey, lease: LeaseId) -> Result<KvRevision, Status> {
        let store = self.node.store();
        let mut changes = store.watch();
        // A node that does not lead has the answer of the leader before it has the place in the queue.
        store.ensure_current().await.map_err(store_error)?;
        loop {
            changes.mark_unchanged();
            let got = store.read(|state| {
                let kv = state.kv();
                let lock = kv.locks().get(key);
                match lock.filter(|lock| lock.holder == lease) {
                    Some(lock) => Ok(Some(lock.token)),
                    None if !kv.leases().contains_key(&lease) => {
                        Err(refusal(&KvRefusal::NoSuchLease(lease)))
                    }
                    None if !lock.is_some_and(|lock| lock.waiting.contains(&lease)) => {
                        Err(Status::aborted(format!(
                            "lease {lease} was taken out of the queue for {key}"
                        )))
                    }
                    None => Ok(None),
                }
            });
            if let Some(token) = got? {
                return Ok(token);
            }
            if changes.changed().await.is_err() {
                return Err(Status::unavailable("the store has stopped"));
            }
        }
    }
}
