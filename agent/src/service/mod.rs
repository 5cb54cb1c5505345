//! The agent's own gRPC service, beside P4Runtime on the same port: status, ports, tables and
//! objectives. Each RPC is a call on the [`Agent`].

mod describe;
mod drift;
mod exceptions;
pub mod inventory;
mod sync;
mod trace;

use std::sync::Arc;

use pointsman_model::PortRef;
use pointsman_model::wire::WireError;
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_server::Agent as AgentRpc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::agent::Agent;
use crate::authorization::Caller;
use crate::p4runtime::status;
use crate::ports::{PortError, PortSpec, links};
use crate::service::trace::TraceError;
use crate::target::TargetError;

/// The agent's service.
#[derive(Clone)]
pub struct AgentService {
    agent: Arc<Agent>,
}

impl AgentService {
    /// A service for an agent.
    pub fn new(agent: Arc<Agent>) -> AgentService {
        AgentService { agent }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Agent) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let agent = self.agent.clone();
        let done = tokio::task::spawn_blocking(move || call(&agent)).await;
        done.map_err(|error| Status::internal(format!("the request ended early: {error}")))?
    }
}

#[tonic::async_trait]
impl AgentRpc for AgentService {
    type WatchInventoryStream = inventory::Batches;
    type SyncObjectivesStream = ReceiverStream<Result<pb::SyncResponse, Status>>;

    async fn get_status(
        &self,
        _request: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::AgentStatus>, Status> {
        let status = self.blocking(|agent| Ok(describe::status(agent))).await?;
        Ok(Response::new(status))
    }

    async fn list_ports(
        &self,
        _request: Request<pb::ListPortsRequest>,
    ) -> Result<Response<pb::ListPortsResponse>, Status> {
        // Counters are the kernel's; ports without an interface have none.
        let links = links().await.unwrap_or_default();
        let ports = self
            .blocking(move |agent| Ok(describe::ports(agent, &links)))
            .await?;
        Ok(Response::new(pb::ListPortsResponse { ports }))
    }

    async fn add_port(
        &self,
        request: Request<pb::AddPortRequest>,
    ) -> Result<Response<pb::Port>, Status> {
        let request = request.into_inner();
        let number = request.number;
        let interface: PortSpec = request
            .interface
            .parse()
            .map_err(|error| Status::invalid_argument(format!("{error}")))?;
        let spec = PortSpec {
            number: (number != 0).then_some(number),
            name: (!request.name.is_empty()).then_some(request.name),
            interface: interface.interface,
        };
        let links = links()
            .await
            .map_err(|error| Status::internal(error.to_string()))?;
        if !links.iter().any(|link| link.name == spec.interface) {
            let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
            return Err(Status::not_found(format!(
                "there is no interface {}; there are {}",
                spec.interface,
                names.join(", ")
            )));
        }
        let port = self
            .blocking(move |agent| {
                let (number, ticket) = agent
                    .add_port(spec, &links)
                    .map_err(|error| port_status(&error))?;
                ticket.wait().map_err(|error| status::journal(&error))?;
                let mut ports = describe::ports(agent, &links);
                ports.retain(|port| port.number == number);
                ports
                    .pop()
                    .ok_or_else(|| Status::aborted("the port was removed again"))
            })
            .await?;
        Ok(Response::new(port))
    }

    async fn remove_port(
        &self,
        request: Request<pb::RemovePortRequest>,
    ) -> Result<Response<pb::RemovePortResponse>, Status> {
        let port = request.into_inner().port;
        let port = port.ok_or_else(|| Status::invalid_argument("the port is missing"))?;
        let port = PortRef::try_from(&port).map_err(|error| refused(&error))?;
        self.blocking(move |agent| {
            let number = match port {
                PortRef::Number(number) => number,
                PortRef::Name(name) => {
                    let state = agent.shared();
                    let found = state.ports.by_name(&name);
                    found.map_err(|error| port_status(&error))?.number
                }
            };
            let ticket = agent
                .remove_port(number)
                .map_err(|error| port_status(&error))?;
            ticket.wait().map_err(|error| status::journal(&error))
        })
        .await?;
        Ok(Response::new(pb::RemovePortResponse {}))
    }

    async fn watch_inventory(
        &self,
        request: Request<pb::WatchInventoryRequest>,
    ) -> Result<Response<Self::WatchInventoryStream>, Status> {
        let boot_id = self.agent.identity.boot_id.clone();
        let inventory = Arc::clone(&self.agent.inventory);
        let batches = inventory::watch(inventory, boot_id, request.get_ref());
        Ok(Response::new(batches))
    }

    async fn list_tables(
        &self,
        request: Request<pb::ListTablesRequest>,
    ) -> Result<Response<pb::ListTablesResponse>, Status> {
        let entries = request.into_inner().entries;
        let tables = self
            .blocking(move |agent| Ok(describe::tables(agent, entries)))
            .await?;
        Ok(Response::new(pb::ListTablesResponse { tables }))
    }

    async fn list_objectives(
        &self,
        request: Request<pb::ListObjectivesRequest>,
    ) -> Result<Response<pb::ListObjectivesResponse>, Status> {
        let entries = request.into_inner().entries;
        let response = self
            .blocking(move |agent| Ok(describe::objectives(agent, entries)))
            .await?;
        Ok(Response::new(response))
    }

    async fn get_drift(
        &self,
        request: Request<pb::GetDriftRequest>,
    ) -> Result<Response<pb::GetDriftResponse>, Status> {
        let foreign = request.into_inner().foreign;
        let answer = self
            .blocking(move |agent| Ok(drift::drift(agent, foreign)))
            .await?;
        Ok(Response::new(answer))
    }

    async fn repair(
        &self,
        request: Request<pb::RepairRequest>,
    ) -> Result<Response<pb::RepairResponse>, Status> {
        let request = request.into_inner();
        let answer = self
            .blocking(move |agent| drift::repair(agent, &request))
            .await?;
        Ok(Response::new(answer))
    }

    async fn trace(
        &self,
        request: Request<pb::TraceRequest>,
    ) -> Result<Response<pb::TraceResponse>, Status> {
        let pb::TraceRequest { port, packet } = request.into_inner();
        let port = port.ok_or_else(|| Status::invalid_argument("the port is missing"))?;
        let port = PortRef::try_from(&port).map_err(|error| refused(&error))?;
        let traced = self
            .blocking(move |agent| {
                trace::trace(agent, &port, packet).map_err(|error| trace_status(&error))
            })
            .await?;
        Ok(Response::new(traced))
    }

    async fn check_objectives(
        &self,
        request: Request<pb::CheckObjectivesRequest>,
    ) -> Result<Response<pb::CheckObjectivesResponse>, Status> {
        let request = request.into_inner();
        let results = self
            .blocking(move |agent| Ok(check(agent, &request)))
            .await?;
        Ok(Response::new(pb::CheckObjectivesResponse { results }))
    }

    async fn sync_objectives(
        &self,
        request: Request<Streaming<pb::SyncRequest>>,
    ) -> Result<Response<Self::SyncObjectivesStream>, Status> {
        let caller = Caller::of(&request)?;
        let responses = sync::open(self.agent.clone(), caller, request.into_inner()).await?;
        Ok(Response::new(responses))
    }
}

/// One status for each change; those that are no objectives fail on their own.
fn check(
    agent: &Agent,
    request: &pb::CheckObjectivesRequest,
) -> Vec<pointsman_proto::pointsman::objective::v1::Status> {
    let changes: Vec<_> = request.changes.iter().map(sync::read_change).collect();
    let good = changes.iter().filter_map(|change| change.as_ref().ok());
    let good = good.cloned().collect();
    let mut statuses = agent.check_objectives(good).into_iter();
    let results = changes.iter().map(|change| match change {
        Ok(_) => statuses
            .next()
            .map(|status| (&status).into())
            .unwrap_or_default(),
        Err(error) => (&sync::bad_change(error, 0)).into(),
    });
    results.collect()
}

fn port_status(error: &PortError) -> Status {
    match error {
        PortError::Unknown { .. } => Status::not_found(error.to_string()),
        PortError::BadNumber { .. } => Status::invalid_argument(error.to_string()),
        PortError::Full => Status::resource_exhausted(error.to_string()),
        PortError::OfPattern { .. } => Status::failed_precondition(error.to_string()),
        PortError::NumberTaken { .. }
        | PortError::NameTaken { .. }
        | PortError::InterfaceTaken { .. } => Status::already_exists(error.to_string()),
    }
}

fn trace_status(error: &TraceError) -> Status {
    match error {
        TraceError::Length(_) => Status::invalid_argument(error.to_string()),
        TraceError::Port(error) => port_status(error),
        TraceError::Target(TargetError::Away(_)) => Status::unavailable(error.to_string()),
        TraceError::Target(_) => Status::failed_precondition(error.to_string()),
    }
}

fn refused(error: &WireError) -> Status {
    Status::invalid_argument(error.to_string())
}
