//! Connections to the controller and to agents.

use std::path::Path;
use std::time::Duration;

use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::controller::v1::cluster_client::ClusterClient;
use pointsman_proto::pointsman::controller::v1::configuration_client::ConfigurationClient;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use pointsman_proto::pointsman::controller::v1::kv_client::KvClient;
use pointsman_proto::pointsman::controller::v1::topology_client::TopologyClient;
use pointsman_proto::reach::{self, Spoken, root_cause};
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::args::AgentTls;
use crate::error::{CliError, Peer};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same where others can be asked.
const CONNECT_TIMEOUT_OF_SEVERAL: Duration = Duration::from_secs(1);
/// Answers may hold every entry of every table of a fabric.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// A client, and whom it talks to for messages.
pub struct Connection<C> {
    pub client: C,
    pub peer: Peer,
    spoken: Spoken,
}

/// A connected controller.
pub type Controller = Connection<ControllerClient<Channel>>;

/// A connected controller, asked for what concerns its nodes.
pub type Cluster = Connection<ClusterClient<Channel>>;

/// A controller that is asked about the fabric.
pub type Topology = Connection<TopologyClient<Channel>>;

/// A controller that is asked for keys of applications.
pub type Kv = Connection<KvClient<Channel>>;

/// A controller that is asked for settings.
pub type Configuration = Connection<ConfigurationClient<Channel>>;

/// A connected agent.
pub type Agent = Connection<AgentClient<Channel>>;

/// Connects to the first of these controllers that answers.
pub async fn controller(addresses: &str) -> Result<Controller, CliError> {
    controller_service(addresses, |channel| {
        ControllerClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
    })
    .await
}

/// The same, for any service of a controller.
pub async fn controller_service<C>(
    addresses: &str,
    client: impl FnOnce(Channel) -> C,
) -> Result<Connection<C>, CliError> {
    let limit = match addresses.contains(',') {
        true => CONNECT_TIMEOUT_OF_SEVERAL,
        false => CONNECT_TIMEOUT,
    };
    let mut unreachable = Vec::new();
    for address in addresses.split(',').map(str::trim) {
        let peer = Peer::Controller(address.to_owned());
        match channel(address, None, &peer, limit).await {
            Ok(channel) => {
                let client = client(channel);
                let spoken = Spoken::Plainly;
                return Ok(Connection {
                    client,
                    peer,
                    spoken,
                });
            }
            Err(CliError::Unreachable { cause, .. }) => unreachable.push((address, cause)),
            Err(error) => return Err(error),
        }
    }
    Err(nobody(&unreachable))
}

/// Why none of these controllers can be talked to.
fn nobody(unreachable: &[(&str, String)]) -> CliError {
    if let [(address, cause)] = unreachable {
        let peer = Peer::Controller((*address).to_owned());
        let cause = cause.clone();
        return CliError::Unreachable { peer, cause };
    }
    let addresses: Vec<_> = unreachable.iter().map(|(address, _)| *address).collect();
    let causes = unreachable.iter();
    let causes: Vec<_> = causes
        .map(|(address, cause)| format!("{address}: {cause}"))
        .collect();
    CliError::Unreachable {
        peer: Peer::Controller(addresses.join(", ")),
        cause: causes.join("; "),
    }
}

/// Connects to the first of these controllers that answers, for what concerns its nodes.
pub async fn cluster(addresses: &str) -> Result<Cluster, CliError> {
    controller_service(addresses, ClusterClient::new).await
}

/// Connects to the first of these controllers that answers, for keys of applications.
pub async fn kv(addresses: &str) -> Result<Kv, CliError> {
    controller_service(addresses, |channel| {
        KvClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
    })
    .await
}

/// Connects to the first of these controllers that answers, for settings.
pub async fn configuration(addresses: &str) -> Result<Configuration, CliError> {
    controller_service(addresses, ConfigurationClient::new).await
}

/// Connects to the first of these controllers that answers, to ask it about the fabric.
pub async fn topology(addresses: &str) -> Result<Topology, CliError> {
    controller_service(addresses, |channel| {
        TopologyClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
    })
    .await
}

/// Connects to an agent, over TLS if it is said whom to believe.
pub async fn agent(address: &str, tls: &AgentTls) -> Result<Agent, CliError> {
    let peer = Peer::Agent(address.to_owned());
    let tls = options(tls)?;
    let spoken = spoken(tls.as_ref());
    let channel = channel(address, tls, &peer, CONNECT_TIMEOUT).await?;
    let client = AgentClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    Ok(Connection {
        client,
        peer,
        spoken,
    })
}

fn options(tls: &AgentTls) -> Result<Option<ClientTlsConfig>, CliError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|cause| CliError::Read {
            path: path.to_owned(),
            cause,
        })
    };
    let Some(ca) = &tls.agent_ca else {
        return match tls.agent_cert {
            None => Ok(None),
            Some(_) => Err(CliError::Usage(
                "--agent-cert is shown over TLS; say with --agent-ca whom to believe".to_owned(),
            )),
        };
    };
    let options = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
    Ok(Some(
        match tls.agent_cert.as_ref().zip(tls.agent_key.as_ref()) {
            None => options,
            Some((cert, key)) => options.identity(Identity::from_pem(read(cert)?, read(key)?)),
        },
    ))
}

async fn channel(
    address: &str,
    tls: Option<ClientTlsConfig>,
    peer: &Peer,
    limit: Duration,
) -> Result<Channel, CliError> {
    let address = address.strip_prefix("http://").unwrap_or(address);
    let address = address.strip_prefix("https://").unwrap_or(address);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let spoken = spoken(tls.as_ref());
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|_| {
        CliError::BadAddress {
            address: address.to_owned(),
        }
    })?;
    let endpoint = match tls {
        None => endpoint,
        Some(tls) => endpoint
            .tls_config(tls)
            .map_err(|error| CliError::Credentials(root_cause(&error)))?,
    };
    endpoint
        .connect_timeout(limit)
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(|error| CliError::Unreachable {
            peer: peer.clone(),
            cause: cause(peer, &error, spoken),
        })
}

impl<C> Connection<C> {
    /// What a gRPC status means to the user.
    pub fn error(&self, status: Status) -> CliError {
        let peer = self.peer.clone();
        // Whoever answers has no error behind its status.
        if std::error::Error::source(&status).is_some() {
            let cause = cause(&peer, &status, self.spoken);
            return CliError::Unreachable { peer, cause };
        }
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        CliError::Refused { peer, message }
    }
}

fn spoken(tls: Option<&ClientTlsConfig>) -> Spoken {
    match tls {
        Some(_) => Spoken::Tls,
        None => Spoken::Plainly,
    }
}

/// Why somebody cannot be talked to. Controllers do not speak TLS.
fn cause(peer: &Peer, error: &(dyn std::error::Error + 'static), spoken: Spoken) -> String {
    match peer {
        Peer::Agent(_) => reach::cause(error, spoken, "--agent-ca"),
        Peer::Controller(_) => root_cause(error),
    }
}
