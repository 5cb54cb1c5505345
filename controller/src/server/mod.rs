//! Puts the parts together: bind, open the store, take part in the cluster, distribute, serve; and at the end, hand
//! over, drain, stop.

mod peers;
mod ports;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pointsman_proto::FILE_DESCRIPTOR_SET;
use pointsman_proto::pointsman::controller::v1::cluster_server::ClusterServer;
use pointsman_proto::pointsman::controller::v1::configuration_server::ConfigurationServer;
use pointsman_proto::pointsman::controller::v1::controller_server::ControllerServer;
use pointsman_proto::pointsman::controller::v1::kv_server::KvServer;
use pointsman_proto::pointsman::controller::v1::topology_server::TopologyServer;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

use crate::config::Config;
use crate::dial::Dialer;
use crate::distribution::Distribution;
use crate::gateway;
use crate::kv::{KvNode, KvTasks};
use crate::level::LEVEL;
use crate::liveness::Liveness;
use crate::logging;
use crate::metrics;
use crate::node::{self, DirectoryError, Identity, InitError, NodeDirectory, Removed};
use crate::raft::{StartError, Store, StoreConfig, StoreError};
use crate::random::NoRandom;
use crate::service::{
    ClusterService, ConfigurationService, ControllerService, KvService, TopologyService,
};
use crate::state::{NodeSpec, State};
use crate::trials;
use crate::trust::PeerTls;
use crate::view::Views;
use peers::PeerPort;
use ports::Ports;

/// Requests hold whole fabrics.
const MAX_REQUEST_BYTES: usize = 256 << 20;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long open requests may take once a shutdown has begun.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long others may take to take over. Whoever does not hears nothing of this node afterwards, and acts on that.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(3);
const HANDOVER_PAUSE: Duration = Duration::from_millis(50);

/// Why the controller did not start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error(
        "cannot listen on {address}: {cause}; is another controller running? Choose another address with {flag}"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
        /// By which it is chosen.
        flag: &'static str,
    },
    /// The other nodes of the cluster cannot find this one.
    #[error("{0}")]
    Unfindable(String),
    /// The cluster does not want this node any more.
    #[error(transparent)]
    Removed(#[from] Removed),
    /// The store did not start.
    #[error(transparent)]
    Store(#[from] StartError),
    /// There is no node in the data directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A new cluster could not be made there.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The operating system gives no random numbers.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// The log may hold what this version does not understand.
    #[error(
        "the cluster of this node works at level {needed}, and this version of pointsman-controller understands level {LEVEL}; install the version that it ran before, or a newer one"
    )]
    TooOld {
        /// The cluster's level.
        needed: u32,
    },
    /// The store does not take where this node is.
    #[error("cannot note where this node is now: {0}")]
    Address(StoreError),
    /// Reflection cannot be served.
    #[error("the embedded descriptors are unusable: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A running controller.
pub struct Server {
    address: SocketAddr,
    store: Store,
    peers: PeerPort,
    tls: PeerTls,
    identity: Identity,
    liveness: Liveness,
    distribution: Distribution,
    views: Views,
    drain: CancellationToken,
    trials: JoinHandle<()>,
    kv_tasks: KvTasks,
    logging: JoinHandle<()>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Server {
    /// Starts a controller. It serves when this returns.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        let ports = Ports::bind(&config).await?;
        let address = ports.api_address;
        if config.bootstrap {
            node::bootstrap(&config)?;
        }
        let node = NodeDirectory::new(&config.data_dir).load()?;
        let (tls, authority) = (node.tls(), Arc::new(node.authority));
        let (identity, fingerprint) = (node.identity, authority.fingerprint());
        let store = Store::open(StoreConfig {
            data_dir: config.data_dir.clone(),
            node_id: identity.id,
            address: ports.peer_listen.to_string(),
            tls: Some(tls.clone()),
            new_cluster: None,
        })
        .await?;
        let needed = store.read(State::level);
        if needed > LEVEL {
            return Err(ServerError::TooOld { needed });
        }
        let node_name = identity.name.clone();
        let about = NodeSpec {
            name: node_name.clone(),
            peer_address: ports.peer_address.clone().unwrap_or_default(),
            api_address: ports.shown_api_address,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            level: LEVEL,
        };
        let liveness = Liveness::start(store.clone(), about)?;
        let beats = liveness.beat_service();
        let peers = PeerPort::start(ports.peers, tls.clone(), &store, beats, authority);
        take_part(&store, &tls, &identity, &ports.peer_address).await?;
        let drain = CancellationToken::new();
        let (kv, kv_tasks) = KvNode::start(store.clone(), drain.clone());
        let logging = tokio::spawn(logging::follow(store.clone(), config.log, drain.clone()));
        let dialer = Dialer::new(config.agent_tls);
        let distribution = Distribution::start(
            store.clone(),
            liveness.standing(),
            dialer.clone(),
            node_name.clone(),
        );
        let views = Views::start(store.clone(), dialer.clone());
        let service =
            ControllerService::new(store.clone(), distribution.clone(), dialer, node_name);
        let service = ControllerServer::new(service).max_decoding_message_size(MAX_REQUEST_BYTES);
        let (health_reporter, health) = tonic_health::server::health_reporter();
        health_reporter
            .set_serving::<ControllerServer<ControllerService>>()
            .await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let trials = tokio::spawn(trials::run(store.clone(), drain.clone()));
        let routes = Routes::new(health)
            .add_service(reflection)
            .add_service(ClusterServer::new(ClusterService::new(
                store.clone(),
                fingerprint,
                ports.peer_address,
            )))
            .add_service(TopologyServer::new(TopologyService::new(views.clone())))
            .add_service(KvServer::new(KvService::new(kv.clone())))
            .add_service(ConfigurationServer::new(ConfigurationService::new(
                store.clone(),
            )))
            .add_service(service);
        let metrics = metrics::routes(metrics::Sources {
            store: store.clone(),
            distribution: distribution.clone(),
            kv,
            data_dir: config.data_dir.clone(),
        });
        let router = tonic::transport::Server::builder()
            .accept_http1(true)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .add_routes(gateway::with_gateway(
                routes,
                metrics,
                store.clone(),
                drain.clone(),
            ));
        let incoming = TcpIncoming::from(ports.api).with_nodelay(Some(true));
        let stop = drain.clone();
        let serving = tokio::spawn(async move {
            router
                .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
                .await
        });
        tracing::info!(%address, data_dir = %config.data_dir.display(), "serving");
        Ok(Self {
            address,
            store,
            peers,
            tls,
            identity,
            liveness,
            distribution,
            views,
            drain,
            trials,
            kv_tasks,
            logging,
            serving,
        })
    }

    /// The address it serves on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when the controller cannot go on, with the reason.
    pub async fn ended(&mut self) -> String {
        tokio::select! {
            ended = &mut self.serving => match ended {
                Ok(Ok(())) => "the API is no longer served".to_owned(),
                Ok(Err(error)) => format!("the API is no longer served: {error}"),
                Err(error) => format!("the task of the API died: {error}"),
            },
            reason = self.peers.ended() => reason,
            reason = self.store.failed() => reason,
            removed = node::removal(&self.store, &self.tls, &self.identity) => removed.to_string(),
        }
    }

    /// Hands over what others are to do from now on, lets open requests finish, ends the sessions with agents and closes
    /// the store. Switches go on forwarding what they hold.
    pub async fn shutdown(self) {
        self.hand_over().await;
        self.drain.cancel();
        self.views.end_watching();
        let stop = self.serving.abort_handle();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.serving)
            .await
            .is_err()
        {
            tracing::warn!("some requests did not finish in time and were cut off");
            stop.abort();
        }
        self.kv_tasks.ended().await;
        if let Err(error) = self.logging.await {
            tracing::error!(%error, "the task that follows the log filter died");
        }
        if let Err(error) = self.trials.await {
            tracing::error!(%error, "the task that takes changes on trial back died");
        }
        self.views.stop().await;
        self.distribution.stop().await;
        self.liveness.stop().await;
        self.peers.stop().await;
        self.store.shutdown().await;
    }

    /// Mastership first: while this node still leads, that is one commit away. Then leadership. Without a majority there
    /// is nobody to hand anything to.
    async fn hand_over(&self) {
        let leave = async {
            if let Err(error) = self.liveness.leave().await {
                tracing::warn!(%error, "what this controller is master of is not handed over");
            }
            let leads = || self.store.membership().leader == Some(self.store.node_id());
            let has_others = self.store.membership().voters.len() > 1;
            // Whoever is asked may be too busy to be elected in time; the next try may find another one.
            while has_others && leads() {
                if let Err(error) = self.store.transfer_leadership(None).await {
                    tracing::warn!(%error, "leadership is not handed over yet");
                    tokio::time::sleep(HANDOVER_PAUSE).await;
                }
            }
        };
        if tokio::time::timeout(HANDOVER_TIMEOUT, leave).await.is_err() {
            tracing::warn!("handing over took too long; the others notice by themselves");
        }
    }
}

/// Returns once this node votes. One that is alone has nobody to ask, and one that was in already goes on while the others
/// are told where it is now.
async fn take_part(
    store: &Store,
    tls: &PeerTls,
    identity: &Identity,
    peer_address: &Result<String, String>,
) -> Result<(), ServerError> {
    let voters = store.membership().voters;
    let address = match (peer_address, voters.as_slice()) {
        (Err(_), [only]) if *only == identity.id => return Ok(()),
        (Err(reason), _) => return Err(ServerError::Unfindable(reason.clone())),
        (Ok(address), _) => address.clone(),
    };
    if node::is_in(store, &address) {
        return Ok(());
    }
    if voters == [identity.id] {
        let moved = store.set_address(identity.id, address).await;
        return moved.map_err(ServerError::Address);
    }
    tracing::info!(
        node = identity.name,
        address,
        "taking part in cluster {}",
        identity.cluster_id
    );
    Ok(node::enter(store, tls, identity, &address).await?)
}
