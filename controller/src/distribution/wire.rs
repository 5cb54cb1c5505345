//! Messages of the `SyncObjectives` stream, made from and turned into the
//! controller's own types.

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective_pb;

use super::statuses::Ack;
use crate::objective::{Kind, Objective, ObjectiveKey};
use crate::state::{Change, ElectionId, Tail};
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
    };
    pb::SyncRequest {
        message: Some(pb::sync_request::Message::Hello(hello)),
    }
}

/// A batch of changes, or the whole of what is wanted.
pub fn batch(tail: &Tail, snapshot: bool) -> pb::SyncRequest {
    let changes = tail.changes.iter().map(|change| pb::RevisedChange {
        revision: change.revision().0,
        change: Some(change_to_proto(change)),
    });
    let batch = pb::ChangeBatch {
        changes: changes.collect(),
        snapshot,
        revision: tail.revision.0,
    };
    pb::SyncRequest {
        message: Some(pb::sync_request::Message::Batch(batch)),
    }
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
