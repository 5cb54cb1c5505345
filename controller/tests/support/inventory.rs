//! What a fake agent sees around it: items that tests put there, streamed as a real agent does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::{gone, inventory_event, link_key};
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::fake_agent::Held;

/// Items, and every change since the agent started.
pub struct FakeInventory {
    pub boot_id: String,
    items: BTreeMap<String, inventory_event::Change>,
    log: Vec<inventory_event::Change>,
    latest: watch::Sender<usize>,
}

impl Default for FakeInventory {
    fn default() -> Self {
        Self {
            boot_id: "boot".into(),
            items: BTreeMap::new(),
            log: Vec::new(),
            latest: watch::Sender::new(0),
        }
    }
}

impl FakeInventory {
    /// As after a restart of the agent: nothing is seen yet.
    pub fn reboot(&mut self, boot_id: &str) {
        *self = Self {
            boot_id: boot_id.into(),
            ..Self::default()
        };
    }

    pub fn port(&mut self, number: u32, state: pb::OperState) {
        let port = pb::Port {
            number,
            name: format!("p{number}"),
            oper_state: state.into(),
            ..Default::default()
        };
        let key = format!("port {number}");
        self.put(key, inventory_event::Change::Port(port));
    }

    /// Both hear each other.
    pub fn link(&mut self, port: u32, device_id: u64, its_port: u32) {
        let cluster = pb::ClusterNeighbor {
            device_id,
            port: its_port,
        };
        let link = pb::Link {
            key: Some(pb::LinkKey {
                local_port: port,
                neighbor: Some(link_key::Neighbor::Cluster(cluster)),
            }),
            state: pb::LinkState::TwoWay.into(),
            ..Default::default()
        };
        self.put(format!("link {port}"), inventory_event::Change::Link(link));
    }

    pub fn no_link(&mut self, port: u32) {
        if let Some(inventory_event::Change::Link(link)) =
            self.items.remove(&format!("link {port}"))
        {
            let item = link.key.map(gone::Item::Link);
            self.log(inventory_event::Change::Gone(pb::Gone { item }));
        }
    }

    pub fn host(&mut self, ip: [u8; 4], port: u32) {
        let host = pb::Host {
            key: Some(pb::HostKey {
                mac: [&[2, 0][..], &ip].concat(),
                vlan: 0,
            }),
            addresses: vec![pb::HostAddress {
                ip: ip.to_vec(),
                source: "arp".into(),
            }],
            locations: vec![pb::HostLocation { port, since: 1 }],
            ..Default::default()
        };
        let key = format!("host {ip:?}");
        self.put(key, inventory_event::Change::Host(host));
    }

    pub fn sequence(&self) -> u64 {
        self.log.len() as u64
    }

    fn put(&mut self, key: String, change: inventory_event::Change) {
        self.items.insert(key, change.clone());
        self.log(change);
    }

    fn log(&mut self, change: inventory_event::Change) {
        self.log.push(change);
        self.latest.send_replace(self.log.len());
    }

    fn since(&self, known: Option<usize>) -> pb::InventoryBatch {
        let event = |(sequence, change): (u64, &inventory_event::Change)| pb::InventoryEvent {
            sequence,
            change: Some(change.clone()),
        };
        let events = match known {
            Some(known) => (known as u64 + 1..)
                .zip(&self.log[known..])
                .map(event)
                .collect(),
            None => self.items.values().map(|item| event((0, item))).collect(),
        };
        let hashes = self.items.values().map(|item| {
            let hash = Sha256::digest(event((0, item)).encode_to_vec());
            u64::from_be_bytes(*hash.first_chunk().unwrap())
        });
        pb::InventoryBatch {
            boot_id: self.boot_id.clone(),
            sequence: self.sequence(),
            snapshot: known.is_none(),
            more: false,
            events,
            digest: hashes.fold(0, u64::wrapping_add),
        }
    }
}

/// Sends what a client lacks, and then what happens.
pub async fn watch(
    held: Arc<Mutex<Held>>,
    request: pb::WatchInventoryRequest,
    outgoing: mpsc::Sender<Result<pb::InventoryBatch, Status>>,
) {
    let mut known = None;
    let mut latest = {
        let inventory = &held.lock().unwrap().inventory;
        if request.boot_id == inventory.boot_id && request.sequence <= inventory.sequence() {
            known = usize::try_from(request.sequence).ok();
        }
        inventory.latest.subscribe()
    };
    loop {
        latest.mark_unchanged();
        let batch = held.lock().unwrap().inventory.since(known);
        known = usize::try_from(batch.sequence).ok();
        if outgoing.send(Ok(batch)).await.is_err() || latest.changed().await.is_err() {
            return;
        }
    }
}
