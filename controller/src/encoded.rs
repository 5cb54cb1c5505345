//! Messages to agents whose objectives are already encoded: on the wire the same as those of `pointsman.agent.v1`, but what
//! the controller never looks into is neither decoded nor encoded again on its way.
//!
//! Called by `agents` (checks) and `distribution` (batches); the reader of all these is the generated code in the agent.

use bytes::Bytes;
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::objective::v1::Operation;
use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{IntoStreamingRequest, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::objective::{Objective, ObjectiveKey};

/// `pointsman.objective.v1.Change`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Change {
    #[prost(enumeration = "Operation", tag = "1")]
    operation: i32,
    #[prost(bytes = "bytes", optional, tag = "2")]
    objective: Option<Bytes>,
}

impl Change {
    /// The objective is wanted like this.
    pub fn put(objective: &Objective) -> Self {
        Self::new(Operation::Put, objective.message().clone())
    }

    /// What is stated of the objective is to be compared.
    pub fn verify(objective: &Objective) -> Self {
        Self::new(Operation::Verify, objective.message().clone())
    }

    /// The objective is wanted no more.
    pub fn delete(key: &ObjectiveKey) -> Self {
        Self::new(Operation::Delete, bare(key))
    }

    /// The objective that the agent has is the one that is wanted.
    pub fn keep(key: &ObjectiveKey) -> Self {
        Self::new(Operation::Put, bare(key))
    }

    fn new(operation: Operation, objective: Bytes) -> Self {
        Self {
            operation: operation.into(),
            objective: Some(objective),
        }
    }
}

fn bare(key: &ObjectiveKey) -> Bytes {
    Objective::bare_proto(key).encode_to_vec().into()
}

/// `RevisedChange`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RevisedChange {
    /// The change.
    #[prost(message, optional, tag = "1")]
    pub change: Option<Change>,
    /// Its revision.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    /// Only the revision is another one.
    #[prost(bool, tag = "3")]
    pub revision_only: bool,
}

/// `ChangeBatch`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChangeBatch {
    /// The changes.
    #[prost(message, repeated, tag = "1")]
    pub changes: Vec<RevisedChange>,
    /// They are all that is wanted.
    #[prost(bool, tag = "2")]
    pub snapshot: bool,
    /// The revision after them.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
    /// They are what differs.
    #[prost(bool, tag = "4")]
    pub difference: bool,
}

/// `SyncRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SyncRequest {
    /// What it says.
    #[prost(oneof = "SyncMessage", tags = "1, 2, 3")]
    pub message: Option<SyncMessage>,
}

/// What a [`SyncRequest`] says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum SyncMessage {
    /// The first message.
    #[prost(message, tag = "1")]
    Hello(pb::SyncHello),
    /// Changes.
    #[prost(message, tag = "2")]
    Batch(ChangeBatch),
    /// A question.
    #[prost(message, tag = "3")]
    Query(pb::HoldingsQuery),
}

/// `CheckObjectivesRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckObjectivesRequest {
    /// The changes.
    #[prost(message, repeated, tag = "1")]
    pub changes: Vec<Change>,
}

/// `SyncObjectives` of an agent.
///
/// # Errors
/// What the agent answers, or the transport.
pub async fn sync_objectives(
    channel: Channel,
    limit: usize,
    requests: impl IntoStreamingRequest<Message = SyncRequest>,
) -> Result<Response<Streaming<pb::SyncResponse>>, Status> {
    let mut agent = ready(channel, limit).await?;
    let path = PathAndQuery::from_static("/pointsman.agent.v1.Agent/SyncObjectives");
    let codec = ProstCodec::<SyncRequest, pb::SyncResponse>::default();
    let requests = requests.into_streaming_request();
    agent.streaming(requests, path, codec).await
}

/// `CheckObjectives` of an agent.
///
/// # Errors
/// What the agent answers, or the transport.
pub async fn check_objectives(
    channel: Channel,
    limit: usize,
    request: CheckObjectivesRequest,
) -> Result<Response<pb::CheckObjectivesResponse>, Status> {
    let mut agent = ready(channel, limit).await?;
    let path = PathAndQuery::from_static("/pointsman.agent.v1.Agent/CheckObjectives");
    let codec = ProstCodec::<CheckObjectivesRequest, pb::CheckObjectivesResponse>::default();
    agent.unary(Request::new(request), path, codec).await
}

async fn ready(channel: Channel, limit: usize) -> Result<Grpc<Channel>, Status> {
    let mut agent = Grpc::new(channel).max_decoding_message_size(limit);
    let is_ready = agent.ready().await;
    is_ready.map_err(|error| Status::from_error(Box::new(error)))?;
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use pointsman_proto::pointsman::objective::v1 as objective_pb;

    use super::*;

    fn next() -> objective_pb::Objective {
        objective_pb::Objective {
            name: "spines".into(),
            priority: 7,
            kind: Some(objective_pb::objective::Kind::Next(objective_pb::Next {
                buckets: vec![objective_pb::Bucket {
                    weight: 1,
                    next: "inner".into(),
                    ..objective_pb::Bucket::default()
                }],
                ..objective_pb::Next::default()
            })),
            ..objective_pb::Objective::default()
        }
    }

    #[test]
    fn the_agents_own_messages_read_them() {
        let kept = Objective::from_proto(next()).unwrap();
        let key = kept.key().clone();
        let ours = SyncRequest {
            message: Some(SyncMessage::Batch(ChangeBatch {
                changes: vec![
                    RevisedChange {
                        change: Some(Change::put(&kept)),
                        revision: 4,
                        revision_only: false,
                    },
                    RevisedChange {
                        change: Some(Change::keep(&key)),
                        revision: 5,
                        revision_only: true,
                    },
                ],
                snapshot: true,
                revision: 9,
                difference: true,
            })),
        };
        let read = pb::SyncRequest::decode(ours.encode_to_vec().as_slice()).unwrap();
        let change = |operation: Operation, objective| {
            Some(objective_pb::Change {
                operation: operation.into(),
                objective: Some(objective),
            })
        };
        let expected = pb::ChangeBatch {
            changes: vec![
                pb::RevisedChange {
                    change: change(Operation::Put, next()),
                    revision: 4,
                    revision_only: false,
                },
                pb::RevisedChange {
                    change: change(Operation::Put, Objective::bare_proto(&key)),
                    revision: 5,
                    revision_only: true,
                },
            ],
            snapshot: true,
            revision: 9,
            difference: true,
        };
        let expected = pb::sync_request::Message::Batch(expected);
        assert_eq!(read.message, Some(expected));
        let ours = CheckObjectivesRequest {
            changes: vec![Change::delete(&key), Change::verify(&kept)],
        };
        let read = pb::CheckObjectivesRequest::decode(ours.encode_to_vec().as_slice()).unwrap();
        let expected = [
            change(Operation::Delete, Objective::bare_proto(&key)),
            change(Operation::Verify, next()),
        ];
        assert!(read.changes.into_iter().map(Some).eq(expected));
    }
}
