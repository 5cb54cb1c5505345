//! WatchInventory: batches of changes, made when the client has room for the next.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use pointsman_proto::pointsman::agent::v1 as pb;
use tokio::sync::watch;
use tonic::Status;

use crate::inventory::{Inventory, Item, Known, Since, wire};

/// Events of a batch at most.
const BATCH: usize = 512;

/// What a client is sent.
pub type Batches = Pin<Box<dyn Stream<Item = Result<pb::InventoryBatch, Status>> + Send>>;

/// How far a client is.
struct Watcher {
    inventory: Arc<Inventory>,
    boot_id: String,
    changes: watch::Receiver<Option<u64>>,
    known: Known,
    /// A snapshot of which the rest is to be sent, with its digest.
    snapshot: Option<(VecDeque<Arc<Item>>, u64, u64)>,
    /// Nothing was sent yet; even if nothing has happened, a client is told so once.
    is_first: bool,
    /// End when everything is sent.
    once: bool,
    is_done: bool,
}

/// Sends what a client has missed of the inventory of a boot and then, unless it asks for no more, what happens.
pub fn watch(
    inventory: Arc<Inventory>,
    boot_id: String,
    request: &pb::WatchInventoryRequest,
) -> Batches {
    let known = match request.boot_id == boot_id {
        true => Known::UpTo(request.sequence),
        false => Known::Nothing,
    };
    let watcher = Watcher {
        changes: inventory.changes(),
        inventory,
        boot_id,
        known,
        snapshot: None,
        is_first: true,
        once: request.once,
        is_done: false,
    };
    Box::pin(futures::stream::unfold(watcher, async |mut watcher| {
        let batch = watcher.next().await?;
        Some((Ok(batch), watcher))
    }))
}

impl Watcher {
    /// The next batch; none at the end.
    async fn next(&mut self) -> Option<pb::InventoryBatch> {
        loop {
            if self.is_done {
                return None;
            }
            // Before looking, so that what happens meanwhile is seen at the next look.
            (*self.changes.borrow_and_update())?;
            let batch = match self.snapshot.take() {
                Some((rest, sequence, digest)) => Some(self.part(rest, sequence, digest, false)),
                None => self.look(),
            };
            if let Some(batch) = batch {
                self.is_first = false;
                self.is_done = self.once && !batch.more;
                return Some(batch);
            }
            self.changes.changed().await.ok()?;
        }
    }

    fn look(&mut self) -> Option<pb::InventoryBatch> {
        match self.inventory.since(self.known) {
            Since::Snapshot {
                sequence,
                items,
                digest,
            } => Some(self.part(items.into(), sequence, digest, true)),
            Since::Changes { changes, digest } => {
                let last = changes.last().map(|(sequence, _)| *sequence);
                if let Some(last) = last {
                    self.known = Known::UpTo(last);
                } else if !self.is_first {
                    return None;
                }
                let Known::UpTo(sequence) = self.known else {
                    return None;
                };
                let events = changes.iter().map(|(n, change)| wire::event(*n, change));
                Some(pb::InventoryBatch {
                    boot_id: self.boot_id.clone(),
                    sequence,
                    events: events.collect(),
                    digest,
                    ..pb::InventoryBatch::default()
                })
            }
        }
    }

    /// The next part of a snapshot; keeps the rest.
    fn part(
        &mut self,
        mut items: VecDeque<Arc<Item>>,
        sequence: u64,
        digest: u64,
        snapshot: bool,
    ) -> pb::InventoryBatch {
        let events = items.drain(..items.len().min(BATCH));
        let events = events.map(|item| wire::put(&item)).collect();
        let more = !items.is_empty();
        if more {
            self.snapshot = Some((items, sequence, digest));
        } else {
            self.known = Known::UpTo(sequence);
        }
        pb::InventoryBatch {
            boot_id: self.boot_id.clone(),
            sequence,
            snapshot,
            more,
            events,
            digest: if more { 0 } else { digest },
        }
    }
}
