//! Ports and hosts of the switch, as the inventory tells of them.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::core::{Event, Port};
use crate::hosts::HostId;
use crate::inventory::{Change, Inventory, Item, Key, Known, OperState, Since};

/// Follows the ports and hosts of an inventory.
pub(super) struct Watch {
    changes: watch::Receiver<Option<u64>>,
    known: Known,
    ports: BTreeSet<u32>,
    hosts: BTreeSet<HostId>,
}

impl Watch {
    pub(super) fn new(inventory: &Inventory) -> Watch {
        Watch {
            changes: inventory.changes(),
            known: Known::Nothing,
            ports: BTreeSet::new(),
            hosts: BTreeSet::new(),
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
                        Change::Gone(key) => self.gone(&key, &mut events),
                    }
                }
            }
            Since::Snapshot {
                sequence, items, ..
            } => {
                self.known = Known::UpTo(sequence);
                let keys: BTreeSet<_> = items.iter().map(|item| item.key()).collect();
                let ports = self.ports.iter().map(|number| Key::Port(*number));
                let known = ports.chain(self.hosts.iter().map(|id| Key::Host(*id)));
                let gone: Vec<_> = known.filter(|key| !keys.contains(key)).collect();
                for key in gone {
                    self.gone(&key, &mut events);
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
        match item {
            Item::Port(port) => {
                self.ports.insert(port.number);
                events.push(Event::PortIs {
                    number: port.number,
                    port: Port {
                        name: port.name.clone(),
                        is_up: port.state == OperState::Up,
                    },
                });
            }
            Item::Host(host) => {
                self.hosts.insert(host.id);
                events.push(Event::HostIs(host.clone()));
            }
            _ => {}
        }
    }

    fn gone(&mut self, key: &Key, events: &mut Vec<Event<'static>>) {
        match key {
            Key::Port(number) if self.ports.remove(number) => {
                events.push(Event::PortGone { number: *number });
            }
            Key::Host(id) if self.hosts.remove(id) => events.push(Event::HostGone(*id)),
            _ => {}
        }
    }
}
