//! What Prometheus is told at `/metrics`: how this node fares, as it sees itself.
//!
//! Everything but the histogram is read when it is asked for, so that nothing has to be kept up to date and nothing costs
//! anything while nobody asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::distribution::Distribution;
use crate::kv::KvNode;
use crate::raft::Store;
use crate::state::Presence;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = [(&'static str, String); 1];

/// Where the figures come from.
pub struct Sources {
    /// The replicated store.
    pub store: Store,
    /// The sessions with switches.
    pub distribution: Distribution,
    /// The store of applications.
    pub kv: KvNode,
    /// Where the store's file is.
    pub data_dir: PathBuf,
}

/// The route of the metrics.
pub fn routes(sources: Sources) -> Router {
    Router::new()
        .route("/metrics", get(serve))
        .with_state(Arc::new(sources))
}

async fn serve(State(sources): State<Arc<Sources>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &sources.registry()) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Sources {
    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("pointsman");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", build);
        self.consensus(&mut registry);
        self.cluster(&mut registry);
        self.devices(&mut registry);
        self.keys(&mut registry);
        self.process(&mut registry);
        registry
    }

    fn consensus(&self, registry: &mut Registry) {
        let membership = self.store.membership();
        let me = self.store.node_id();
        let role = if membership.leader == Some(me) {
            "leader"
        } else if membership.voters.contains(&me) {
            "follower"
        } else {
            "learner"
        };
        let roles = Family::<Labels, Gauge>::default();
        for known in ["leader", "follower", "learner"] {
            let labels = [("role", known.to_owned())];
            roles.get_or_create(&labels).set(i64::from(known == role));
        }
        registry.register("raft_role", "1 for the role that this node has", roles);
        let has_leader = u64::from(membership.leader.is_some());
        number(
            registry,
            "raft_has_leader",
            "1 if this node knows who leads",
            has_leader,
        );
        number(
            registry,
            "raft_term",
            "The term of the Raft log",
            membership.term,
        );
        number(
            registry,
            "raft_log_index",
            "The last entry of this node's log",
            membership.log_index,
        );
        number(
            registry,
            "raft_applied_index",
            "The last entry that this node has applied",
            membership.applied_index,
        );
        let lags = Family::<Labels, Gauge>::default();
        for (node, index) in membership.replicated {
            let name = self.store.read(|state| state.name_of_node(node));
            let lag = membership.log_index.saturating_sub(index);
            lags.get_or_create(&[("node", name)]).set(signed(lag));
        }
        registry.register(
            "raft_lag_entries",
            "Entries that a node lacks, as the leader knows it",
            lags,
        );
        registry.register_with_unit(
            "commit_duration",
            "From a command that was submitted on this node to its answer",
            Unit::Seconds,
            self.store.commit_times(),
        );
    }

    fn cluster(&self, registry: &mut Registry) {
        let mastered = Family::<Labels, Gauge>::default();
        let live = Family::<Labels, Gauge>::default();
        let (revision, settings) = self.store.read(|state| {
            for (id, node) in state.nodes() {
                let labels = [("node", state.name_of_node(*id))];
                let is_live = matches!(node.presence, Presence::Up);
                live.get_or_create(&labels).set(i64::from(is_live));
                drop(mastered.get_or_create(&labels));
            }
            for device in state.devices().values() {
                if let Some(held) = device.mastership() {
                    let labels = [("node", state.name_of_node(held.node))];
                    mastered.get_or_create(&labels).inc();
                }
            }
            (state.revision().0, state.settings().revision())
        });
        registry.register("node_up", "1 for the nodes that are there", live);
        registry.register(
            "mastered_devices",
            "Devices that a node is master of",
            mastered,
        );
        number(registry, "revision", "Of devices and objectives", revision);
        number(
            registry,
            "settings_revision",
            "Of the settings of the cluster",
            settings,
        );
    }

    fn devices(&self, registry: &mut Registry) {
        let (devices, offline, objectives, exceptions) = self.store.read(|state| {
            let devices = state.devices().values();
            devices.fold(
                (0, 0, 0, 0),
                |(all, offline, objectives, exceptions), device| {
                    let is_offline = device.mastership().is_some_and(|held| held.is_offline());
                    (
                        all + 1,
                        offline + u64::from(is_offline),
                        objectives + device.objectives().len() as u64,
                        exceptions + device.acknowledged().exceptions().len() as u64,
                    )
                },
            )
        });
        number(registry, "devices", "Devices of the cluster", devices);
        number(
            registry,
            "devices_offline",
            "Devices that no controller reaches",
            offline,
        );
        number(
            registry,
            "objectives",
            "Objectives of all devices",
            objectives,
        );
        number(
            registry,
            "objectives_not_plainly_applied",
            "Objectives that their switches have acknowledged as anything but applied",
            exceptions,
        );
        let (sessions, faulty) = self.distribution.sessions();
        number(
            registry,
            "sessions",
            "Switches that this node writes to, or tries to",
            sessions,
        );
        number(
            registry,
            "sessions_faulty",
            "Those of them that cannot be written to",
            faulty,
        );
    }

    fn keys(&self, registry: &mut Registry) {
        let figures = self.store.read(|state| {
            let kv = state.kv();
            [
                ("kv_revision", "Of the key-value store", kv.revision().0),
                ("kv_keys", "Keys in all namespaces", kv.len() as u64),
                (
                    "kv_size_bytes",
                    "What they take, as kv.max_bytes counts",
                    kv.bytes(),
                ),
                (
                    "kv_events",
                    "Changes that are remembered",
                    kv.event_count() as u64,
                ),
                ("kv_leases", "Leases that last", kv.leases().len() as u64),
                ("kv_locks", "Locks that are held", kv.locks().len() as u64),
            ]
        });
        for (name, help, value) in figures {
            number(registry, name, help, value);
        }
        let watchers = self.kv.watchers() as u64;
        number(
            registry,
            "kv_watchers",
            "Clients that watch keys on this node",
            watchers,
        );
    }

    fn process(&self, registry: &mut Registry) {
        let store = std::fs::metadata(self.data_dir.join("store.redb"));
        if let Ok(store) = store {
            number(
                registry,
                "store_size_bytes",
                "The file of the store",
                store.len(),
            );
        }
        if let Some(resident) = resident_bytes() {
            number(
                registry,
                "resident_memory_bytes",
                "Memory of this process",
                resident,
            );
        }
    }
}

fn number(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<u64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Memory that is really there, as Linux says it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
