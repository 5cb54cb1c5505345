//! Which server is behind the proxy, and how to get on with it.

use std::fmt;

use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::arbitration::ElectionId;

/// What happens where the server differs from what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The server is given what is stored; what else it has is deleted.
    #[default]
    Repair,
    /// Differences are logged and left.
    Report,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Policy::Repair => "repair",
            Policy::Report => "report",
        })
    }
}

/// The server behind the proxy.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `HOST:PORT`.
    pub address: String,
    /// The switch's `device_id` there.
    pub device_id: u64,
    /// What to claim mastership with at first.
    pub election_id: ElectionId,
    /// What to do about differences.
    pub policy: Policy,
    /// TLS to the server.
    pub tls: Option<ClientTlsConfig>,
}

impl Upstream {
    /// A server without TLS, to be repaired.
    pub fn new(address: String, device_id: u64, election_id: ElectionId) -> Upstream {
        Upstream {
            address,
            device_id,
            election_id,
            policy: Policy::Repair,
            tls: None,
        }
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, tonic::transport::Error> {
        match &self.tls {
            None => Endpoint::from_shared(format!("http://{}", self.address)),
            Some(tls) => {
                Endpoint::from_shared(format!("https://{}", self.address))?.tls_config(tls.clone())
            }
        }
    }
}
