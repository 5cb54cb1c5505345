//! The peer port: consensus, and how new nodes get in. Served from the moment that the store is open, because a node
//! that has joined is let in only once the others can reach it.

use std::sync::Arc;
use std::time::Duration;

use pointsman_proto::pointsman::peer::v1::admission_server::AdmissionServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::liveness::BeatService;
use crate::raft::{Store, peer_service};
use crate::service::AdmissionService;
use crate::trust::{Authority, PeerTls};

/// How long requests of peers that are under way may take at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// The port, served until it is stopped.
pub struct PeerPort {
    stop: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl PeerPort {
    /// Starts to serve.
    pub fn start(
        listener: TcpListener,
        tls: PeerTls,
        store: &Store,
        beats: BeatService,
        authority: Arc<Authority>,
    ) -> Self {
        let admission = AdmissionService::new(store.clone(), authority);
        let routes = peer_service::routes(store)
            .add_service(beats)
            .add_service(AdmissionServer::new(admission));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move {
            peer_service::serve(listener, Some(&tls), routes, stopped).await
        });
        Self { stop, serving }
    }

    /// Resolves when serving has ended by itself, which it should not.
    pub async fn ended(&mut self) -> String {
        match (&mut self.serving).await {
            Ok(Ok(())) => "the peer port is no longer served".to_owned(),
            Ok(Err(error)) => format!("the peer port is no longer served: {error}"),
            Err(error) => format!("the task of the peer port died: {error}"),
        }
    }

    /// Ends it. Streams of peers never end by themselves, so they are cut off.
    pub async fn stop(self) {
        self.stop.cancel();
        let abort = self.serving.abort_handle();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.serving)
            .await
            .is_err()
        {
            abort.abort();
        }
    }
}
