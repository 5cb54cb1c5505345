//! The controller's gRPC API.
//!
//! Messages come in, are turned into the controller's own types, and answers go
//! out; nothing is decided here. `apply` carries out change sets, `reads`
//! puts together what the store, the distribution and the agents say,
//! `history` says what was changed and leads back,
//! `drift` passes on what agents say of entries that others have changed.
//! `topology`, `kv`, `configuration`, `cluster` and, for other nodes, `admission`
//! are services of their own.

mod admission;
mod apply;
mod cluster;
mod configuration;
mod consistency;
mod convert;
mod drift;
mod history;
mod kv;
mod reads;
mod topology;

use std::sync::Arc;

pub use configuration::ConfigurationService;
pub use kv::KvService;
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::controller_server::Controller;
use tonic::{Request, Response, Status};

use crate::agents::Agents;
use crate::dial::Dialer;
use crate::distribution::Distribution;
use crate::raft::{Store, StoreError};

pub use admission::AdmissionService;
pub use cluster::ClusterService;
pub use topology::TopologyService;

/// The API over one node's store and distribution.
pub struct ControllerService {
    store: Store,
    distribution: Distribution,
    agents: Arc<Agents>,
    node_name: String,
}

impl ControllerService {
    /// The API of the node `node_name`.
    pub fn new(
        store: Store,
        distribution: Distribution,
        dialer: Dialer,
        node_name: String,
    ) -> Self {
        Self {
            store,
            distribution,
            agents: Arc::new(Agents::new(dialer)),
            node_name,
        }
    }

    /// How a node is called in answers.
    fn name_of(&self, node: crate::state::NodeId) -> String {
        if node == self.store.node_id() {
            self.node_name.clone()
        } else {
            self.store.read(|state| state.name_of_node(node))
        }
    }
}

fn store_error(error: StoreError) -> Status {
    store_status(&error)
}

/// What a fault of the store means to whoever asked.
fn store_status(error: &StoreError) -> Status {
    let message = error.to_string();
    match error {
        StoreError::NotLeader { .. } => Status::failed_precondition(message),
        StoreError::Refused(_) => Status::failed_precondition(message),
        StoreError::NoQuorum(_) | StoreError::Stopped(_) => Status::unavailable(message),
        StoreError::Unknown(_) => Status::unknown(message),
    }
}

#[tonic::async_trait]
impl Controller for ControllerService {
    async fn apply(
        &self,
        request: Request<pb::ApplyRequest>,
    ) -> Result<Response<pb::ApplyResponse>, Status> {
        self.apply_request(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn rollback(
        &self,
        request: Request<pb::RollbackRequest>,
    ) -> Result<Response<pb::RollbackResponse>, Status> {
        self.rollback_request(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn confirm(
        &self,
        request: Request<pb::ConfirmRequest>,
    ) -> Result<Response<pb::ConfirmResponse>, Status> {
        self.confirm_request(request.get_ref())
            .await
            .map(Response::new)
    }

    async fn get_history(
        &self,
        request: Request<pb::GetHistoryRequest>,
    ) -> Result<Response<pb::GetHistoryResponse>, Status> {
        self.read_history(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_objectives(
        &self,
        request: Request<pb::GetObjectivesRequest>,
    ) -> Result<Response<pb::GetObjectivesResponse>, Status> {
        self.read_objectives(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_devices(
        &self,
        request: Request<pb::GetDevicesRequest>,
    ) -> Result<Response<pb::GetDevicesResponse>, Status> {
        self.read_devices(request.get_ref().consistency())
            .await
            .map(Response::new)
    }

    async fn get_ports(
        &self,
        request: Request<pb::GetPortsRequest>,
    ) -> Result<Response<pb::GetPortsResponse>, Status> {
        self.read_ports(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_tables(
        &self,
        request: Request<pb::GetTablesRequest>,
    ) -> Result<Response<pb::GetTablesResponse>, Status> {
        self.read_tables(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn trace(
        &self,
        request: Request<pb::TraceRequest>,
    ) -> Result<Response<agent_pb::TraceResponse>, Status> {
        self.trace_packet(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_drift(
        &self,
        request: Request<pb::GetDriftRequest>,
    ) -> Result<Response<pb::GetDriftResponse>, Status> {
        self.read_drift(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn repair(
        &self,
        request: Request<pb::RepairRequest>,
    ) -> Result<Response<agent_pb::RepairResponse>, Status> {
        self.repair_device(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_status(
        &self,
        _request: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::ClusterStatus>, Status> {
        Ok(Response::new(self.read_status()))
    }
}
