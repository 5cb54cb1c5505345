//! The ports of the switch, as the inventory tells of them.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::core::{Event, Port};
use crate::inventory::{Change, Inventory, Item, Key, Known, OperState, Since};

/// Follows the ports of an inventory.
pub(super) struct Watch {
    changes: watch::Receiver<Option<u64>>,
    known: Known,
    ports: BTreeSet<u32>,
}

impl Watch {
    pub(super) fn new(inventory: &Inventory) -> Watch {
        Watch {
            changes: inventory.changes(),
            known: Known::Nothing,
            ports: BTreeSet::new(),
        }
    }

    /// Waits until there is something to take. Says whether there can be.
    pub(super) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok() && self.changes.borrow_and_update().is_some()
    }

    /// What has happened since the last call.
    pub(super) fn take(&mut self, inventory: &Inventory) -> Vec<Event<'static>> {
        let mut events = Vec::new();
        match inventory.since(self.known) {
            Since::Changes { changes, .. } => {
                for (sequence, change) in changes {
                    self.known = Known::UpTo(sequence);
                    match change {
                        Change::Put(item) => self.put(&item, &mut events),
                        Change::Gone(Key::Port(number)) => self.gone(number, &mut events),
                        Change::Gone(_) => {}
                    }
                }
            }
            Since::Snapshot {
                sequence, items, ..
            } => {
                self.known = Known::UpTo(sequence);
                let keys: BTreeSet<_> = items.iter().map(|item| item.key()).collect();
                let gone = self.ports.iter().copied();
                let gone: Vec<_> = gone.filter(|n| !keys.contains(&Key::Port(*n))).collect();
                for number in gone {
                    self.gone(number, &mut events);
                }
                for item in &items {
                    self.put(item, &mut events);
                }
                events.push(Event::PortsKnown);
            }
        }
        events
    }

    fn put(&mut self, item: &Item, events: &mut Vec<Event<'static>>) {
        let Item::Port(port) = item else { return };
        self.ports.insert(port.number);
        events.push(Event::PortIs {
            number: port.number,
            port: Port {
                name: port.name.clone(),
                is_up: port.state == OperState::Up,
            },
        });
    }

    fn gone(&mut self, number: u32, events: &mut Vec<Event<'static>>) {
        if self.ports.remove(&number) {
            events.push(Event::PortGone { number });
        }
    }
}
