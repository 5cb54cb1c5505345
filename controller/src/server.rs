//! Puts the parts together: bind, open the store, distribute, serve, drain.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_proto::FILE_DESCRIPTOR_SET;
use pointsman_proto::pointsman::controller::v1::configuration_server::ConfigurationServer;
use pointsman_proto::pointsman::controller::v1::controller_server::ControllerServer;
use pointsman_proto::pointsman::controller::v1::kv_server::KvServer;
use pointsman_proto::pointsman::controller::v1::topology_server::TopologyServer;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

use crate::config::Config;
use crate::dial::Dialer;
use crate::distribution::Distribution;
use crate::gateway;
use crate::kv::{KvNode, KvTasks};
use crate::liveness::Liveness;
use crate::logging;
use crate::metrics;
use crate::node::{self, DirectoryError, InitError, NodeDirectory};
use crate::raft::{StartError, Store, StoreConfig};
use crate::random::NoRandom;
use crate::service::{ConfigurationService, ControllerService, KvService, TopologyService};
use crate::state::NodeSpec;
use crate::trials;
use crate::view::Views;

/// Requests hold whole fabrics.
const MAX_REQUEST_BYTES: usize = 256 << 20;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long open requests may take once a shutdown has begun.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the controller did not start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error(
        "cannot listen on {address}: {cause}; is another controller running? Choose another address with --listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
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
    /// Reflection cannot be served.
    #[error("the embedded descriptors are unusable: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A running controller.
pub struct Server {
    address: SocketAddr,
    store: Store,
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
        let listen_error = |cause| ServerError::Listen {
            address: config.listen,
            cause,
        };
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        if config.bootstrap {
            node::bootstrap(&config).await?;
        }
        let identity = NodeDirectory::new(&config.data_dir).load()?.identity;
        let node_name = identity.name;
        let store = Store::open(StoreConfig {
            data_dir: config.data_dir.clone(),
            node_id: identity.id,
            address: address.to_string(),
            tls: None,
            new_cluster: None,
        })
        .await?;
        let drain = CancellationToken::new();
        let (kv, kv_tasks) = KvNode::start(store.clone(), drain.clone());
        let logging = tokio::spawn(logging::follow(store.clone(), config.log, drain.clone()));
        let dialer = Dialer::new(config.agent_tls);
        let about = NodeSpec {
            name: node_name.clone(),
            api_address: address.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..NodeSpec::default()
        };
        let liveness = Liveness::start(store.clone(), about)?;
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
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
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

    /// Resolves when serving has ended by itself, which it should not.
    pub async fn ended(&mut self) {
        match (&mut self.serving).await {
            Ok(Ok(())) => tracing::error!("stopped serving"),
            Ok(Err(error)) => tracing::error!(%error, "stopped serving"),
            Err(error) => tracing::error!(%error, "the server task died"),
        }
    }

    /// Lets open requests finish, ends the sessions with agents and closes the
    /// store. Switches go on forwarding what they hold.
    pub async fn shutdown(self) {
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
        if let Err(error) = self.liveness.leave().await {
            tracing::warn!(%error, "what this controller is master of is not handed over");
        }
        self.views.stop().await;
        self.distribution.stop().await;
        self.liveness.stop().await;
        self.store.shutdown().await;
    }
}
