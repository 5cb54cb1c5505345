//! The structure that holds a table's keys, whichever it is, as the table's writer sees it.

use std::hint::black_box;
use std::sync::Arc;

use crate::plan::Structure;
use crate::sys::{SharedMemory, SysError};

use super::bitvec::BitVectors;
use super::declared::{Declared, NotDeclared};
use super::direct::DirectTable;
use super::grace::Grace;
use super::hash::{BucketsFull, HashTable};
use super::key::KeyWords;
use super::records::RecordPool;
use super::shape::Shaped;
use super::slots::SlotError;
use super::trie::{PrefixBytes, Trie};
use super::tuples::Tuples;

/// A structure of the plan, with its writer.
#[derive(Debug)]
pub enum Index {
    /// There are no keys.
    Keyless,
    /// See [`super::direct`].
    Direct(DirectTable),
    /// See [`super::hash`].
    Hash(HashTable),
    /// See [`super::trie`].
    Trie(Trie),
    /// See [`super::bitvec`].
    BitVectors(BitVectors),
    /// See [`super::tuples`].
    Tuples(Tuples),
    /// See [`super::declared`].
    Declared(Declared),
}

/// Why a key was not written.
#[derive(Debug)]
pub enum IndexError {
    /// Something of the structure is used up, before the table is full.
    Full {
        /// What.
        what: &'static str,
        /// How many of it there can be.
        capacity: u32,
    },
    /// The grace period could not be waited for.
    Grace(SysError),
}

impl IndexError {
    fn slots(error: SlotError, what: &'static str, capacity: u32) -> IndexError {
        match error {
            SlotError::Full => IndexError::Full { what, capacity },
            SlotError::Grace(error) => IndexError::Grace(error),
        }
    }
}

impl Index {
    /// An empty structure; the memory is zero.
    pub fn new(structure: &Structure, memory: &Arc<SharedMemory>) -> Index {
        let memory = Arc::clone(memory);
        match structure {
            Structure::Keyless => Index::Keyless,
            Structure::Direct(plan) => Index::Direct(DirectTable::new(*plan, memory)),
            Structure::Hash(plan) => Index::Hash(HashTable::new(*plan, memory)),
            Structure::Trie(plan) => Index::Trie(Trie::new(*plan, memory)),
            Structure::BitVectors(plan) => Index::BitVectors(BitVectors::new(plan.clone(), memory)),
            Structure::Tuples(plan) => Index::Tuples(Tuples::new(*plan, memory)),
            Structure::Declared(plan) => Index::Declared(Declared::new(plan, memory)),
        }
    }

    /// The record of a key.
    pub fn get(&self, records: &RecordPool, key: &Shaped) -> Option<u32> {
        match (self, key) {
            (Index::Direct(table), Shaped::Words(words)) => table.get(words),
            (Index::Hash(table), Shaped::Words(words)) => {
                table.get(words, |slot| records.key_is(slot, words))
            }
            (Index::Trie(trie), Shaped::Prefix(prefix)) => trie.get(prefix),
            (Index::BitVectors(vectors), Shaped::Patterns(patterns, priority)) => {
                vectors.get(patterns, *priority)
            }
            (Index::Tuples(tuples), Shaped::Patterns(patterns, priority)) => {
                tuples.get(patterns, *priority)
            }
            (Index::Declared(declared), Shaped::Patterns(patterns, priority)) => {
                declared.get(patterns, *priority)
            }
            _ => None,
        }
    }

    /// Looks where keys are or could be, so that the memory there is near when they are looked up one by one.
    pub fn foresee(&self, records: &RecordPool, keys: impl Iterator<Item = Shaped>) {
        match self {
            Index::Hash(table) => {
                let keys = keys.filter_map(|key| match key {
                    Shaped::Words(words) => Some(words),
                    _ => None,
                });
                table.foresee(keys, |slot| {
                    black_box(records.what(slot));
                });
            }
            _ => keys.for_each(|key| {
                black_box(self.get(records, &key));
            }),
        }
    }

    /// The record that a packet with this packed key hits. Only of structures without masks.
    pub fn lookup(&self, records: &RecordPool, words: KeyWords) -> Option<u32> {
        match self {
            Index::Direct(_) | Index::Hash(_) => self.get(records, &Shaped::Words(words)),
            Index::Trie(trie) => {
                let bytes: PrefixBytes = words.iter().flat_map(|w| w.to_be_bytes()).collect();
                trie.lookup(&bytes)
            }
            _ => None,
        }
    }

    /// Publishes a record under a key that is not there.
    pub fn insert(&mut self, grace: &Grace, key: &Shaped, slot: u32) -> Result<(), IndexError> {
        match (self, key) {
            (Index::Direct(table), Shaped::Words(words)) => {
                table.set(words, slot);
                Ok(())
            }
            (Index::Hash(table), Shaped::Words(words)) => {
                let (what, capacity) = ("the buckets of a key", table.bucket_entries());
                let inserted = table.insert(words, slot);
                inserted.map_err(|BucketsFull| IndexError::Full { what, capacity })
            }
            (Index::Trie(trie), Shaped::Prefix(prefix)) => {
                let (what, capacity) = ("the nodes of the trie", trie.node_count());
                let inserted = trie.insert(grace, prefix, slot);
                inserted.map_err(|error| IndexError::slots(error, what, capacity))
            }
            (Index::BitVectors(vectors), Shaped::Patterns(patterns, priority)) => {
                let (what, capacity) = ("the patterns", vectors.capacity());
                let inserted = vectors.insert(grace, patterns.clone(), *priority, slot);
                inserted.map_err(|error| IndexError::slots(error, what, capacity))
            }
            (Index::Tuples(tuples), Shaped::Patterns(patterns, priority)) => {
                tuples.insert(grace, patterns.clone(), *priority, slot)
            }
            (Index::Declared(declared), Shaped::Patterns(patterns, priority)) => {
                let (what, capacity) = ("the declared entries", declared.capacity());
                let set = declared.set(patterns, *priority, slot).map(drop);
                set.map_err(|NotDeclared| IndexError::Full { what, capacity })
            }
            _ => unreachable!("keys are shaped for their structure"),
        }
    }

    /// Replaces the record of a key; returns the old one's slot.
    pub fn replace(&mut self, records: &RecordPool, key: &Shaped, slot: u32) -> Option<u32> {
        match (self, key) {
            (Index::Direct(table), Shaped::Words(words)) => table.set(words, slot),
            (Index::Hash(table), Shaped::Words(words)) => {
                table.replace(words, slot, |s| records.key_is(s, words))
            }
            (Index::Trie(trie), Shaped::Prefix(prefix)) => trie.replace(prefix, slot),
            (Index::BitVectors(vectors), Shaped::Patterns(patterns, priority)) => {
                vectors.replace(patterns, *priority, slot)
            }
            (Index::Tuples(tuples), Shaped::Patterns(patterns, priority)) => {
                tuples.replace(patterns, *priority, slot)
            }
            (Index::Declared(declared), Shaped::Patterns(patterns, priority)) => {
                declared.set(patterns, *priority, slot).ok().flatten()
            }
            _ => None,
        }
    }

    /// Unpublishes a key; returns its record's slot, to be retired.
    pub fn remove(&mut self, records: &RecordPool, key: &Shaped) -> Option<u32> {
        match (self, key) {
            (Index::Direct(table), Shaped::Words(words)) => table.set(words, 0),
            (Index::Hash(table), Shaped::Words(words)) => {
                table.remove(words, |s| records.key_is(s, words))
            }
            (Index::Trie(trie), Shaped::Prefix(prefix)) => trie.remove(prefix),
            (Index::BitVectors(vectors), Shaped::Patterns(patterns, priority)) => {
                vectors.remove(patterns, *priority)
            }
            (Index::Tuples(tuples), Shaped::Patterns(patterns, priority)) => {
                tuples.remove(patterns, *priority)
            }
            (Index::Declared(declared), Shaped::Patterns(patterns, priority)) => {
                declared.set(patterns, *priority, 0).ok().flatten()
            }
            _ => None,
        }
    }
}
