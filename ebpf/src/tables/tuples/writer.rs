//! The writer of a tuple space.
//!
//! A node is complete before a bucket's word leads to it, and of a node only the record's slot changes.
//! Of several entries with the same mask and value only the highest has a word; it is replaced by one
//! store. Before an entry is published, the bound of its tuple and of those before it is raised, so
//! that no reader stops too early. The list changes by tuples added at its end; now and then it is
//! sorted anew in the other copy, after a grace period, and readers are switched. Nodes and numbers
//! of tuples are used again only after a grace period.
//!
//! The patterns of a range do not overlap: a packet sees the whole entry by one of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use smallvec::SmallVec;

use crate::sys::SharedMemory;
use crate::tables::bitvec::{Pattern, Patterns};
use crate::tables::grace::Grace;
use crate::tables::hash::hash;
use crate::tables::index::IndexError;
use crate::tables::key::KeyWords;
use crate::tables::slots::{SlotError, Slots};

use super::{
    BUCKET_BYTES, BUCKET_WORDS, MAX_MASKS, NODE_HEADER_BYTES, TUPLE_HEADER_BYTES, TuplePlan,
};

/// Changes after which the list is looked at again, beside half the entries.
const SORT_AFTER: usize = 64;

#[derive(Debug)]
struct Entry {
    slot: u32,
    rank: u64,
    /// One for each pattern.
    nodes: SmallVec<[u32; 1]>,
}

/// All entries with one mask.
#[derive(Debug)]
struct Tuple {
    mask: KeyWords,
    /// How many patterns have each rank.
    ranks: BTreeMap<u64, u32>,
}

/// A tuple and a value under its mask.
type Cell = (u32, KeyWords);

/// The writer.
#[derive(Debug)]
pub struct Tuples {
    plan: TuplePlan,
    memory: Arc<SharedMemory>,
    entries: HashMap<(Patterns, i32), Entry>,
    /// Rank and node of all patterns that are the same; the highest first.
    cells: HashMap<Cell, SmallVec<[(u64, u32); 1]>>,
    numbers: HashMap<KeyWords, u32>,
    tuples: HashMap<u32, Tuple>,
    /// Numbers of the tuples in the list that readers use.
    order: Vec<u32>,
    free_numbers: Slots,
    free_nodes: Slots,
    active: u32,
    age: u32,
    changes: usize,
}

impl Tuples {
    /// An empty tuple space; the memory is zero.
    pub fn new(plan: TuplePlan, memory: Arc<SharedMemory>) -> Tuples {
        Tuples {
            plan,
            memory,
            entries: HashMap::new(),
            cells: HashMap::new(),
            numbers: HashMap::new(),
            tuples: HashMap::new(),
            order: Vec::new(),
            // Some more than the list holds, for those that nobody may use yet.
            free_numbers: Slots::new(1..2 * MAX_MASKS),
            free_nodes: Slots::new(1..plan.node_count),
            active: 0,
            age: 0,
            changes: 0,
        }
    }

    /// The record of a key.
    pub fn get(&self, patterns: &Patterns, priority: i32) -> Option<u32> {
        let entry = self.entries.get(&(patterns.clone(), priority));
        entry.map(|entry| entry.slot)
    }

    /// Publishes a record under a key that is not there.
    pub fn insert(
        &mut self,
        grace: &Grace,
        patterns: Patterns,
        priority: i32,
        slot: u32,
    ) -> Result<(), IndexError> {
        let rank = (u64::from(priority as u32) + 1) << 32 | u64::from(u32::MAX - self.age);
        // After 2^32 entries, those of equal priority are in any order.
        self.age = self.age.saturating_add(1);
        self.changes += 1;
        let mut nodes = SmallVec::new();
        for pattern in &patterns {
            match self.add(grace, pattern, rank, slot) {
                Ok(node) => nodes.push(node),
                Err(error) => {
                    self.take_out(&patterns[..nodes.len()], rank, &nodes);
                    return Err(error);
                }
            }
        }
        self.entries
            .insert((patterns, priority), Entry { slot, rank, nodes });
        if self.changes > SORT_AFTER + self.entries.len() / 2 {
            self.changes = 0;
            if !self.is_sorted() {
                self.sort(grace)?;
            }
        }
        Ok(())
    }

    /// Replaces the record of a key that is there; returns the old slot.
    pub fn replace(&mut self, patterns: &Patterns, priority: i32, slot: u32) -> Option<u32> {
        let entry = self.entries.get_mut(&(patterns.clone(), priority))?;
        for node in &entry.nodes {
            let at = node_at(&self.plan, *node) + 8;
            self.memory.u32(at).store(slot, Release);
        }
        Some(std::mem::replace(&mut entry.slot, slot))
    }

    /// Unpublishes a key; returns its record's slot, to be retired.
    pub fn remove(&mut self, patterns: &Patterns, priority: i32) -> Option<u32> {
        let entry = self.entries.remove(&(patterns.clone(), priority))?;
        self.take_out(patterns, entry.rank, &entry.nodes);
        Some(entry.slot)
    }

    /// Publishes one pattern; returns its node.
    fn add(
        &mut self,
        grace: &Grace,
        pattern: &Pattern,
        rank: u64,
        slot: u32,
    ) -> Result<u32, IndexError> {
        let number = self.tuple(grace, &pattern.mask)?;
        let node = self.free_nodes.take(grace).map_err(|error| match error {
            SlotError::Full => IndexError::Full {
                what: "the patterns",
                capacity: self.plan.node_count - 1,
            },
            SlotError::Grace(error) => IndexError::Grace(error),
        })?;
        self.write_node(node, rank, slot, number, &pattern.value);
        let cell = (number, pattern.value.clone());
        let same = self.cells.get(&cell).map_or(&[][..], |same| same);
        let place = same.partition_point(|(other, _)| *other > rank);
        // The word that leads to the highest one so far, or a free one.
        let at = match same.first() {
            Some((_, highest)) => self.find(&cell, |word| word as u32 == *highest),
            None => self.room(&cell),
        };
        let Some(at) = at else {
            self.free_nodes.put_back(node);
            return Err(IndexError::Full {
                what: "the buckets",
                capacity: self.plan.bucket_count * BUCKET_WORDS,
            });
        };
        self.raise(number, rank);
        if place == 0 {
            let word = u64::from(self.tag(&cell)) << 32 | u64::from(node);
            self.memory.u64(at).store(word, Release);
        }
        self.cells
            .entry(cell)
            .or_default()
            .insert(place, (rank, node));
        Ok(node)
    }

    /// Unpublishes patterns and retires their nodes.
    fn take_out(&mut self, patterns: &[Pattern], rank: u64, nodes: &[u32]) {
        for (pattern, node) in patterns.iter().zip(nodes) {
            let number = self.numbers[&pattern.mask];
            let cell = (number, pattern.value.clone());
            let same = self.cells.get_mut(&cell).expect("a node has a cell");
            let was_highest = same[0].1 == *node;
            same.retain(|(_, other)| other != node);
            let next = same.first().map(|(_, next)| *next);
            if was_highest {
                let at = self.find(&cell, |word| word as u32 == *node);
                let at = at.expect("the highest node has a word");
                let tag = u64::from(self.tag(&cell)) << 32;
                let word = next.map_or(0, |next| tag | u64::from(next));
                self.memory.u64(at).store(word, Release);
            }
            if next.is_none() {
                self.cells.remove(&cell);
            }
            let tuple = self.tuples.get_mut(&number).expect("a cell has a tuple");
            if let Some(count) = tuple.ranks.get_mut(&rank) {
                *count -= 1;
                if *count == 0 {
                    tuple.ranks.remove(&rank);
                }
            }
            self.free_nodes.retire(*node);
        }
    }

    /// The number of the tuple for a mask; a new one goes to the end of the list.
    fn tuple(&mut self, grace: &Grace, mask: &KeyWords) -> Result<u32, IndexError> {
        if let Some(number) = self.numbers.get(mask) {
            return Ok(*number);
        }
        if self.order.len() == MAX_MASKS as usize {
            // Those without entries leave the list.
            self.sort(grace)?;
        }
        if self.order.len() == MAX_MASKS as usize {
            return Err(IndexError::Full {
                what: "the different masks",
                capacity: MAX_MASKS,
            });
        }
        let number = match self.free_numbers.take(grace) {
            Ok(number) => number,
            Err(SlotError::Grace(error)) => return Err(IndexError::Grace(error)),
            Err(SlotError::Full) => unreachable!("there are more numbers than places in the list"),
        };
        let tuple = Tuple {
            mask: mask.clone(),
            ranks: BTreeMap::new(),
        };
        let position = self.order.len();
        // Its end comes first: it was in use when the list was longer.
        self.memory
            .u64(self.tuple_at(self.active, position + 1))
            .store(0, Release);
        self.write_tuple(self.active, position, number, &tuple.mask);
        self.order.push(number);
        self.numbers.insert(mask.clone(), number);
        self.tuples.insert(number, tuple);
        Ok(number)
    }

    /// Lets readers go on to a tuple that is about to have an entry of this rank.
    fn raise(&mut self, number: u32, rank: u64) {
        let tuple = self.tuples.get_mut(&number).expect("the tuple was added");
        *tuple.ranks.entry(rank).or_default() += 1;
        let position = self.order.iter().position(|other| *other == number);
        for position in (0..=position.expect("a tuple is in the list")).rev() {
            let bound = self.memory.u64(self.tuple_at(self.active, position));
            if bound.load(Relaxed) >= rank {
                return;
            }
            bound.store(rank, Release);
        }
    }

    fn is_sorted(&self) -> bool {
        self.order
            .is_sorted_by_key(|number| Reverse(self.tuples[number].highest()))
    }

    /// Writes the other list by rank, without empty tuples, and switches readers to it.
    fn sort(&mut self, grace: &Grace) -> Result<(), IndexError> {
        // Readers may still be in the other list since the last switch.
        grace.wait().map_err(IndexError::Grace)?;
        let list = 1 - self.active;
        let (mut order, empty): (Vec<u32>, Vec<u32>) = std::mem::take(&mut self.order)
            .into_iter()
            .partition(|number| self.tuples[number].highest() > 0);
        order.sort_by_key(|number| Reverse(self.tuples[number].highest()));
        for (position, number) in order.iter().enumerate() {
            let tuple = &self.tuples[number];
            self.write_tuple(list, position, *number, &tuple.mask);
            let bound = self.memory.u64(self.tuple_at(list, position));
            bound.store(tuple.highest(), Relaxed);
        }
        let end = self.memory.u64(self.tuple_at(list, order.len()));
        end.store(0, Relaxed);
        self.memory
            .u32(self.plan.header as usize)
            .store(list, Release);
        self.active = list;
        self.order = order;
        for number in empty {
            let tuple = self.tuples.remove(&number).expect("it was in the list");
            self.numbers.remove(&tuple.mask);
            self.free_numbers.retire(number);
        }
        Ok(())
    }

    /// A free word in the emptier bucket of a cell that has none of the same tag.
    fn room(&self, cell: &Cell) -> Option<usize> {
        let tag = u64::from(self.tag(cell));
        let free = |start: usize| -> SmallVec<[usize; 8]> {
            let words = words(start);
            if words.clone().any(|at| self.word(at) >> 32 == tag) {
                return SmallVec::new();
            }
            words.filter(|at| self.word(*at) == 0).collect()
        };
        let [first, second] = self.buckets(cell).map(free);
        let emptier = if second.len() > first.len() {
            second
        } else {
            first
        };
        emptier.first().copied()
    }

    /// Where the word of a cell is that passes a test.
    fn find(&self, cell: &Cell, test: impl Fn(u64) -> bool) -> Option<usize> {
        let words = self.buckets(cell).into_iter().flat_map(words);
        let tag = u64::from(self.tag(cell));
        words.into_iter().find(|at| {
            let word = self.word(*at);
            word >> 32 == tag && test(word)
        })
    }

    fn hash(&self, (number, value): &Cell) -> u64 {
        let mut words: KeyWords = SmallVec::from_elem(u64::from(*number), 1);
        words.extend_from_slice(value);
        hash(&words)
    }

    fn tag(&self, cell: &Cell) -> u32 {
        (self.hash(cell) >> 32) as u32 | 1 << 31
    }

    /// Offsets of a cell's buckets.
    fn buckets(&self, cell: &Cell) -> [usize; 2] {
        let hash = self.hash(cell);
        self.plan.bucket_shifts().map(|shift| {
            let bucket = (hash >> shift) as u32 & (self.plan.bucket_count - 1);
            (self.plan.buckets + bucket * BUCKET_BYTES) as usize
        })
    }

    fn word(&self, at: usize) -> u64 {
        self.memory.u64(at).load(Relaxed)
    }

    fn tuple_at(&self, list: u32, position: usize) -> usize {
        let lists = self.plan.lists + list * self.plan.list_bytes();
        lists as usize + position * self.plan.tuple_bytes() as usize
    }

    /// All of a tuple but its bound, which stays 0: readers do not go there yet.
    fn write_tuple(&self, list: u32, position: usize, number: u32, mask: &[u64]) {
        let at = self.tuple_at(list, position);
        self.memory.u64(at + 8).store(u64::from(number), Relaxed);
        for (index, word) in mask.iter().enumerate() {
            let word_at = at + TUPLE_HEADER_BYTES as usize + 8 * index;
            self.memory.u64(word_at).store(*word, Relaxed);
        }
    }

    fn write_node(&self, node: u32, rank: u64, slot: u32, number: u32, value: &[u64]) {
        let at = node_at(&self.plan, node);
        self.memory.u64(at).store(rank, Relaxed);
        self.memory.u32(at + 8).store(slot, Relaxed);
        self.memory.u32(at + 12).store(number, Relaxed);
        for (index, word) in value.iter().enumerate() {
            let word_at = at + NODE_HEADER_BYTES as usize + 8 * index;
            self.memory.u64(word_at).store(*word, Relaxed);
        }
    }
}

impl Tuple {
    /// The rank of its highest entry, 0 if it has none.
    fn highest(&self) -> u64 {
        self.ranks.last_key_value().map_or(0, |(rank, _)| *rank)
    }
}

fn node_at(plan: &TuplePlan, node: u32) -> usize {
    plan.nodes as usize + node as usize * plan.node_bytes() as usize
}

/// The words of a bucket at this offset.
fn words(bucket: usize) -> impl Iterator<Item = usize> + Clone + use<> {
    (0..BUCKET_WORDS as usize).map(move |word| bucket + 8 * word)
}
