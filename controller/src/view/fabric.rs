//! All devices of the cluster, each with what is known of it, and what several of them together say.
//!
//! A plain collection behind one lock: whoever reads copies what it needs (items are shared, not copied) and works
//! without the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::device::{DeviceView, Freshness, Position};
use super::inventory::Counts;
use super::item::{Host, HostId, Item, Link, OperState};
use crate::state::DeviceSpec;

/// A device of the cluster as it is seen here.
#[derive(Debug)]
pub struct Device {
    /// Which it is.
    pub spec: DeviceSpec,
    /// No other device that there ever was here has the same; names come again.
    pub incarnation: u64,
    /// What is known of it.
    pub view: DeviceView,
}

/// The devices of the cluster, by name.
#[derive(Debug, Default)]
pub struct Fabric {
    devices: BTreeMap<String, Device>,
    incarnations: u64,
}

/// What is known of a device, at one moment.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Which it is.
    pub spec: DeviceSpec,
    /// Where it stands.
    pub position: Position,
    /// Of all items.
    pub digest: u64,
    /// How far it can be believed.
    pub freshness: Freshness,
    /// The agent's digest cannot be compared.
    pub is_unverified: bool,
    /// How many items there are.
    pub counts: Counts,
}

/// What a device says of its ports and neighbours.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Its name.
    pub device: String,
    /// Its P4Runtime device id.
    pub device_id: u64,
    /// Why it cannot be believed; nothing if it can.
    pub doubt: Option<String>,
    /// Its ports, with their names and whether they are up.
    pub ports: BTreeMap<u32, (String, OperState)>,
    /// Its neighbours.
    pub links: Vec<Arc<Link>>,
}

/// A place where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The device.
    pub device: String,
    /// Its port.
    pub port: u32,
    /// The port's name; empty if it is not known.
    pub port_name: String,
    /// Seconds since 1970.
    pub since: u64,
    /// The device is not fresh.
    pub is_stale: bool,
}

/// A host as all devices together see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FabricHost {
    /// Which it is.
    pub id: HostId,
    /// Its addresses, and how each was learnt.
    pub addresses: Vec<(Vec<u8>, String)>,
    /// Where it is, the latest place first.
    pub attachments: Vec<Attachment>,
    /// Seconds since 1970.
    pub first_seen: u64,
    /// Seconds since 1970.
    pub last_seen: u64,
    /// How often it went from one port of a device to another.
    pub moves: u32,
}

impl Freshness {
    /// Why what is known cannot be believed; nothing if it can.
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Freshness::Fresh { .. } => None,
            Freshness::Loading { reason, .. } | Freshness::Stale { reason, .. } => Some(reason),
        }
    }

    /// For how long it has been so.
    pub fn age(&self, now: Instant) -> Duration {
        match self {
            Freshness::Fresh { since }
            | Freshness::Loading { since, .. }
            | Freshness::Stale { since, .. } => now.saturating_duration_since(*since),
        }
    }
}

impl Fabric {
    /// All devices by name.
    pub fn devices(&self) -> &BTreeMap<String, Device> {
        &self.devices
    }

    /// The view of exactly this device, if it is still one of the cluster.
    pub fn view_mut(&mut self, spec: &DeviceSpec) -> Option<&mut DeviceView> {
        let device = self.devices.get_mut(&spec.name);
        device
            .filter(|device| device.spec == *spec)
            .map(|device| &mut device.view)
    }

    /// Makes the devices those of the cluster. One whose agent is another than it was has nothing to do with what was
    /// there under its name.
    pub fn reconcile(&mut self, wanted: &BTreeMap<String, DeviceSpec>, now: Instant) {
        self.devices
            .retain(|name, device| wanted.get(name) == Some(&device.spec));
        for (name, spec) in wanted {
            self.devices.entry(name.clone()).or_insert_with(|| {
                self.incarnations += 1;
                Device {
                    spec: spec.clone(),
                    incarnation: self.incarnations,
                    view: DeviceView::new(now),
                }
            });
        }
    }
}

impl Device {
    /// What is known of it, in short.
    pub fn summary(&self) -> Summary {
        let inventory = self.view.inventory();
        Summary {
            spec: self.spec.clone(),
            position: inventory.position().clone(),
            digest: inventory.digest(),
            freshness: self.view.freshness().clone(),
            is_unverified: self.view.is_unverified(),
            counts: inventory.counts(),
        }
    }

    /// All its items.
    pub fn items(&self) -> Vec<Item> {
        self.view.inventory().items().cloned().collect()
    }

    /// Its ports and neighbours.
    pub fn survey(&self) -> Survey {
        let inventory = self.view.inventory();
        let ports = inventory.ports().map(|port| {
            let about = (port.name.clone(), port.state);
            (port.number, about)
        });
        Survey {
            device: self.spec.name.clone(),
            device_id: self.spec.device_id,
            doubt: self.view.freshness().doubt().map(str::to_owned),
            ports: ports.collect(),
            links: inventory.links().cloned().collect(),
        }
    }

    /// A host, with the places where this device sees it.
    pub fn locate(&self, host: &Host) -> Vec<Attachment> {
        let inventory = self.view.inventory();
        let is_stale = self.view.freshness().doubt().is_some();
        let places = host.locations.iter().map(|(port, since)| Attachment {
            device: self.spec.name.clone(),
            port: *port,
            port_name: inventory
                .port(*port)
                .map(|port| port.name.clone())
                .unwrap_or_default(),
            since: *since,
            is_stale,
        });
        places.collect()
    }
}

/// Puts together what several devices say of hosts.
pub fn merge_hosts(
    seen: impl IntoIterator<Item = (Arc<Host>, Vec<Attachment>)>,
) -> Vec<FabricHost> {
    let mut merged: BTreeMap<HostId, FabricHost> = BTreeMap::new();
    for (host, attachments) in seen {
        let known = merged.entry(host.id).or_insert_with(|| FabricHost {
            id: host.id,
            addresses: vec![],
            attachments: vec![],
            first_seen: host.first_seen,
            last_seen: 0,
            moves: 0,
        });
        known.attachments.extend(attachments);
        known.addresses.extend(host.addresses.iter().cloned());
        known.first_seen = known.first_seen.min(host.first_seen);
        known.last_seen = known.last_seen.max(host.last_seen);
        known.moves += host.moves;
    }
    let mut merged: Vec<_> = merged.into_values().collect();
    for host in &mut merged {
        host.attachments.sort_by(|a, b| {
            (a.is_stale, b.since, &a.device, a.port).cmp(&(b.is_stale, a.since, &b.device, b.port))
        });
        let mut known = BTreeSet::new();
        host.addresses.retain(|(ip, _)| known.insert(ip.clone()));
    }
    merged
}
