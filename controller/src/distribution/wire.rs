//! Messages of the `SyncObjectives` stream, made from and turned into the
//! controller's own types.

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::sync_request::Message;
use pointsman_proto::pointsman::objective::v1 as objective_pb;

use super::statuses::Ack;
use super::walk::{Difference, Held, Remedy};
use crate::objective::{Kind, Objective, ObjectiveKey};
use crate::state::{Change, DeviceState, ElectionId, Revision, Tail};
use crate::status::Status;

/// The master's first message.
pub fn hello(
    device_id: u64,
    election_id: ElectionId,
    controller: &str,
    cluster_id: &str,
) -> pb::SyncRequest {
    let ElectionId { high, low } = election_id;
    let hello = pb::SyncHello {
        device_id,
        election_id: Some(pb::ElectionId { high, low }),
        controller: controller.to_owned(),
        cluster_id: cluster_id.to_owned(),
        exceptions_only: true,
    };
    request(Message::Hello(hello))
}

fn request(message: Message) -> pb::SyncRequest {
    pb::SyncRequest {
        message: Some(message),
    }
}

/// A batch of changes, or the whole of what is wanted.
pub fn batch(tail: &Tail, snapshot: bool) -> pb::SyncRequest {
    let changes = tail.changes.iter().map(|change| pb::RevisedChange {
        revision: change.revision().0,
        change: Some(change_to_proto(change)),
        revision_only: false,
    });
    let batch = pb::ChangeBatch {
        changes: changes.collect(),
        snapshot,
        revision: tail.revision.0,
        difference: false,
    };
    request(Message::Batch(batch))
}

/// What differs, from what is wanted of a device. The agent is at `revision` when it has this; zero if more follows.
pub fn differences(
    device: &DeviceState,
    differences: &[Difference],
    revision: Revision,
) -> pb::SyncRequest {
    let changes = differences.iter().filter_map(|difference| {
        let (operation, objective) = match difference.remedy {
            Remedy::Put => {
                // What has been changed or deleted meanwhile comes with the tail.
                let stored = device.objectives().get(&difference.key)?;
                let is_same = stored.revision == difference.revision;
                let objective = is_same.then(|| stored.objective.to_proto())?;
                (objective_pb::Operation::Put, objective)
            }
            Remedy::Revise => (
                objective_pb::Operation::Put,
                Objective::bare_proto(&difference.key),
            ),
            Remedy::Delete => (
                objective_pb::Operation::Delete,
                Objective::bare_proto(&difference.key),
            ),
        };
        Some(pb::RevisedChange {
            change: Some(objective_pb::Change {
                operation: operation.into(),
                objective: Some(objective),
            }),
            revision: difference.revision.0,
            revision_only: difference.remedy == Remedy::Revise,
        })
    });
    request(Message::Batch(pb::ChangeBatch {
        changes: changes.collect(),
        snapshot: false,
        revision: revision.0,
        difference: true,
    }))
}

/// Asks for the digests of all buckets, or for what is in some.
pub fn query(bits: u32, buckets: Vec<u32>) -> pb::SyncRequest {
    request(Message::Query(pb::HoldingsQuery { bits, buckets }))
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

fn change_to_proto(change: &Change) -> objective_pb::Change {
    let (operation, objective) = match change {
        Change::Put { objective, .. } => (objective_pb::Operation::Put, objective.to_proto()),
        Change::Delete { key, .. } => (objective_pb::Operation::Delete, Objective::bare_proto(key)),
    };
    objective_pb::Change {
        operation: operation.into(),
        objective: Some(objective),
    }
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
