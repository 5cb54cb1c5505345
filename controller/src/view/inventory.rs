//! Everything that one agent has told, and the last of its changes.
//!
//! A plain collection: who believes it how far is [`device`](super::device)'s to say. Whoever watches asks it for what
//! followed a position, so nothing is queued for anybody.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::device::Position;
use super::item::{Change, Host, Item, Key, Link, MacAddr, OperState, Port};

/// Changes of a device that are kept for those who watch. Whoever lacks more is given everything anew.
pub const KEPT_CHANGES: usize = 1024;

/// How many items of which kind there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Ports.
    pub ports: u32,
    /// Those of them that are up.
    pub ports_up: u32,
    /// Neighbours at ports.
    pub links: u32,
    /// Tables.
    pub tables: u32,
    /// Hosts.
    pub hosts: u32,
}

/// What somebody lacks who knows a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Nothing: it knows as much, or more.
    Nothing,
    /// These changes, in their order.
    Changes(Vec<(u64, Change)>),
    /// Everything there is.
    Snapshot(Vec<Item>),
}

/// The items of a device at a position.
///
/// Invariants: `digest` is the sum of the hashes of all items, `counts` counts them, and `recent` ends with the change
/// of number `position.sequence` if it has any.
#[derive(Debug, Default)]
pub struct Inventory {
    position: Position,
    items: BTreeMap<Key, (Item, u64)>,
    digest: u64,
    counts: Counts,
    recent: VecDeque<Change>,
}

impl Inventory {
    /// Nothing yet, of this boot.
    pub fn of_boot(boot_id: String) -> Self {
        Self {
            position: Position {
                boot_id,
                sequence: 0,
            },
            ..Self::default()
        }
    }

    /// The last change in it.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The sum of what all items add.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Adds a part of a snapshot, which has no order.
    pub fn load(&mut self, change: Change) {
        self.change(&change);
    }

    /// The snapshot is whole, and this is where it stands.
    pub fn loaded(&mut self, sequence: u64) {
        self.position.sequence = sequence;
    }

    /// Takes the next change; false if it is not the next.
    pub fn apply(&mut self, sequence: u64, change: Change) -> bool {
        if sequence != self.position.sequence + 1 {
            return false;
        }
        self.change(&change);
        self.position.sequence = sequence;
        self.recent.push_back(change);
        if self.recent.len() > KEPT_CHANGES {
            self.recent.pop_front();
        }
        true
    }

    fn change(&mut self, change: &Change) {
        let (old, new) = match change {
            Change::Unknown => return,
            Change::Put(item, hash) => {
                let old = self.items.insert(item.key(), (item.clone(), *hash));
                (old, Some((item, *hash)))
            }
            Change::Gone(key) => (self.items.remove(key), None),
        };
        if let Some((item, hash)) = old {
            self.digest = self.digest.wrapping_sub(hash);
            self.counts.add(&item, u32::wrapping_sub);
        }
        if let Some((item, hash)) = new {
            self.digest = self.digest.wrapping_add(hash);
            self.counts.add(item, u32::wrapping_add);
        }
    }

    /// What followed a position.
    pub fn since(&self, known: &Position) -> Since {
        if *known == self.position {
            return Since::Nothing;
        }
        if known.boot_id == self.position.boot_id {
            let Some(missed) = self.position.sequence.checked_sub(known.sequence) else {
                // Another controller was ahead of this one; going back would undo what happened.
                return Since::Nothing;
            };
            let missed = usize::try_from(missed).unwrap_or(usize::MAX);
            if let Some(from) = self.recent.len().checked_sub(missed) {
                let tail = self.recent.iter().skip(from).cloned();
                return Since::Changes((known.sequence + 1..).zip(tail).collect());
            }
        }
        Since::Snapshot(self.items().cloned().collect())
    }

    /// All items.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values().map(|(item, _)| item)
    }

    /// A port by its number.
    pub fn port(&self, number: u32) -> Option<&Arc<Port>> {
        match self.items.get(&Key::Port(number)) {
            Some((Item::Port(port), _)) => Some(port),
            _ => None,
        }
    }

    /// All ports.
    pub fn ports(&self) -> impl Iterator<Item = &Arc<Port>> {
        self.items().map_while(|item| match item {
            Item::Port(port) => Some(port),
            _ => None,
        })
    }

    /// All neighbours.
    pub fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        let after_ports = Bound::Excluded(Key::Port(u32::MAX));
        let rest = self.items.range((after_ports, Bound::Unbounded));
        rest.map_while(|(_, (item, _))| match item {
            Item::Link(link) => Some(link),
            _ => None,
        })
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        let after_tables = Bound::Excluded(Key::Table(u32::MAX));
        let rest = self.items.range((after_tables, Bound::Unbounded));
        rest.filter_map(|(_, (item, _))| match item {
            Item::Host(host) => Some(host),
            _ => None,
        })
    }

    /// The hosts with an address on the link, one for each VLAN.
    pub fn hosts_with(&self, mac: MacAddr) -> impl Iterator<Item = &Arc<Host>> {
        let id = |vlan| Key::Host(super::item::HostId { mac, vlan });
        let range = self.items.range(id(0)..=id(u32::MAX));
        range.filter_map(|(_, (item, _))| match item {
            Item::Host(host) => Some(host),
            _ => None,
        })
    }
}

impl Counts {
    fn add(&mut self, item: &Item, step: impl Fn(u32, u32) -> u32) {
        let count = match item {
            Item::Port(port) => {
                if port.state == OperState::Up {
                    self.ports_up = step(self.ports_up, 1);
                }
                &mut self.ports
            }
            Item::Link(_) => &mut self.links,
            Item::Table(_) => &mut self.tables,
            Item::Host(_) => &mut self.hosts,
        };
        *count = step(*count, 1);
    }
}
