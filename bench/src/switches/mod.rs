//! Switches without a data plane, as many as a measurement needs: each serves the agent's gRPC service on an address of
//! its own, has ports whose state can be changed, takes objectives and acknowledges them at once, and remembers under
//! which election id it took each batch.
//!
//! ```text
//!   controller ── SyncObjectives ──► service ──► Memory    what it holds, and who wrote it
//!   controller ── WatchInventory ──► service ──► Inventory of the agent: ports, links
//! ```
//!
//! The inventory and its stream are the agent's own; what stands in for the rest of an agent is `memory`, which keeps to
//! the same rules of mastership. It is no agent: it has no pipeline, and looks into no objective.

mod memory;
mod service;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use pointsman_agent::inventory::{Inventory, Item, OperState, PortItem};
use pointsman_proto::pointsman::agent::v1::agent_server::AgentServer;
use pointsman_proto::pointsman::controller::v1::DeviceSpec;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

pub use memory::{ElectionId, Memory, Written};
use service::Service;

/// A whole fabric in one snapshot.
const MAX_MESSAGE_BYTES: usize = 1 << 30;

/// A running switch.
pub struct Switch {
    address: SocketAddr,
    device_id: u64,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// What the switch is, whoever is connected to it.
struct Shared {
    device_id: u64,
    boot_id: String,
    ports: u32,
    inventory: Arc<Inventory>,
    memory: Mutex<Memory>,
    /// The highest election id of any stream, so that the others end.
    highest: watch::Sender<ElectionId>,
    /// It reads no more batches.
    is_stuck: AtomicBool,
    stop: CancellationToken,
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each change leaves it whole.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Switch {
    /// Starts a switch with ports that are up, numbered from 1. It listens when this returns.
    ///
    /// # Errors
    /// If the address is not to be had.
    pub async fn start(listen: SocketAddr, device_id: u64, ports: u32) -> Result<Switch> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("a switch at {listen}"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            device_id,
            boot_id: format!("{device_id}-{}", address.port()),
            ports,
            inventory: Arc::default(),
            memory: Mutex::default(),
            highest: watch::Sender::default(),
            is_stuck: AtomicBool::new(false),
            stop: CancellationToken::new(),
        });
        for number in 1..=ports {
            shared.inventory.put(port(number, OperState::Up));
        }
        let service = AgentServer::new(Service::new(Arc::clone(&shared)));
        let serving = tonic::transport::Server::builder()
            .add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                shared.stop.clone().cancelled_owned(),
            );
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                eprintln!("the switch at {address} serves no more: {error}");
            }
        });
        Ok(Switch {
            address,
            device_id,
            shared,
            serving,
        })
    }

    /// Starts switches on addresses that the system chooses, with the device ids from 1.
    ///
    /// # Errors
    /// If there are not so many addresses.
    pub async fn start_many(count: u64, ports: u32) -> Result<Vec<Switch>> {
        let mut switches = Vec::new();
        for device_id in 1..=count {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            switches.push(Switch::start(any, device_id, ports).await?);
        }
        Ok(switches)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is called: `s` and its device id.
    pub fn name(&self) -> String {
        format!("s{}", self.device_id)
    }

    /// What a controller has to be told of it.
    pub fn spec(&self) -> DeviceSpec {
        DeviceSpec {
            name: self.name(),
            address: self.address.to_string(),
            device_id: self.device_id,
        }
    }

    /// Its boot, as its inventory says.
    pub fn boot_id(&self) -> &str {
        &self.shared.boot_id
    }

    /// Takes a port up or down. That is an event for all who watch the inventory.
    pub fn set_port(&self, number: u32, state: OperState) {
        self.shared.inventory.put(port(number, state));
    }

    /// What is observed of it.
    pub fn inventory(&self) -> &Inventory {
        &self.shared.inventory
    }

    /// The highest election id that anybody has shown; zero if nobody has.
    pub fn highest_election_id(&self) -> ElectionId {
        *self.shared.highest.borrow()
    }

    /// What it holds and who wrote it. Nothing is taken while somebody looks.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory()
    }

    /// Reads no more batches, or does so again: a switch that is alive and of no use.
    pub fn set_stuck(&self, is_stuck: bool) {
        self.shared.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// Closes every connection and listens no more.
    pub async fn stop(self) {
        self.shared.inventory.close();
        self.shared.stop.cancel();
        // It prints its own error; a panic in it is one here.
        self.serving.await.expect("serving does not panic");
    }
}

fn port(number: u32, state: OperState) -> Item {
    Item::Port(PortItem {
        number,
        name: format!("p{number}"),
        interface: format!("p{number}"),
        admin_up: true,
        state,
        mac: vec![2, 0, 0, 0, (number >> 8) as u8, number as u8],
        mtu: 1500,
        xdp_mode: "native",
        message: String::new(),
    })
}
