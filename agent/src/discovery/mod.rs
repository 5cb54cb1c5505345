//! The shell around what the switch learns of its surroundings: one task that owns the pure cores, the clock, and
//! the way to and from the ports.
//!
//! ```text
//!   target ── frames ──►┐                        ┌──► frames ───────► target
//!                       ├──► lldp, hosts (pure) ─┤
//!   inventory ─ ports ─►┘                        └──► links, hosts ─► inventory
//! ```
//!
//! Frames come past the pipeline ([`Local`]), so nothing here depends on a P4 program.

mod counters;
mod ports;

pub use counters::Counters;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pointsman_ebpf::front::{LocalFrame, LocalKind, Wanted};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::ports::{PortChange, PortWatch};
use crate::agent::{Agent, Identity};
use crate::config::{DiscoveryConfig, LldpMode};
use crate::hosts::{self, Hosts, Mac};
use crate::inventory::{Inventory, Item, Key};
use crate::lldp::{self, ClusterKeys, KeyError, Lldp, NeighborKind};
use crate::target::Local;

/// LLDP frames of a port that are looked at in a second; one in some seconds is usual.
const LLDP_RATE: u32 = 70;
/// Frames of a port that are looked at in a second.
const RATES: [(LocalKind, u32); 4] = [
    (LocalKind::Lldp, LLDP_RATE),
    (LocalKind::Arp, 2000),
    (LocalKind::NeighborDiscovery, 2000),
    (LocalKind::Dhcp, 700),
];

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
        // What an agent before this one asked for may go on: everything is said.
        let has_manifest = agent.shared().pipeliner.is_ready();
        for (kind, per_second) in RATES {
            local.want(kind, self.wanted(kind, has_manifest), per_second);
        }
        if self.config.lldp != LldpMode::Disabled && !self.keys.are_secret() {
            tracing::info!(
                "LLDP is signed with a key that everybody knows: neighbours of the cluster can be forged; \
                 give --cluster-key FILE"
            );
        }
        let frames = local.listen();
        let task = Task {
            clock: Clock::start(),
            lldp: Lldp::new(self.settings(&agent.identity)),
            mode: self.config.lldp,
            hosts: self.config.hosts.map(Hosts::new),
            inventory: Arc::clone(&agent.inventory),
            counters: Arc::clone(&agent.discovery),
            local,
            agent,
        };
        task.run(frames, cancel).await;
    }

    /// `has_manifest`: the pipeline is one that objectives are carried out by.
    fn wanted(&self, kind: LocalKind, has_manifest: bool) -> Wanted {
        match (kind, &self.config.hosts) {
            (LocalKind::Lldp, _) => lldp_wanted(self.config.lldp, has_manifest),
            (_, None) => Wanted::No,
            (_, Some(_)) => Wanted::Copy,
        }
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

/// What becomes of LLDP frames that come in.
fn lldp_wanted(mode: LldpMode, has_manifest: bool) -> Wanted {
    match mode {
        LldpMode::Auto if has_manifest => Wanted::Take,
        LldpMode::Enabled => Wanted::Take,
        LldpMode::Auto | LldpMode::Shared => Wanted::Copy,
        LldpMode::Disabled => Wanted::No,
    }
}

/// Time since 1970 as of the start, from where it goes on evenly whatever becomes of the system's clock.
#[derive(Debug, Clone, Copy)]
struct Clock {
    started: Instant,
    epoch: Duration,
}

impl Clock {
    fn start() -> Clock {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Clock {
            started: Instant::now(),
            epoch: epoch.unwrap_or_default(),
        }
    }

    fn now(self) -> Duration {
        self.epoch + self.started.elapsed()
    }

    async fn sleep_until(self, at: Option<Duration>) {
        match at {
            Some(at) => {
                let at = self.started + at.saturating_sub(self.epoch);
                tokio::time::sleep_until(at.into()).await;
            }
            None => std::future::pending().await,
        }
    }
}

/// What runs.
struct Task {
    clock: Clock,
    lldp: Lldp,
    mode: LldpMode,
    hosts: Option<Hosts>,
    inventory: Arc<Inventory>,
    counters: Arc<Counters>,
    local: Arc<dyn Local>,
    agent: Arc<Agent>,
}

impl Task {
    async fn run(mut self, mut frames: mpsc::Receiver<LocalFrame>, cancel: CancellationToken) {
        let mut ports = PortWatch::new(&self.inventory);
        loop {
            for change in ports.take(&self.inventory) {
                self.port(change);
            }
            let of_hosts = self.hosts.as_ref().and_then(Hosts::deadline);
            let deadline = self.lldp.deadline().into_iter().chain(of_hosts).min();
            tokio::select! {
                () = cancel.cancelled() => return,
                // The inventory ends when the agent does.
                is_open = ports.changed() => if !is_open { return },
                () = self.clock.sleep_until(deadline) => {
                    self.follow_pipeline();
                    self.tell_lldp(lldp::Event::Timer);
                    self.tell_hosts(hosts::Event::Timer);
                }
                frame = frames.recv() => match frame {
                    Some(frame) => {
                        self.frame(&frame);
                        let hosts = self.hosts.as_ref().map(Hosts::statistics);
                        self.counters.set(self.lldp.statistics(), hosts);
                    }
                    None => return,
                },
            }
        }
    }

    fn port(&mut self, change: PortChange) {
        match change {
            PortChange::Up { number, name, mac } => {
                let port = number;
                self.tell_hosts(hosts::Event::PortUp {
                    port,
                    mac: Mac(mac),
                });
                if self.mode != LldpMode::Disabled {
                    self.tell_lldp(lldp::Event::PortUp { port, name, mac });
                }
            }
            PortChange::Down { number: port } => {
                self.tell_lldp(lldp::Event::PortDown { port });
                self.tell_hosts(hosts::Event::PortDown { port });
            }
        }
    }

    fn frame(&mut self, frame: &LocalFrame) {
        let (port, bytes) = (frame.port, frame.bytes.as_slice());
        if frame.kind != LocalKind::Lldp {
            return self.tell_hosts(hosts::Event::Frame { port, bytes });
        }
        let before = self.lldp.statistics();
        self.tell_lldp(lldp::Event::Frame { port, bytes });
        let after = self.lldp.statistics();
        if after.forged > before.forged {
            tracing::warn!(
                port,
                forged = after.forged,
                "a forged LLDP frame is ignored"
            );
        }
    }

    /// Another pipeline may have other uses for LLDP.
    fn follow_pipeline(&self) {
        if self.mode == LldpMode::Auto {
            let has_manifest = self.agent.shared().pipeliner.is_ready();
            let wanted = lldp_wanted(self.mode, has_manifest);
            self.local.want(LocalKind::Lldp, wanted, LLDP_RATE);
        }
    }

    fn tell_lldp(&mut self, event: lldp::Event<'_>) {
        for command in self.lldp.step(event, self.clock.now()) {
            match command {
                lldp::Command::Send { port, frame } => self.local.send(port, &frame),
                lldp::Command::Changed(neighbor) => {
                    tracing::info!(
                        port = neighbor.local_port, name = neighbor.system_name,
                        chassis = neighbor.chassis.chassis_text(), neighbor_port = neighbor.port.port_text(),
                        kind = ?neighbor.kind, "neighbour"
                    );
                    let port = neighbor.local_port;
                    self.inventory.put(Item::Link(neighbor));
                    self.tell_of_infrastructure(port);
                }
                lldp::Command::Gone { port, id } => {
                    tracing::info!(port, neighbor = ?id, "neighbour is gone");
                    self.inventory.remove(&Key::Link(port, id));
                    self.tell_of_infrastructure(port);
                }
            }
        }
    }

    fn tell_of_infrastructure(&mut self, port: u32) {
        let mut neighbors = self.lldp.neighbors();
        let is_infrastructure = neighbors
            .any(|n| n.local_port == port && matches!(n.kind, NeighborKind::Cluster { .. }));
        drop(neighbors);
        self.tell_hosts(hosts::Event::Infrastructure {
            port,
            is_infrastructure,
        });
    }

    fn tell_hosts(&mut self, event: hosts::Event<'_>) {
        let Some(hosts) = &mut self.hosts else { return };
        for command in hosts.step(event, self.clock.now()) {
            match command {
                hosts::Command::Send { port, frame } => self.local.send(port, &frame),
                hosts::Command::Changed(host) => {
                    tracing::debug!(mac = %host.id.mac, vlan = host.id.vlan, ports = ?host.locations, "host");
                    self.inventory.put(Item::Host(host));
                }
                hosts::Command::Gone(id) => {
                    tracing::debug!(mac = %id.mac, vlan = id.vlan, "host is gone");
                    self.inventory.remove(&Key::Host(id));
                }
            }
        }
    }
}
