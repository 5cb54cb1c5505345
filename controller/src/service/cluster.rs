//! The service of a cluster's nodes: who there is, who comes and goes, who leads, who is master, and backups.
//!
//! It turns requests into membership changes and commands. Who may be master of what is decided by the state, who
//! votes by consensus; that a node leaves is both, in that order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::cluster_node::Role;
use pointsman_proto::pointsman::controller::v1::cluster_server::Cluster;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::store_error;
use crate::backup;
use crate::clock::seconds_now;
use crate::raft::Store;
use crate::state::{
    AdmissionCommand, Command, Duty, MastershipCommand, NodeCommand, NodeId, Presence,
    Response as Answer, State, Term,
};
use crate::trust::{Fingerprint, JoinToken, Secret};

/// How long a join token is good for if nobody says.
const DEFAULT_VALIDITY_SECONDS: u32 = 60 * 60;
/// The piece of a backup in one message.
const CHUNK_BYTES: usize = 1 << 20;

/// The service over one node's store.
pub struct ClusterService {
    store: Store,
    authority: Fingerprint,
    /// Where a new node finds this one, if others can find it at all.
    peer_address: Result<String, String>,
}

/// Who is where, as one look at store and state tells.
struct Masters(BTreeMap<String, (NodeId, Term)>);

impl ClusterService {
    /// The service. `peer_address` is what join tokens name; without one they are refused with that reason.
    pub fn new(store: Store, authority: Fingerprint, peer_address: Result<String, String>) -> Self {
        Self {
            store,
            authority,
            peer_address,
        }
    }

    async fn current(&self) -> Result<(), Status> {
        self.store.ensure_current().await.map_err(store_error)
    }

    /// Commits a command; what refuses it is the caller's answer.
    async fn commit(&self, command: Command) -> Result<Answer, Status> {
        match self.store.submit(command).await.map_err(store_error)? {
            Answer::Rejected(rejections) => {
                let messages: Vec<_> = rejections.into_iter().map(|one| one.message).collect();
                Err(Status::failed_precondition(messages.join("; ")))
            }
            answer => Ok(answer),
        }
    }

    /// The same, and how many devices have another master than before.
    async fn commit_and_count(&self, command: Command) -> Result<u32, Status> {
        self.current().await?;
        let before = self.store.read(Masters::of);
        self.commit(command).await?;
        self.current().await?;
        let after = self.store.read(Masters::of);
        Ok(before.moved(&after))
    }

    /// All nodes that are, or are about to be, in the cluster.
    fn nodes(&self) -> Vec<pb::ClusterNode> {
        let membership = self.store.membership();
        self.store.read(|state| {
            let ids: BTreeSet<NodeId> = membership
                .addresses
                .keys()
                .chain(state.nodes().keys())
                .chain(state.admissions().admitted().keys())
                .copied()
                .collect();
            let mut nodes: Vec<_> = ids
                .into_iter()
                .map(|id| {
                    let role = if membership.leader == Some(id) {
                        Role::Leader
                    } else if membership.voters.contains(&id) {
                        Role::Voter
                    } else if membership.addresses.contains_key(&id) {
                        Role::Learner
                    } else {
                        Role::Unspecified
                    };
                    let peer_address = membership.addresses.get(&id).cloned();
                    pb::ClusterNode {
                        role: role.into(),
                        peer_address: peer_address.unwrap_or_default(),
                        ..describe(state, id)
                    }
                })
                .collect();
            nodes.sort_by(|a, b| a.name.cmp(&b.name));
            nodes
        })
    }

    /// The node that an operator means.
    fn resolve(&self, text: &str) -> Result<pb::ClusterNode, Status> {
        let nodes = self.nodes();
        let is_meant = |node: &&pb::ClusterNode| node.name == text || node.id.to_string() == text;
        nodes.iter().find(is_meant).cloned().ok_or_else(|| {
            let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
            Status::not_found(format!(
                "there is no node {text:?} in the cluster; its nodes are {}",
                names.join(", ")
            ))
        })
    }

    /// Hands leadership on if this node has it: who leads the change must not be who leaves.
    async fn take_out(&self, node: &pb::ClusterNode) -> Result<(), Status> {
        let membership = self.store.membership();
        if membership.leader == Some(node.id) && membership.voters.len() > 1 {
            let to = membership.voters.iter().copied().find(|id| *id != node.id);
            let handed = self.store.transfer_leadership(to).await;
            handed.map_err(store_error)?;
        }
        if membership.addresses.contains_key(&node.id) {
            self.store.remove(node.id).await.map_err(store_error)?;
        }
        let remove = AdmissionCommand::Remove { node: node.id };
        self.commit(Command::Admission(remove)).await.map(drop)
    }
}

impl Masters {
    fn of(state: &State) -> Self {
        let devices = state.devices().iter();
        let held = devices.filter_map(|(name, device)| {
            let held = device.mastership()?;
            Some((name.clone(), (held.node, held.term)))
        });
        Self(held.collect())
    }

    fn moved(&self, after: &Self) -> u32 {
        let node_of = |masters: &Self, name| masters.0.get(name).map(|(node, _)| *node);
        let devices = after.0.keys();
        let moved = devices.filter(|name| node_of(self, *name) != node_of(after, *name));
        u32::try_from(moved.count()).unwrap_or(u32::MAX)
    }
}

fn describe(state: &State, id: NodeId) -> pb::ClusterNode {
    let admitted = state.admissions().admitted().get(&id);
    let masters = Masters::of(state).0.into_values();
    let devices = masters.filter(|(node, _)| *node == id).count();
    let Some(node) = state.node(id) else {
        return pb::ClusterNode {
            id,
            name: admitted.cloned().unwrap_or_else(|| id.to_string()),
            ..pb::ClusterNode::default()
        };
    };
    pb::ClusterNode {
        id,
        name: state.name_of_node(id),
        api_address: node.spec.api_address.clone(),
        version: node.spec.version.clone(),
        level: node.spec.level,
        live: node.presence == Presence::Up,
        draining: node.duty == Duty::Drained,
        devices: u32::try_from(devices).unwrap_or(u32::MAX),
        ..pb::ClusterNode::default()
    }
}

type Chunks = std::pin::Pin<Box<dyn Stream<Item = Result<pb::SnapshotChunk, Status>> + Send>>;

#[tonic::async_trait]
impl Cluster for ClusterService {
    type TakeSnapshotStream = Chunks;

    /// Also without a majority: that is when operators want to know.
    async fn get_cluster(
        &self,
        _request: Request<pb::GetClusterRequest>,
    ) -> Result<Response<pb::GetClusterResponse>, Status> {
        let membership = self.store.membership();
        let nodes = self.nodes();
        Ok(Response::new(self.store.read(|state| {
            pb::GetClusterResponse {
                cluster_id: state.cluster().id.clone(),
                epoch: state.cluster().epoch,
                level: state.level(),
                revision: state.revision().0,
                term: membership.term,
                log_index: membership.log_index,
                asked: self.store.node_id(),
                nodes,
            }
        })))
    }

    async fn add_node(
        &self,
        request: Request<pb::AddNodeRequest>,
    ) -> Result<Response<pb::AddNodeResponse>, Status> {
        let address = self.peer_address.clone();
        let address = address.map_err(Status::failed_precondition)?;
        let secret = Secret::draw().map_err(|error| Status::internal(error.to_string()))?;
        let seconds = match request.get_ref().valid_seconds {
            0 => DEFAULT_VALIDITY_SECONDS,
            seconds => seconds,
        };
        let until = seconds_now() + u64::from(seconds);
        let invite = AdmissionCommand::Invite {
            secret: secret.digest(),
            until,
            time: seconds_now(),
        };
        self.commit(Command::Admission(invite)).await?;
        let token = JoinToken {
            address,
            authority: self.authority,
            secret,
        };
        Ok(Response::new(pb::AddNodeResponse {
            token: token.to_string(),
            expires: i64::try_from(until).unwrap_or(i64::MAX),
        }))
    }

    async fn remove_node(
        &self,
        request: Request<pb::RemoveNodeRequest>,
    ) -> Result<Response<pb::RemoveNodeResponse>, Status> {
        self.current().await?;
        let node = self.resolve(&request.get_ref().node)?;
        self.take_out(&node).await?;
        tracing::info!(
            node = node.name,
            id = node.id,
            "a node was taken out of the cluster"
        );
        Ok(Response::new(pb::RemoveNodeResponse {
            removed: Some(node),
        }))
    }

    async fn transfer_leadership(
        &self,
        request: Request<pb::TransferLeadershipRequest>,
    ) -> Result<Response<pb::TransferLeadershipResponse>, Status> {
        self.current().await?;
        let to = match request.get_ref().node.as_str() {
            "" => None,
            name => Some(self.resolve(name)?.id),
        };
        let handed = self.store.transfer_leadership(to).await;
        handed.map_err(store_error)?;
        self.current().await?;
        let leader = self.store.membership().leader;
        let leader = leader.map(|id| self.store.read(|state| state.name_of_node(id)));
        Ok(Response::new(pb::TransferLeadershipResponse {
            leader: leader.unwrap_or_default(),
        }))
    }

    async fn take_snapshot(
        &self,
        _request: Request<pb::TakeSnapshotRequest>,
    ) -> Result<Response<Chunks>, Status> {
        self.current().await?;
        let state = Arc::new(self.store.read(State::clone));
        let write = move || backup::write(&state, env!("CARGO_PKG_VERSION"), seconds_now());
        let file = tokio::task::spawn_blocking(write).await;
        let file = file.map_err(|error| Status::internal(error.to_string()))?;
        let chunks: Vec<_> = file.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect();
        let chunks = chunks
            .into_iter()
            .map(|data| Ok(pb::SnapshotChunk { data }));
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    async fn drain_node(
        &self,
        request: Request<pb::DrainNodeRequest>,
    ) -> Result<Response<pb::DrainNodeResponse>, Status> {
        self.current().await?;
        let pb::DrainNodeRequest { node, undo } = request.into_inner();
        let node = self.resolve(&node)?.id;
        let command = match undo {
            true => NodeCommand::Resume { node },
            false => NodeCommand::Drain { node },
        };
        let moved = self.commit_and_count(Command::Node(command)).await?;
        Ok(Response::new(pb::DrainNodeResponse { moved }))
    }

    async fn balance(
        &self,
        _request: Request<pb::BalanceRequest>,
    ) -> Result<Response<pb::BalanceResponse>, Status> {
        let balance = MastershipCommand::Balance { anew: true };
        let moved = self.commit_and_count(Command::Mastership(balance)).await?;
        Ok(Response::new(pb::BalanceResponse { moved }))
    }

    async fn set_master(
        &self,
        request: Request<pb::SetMasterRequest>,
    ) -> Result<Response<pb::SetMasterResponse>, Status> {
        self.current().await?;
        let pb::SetMasterRequest { device, node } = request.into_inner();
        let node = self.resolve(&node)?.id;
        let set = MastershipCommand::Set {
            devices: vec![device.clone()],
            node,
        };
        self.commit(Command::Mastership(set)).await?;
        self.current().await?;
        let held = self.store.read(|state| {
            let held = state.device(&device)?.mastership()?;
            Some((state.name_of_node(held.node), held.term.0))
        });
        let gone = || Status::not_found(format!("device {device:?} was removed meanwhile"));
        let (master, term) = held.ok_or_else(gone)?;
        Ok(Response::new(pb::SetMasterResponse { master, term }))
    }
}
