//! Which ports can carry frames, as the inventory tells it.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::inventory::{Change, Inventory, Item, Key, Known, OperState, PortItem, Since};

/// A port that can carry frames, or no longer can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PortChange {
    /// It can.
    Up {
        number: u32,
        name: String,
        mac: [u8; 6],
    },
    /// It cannot.
    Down { number: u32 },
}

/// Follows the ports of an inventory.
pub(super) struct PortWatch {
    changes: watch::Receiver<Option<u64>>,
    known: Known,
    /// Ports that can carry frames.
    up: BTreeMap<u32, (String, [u8; 6])>,
}

impl PortWatch {
    pub(super) fn new(inventory: &Inventory) -> PortWatch {
        PortWatch {
            changes: inventory.changes(),
            known: Known::Nothing,
            up: BTreeMap::new(),
        }
    }

    /// Waits until there is something to take. Says whether there can be.
    pub(super) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok() && self.changes.borrow().is_some()
    }

    /// What has happened to ports since the last call.
    pub(super) fn take(&mut self, inventory: &Inventory) -> Vec<PortChange> {
        let mut changes = Vec::new();
        match inventory.since(self.known) {
            Since::Changes { changes: news, .. } => {
                for (sequence, change) in news {
                    self.known = Known::UpTo(sequence);
                    match change {
                        Change::Put(item) => self.put(&item, &mut changes),
                        Change::Gone(Key::Port(number)) => self.down(number, &mut changes),
                        Change::Gone(_) => {}
                    }
                }
            }
            Since::Snapshot {
                sequence, items, ..
            } => {
                self.known = Known::UpTo(sequence);
                let there =
                    |number: &u32| items.iter().any(|item| item.key() == Key::Port(*number));
                let gone: Vec<_> = self.up.keys().copied().filter(|n| !there(n)).collect();
                for number in gone {
                    self.down(number, &mut changes);
                }
                for item in &items {
                    self.put(item, &mut changes);
                }
            }
        }
        changes
    }

    fn put(&mut self, item: &Item, changes: &mut Vec<PortChange>) {
        let Item::Port(port) = item else { return };
        let number = port.number;
        let Some((name, mac)) = able(port) else {
            return self.down(number, changes);
        };
        let before = self.up.insert(number, (name.clone(), mac));
        if before.is_none_or(|before| before != (name.clone(), mac)) {
            changes.push(PortChange::Up { number, name, mac });
        }
    }

    fn down(&mut self, number: u32, changes: &mut Vec<PortChange>) {
        if self.up.remove(&number).is_some() {
            changes.push(PortChange::Down { number });
        }
    }
}

/// What a port is called and sends from, if it can carry frames.
fn able(port: &PortItem) -> Option<(String, [u8; 6])> {
    let mac = port.mac.as_slice().try_into().ok()?;
    (port.state == OperState::Up).then(|| (port.name.clone(), mac))
}
