//! The two ports of a node, and where others find them.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::ServerError;
use crate::config::Config;

/// Both ports, bound. Who is bound serves; who serves can be named to others.
pub struct Ports {
    /// For programs.
    pub api: TcpListener,
    /// For the other nodes.
    pub peers: TcpListener,
    /// Where the API is.
    pub api_address: SocketAddr,
    /// Where the other nodes are served.
    pub peer_listen: SocketAddr,
    /// Where others reach that; or why they cannot.
    pub peer_address: Result<String, String>,
    /// Where others reach the API, as operators are shown it.
    pub shown_api_address: String,
}

impl Ports {
    /// Binds both.
    ///
    /// # Errors
    /// When an address is taken or not ours.
    pub async fn bind(config: &Config) -> Result<Self, ServerError> {
        let (api, api_address) = bind(config.listen, "--listen").await?;
        let (peers, peer_listen) = bind(config.peer_listen, "--peer-listen").await?;
        let peer_address = match &config.peer_address {
            Some(address) => Ok(address.clone()),
            None if peer_listen.ip().is_unspecified() => Err(format!(
                "this node serves its peers at {peer_listen}, where nobody else can find it; start it with --peer-address HOST:PORT"
            )),
            None => Ok(peer_listen.to_string()),
        };
        let shown_api_address = match &config.api_address {
            Some(address) => address.clone(),
            None => near(api_address, &peer_address),
        };
        Ok(Self {
            api,
            peers,
            api_address,
            peer_listen,
            peer_address,
            shown_api_address,
        })
    }
}

/// An API that is served at all addresses is also at that where the peers are.
fn near(api: SocketAddr, peer_address: &Result<String, String>) -> String {
    let host = peer_address.as_ref().ok();
    let host = host.and_then(|address| Some(address.rsplit_once(':')?.0));
    match host {
        Some(host) if api.ip().is_unspecified() => format!("{host}:{}", api.port()),
        _ => api.to_string(),
    }
}

async fn bind(
    address: SocketAddr,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), ServerError> {
    let error = |cause| ServerError::Listen {
        address,
        cause,
        flag,
    };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_at_all_addresses_is_shown_at_that_of_the_peers() {
        let shown = |api: &str, peer: Result<&str, &str>| {
            let peer = peer.map(str::to_owned).map_err(str::to_owned);
            near(api.parse().expect("an address"), &peer)
        };
        assert_eq!(shown("0.0.0.0:9700", Ok("10.0.0.1:9701")), "10.0.0.1:9700");
        assert_eq!(
            shown("[::]:9700", Ok("[2001:db8::1]:1")),
            "[2001:db8::1]:9700"
        );
        assert_eq!(shown("10.9.9.9:9700", Ok("10.0.0.1:1")), "10.9.9.9:9700");
        assert_eq!(shown("0.0.0.0:9700", Err("nowhere")), "0.0.0.0:9700");
    }
}
