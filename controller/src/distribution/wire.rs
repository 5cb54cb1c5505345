//! Messages of the `SyncObjectives` stream, made from and turned into the
//! controller's own types.

use pointsman_proto::pointsman::agent::v1 as pb;

use super::statuses::Ack;
use super::walk::{Difference, Held, Remedy};
use crate::encoded::{Change, ChangeBatch, RevisedChange, SyncMessage, SyncRequest};
use crate::objective::{Kind, ObjectiveKey};
use crate::state::{self, DeviceState, ElectionId, Revision, Tail};
use crate::status::Status;

/// The master's first message.
pub fn hello(
    device_id: u64,
    election_id: ElectionId,
    controller: &str,
    cluster_id: &str,
) -> SyncRequest {
    let ElectionId { high, low } = election_id;
    let hello = pb::SyncHello {
        device_id,
        election_id: Some(pb::ElectionId { high, low }),
        controller: controller.to_owned(),
        cluster_id: cluster_id.to_owned(),
        exceptions_only: true,
    };
    request(SyncMessage::Hello(hello))
}

fn request(message: SyncMessage) -> SyncRequest {
    SyncRequest {
        message: Some(message),
    }
}

/// A batch of changes, or the whole of what is wanted.
pub fn batch(tail: &Tail, snapshot: bool) -> SyncRequest {
    let changes = tail.changes.iter().map(|change| RevisedChange {
        revision: change.revision().0,
        change: Some(match change {
            state::Change::Put { objective, .. } => Change::put(objective),
            state::Change::Delete { key, .. } => Change::delete(key),
        }),
        revision_only: false,
    });
    request(SyncMessage::Batch(ChangeBatch {
        changes: changes.collect(),
        snapshot,
        revision: tail.revision.0,
        difference: false,
    }))
}

/// What differs, from what is wanted of a device. The agent is at `revision` when it has this; zero if more follows.
pub fn differences(
    device: &DeviceState,
    differences: &[Difference],
    revision: Revision,
) -> SyncRequest {
    let changes = differences.iter().filter_map(|difference| {
        let change = match difference.remedy {
            Remedy::Put => {
                // What has been changed or deleted meanwhile comes with the tail.
                let stored = device.objectives().get(&difference.key)?;
                let is_same = stored.revision == difference.revision;
                is_same.then(|| Change::put(&stored.objective))?
            }
            Remedy::Revise => Change::keep(&difference.key),
            Remedy::Delete => Change::delete(&difference.key),
        };
        Some(RevisedChange {
            change: Some(change),
            revision: difference.revision.0,
            revision_only: difference.remedy == Remedy::Revise,
        })
    });
    request(SyncMessage::Batch(ChangeBatch {
        changes: changes.collect(),
        snapshot: false,
        revision: revision.0,
        difference: true,
    }))
}

/// Asks for the digests of all buckets, or for what is in some.
pub fn query(bits: u32, buckets: Vec<u32>) -> SyncRequest {
    request(SyncMessage::Query(pb::HoldingsQuery { bits, buckets }))
}

/// What an agent says that it holds; what is without a kind names nothing.
pub fn held(objectives: Vec<pb::Holding>) -> Vec<Held> {
    let held = objectives.into_iter().filter_map(|holding| {
        let kind = Kind::from_proto(holding.kind())?;
        Some(Held {
            key: ObjectiveKey {
                kind,
                name: holding.name,
            },
            revision: Revision(holding.revision),
            content: holding.content,
        })
    });
    held.collect()
}

/// Acknowledgements; those without a kind name nothing and are left out.
pub fn acks(acks: Vec<pb::Ack>) -> Vec<Ack> {
    acks.into_iter()
        .filter_map(|ack| {
            let kind = Kind::from_proto(ack.kind())?;
            let key = ObjectiveKey {
                kind,
                name: ack.name,
            };
            let status = ack
                .exists
                .then(|| Status::from_proto(ack.status.unwrap_or_default()));
            Some(Ack { key, status })
        })
        .collect()
}
