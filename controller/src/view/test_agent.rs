//! An agent's side of the inventory, for tests: items, their numbers and digest, as messages.

use std::collections::{BTreeMap, VecDeque};

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::{gone, inventory_event};
use prost::Message;
use sha2::{Digest, Sha256};

use super::device::{Batch, Position};
use super::wire;

/// What an agent has, and its last changes.
pub struct TestAgent {
    pub boot_id: String,
    pub sequence: u64,
    items: BTreeMap<String, inventory_event::Change>,
    log: VecDeque<pb::InventoryEvent>,
}

impl TestAgent {
    pub fn new(boot_id: &str) -> Self {
        Self {
            boot_id: boot_id.into(),
            sequence: 0,
            items: BTreeMap::new(),
            log: VecDeque::new(),
        }
    }

    /// A port is like this.
    pub fn port(&mut self, number: u32, is_up: bool) {
        let state = match is_up {
            true => pb::OperState::Up,
            false => pb::OperState::Down,
        };
        let port = pb::Port {
            number,
            name: format!("p{number}"),
            oper_state: state.into(),
            ..Default::default()
        };
        self.put(
            format!("port {number}"),
            inventory_event::Change::Port(port),
        );
    }

    /// A port is gone.
    pub fn no_port(&mut self, number: u32) {
        if self.items.remove(&format!("port {number}")).is_some() {
            let item = Some(gone::Item::Port(number));
            self.log(inventory_event::Change::Gone(pb::Gone { item }));
        }
    }

    fn put(&mut self, key: String, change: inventory_event::Change) {
        if self.items.get(&key) != Some(&change) {
            self.items.insert(key, change.clone());
            self.log(change);
        }
    }

    fn log(&mut self, change: inventory_event::Change) {
        self.sequence += 1;
        self.log.push_back(pb::InventoryEvent {
            sequence: self.sequence,
            change: Some(change),
        });
    }

    /// What is sent to somebody who knows a position.
    pub fn since(&self, known: Option<&Position>) -> Batch {
        let known = known.filter(|known| known.boot_id == self.boot_id);
        let (events, snapshot): (Vec<_>, _) = match known {
            Some(known) => {
                let tail = self
                    .log
                    .iter()
                    .filter(|event| event.sequence > known.sequence);
                (tail.cloned().collect(), false)
            }
            None => (self.items.values().map(event).collect(), true),
        };
        wire::batch(pb::InventoryBatch {
            boot_id: self.boot_id.clone(),
            sequence: self.sequence,
            snapshot,
            more: false,
            events,
            digest: self.digest(),
        })
        .unwrap()
    }

    pub fn digest(&self) -> u64 {
        let hashes = self.items.values().map(|item| {
            let hash = Sha256::digest(event(item).encode_to_vec());
            u64::from_be_bytes(*hash.first_chunk().unwrap())
        });
        hashes.fold(0, u64::wrapping_add)
    }
}

fn event(item: &inventory_event::Change) -> pb::InventoryEvent {
    pb::InventoryEvent {
        sequence: 0,
        change: Some(item.clone()),
    }
}
