//! Makes a node that starts a part of its cluster: one that has joined becomes a voter, one that has moved says where
//! it is now.
//!
//! The other nodes cannot come to it, because they do not know it or not where, so it asks them, one after the other,
//! until one has done it. Whoever leads makes the change.

use std::collections::BTreeSet;
use std::time::Duration;

use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::admission_client::AdmissionClient;
use pointsman_proto::reach::root_cause;
use thiserror::Error;
use tonic::Code;
use tonic::transport::{Endpoint, Error as TransportError};

use super::directory::Identity;
use crate::raft::Store;
use crate::trust::PeerTls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A learner may have to be sent everything before it votes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Before everybody is asked again.
const PAUSE: Duration = Duration::from_millis(300);
/// How long nobody leads before a node asks whether it is still wanted.
const SILENCE: Duration = Duration::from_secs(3);

/// The cluster does not want the node any more.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Removed {
    /// What it said.
    message: String,
}

/// Asks until this node votes and can be found at `address`.
///
/// # Errors
/// When it was taken out of the cluster.
pub async fn enter(
    store: &Store,
    tls: &PeerTls,
    identity: &Identity,
    address: &str,
) -> Result<(), Removed> {
    let mut said = String::new();
    while !is_in(store, address) {
        for member in others(store, identity) {
            match ask(&member, tls, address).await {
                Ok(()) => return Ok(()),
                Err(Refusal::Removed(message)) => return Err(Removed { message }),
                Err(Refusal::NotNow(reason)) if reason != said => {
                    tracing::warn!(node = member, reason, "cannot take part in the cluster yet");
                    said = reason;
                }
                Err(Refusal::NotNow(_)) => {}
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Resolves when this node was taken out of the cluster. Nobody tells it so: it hears nothing any more, and asks then.
pub async fn removal(store: &Store, tls: &PeerTls, identity: &Identity) -> Removed {
    loop {
        tokio::time::sleep(SILENCE).await;
        let membership = store.membership();
        let Some(address) = membership.addresses.get(&identity.id) else {
            let message = "this node was taken out of its cluster".to_owned();
            return Removed { message };
        };
        if membership.leader.is_some() {
            continue;
        }
        for member in others(store, identity) {
            if let Err(Refusal::Removed(message)) = ask(&member, tls, address).await {
                return Removed { message };
            }
        }
    }
}

/// This node votes, and is known to be where it is.
pub fn is_in(store: &Store, address: &str) -> bool {
    let membership = store.membership();
    let node = store.node_id();
    let known = membership.addresses.get(&node).map(String::as_str);
    membership.voters.contains(&node) && known == Some(address)
}

/// Where the others are, as far as it is known here.
fn others(store: &Store, identity: &Identity) -> BTreeSet<String> {
    let membership = store.membership().addresses.into_iter();
    let others = membership.filter(|(node, _)| *node != identity.id);
    let others = others.map(|(_, address)| address);
    others.chain(identity.members.iter().cloned()).collect()
}

enum Refusal {
    Removed(String),
    NotNow(String),
}

async fn ask(member: &str, tls: &PeerTls, address: &str) -> Result<(), Refusal> {
    let not_now = |error: TransportError| Refusal::NotNow(root_cause(&error));
    let channel = Endpoint::from_shared(format!("https://{member}"))
        .and_then(|endpoint| endpoint.tls_config(tls.client_of_any()))
        .map_err(not_now)?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .connect()
        .await
        .map_err(not_now)?;
    let request = pb::EnterRequest {
        peer_address: address.to_owned(),
    };
    match AdmissionClient::new(channel).enter(request).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::PermissionDenied => {
            Err(Refusal::Removed(status.message().to_owned()))
        }
        Err(status) => Err(Refusal::NotNow(status.message().to_owned())),
    }
}
