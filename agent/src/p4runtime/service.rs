//! The gRPC service: every RPC becomes one call on a blocking thread.

use std::sync::Arc;

use pointsman_proto::p4::v1 as p4;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub use super::server::P4RuntimeServer;
use super::server::p4_runtime_server::P4Runtime;
use super::wire::WriteRequest;
use super::{audited, pipeline, read, request, stream};
use crate::agent::Agent;
use crate::authorization::{Caller, Permission};

/// The version of the specification that the server follows.
const API_VERSION: &str = "1.5.0";

/// Messages of a Read that may wait for a slow client.
const READ_QUEUE: usize = 4;

/// The P4Runtime server.
#[derive(Clone)]
pub struct P4RuntimeService {
    agent: Arc<Agent>,
    /// For streams.
    places: Arc<Semaphore>,
}

impl P4RuntimeService {
    /// A server for an agent.
    pub fn new(agent: Arc<Agent>) -> P4RuntimeService {
        let places = Arc::new(Semaphore::new(agent.limits.streams));
        P4RuntimeService { agent, places }
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
impl P4Runtime for P4RuntimeService {
    type ReadStream = ReceiverStream<Result<p4::ReadResponse, Status>>;
    type StreamChannelStream = stream::Responses;

    async fn write(
        &self,
        request: Request<WriteRequest>,
    ) -> Result<Response<p4::WriteResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        self.blocking(move |agent| audited::write(agent, &caller, &request))
            .await?;
        Ok(Response::new(p4::WriteResponse {}))
    }

    async fn read(
        &self,
        request: Request<p4::ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        caller.may(Permission::Read, Some(&request.role))?;
        let answer = self
            .blocking(move |agent| read::begin(agent, &caller, &request))
            .await?;
        let (responses, stream) = mpsc::channel(READ_QUEUE);
        tokio::spawn(read::send(answer, responses));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn set_forwarding_pipeline_config(
        &self,
        request: Request<p4::SetForwardingPipelineConfigRequest>,
    ) -> Result<Response<p4::SetForwardingPipelineConfigResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let notices = self
            .blocking(move |agent| {
                audited::set_pipeline(agent, &caller, request)?;
                Ok(pipeline::slow_path_notices(agent))
            })
            .await?;
        let mut response = Response::new(p4::SetForwardingPipelineConfigResponse {});
        for notice in notices {
            response
                .metadata_mut()
                .append(pipeline::SLOW_PATH_KEY, notice);
        }
        Ok(response)
    }

    async fn get_forwarding_pipeline_config(
        &self,
        request: Request<p4::GetForwardingPipelineConfigRequest>,
    ) -> Result<Response<p4::GetForwardingPipelineConfigResponse>, Status> {
        let request = request.into_inner();
        let response = self
            .blocking(move |agent| pipeline::get(agent, &request))
            .await?;
        Ok(Response::new(response))
    }

    async fn stream_channel(
        &self,
        request: Request<Streaming<p4::StreamMessageRequest>>,
    ) -> Result<Response<Self::StreamChannelStream>, Status> {
        let caller = Caller::of(&request)?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "there are {} streams already (limits.streams)",
                self.agent.limits.streams
            ))
        })?;
        let responses = stream::open(self.agent.clone(), caller, place, request.into_inner());
        Ok(Response::new(responses))
    }

    async fn capabilities(
        &self,
        request: Request<p4::CapabilitiesRequest>,
    ) -> Result<Response<p4::CapabilitiesResponse>, Status> {
        // Clients of earlier versions leave the device out.
        match request.into_inner().device_id {
            0 => {}
            device_id => request::check_device(&self.agent, device_id)?,
        }
        Ok(Response::new(p4::CapabilitiesResponse {
            p4runtime_api_version: API_VERSION.to_owned(),
            experimental: None,
        }))
    }
}
