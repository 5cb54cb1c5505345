//! The items there are, and the changes that led to them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::item::{Item, Key};

/// A change of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new, or is like this now.
    Put(Arc<Item>),
    /// It is gone.
    Gone(Key),
}

/// What somebody knows who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// Everything up to a change.
    UpTo(u64),
}

/// What such a one is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// What has changed, each with its number. Empty if nothing has.
    Changes {
        /// In their order.
        changes: Vec<(u64, Change)>,
        /// Of everything there is after them.
        digest: u64,
    },
    /// Everything, because the changes are forgotten.
    Snapshot {
        /// The number of the last change in it.
        sequence: u64,
        /// All items.
        items: Vec<Arc<Item>>,
        /// Of them.
        digest: u64,
    },
}

/// All items, and as many of the last changes as are kept.
///
/// Invariant: `digest` is the sum of the hashes of all items, and `log` ends with change number `sequence`.
#[derive(Debug)]
pub struct Stock {
    items: BTreeMap<Key, (Arc<Item>, u64)>,
    log: VecDeque<Change>,
    kept: usize,
    sequence: u64,
    digest: u64,
}

impl Stock {
    /// Nothing yet. At most `kept` changes are remembered.
    pub fn new(kept: usize) -> Stock {
        Stock {
            items: BTreeMap::new(),
            log: VecDeque::new(),
            kept,
            sequence: 0,
            digest: 0,
        }
    }

    /// The number of the last change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// An item is there, as it is now; `hash` is that of all of it. Says whether that is a change.
    pub fn put(&mut self, item: Item, hash: u64) -> bool {
        let key = item.key();
        let before = self.items.get(&key);
        if before.is_some_and(|(before, _)| **before == item) {
            return false;
        }
        let old = before.map_or(0, |(_, hash)| *hash);
        self.digest = self.digest.wrapping_sub(old).wrapping_add(hash);
        let item = Arc::new(item);
        self.items.insert(key, (Arc::clone(&item), hash));
        self.log(Change::Put(item));
        true
    }

    /// An item is gone. Says whether it was there.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some((_, hash)) = self.items.remove(key) else {
            return false;
        };
        self.digest = self.digest.wrapping_sub(hash);
        self.log(Change::Gone(key.clone()));
        true
    }

    /// What is to be told somebody who knows that much.
    pub fn since(&self, known: Known) -> Since {
        if let Known::UpTo(known) = known
            && let Some(missed) = self.sequence.checked_sub(known)
            && missed <= self.log.len() as u64
        {
            let tail = self.log.iter().skip(self.log.len() - missed as usize);
            return Since::Changes {
                changes: (known + 1..).zip(tail.cloned()).collect(),
                digest: self.digest,
            };
        }
        let items = self.items.values().map(|(item, _)| Arc::clone(item));
        Since::Snapshot {
            sequence: self.sequence,
            items: items.collect(),
            digest: self.digest,
        }
    }

    fn log(&mut self, change: Change) {
        self.sequence += 1;
        self.log.push_back(change);
        if self.log.len() > self.kept {
            self.log.pop_front();
        }
    }
}
