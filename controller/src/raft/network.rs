//! The way to the other nodes of the cluster.
//!
//! A cluster of one has no others, and there is no transport yet. openraft asks
//! for one only when the membership names another node, which nothing here can
//! make it do; should a store hold such a membership all the same, that node is
//! unreachable, which is the truth, and the cluster has no quorum, which is safe.

use std::future::Future;

use openraft::error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend, Snapshot};
use thiserror::Error;

use super::types::{TypeConfig, Vote};
use crate::state::NodeId;

/// Makes a connection for each other node.
pub struct Peers;

/// The connection to one other node.
pub struct Peer {
    target: NodeId,
    address: String,
}

#[derive(Debug, Error)]
#[error(
    "this controller has no transport to node {target} at {address}: it runs as a cluster of one"
)]
struct NoTransport {
    target: NodeId,
    address: String,
}

impl Peer {
    fn unreachable(&self) -> Unreachable {
        let Self { target, address } = self;
        Unreachable::new(&NoTransport {
            target: *target,
            address: address.clone(),
        })
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> Peer {
        Peer {
            target,
            address: node.addr.clone(),
        }
    }
}

type RpcResult<T> = Result<T, RPCError<NodeId, BasicNode, RaftError<NodeId>>>;

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<NodeId>> {
        Err(self.unreachable().into())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<NodeId>,
        _option: RPCOption,
    ) -> RpcResult<VoteResponse<NodeId>> {
        Err(self.unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot<TypeConfig>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<TypeConfig, Fatal<NodeId>>> {
        Err(self.unreachable().into())
    }
}
