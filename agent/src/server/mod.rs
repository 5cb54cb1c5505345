//! The gRPC server: P4Runtime, the agent's own service, health and reflection on one port.
//!
//! Connections are let in by a `listener`, on the terms of an [`Admission`].

mod admission;
mod connection;
mod listener;

pub use admission::{Admission, AdmissionError};
pub use connection::Peer;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pointsman_proto::FILE_DESCRIPTOR_SET;
use pointsman_proto::pointsman::agent::v1::agent_server::AgentServer;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use self::listener::{ACCEPTED, Listener};
use crate::agent::Agent;
use crate::p4runtime::service::{P4RuntimeServer, P4RuntimeService};
use crate::service::AgentService;

/// The largest message sent; what is longer is sent in parts where the interface allows it.
const MAX_ANSWER: usize = 64 << 20;

/// How soon a client that is gone without a word loses its stream.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Why the server does not serve.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        error: std::io::Error,
    },
    /// The server ended.
    #[error("the server ended: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The descriptors for reflection are not readable.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Takes the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| ServerError::Bind { address, error })
}

/// Serves until `shutdown` is done and open requests are answered.
pub async fn serve(
    agent: Arc<Agent>,
    listener: TcpListener,
    admission: &Admission,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let limits = &admission.limits;
    let p4runtime = P4RuntimeServer::new(P4RuntimeService::new(agent.clone()))
        .max_decoding_message_size(limits.message_bytes)
        .max_encoding_message_size(MAX_ANSWER);
    let service = AgentServer::new(AgentService::new(agent))
        .max_decoding_message_size(limits.message_bytes)
        .max_encoding_message_size(MAX_ANSWER);
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_serving::<P4RuntimeServer<P4RuntimeService>>()
        .await;
    health.set_serving::<AgentServer<AgentService>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (accepted, incoming) = mpsc::channel(ACCEPTED);
    let listener = Listener::new(listener, admission.tls.clone(), limits.connections);
    let mut tasks = JoinSet::new();
    tasks.spawn(listener.run(accepted));
    Server::builder()
        .layer(admission.gate())
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(u32::try_from(limits.requests_per_connection).ok())
        .add_service(p4runtime)
        .add_service(service)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), shutdown)
        .await?;
    Ok(())
}
