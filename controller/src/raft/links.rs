//! The connections to the other nodes.
//!
//! Each other node is connected to twice: over one connection go entries of the
//! log and snapshots, over the other all that must not wait behind those. Both
//! are made when they are first needed, and made anew when they break.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tonic::transport::{Channel, Endpoint};

use crate::state::NodeId;
use crate::trust::PeerTls;

/// Nodes are near each other; one that does not answer within this is dialled again.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);
/// A connection that lost its way is noticed by pings, because TCP alone would wait for minutes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(250);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(500);
/// What may be under way, unread, on one connection.
const WINDOW_BYTES: u32 = 8 << 20;

/// Why a node cannot be dialled.
#[derive(Debug, Error)]
pub enum LinkError {
    /// Its address is none.
    #[error("node {node} has the address {address:?}, which is not host:port")]
    Address {
        /// The node.
        node: NodeId,
        /// Its address.
        address: String,
    },
    /// The certificates are unusable.
    #[error("the certificate, its key or the CA of this node is not usable: {0}")]
    Credentials(tonic::transport::Error),
}

/// The two connections to another node.
#[derive(Clone)]
pub struct Link {
    address: String,
    /// For what is short and must not wait.
    pub urgent: Channel,
    /// For entries and snapshots.
    pub bulk: Channel,
}

/// The connections to all other nodes. Its clones share them.
#[derive(Clone)]
pub struct Links {
    tls: Option<PeerTls>,
    links: Arc<Mutex<BTreeMap<NodeId, Link>>>,
    #[cfg(test)]
    cut: Arc<Mutex<std::collections::BTreeSet<NodeId>>>,
}

impl Links {
    /// With TLS, or without if there is none.
    pub fn new(tls: Option<PeerTls>) -> Self {
        Self {
            tls,
            links: Arc::default(),
            #[cfg(test)]
            cut: Arc::default(),
        }
    }

    /// The connections to `node`, which is at `address`.
    ///
    /// # Errors
    /// When the address or the certificates are unusable. Whether the node answers shows with the first request.
    pub fn to(&self, node: NodeId, address: &str) -> Result<Link, LinkError> {
        #[cfg(test)]
        let address = match self
            .cut
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&node)
        {
            true => "127.0.0.1:1",
            false => address,
        };
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(&node).filter(|link| link.address == address) {
            return Ok(link.clone());
        }
        let link = Link {
            address: address.to_owned(),
            urgent: self.endpoint(node, address)?.connect_lazy(),
            bulk: self.endpoint(node, address)?.connect_lazy(),
        };
        links.insert(node, link.clone());
        Ok(link)
    }

    /// Closes the connections to all nodes but these.
    pub fn keep(&self, is_member: impl Fn(NodeId) -> bool) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|node, _| is_member(*node));
    }

    /// Reaches none of these nodes any more, and all others.
    #[cfg(test)]
    pub fn cut(&self, nodes: impl IntoIterator<Item = NodeId>) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        *cut = nodes.into_iter().collect();
    }

    fn endpoint(&self, node: NodeId, address: &str) -> Result<Endpoint, LinkError> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|_| {
            LinkError::Address {
                node,
                address: address.to_owned(),
            }
        })?;
        let endpoint = match &self.tls {
            None => endpoint,
            Some(tls) => endpoint
                .tls_config(tls.client(node))
                .map_err(LinkError::Credentials)?,
        };
        Ok(endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true))
    }
}
