//! Connections to the controller and to agents.

use std::time::Duration;

use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::error::{CliError, Peer};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Answers may hold every entry of every table of a fabric.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// A client, and whom it talks to for messages.
pub struct Connection<C> {
    pub client: C,
    pub peer: Peer,
}

/// A connected controller.
pub type Controller = Connection<ControllerClient<Channel>>;

/// A connected agent.
pub type Agent = Connection<AgentClient<Channel>>;

/// Connects to the controller.
pub async fn controller(address: &str) -> Result<Controller, CliError> {
    let peer = Peer::Controller(address.to_owned());
    let channel = channel(address, &peer).await?;
    let client = ControllerClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    Ok(Connection { client, peer })
}

/// Connects to an agent.
pub async fn agent(address: &str) -> Result<Agent, CliError> {
    let peer = Peer::Agent(address.to_owned());
    let channel = channel(address, &peer).await?;
    let client = AgentClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    Ok(Connection { client, peer })
}

async fn channel(address: &str, peer: &Peer) -> Result<Channel, CliError> {
    let address = address.strip_prefix("http://").unwrap_or(address);
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|_| CliError::BadAddress {
            address: address.to_owned(),
        })?;
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(|error| CliError::Unreachable {
            peer: peer.clone(),
            cause: root_cause(&error),
        })
}

impl<C> Connection<C> {
    /// What a gRPC status means to the user.
    pub fn error(&self, status: Status) -> CliError {
        let peer = self.peer.clone();
        if status.code() == Code::Unavailable && std::error::Error::source(&status).is_some() {
            return CliError::Unreachable {
                peer,
                cause: root_cause(&status),
            };
        }
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        CliError::Refused { peer, message }
    }
}

/// The innermost error, for example "Connection refused", without the wrappers around it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}
