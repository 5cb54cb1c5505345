//! How agents are reached: over TLS where the configuration says so. Nothing is connected here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_proto::reach::Spoken;
use serde::Serialize;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::agents::AgentError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Whom to believe, and what to show, when talking to agents. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentTls {
    /// Who vouches for agents.
    #[serde(rename = "agent_ca")]
    pub ca: PathBuf,
    /// What this controller shows to agents that ask for it.
    #[serde(flatten)]
    pub identity: Option<OwnCertificate>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnCertificate {
    /// The certificate, and those between it and a root.
    #[serde(rename = "agent_cert")]
    pub cert: PathBuf,
    /// Its key.
    #[serde(rename = "agent_key")]
    pub key: PathBuf,
}

/// Makes endpoints of agents.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    tls: Option<AgentTls>,
}

impl Dialer {
    /// With TLS, or without if there is none.
    pub fn new(tls: Option<AgentTls>) -> Self {
        Self { tls }
    }

    /// How agents are spoken to.
    pub fn spoken(&self) -> Spoken {
        match self.tls {
            Some(_) => Spoken::Tls,
            None => Spoken::Plainly,
        }
    }

    /// How to connect to an agent. Files are read each time, so that a connection that is made
    /// anew has the certificates of today.
    ///
    /// # Errors
    /// When `address` is not `host:port`, or a file cannot be read or is no certificate.
    pub fn endpoint(&self, address: &str) -> Result<Endpoint, AgentError> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|_| {
            AgentError::BadAddress {
                address: address.to_owned(),
            }
        })?;
        let endpoint = match &self.tls {
            None => endpoint,
            Some(tls) => {
                endpoint
                    .tls_config(options(tls)?)
                    .map_err(|error| AgentError::Credentials {
                        cause: format!("the files of agent_ca, agent_cert and agent_key: {error}"),
                    })?
            }
        };
        Ok(endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true))
    }
}

fn options(tls: &AgentTls) -> Result<ClientTlsConfig, AgentError> {
    let options = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&tls.ca)?));
    Ok(match &tls.identity {
        None => options,
        Some(own) => options.identity(Identity::from_pem(read(&own.cert)?, read(&own.key)?)),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, AgentError> {
    std::fs::read(path).map_err(|error| AgentError::Credentials {
        cause: format!("{}: {error}", path.display()),
    })
}
