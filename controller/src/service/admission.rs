//! How a new node gets in, as the nodes that are there see it. Served on the peer port.

use std::sync::Arc;

use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::admission_server::Admission;
use tonic::{Request, Response, Status};

use super::store_error;
use crate::clock;
use crate::raft::Store;
use crate::state::{AdmissionCommand, Command, NodeId, Response as Answer};
use crate::trust::{Authority, Secret, caller};

/// The service over one node's store.
pub struct AdmissionService {
    store: Store,
    authority: Arc<Authority>,
}

impl AdmissionService {
    /// A node that admits others in the name of `authority`.
    pub fn new(store: Store, authority: Arc<Authority>) -> Self {
        Self { store, authority }
    }

    /// What a level below the cluster's would mean: the node could not read what is in the log.
    fn check_level(&self, level: u32) -> Result<(), Status> {
        let needed = self.store.read(|state| state.level());
        match level < needed {
            true => Err(Status::failed_precondition(format!(
                "the cluster works at level {needed}, and this version of pointsman-controller understands level {level}; install a newer one"
            ))),
            false => Ok(()),
        }
    }

    /// Learner, then voter; each step is left out if it has been taken.
    async fn let_in(&self, node: NodeId, address: &str) -> Result<(), Status> {
        let membership = self.store.membership();
        let changed = match membership.addresses.get(&node) {
            None => self.store.add_learner(node, address.to_owned()).await,
            Some(known) if known != address => {
                self.store.set_address(node, address.to_owned()).await
            }
            Some(_) => Ok(()),
        };
        changed.map_err(store_error)?;
        if membership.voters.contains(&node) {
            return Ok(());
        }
        self.store.promote(node).await.map_err(store_error)?;
        tracing::info!(node, address, "a node has joined and votes");
        Ok(())
    }
}

#[tonic::async_trait]
impl Admission for AdmissionService {
    async fn admit(
        &self,
        request: Request<pb::AdmitRequest>,
    ) -> Result<Response<pb::AdmitResponse>, Status> {
        let request = request.into_inner();
        let secret: [u8; 16] = request
            .secret
            .as_slice()
            .try_into()
            .map_err(|_| Status::invalid_argument("the secret of a join token has 16 bytes"))?;
        self.store.ensure_current().await.map_err(store_error)?;
        self.check_level(request.level)?;
        // Before the secret is used up.
        let certificate = self
            .authority
            .sign(request.node_id, &request.signing_request);
        let certificate =
            certificate.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let redeem = AdmissionCommand::Redeem {
            secret: Secret(secret).digest(),
            time: clock::seconds_now(),
            node: request.node_id,
            name: request.node_name,
        };
        let answer = self.store.submit(Command::Admission(redeem)).await;
        let node_name = match answer.map_err(store_error)? {
            Answer::Admitted { name } => name,
            Answer::Rejected(rejections) => {
                let messages: Vec<_> = rejections.into_iter().map(|one| one.message).collect();
                return Err(Status::permission_denied(messages.join("; ")));
            }
            _ => return Err(Status::internal("the state gave another answer")),
        };
        tracing::info!(
            node = request.node_id,
            name = node_name,
            "a new node was admitted"
        );
        let members = self.store.membership().addresses.into_values();
        Ok(Response::new(pb::AdmitResponse {
            cluster_id: self.store.read(|state| state.cluster().id.clone()),
            node_name,
            certificate: certificate.0,
            authority_certificate: self.authority.certificate.0.clone(),
            authority_key: self.authority.key.clone(),
            members: members.collect(),
        }))
    }

    async fn enter(
        &self,
        request: Request<pb::EnterRequest>,
    ) -> Result<Response<pb::EnterResponse>, Status> {
        let node = caller(&request).ok_or_else(|| {
            Status::unauthenticated("only a node that shows its certificate can enter")
        })?;
        self.store.ensure_current().await.map_err(store_error)?;
        if self.store.read(|state| state.admissions().is_removed(node)) {
            return Err(Status::permission_denied(
                "this node was taken out of its cluster, and its id is never used again; to come back, `pointsman-controller join` with an empty data directory",
            ));
        }
        self.let_in(node, &request.get_ref().peer_address).await?;
        Ok(Response::new(pb::EnterResponse {}))
    }
}
