//! What openraft sends to the other nodes of the cluster.
//!
//! openraft gives up on a request after a heartbeat interval and sends it again.
//! A large request may take longer, so it goes on in a task of its own, and what
//! asks for the same again waits for it rather than for another copy.

use std::future::Future;

use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend, Snapshot};
use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::consensus_client::ConsensusClient;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::transport::Channel;

use super::links::{Link, LinkError, Links};
use super::snapshot;
use super::types::{LogId, TypeConfig, Vote};
use super::wire;
use crate::state::NodeId;

/// Entries are whole change sets.
pub const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// How long a node that could not be reached is left alone.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Makes a connection for each other node.
pub struct Network {
    links: Links,
}

impl Network {
    /// Over these links.
    pub fn new(links: Links) -> Self {
        Self { links }
    }
}

/// The connection to one other node.
pub struct Peer {
    links: Links,
    target: NodeId,
    address: String,
    sending: Option<Sending>,
}

/// What identifies a request to append: the same vote, place and end are the same entries.
type Appended = (Vote, Option<LogId>, Option<LogId>);

/// A request that was not answered in time.
struct Sending {
    what: Appended,
    task: JoinHandle<Result<pb::AppendEntriesResponse, tonic::Status>>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type RpcResult<T> = Result<T, RPCError<NodeId, BasicNode, RaftError<NodeId>>>;

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> Peer {
        Peer {
            links: self.links.clone(),
            target,
            address: node.addr.clone(),
            sending: None,
        }
    }
}

/// A client of the consensus service that takes messages of any size.
pub fn client(channel: Channel) -> ConsensusClient<Channel> {
    ConsensusClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

impl Peer {
    fn link(&self) -> Result<Link, LinkError> {
        self.links.to(self.target, &self.address)
    }

    /// Waits for a request under way if it was the same, and else sends this one behind it.
    async fn append(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> RpcResult<AppendEntriesResponse<NodeId>> {
        let last = request.entries.last().map(|entry| entry.log_id);
        let what = (request.vote, request.prev_log_id, last);
        if let Some(sending) = &mut self.sending {
            // Whatever it was, it is over before the next one is sent, so that nothing overtakes.
            let ended = (&mut sending.task).await;
            let was_the_same = sending.what == what;
            self.sending = None;
            if let (true, Ok(Ok(response))) = (was_the_same, ended) {
                return Ok(appended(response)?);
            }
        }
        let link = self.link().map_err(|error| Unreachable::new(&error))?;
        let channel = if request.entries.is_empty() {
            link.urgent
        } else {
            link.bulk
        };
        let message = wire::append_to_proto(&request);
        let task = tokio::spawn(async move {
            let response = client(channel).append_entries(message).await;
            response.map(tonic::Response::into_inner)
        });
        let sending = self.sending.insert(Sending { what, task });
        let ended = (&mut sending.task).await;
        self.sending = None;
        match ended {
            Ok(Ok(response)) => Ok(appended(response)?),
            Ok(Err(status)) => Err(rpc_error(&status)),
            Err(died) => Err(NetworkError::new(&died).into()),
        }
    }
}

fn appended(
    response: pb::AppendEntriesResponse,
) -> Result<AppendEntriesResponse<NodeId>, NetworkError> {
    wire::appended_from_proto(response).map_err(|error| NetworkError::new(&error))
}

fn rpc_error(status: &tonic::Status) -> RPCError<NodeId, BasicNode, RaftError<NodeId>> {
    match status.code() {
        Code::Unavailable => Unreachable::new(status).into(),
        _ => NetworkError::new(status).into(),
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<NodeId>> {
        self.append(request).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        _option: RPCOption,
    ) -> RpcResult<VoteResponse<NodeId>> {
        let link = self.link().map_err(|error| Unreachable::new(&error))?;
        let answer = client(link.urgent)
            .request_vote(wire::vote_request_to_proto(&request))
            .await
            .map_err(|status| rpc_error(&status))?;
        wire::voted_from_proto(answer.into_inner())
            .map_err(|error| NetworkError::new(&error).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<TypeConfig, Fatal<NodeId>>> {
        let link = self.link().map_err(|error| Unreachable::new(&error))?;
        let mut client = client(link.bulk);
        let sent = client.install_snapshot(snapshot::chunks(vote, snapshot));
        let answer = tokio::select! {
            closed = cancel => return Err(closed.into()),
            answer = sent => answer,
        };
        let answer = answer.map_err(|status| match status.code() {
            Code::Unavailable => StreamingError::from(Unreachable::new(&status)),
            _ => NetworkError::new(&status).into(),
        })?;
        wire::vote_from_proto(answer.into_inner().vote)
            .map(SnapshotResponse::new)
            .map_err(|error| NetworkError::new(&error).into())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(PAUSE))
    }
}
