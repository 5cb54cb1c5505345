//! The services of the peer port that are the store's own. Messages come in and
//! are handed to Raft or to [`Store`]; nothing is decided here.

use std::pin::pin;
use std::sync::Arc;

use openraft::error::RaftError;
use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::consensus_server::{Consensus, ConsensusServer};
use pointsman_proto::pointsman::peer::v1::follower_server::{Follower, FollowerServer};
use pointsman_proto::pointsman::peer::v1::leader_server::{Leader, LeaderServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::database::{decode, encode};
use super::network::MAX_MESSAGE_BYTES;
use super::state_machine::SharedState;
use super::types::EncodedCommand;
use super::wire::{self, Malformed};
use super::{Store, StoreError, canvass, snapshot};
use crate::state::NodeId;
use crate::trust::{PeerTls, caller};

/// What may be under way, unread, on one connection.
const WINDOW_BYTES: u32 = 8 << 20;

/// Serves a peer port until it is told to stop.
///
/// # Errors
/// When the certificates are unusable or the port fails.
pub async fn serve(
    listener: TcpListener,
    tls: Option<&PeerTls>,
    routes: Routes,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let mut server = tonic::transport::Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    if let Some(tls) = tls {
        server = server.tls_config(tls.server())?;
    }
    server
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stop.cancelled_owned(),
        )
        .await
}

/// The services of `store`, for its peer port.
pub fn routes(store: &Store) -> Routes {
    let members_only = store.members_only();
    let service = PeerService {
        store: store.clone(),
    };
    let consensus = ConsensusServer::new(service.clone())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let leader = LeaderServer::new(service.clone())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let follower = FollowerServer::new(service);
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(InterceptedService::new(consensus, members_only.clone()))
        .add_service(InterceptedService::new(leader, members_only.clone()))
        .add_service(InterceptedService::new(follower, members_only));
    routes.routes()
}

/// Turns away, where there is TLS, whoever shows no certificate, and nodes that were taken out of the cluster, whose
/// certificates are good still. What is shown has been verified then.
#[derive(Clone)]
pub struct MembersOnly {
    /// There is TLS.
    pub(super) with_tls: bool,
    pub(super) shared: Arc<SharedState>,
}

impl MembersOnly {
    fn is_removed(&self, node: NodeId) -> bool {
        self.shared
            .read(|state| state.admissions().is_removed(node))
    }
}

impl tonic::service::Interceptor for MembersOnly {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if !self.with_tls {
            return Ok(request);
        }
        match caller(&request) {
            None => Err(Status::unauthenticated(
                "only nodes of this cluster are served here, and you show no certificate of one; join it first",
            )),
            Some(node) if self.is_removed(node) => Err(Status::permission_denied(format!(
                "node {node} was taken out of this cluster"
            ))),
            Some(_) => Ok(request),
        }
    }
}

#[derive(Clone)]
struct PeerService {
    store: Store,
}

fn malformed(error: Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

fn raft_error<E: std::error::Error>(error: RaftError<u64, E>) -> Status {
    Status::unavailable(error.to_string())
}

fn store_error(error: StoreError) -> Status {
    let message = error.to_string();
    match error {
        StoreError::NotLeader { .. } => Status::failed_precondition(message),
        // Certainly not done, and another one may lead soon.
        StoreError::NoQuorum(reason) => Status::failed_precondition(reason),
        StoreError::Refused(reason) => Status::invalid_argument(reason),
        StoreError::Unknown(_) | StoreError::Stopped(_) => Status::aborted(message),
    }
}

#[tonic::async_trait]
impl Consensus for PeerService {
    async fn append_entries(
        &self,
        request: Request<pb::AppendEntriesRequest>,
    ) -> Result<Response<pb::AppendEntriesResponse>, Status> {
        let request = wire::append_from_proto(request.into_inner()).map_err(malformed)?;
        let is_leader = request.vote >= self.store.raft.server_metrics().borrow().vote;
        let _hearing = is_leader.then(|| self.store.contact.hear());
        let appended = self.store.raft.append_entries(request).await;
        let appended = appended.map_err(raft_error)?;
        Ok(Response::new(wire::appended_to_proto(&appended)))
    }

    async fn request_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = wire::vote_request_from_proto(request.into_inner()).map_err(malformed)?;
        self.store.meet_candidate(&request).await;
        let voted = self.store.raft.vote(request).await.map_err(raft_error)?;
        Ok(Response::new(wire::voted_to_proto(&voted)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::InstallSnapshotResponse>, Status> {
        let chunks = pin!(request.into_inner());
        let received = snapshot::receive(&self.store.data_dir, chunks).await;
        let (vote, snapshot) = received.map_err(|error| Status::data_loss(error.to_string()))?;
        let installed = self.store.raft.install_full_snapshot(vote, snapshot).await;
        let installed = installed.map_err(|fatal| Status::unavailable(fatal.to_string()))?;
        Ok(Response::new(pb::InstallSnapshotResponse {
            vote: Some(wire::vote_to_proto(&installed.vote)),
        }))
    }
}

#[tonic::async_trait]
impl Leader for PeerService {
    async fn submit(
        &self,
        request: Request<pb::SubmitRequest>,
    ) -> Result<Response<pb::SubmitResponse>, Status> {
        let command = EncodedCommand::from_bytes(request.into_inner().command);
        let response = self.store.commit_here(command).await.map_err(store_error)?;
        let response = encode(&response).into();
        Ok(Response::new(pb::SubmitResponse { response }))
    }

    async fn read_index(
        &self,
        _request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        let index = self.store.leading.read_index().await.map_err(store_error)?;
        Ok(Response::new(pb::ReadIndexResponse { index }))
    }

    async fn change_membership(
        &self,
        request: Request<pb::ChangeMembershipRequest>,
    ) -> Result<Response<pb::ChangeMembershipResponse>, Status> {
        let change = decode("membership", &request.into_inner().change);
        let change = change.map_err(|error| malformed(error.into()))?;
        let changed = self.store.change_membership_here(change).await;
        changed.map_err(store_error)?;
        Ok(Response::new(pb::ChangeMembershipResponse {}))
    }
}

#[tonic::async_trait]
impl Follower for PeerService {
    async fn canvass(
        &self,
        request: Request<pb::CanvassRequest>,
    ) -> Result<Response<pb::CanvassResponse>, Status> {
        let last = request.into_inner().last.map(wire::log_id_from_proto);
        let would_vote = canvass::would_vote(&self.store.raft, &self.store.contact, last);
        Ok(Response::new(pb::CanvassResponse { would_vote }))
    }

    async fn elect(
        &self,
        request: Request<pb::ElectRequest>,
    ) -> Result<Response<pb::ElectResponse>, Status> {
        self.store.stand_for_election(request.get_ref().term).await;
        Ok(Response::new(pb::ElectResponse {}))
    }
}
