//! Gets a new node into a cluster that is there: with a join token it is given a certificate, and keeps it in an
//! empty data directory. It takes part once it is started, see `enter`.

use std::error::Error;
use std::time::Duration;

use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::admission_client::AdmissionClient;
use pointsman_proto::reach::root_cause;
use thiserror::Error;
use tonic::transport::{Channel, Endpoint};

use super::directory::{DirectoryError, Identity, NodeDirectory, NodeFiles, draw_id};
use crate::config::Config;
use crate::level::LEVEL;
use crate::raft::{self, OpenError};
use crate::random::NoRandom;
use crate::trust::{Authority, Certificate, JoinToken, NodeKey, TrustError, pinned};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a node did not join.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The data directory cannot be used for it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// No id can be drawn.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// A key or certificate is no good.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No store can be made.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Nobody is there.
    #[error(
        "no controller answers at {address}, which the join token names: {cause}. Is that node running, and can its peer port be reached from here?"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// What the transport said.
        cause: String,
    },
    /// Somebody else is there.
    #[error(
        "who answers at {address} is not of the cluster that made the join token: its certificate is from another authority. Nothing was sent to it; \
         ask the right cluster for a token (`pointsman cluster add`)"
    )]
    OtherCluster {
        /// Where.
        address: String,
    },
    /// The cluster does not want the node.
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
}

/// Makes this directory a node of the cluster that made the token. It does not run yet.
///
/// # Errors
/// When the directory is not empty, or the cluster cannot be reached or refuses.
pub async fn join(config: &Config, token: &JoinToken) -> Result<Identity, JoinError> {
    let directory = NodeDirectory::new(&config.data_dir);
    directory.prepare()?;
    let (id, key) = (draw_id()?, NodeKey::generate()?);
    let request = pb::AdmitRequest {
        secret: token.secret.0.to_vec(),
        node_id: id,
        node_name: config.node_name.clone().unwrap_or_default(),
        signing_request: key.signing_request,
        level: LEVEL,
    };
    let channel = connect(token).await?;
    let answer = AdmissionClient::new(channel).admit(request).await;
    let answer = answer.map_err(|status| match status.source() {
        Some(_) => unreachable(&token.address, &status),
        None => JoinError::Refused(status.message().to_owned()),
    })?;
    let answer = answer.into_inner();
    let node = NodeFiles {
        identity: Identity {
            id,
            name: answer.node_name,
            cluster_id: answer.cluster_id,
            members: answer.members,
        },
        authority: Authority::from_pem(answer.authority_certificate, answer.authority_key)?,
        certificate: Certificate(answer.certificate),
        key: key.key,
    };
    raft::create(&config.data_dir, id)?;
    directory.keep(&node)?;
    Ok(node.identity)
}

async fn connect(token: &JoinToken) -> Result<Channel, JoinError> {
    let (tls, verifier) = pinned(token.authority);
    let address = &token.address;
    let endpoint = Endpoint::from_shared(format!("https://{address}"))
        .and_then(|endpoint| endpoint.tls_config_with_verifier(tls, verifier))
        .map_err(|error| unreachable(address, &error))?;
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .connect()
        .await
        .map_err(|error| unreachable(address, &error))
}

fn unreachable(address: &str, error: &(dyn Error + 'static)) -> JoinError {
    let address = address.to_owned();
    let cause = root_cause(error);
    match cause.contains("UnknownIssuer") {
        true => JoinError::OtherCluster { address },
        false => JoinError::Unreachable { address, cause },
    }
}
