//! Lets connections in: as many as there may be, through a TLS handshake where there is TLS.
//!
//! A handshake is a task of its own, so that a peer that never ends one holds up nobody, and
//! is given up after [`HANDSHAKE`]. Over the limit a connection is closed at once: its client
//! sees UNAVAILABLE and tries again later.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::connection::{Connection, Peer, Wire};
use crate::reload::Reloaded;
use crate::tls::{Credentials, TlsFiles, identity};

/// How long a client may take for its part of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections that may wait for the server to take them; then handshakes wait, too.
pub(super) const ACCEPTED: usize = 16;

/// How long to wait when the system has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come in, and on which terms.
pub(super) struct Listener {
    listener: TcpListener,
    tls: Option<Arc<Reloaded<TlsFiles>>>,
    limit: usize,
    places: Arc<Semaphore>,
}

impl Listener {
    pub fn new(
        listener: TcpListener,
        tls: Option<Arc<Reloaded<TlsFiles>>>,
        limit: usize,
    ) -> Listener {
        Listener {
            listener,
            tls,
            limit,
            places: Arc::new(Semaphore::new(limit)),
        }
    }

    /// Accepts connections for as long as somebody takes them. The tasks of handshakes end
    /// with the one that runs this.
    pub async fn run(self, accepted: mpsc::Sender<io::Result<Connection>>) {
        let mut handshakes = JoinSet::new();
        loop {
            let next = tokio::select! {
                next = self.listener.accept() => next,
                () = accepted.closed() => return,
                Some(_) = handshakes.join_next() => continue,
            };
            let (stream, address) = match next {
                Ok(next) => next,
                Err(error) => {
                    // The peer may have gone, or the process is out of file descriptors.
                    tracing::warn!(%error, "a connection is not accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                tracing::warn!(%address, limit = self.limit, "too many connections; this one is closed");
                continue;
            };
            // A small answer must not wait for an acknowledgement of the one before it.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%address, %error, "a connection ended at once");
                continue;
            }
            let peer = Peer {
                address,
                identity: None,
            };
            let credentials = self.tls.as_ref().map(|tls| tls.get());
            let accepted = accepted.clone();
            handshakes.spawn(async move {
                let shaken = admit(stream, peer, place, credentials);
                match tokio::time::timeout(HANDSHAKE, shaken).await {
                    // Nobody takes it when the server ends.
                    Ok(Ok(connection)) => drop(accepted.send(Ok(connection)).await),
                    Ok(Err(error)) => tracing::info!(%address, %error, "TLS handshake failed"),
                    Err(_) => tracing::info!(%address, "TLS handshake not ended in time"),
                }
            });
        }
    }
}

/// Shakes hands, and notes who the client is.
async fn admit(
    stream: TcpStream,
    mut peer: Peer,
    place: OwnedSemaphorePermit,
    credentials: Option<Arc<Credentials>>,
) -> io::Result<Connection> {
    let wire = match credentials {
        None => Wire::Plain(stream),
        Some(credentials) => {
            let acceptor = TlsAcceptor::from(credentials.config.clone());
            let stream = acceptor.accept(stream).await?;
            let shown = stream.get_ref().1.peer_certificates();
            let first = shown.and_then(|certificates| certificates.first());
            peer.identity = first.and_then(|certificate| identity(certificate));
            Wire::Tls(Box::new(stream))
        }
    };
    Ok(Connection {
        wire,
        peer,
        _place: place,
    })
}
