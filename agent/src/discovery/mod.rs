//! The shell around what the switch learns of its surroundings: one task that owns the pure cores, the clock, and
//! the way to and from the ports.
//!
//! ```text
//!   target ── frames ──►┐                       ┌──► frames ──► target
//!                       ├──► lldp (pure core) ──┤
//!   inventory ─ ports ─►┘                       └──► links ───► inventory
//! ```
//!
//! Frames come past the pipeline ([`Local`]), so nothing here depends on a P4 program.

mod ports;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_ebpf::front::{LocalFrame, LocalKind, Wanted};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use self::ports::{PortChange, PortWatch};
use crate::agent::{Agent, Identity};
use crate::config::{DiscoveryConfig, LldpMode};
use crate::inventory::{Inventory, Item, Key};
use crate::lldp::{self, ClusterKeys, KeyError, Lldp};
use crate::target::Local;

/// LLDP frames of a port that are looked at in a second; one in some seconds is usual.
const LLDP_RATE: u32 = 70;

/// Why the switch cannot look around itself.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// The file of keys cannot be read.
    #[error("cluster key {}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What is in it is no key.
    #[error("cluster key {}: {error}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: KeyError,
    },
}

/// What is needed to look around, checked before anything runs.
pub struct Discovery {
    config: DiscoveryConfig,
    keys: ClusterKeys,
}

impl Discovery {
    /// Reads the keys.
    pub fn load(config: &DiscoveryConfig) -> Result<Discovery, DiscoveryError> {
        let keys = match &config.cluster_key {
            None => ClusterKeys::open(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| DiscoveryError::File {
                    path: path.clone(),
                    error,
                })?;
                ClusterKeys::parse(&text).map_err(|error| DiscoveryError::Key {
                    path: path.clone(),
                    error,
                })?
            }
        };
        Ok(Discovery {
            config: config.clone(),
            keys,
        })
    }

    /// Looks around until it is cancelled. Ends at once where the ports are elsewhere.
    pub async fn run(self, agent: Arc<Agent>, cancel: CancellationToken) {
        let local = agent.shared().switch.target().local();
        let Some(local) = local else { return };
        if self.config.lldp == LldpMode::Disabled {
            // What an agent before this one asked for may go on.
            return local.want(LocalKind::Lldp, Wanted::No, 0);
        }
        if !self.keys.are_secret() {
            tracing::info!(
                "LLDP is signed with a key that everybody knows: neighbours of the cluster can be forged; \
                 give --cluster-key FILE"
            );
        }
        let frames = local.listen();
        let task = Task {
            started: Instant::now(),
            lldp: Lldp::new(self.settings(&agent.identity)),
            inventory: Arc::clone(&agent.inventory),
            local,
        };
        let wanted = match self.config.lldp {
            LldpMode::Shared => Wanted::Copy,
            LldpMode::Enabled | LldpMode::Disabled => Wanted::Take,
        };
        task.local.want(LocalKind::Lldp, wanted, LLDP_RATE);
        task.run(frames, cancel).await;
    }

    fn settings(&self, identity: &Identity) -> lldp::Settings {
        lldp::Settings {
            device_id: identity.device_id,
            name: identity.name.clone(),
            description: format!("Pointsman {}", env!("CARGO_PKG_VERSION")),
            boot: identity.boot(),
            interval: self.config.interval,
            keys: self.keys.clone(),
        }
    }
}

/// What runs.
struct Task {
    started: Instant,
    lldp: Lldp,
    inventory: Arc<Inventory>,
    local: Arc<dyn Local>,
}

impl Task {
    async fn run(
        mut self,
        mut frames: tokio::sync::mpsc::Receiver<LocalFrame>,
        cancel: CancellationToken,
    ) {
        let mut ports = PortWatch::new(&self.inventory);
        loop {
            for change in ports.take(&self.inventory) {
                self.port(change);
            }
            let deadline = self.lldp.deadline();
            let deadline = deadline.map(|at| (self.started + at).into());
            let timer = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let now = |started: Instant| started.elapsed();
            tokio::select! {
                () = cancel.cancelled() => return,
                // The inventory ends when the agent does.
                is_open = ports.changed() => if !is_open { return },
                () = timer => {
                    let commands = self.lldp.step(lldp::Event::Timer, now(self.started));
                    self.carry_out(commands);
                }
                frame = frames.recv() => match frame {
                    Some(frame) => self.frame(&frame),
                    None => return,
                },
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn port(&mut self, change: PortChange) {
        let now = self.now();
        let event = match change {
            PortChange::Up { number, name, mac } => lldp::Event::PortUp {
                port: number,
                name,
                mac,
            },
            PortChange::Down { number } => lldp::Event::PortDown { port: number },
        };
        let commands = self.lldp.step(event, now);
        self.carry_out(commands);
    }

    fn frame(&mut self, frame: &LocalFrame) {
        let now = self.now();
        if frame.kind == LocalKind::Lldp {
            let (port, bytes) = (frame.port, frame.bytes.as_slice());
            let before = self.lldp.statistics();
            let commands = self.lldp.step(lldp::Event::Frame { port, bytes }, now);
            let after = self.lldp.statistics();
            if after.forged > before.forged {
                tracing::warn!(
                    port,
                    forged = after.forged,
                    "a forged LLDP frame is ignored"
                );
            }
            self.carry_out(commands);
        }
    }

    fn carry_out(&self, commands: Vec<lldp::Command>) {
        for command in commands {
            match command {
                lldp::Command::Send { port, frame } => self.local.send(port, &frame),
                lldp::Command::Changed(neighbor) => {
                    tracing::info!(
                        port = neighbor.local_port, name = neighbor.system_name,
                        chassis = neighbor.chassis.chassis_text(), neighbor_port = neighbor.port.port_text(),
                        kind = ?neighbor.kind, "neighbour"
                    );
                    self.inventory.put(Item::Link(neighbor));
                }
                lldp::Command::Gone { port, id } => {
                    tracing::info!(port, neighbor = ?id, "neighbour is gone");
                    self.inventory.remove(&Key::Link(port, id));
                }
            }
        }
    }
}
