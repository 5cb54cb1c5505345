//! The writer of bit vectors.
//!
//! A new entry is written column by column, then its slot, then its `live` bit with a release store; it
//! goes by clearing that bit. Its position is not used again: a reader may be half way through. Where no
//! position is free between two neighbours, the word with both is written anew into one or two other words,
//! evenly spaced, and one release store in the chain leads to those. A reader sees either the old
//! words or the new ones, and in both every entry that stays. Words that left the chain are used
//! again only after a grace period, for which many of them wait together.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

use crate::sys::SharedMemory;
use crate::tables::grace::Grace;
use crate::tables::slots::{SlotError, Slots};

use super::{BitVectorPlan, COLUMN_BYTES, POSITIONS, Pattern, Patterns};

/// Entries of a word that is written anew: the fewer, the longer until the next time; the more, the
/// fewer words a lookup goes through.
const FILL: usize = 48;
/// Neighbours that hold no more than this together become one word.
const MERGED_FILL: usize = 24;

/// First by priority, then by age.
type Rank = (Reverse<i32>, u64);

/// A pattern in its place.
#[derive(Debug, Clone)]
struct Item {
    rank: Rank,
    pattern: Pattern,
    slot: u32,
    position: u32,
}

/// A word of the chain.
#[derive(Debug)]
struct Word {
    number: u32,
    /// By position, which is by rank.
    items: Vec<Item>,
    /// Bit p: position p holds or held an entry.
    taken: u64,
}

/// Where entries go in words that are written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spacing {
    /// Room is left between them.
    Even,
    /// Room is left after them, for more that follow.
    Low,
    /// Room is left before them.
    High,
}

/// The writer.
#[derive(Debug)]
pub struct BitVectors {
    plan: BitVectorPlan,
    memory: Arc<SharedMemory>,
    /// Slot and rank of each key.
    entries: HashMap<(Patterns, i32), (u32, Rank)>,
    chain: Vec<Word>,
    free: Slots,
    next_age: u64,
    /// Patterns of all entries.
    used: usize,
}

impl BitVectors {
    /// Empty bit vectors; the memory is zero.
    pub fn new(plan: BitVectorPlan, memory: Arc<SharedMemory>) -> BitVectors {
        BitVectors {
            free: Slots::new(1..plan.words),
            plan,
            memory,
            entries: HashMap::new(),
            chain: Vec::new(),
            next_age: 0,
            used: 0,
        }
    }

    /// Patterns that fit.
    pub fn capacity(&self) -> u32 {
        self.plan.capacity()
    }

    /// The record of a key.
    pub fn get(&self, patterns: &Patterns, priority: i32) -> Option<u32> {
        let entry = self.entries.get(&(patterns.clone(), priority));
        entry.map(|(slot, _)| *slot)
    }

    /// Publishes a record under a key that is not there.
    pub fn insert(
        &mut self,
        grace: &Grace,
        patterns: Patterns,
        priority: i32,
        slot: u32,
    ) -> Result<(), SlotError> {
        if self.used + patterns.len() > self.plan.capacity() as usize {
            return Err(SlotError::Full);
        }
        let rank = (Reverse(priority), self.next_age);
        self.next_age += 1;
        let items: Vec<Item> = patterns
            .iter()
            .map(|pattern| Item {
                rank,
                pattern: pattern.clone(),
                slot,
                position: 0,
            })
            .collect();
        self.add(grace, items)?;
        self.used += patterns.len();
        self.entries.insert((patterns, priority), (slot, rank));
        Ok(())
    }

    /// Replaces the record of a key that is there; returns the old slot.
    pub fn replace(&mut self, patterns: &Patterns, priority: i32, slot: u32) -> Option<u32> {
        let entry = self.entries.get_mut(&(patterns.clone(), priority))?;
        let (old, rank) = (std::mem::replace(&mut entry.0, slot), entry.1);
        for word in self.words_with(rank) {
            let word = &mut self.chain[word];
            for item in word.items.iter_mut().filter(|item| item.rank == rank) {
                item.slot = slot;
                let at = slot_at(&self.plan, word.number, item.position);
                self.memory.u32(at).store(slot, Release);
            }
        }
        Some(old)
    }

    /// Unpublishes a key; returns its record's slot, to be retired.
    pub fn remove(&mut self, patterns: &Patterns, priority: i32) -> Option<u32> {
        let (slot, rank) = self.entries.remove(&(patterns.clone(), priority))?;
        self.used -= patterns.len();
        let words = self.words_with(rank);
        for word in &mut self.chain[words.clone()] {
            let is_gone = |item: &Item| item.rank == rank;
            let bits = word.items.iter().filter(|i| is_gone(i));
            let bits = bits.fold(0u64, |bits, item| bits | 1 << item.position);
            let live = self.memory.u64(live_at(&self.plan, word.number));
            live.fetch_and(!bits, AcqRel);
            word.items.retain(|item| !is_gone(item));
        }
        self.tidy(words);
        Some(slot)
    }

    /// The words with items of this rank.
    fn words_with(&self, rank: Rank) -> Range<usize> {
        let first = |word: &Word| word.items.first().map(|item| item.rank);
        let start = self.chain.partition_point(|word| first(word) < Some(rank));
        let end = self.chain.partition_point(|word| first(word) <= Some(rank));
        start.saturating_sub(1)..end
    }

    /// Puts items of one rank, which is not there yet, into the chain.
    fn add(&mut self, grace: &Grace, items: Vec<Item>) -> Result<(), SlotError> {
        let rank = items[0].rank;
        let index = self.words_with(rank).start;
        let Some(word) = self.chain.get(index) else {
            return self.rewrite(grace, 0..0, items, Spacing::Low);
        };
        let place = word.items.partition_point(|item| item.rank < rank);
        let is_first = index == 0 && place == 0;
        let is_last = index + 1 == self.chain.len() && place == word.items.len();
        let spacing = match (is_first, is_last) {
            (_, true) => Spacing::Low,
            (true, false) => Spacing::High,
            (false, false) => Spacing::Even,
        };
        if let Some(position) = word.gap(place, items.len() as u32, spacing) {
            self.fill_in(index, place, position, items);
            return Ok(());
        }
        match spacing {
            Spacing::Low => self.rewrite(grace, index + 1..index + 1, items, spacing),
            Spacing::High => self.rewrite(grace, 0..0, items, spacing),
            Spacing::Even => {
                let mut all = word.items.clone();
                all.splice(place..place, items);
                self.rewrite(grace, index..index + 1, all, spacing)
            }
        }
    }

    /// Publishes items in free positions of a word that readers use.
    fn fill_in(&mut self, index: usize, place: usize, position: u32, mut items: Vec<Item>) {
        let word = &mut self.chain[index];
        let mut bits = 0u64;
        for (item, position) in items.iter_mut().zip(position..) {
            item.position = position;
            bits |= 1 << position;
            write(&self.plan, &self.memory, word.number, item);
        }
        word.taken |= bits;
        word.items.splice(place..place, items);
        let live = self.memory.u64(live_at(&self.plan, word.number));
        live.fetch_or(bits, AcqRel);
    }

    /// Takes words out of the chain and puts these items into others in their place.
    fn rewrite(
        &mut self,
        grace: &Grace,
        range: Range<usize>,
        items: Vec<Item>,
        spacing: Spacing,
    ) -> Result<(), SlotError> {
        let count = words_for(items.len());
        if self.chain.len() - range.len() + count <= self.plan.chain as usize {
            return self.replace_words(grace, range, items, count, spacing);
        }
        // The chain would become too long: all of it is written anew, as full as words may be.
        let before = self.chain[..range.start].iter();
        let after = self.chain[range.end..].iter();
        let of = |word: &Word| word.items.clone();
        let mut all: Vec<Item> = before.flat_map(of).collect();
        all.extend(items);
        all.extend(after.flat_map(of));
        let count = words_for(all.len());
        self.replace_words(grace, 0..self.chain.len(), all, count, Spacing::Even)
    }

    fn replace_words(
        &mut self,
        grace: &Grace,
        range: Range<usize>,
        items: Vec<Item>,
        count: usize,
        spacing: Spacing,
    ) -> Result<(), SlotError> {
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count {
            match self.free.take(grace) {
                Ok(number) => numbers.push(number),
                Err(error) => {
                    numbers.into_iter().for_each(|n| self.free.put_back(n));
                    return Err(error);
                }
            }
        }
        self.link(range, numbers, items, spacing);
        Ok(())
    }

    /// Writes items into words that no reader can be in, and leads readers to them.
    fn link(&mut self, range: Range<usize>, numbers: Vec<u32>, items: Vec<Item>, spacing: Spacing) {
        let mut rest = items;
        let mut words = Vec::with_capacity(numbers.len());
        for (index, number) in numbers.iter().enumerate() {
            let share = rest.len().div_ceil(numbers.len() - index);
            let later = rest.split_off(share);
            words.push(Word::new(*number, rest, spacing));
            rest = later;
        }
        let mut next = self.chain.get(range.end).map_or(0, |word| word.number);
        for word in words.iter().rev() {
            self.write_word(word);
            let at = next_at(&self.plan, word.number);
            self.memory.u32(at).store(next, Relaxed);
            next = word.number;
        }
        let before = range.start.checked_sub(1);
        let link_at = before.map_or(self.plan.header as usize, |index| {
            next_at(&self.plan, self.chain[index].number)
        });
        self.memory.u32(link_at).store(next, Release);
        for old in self.chain.splice(range, words) {
            self.free.retire(old.number);
        }
    }

    /// All of a word that no reader can be in: what it held before goes.
    fn write_word(&self, word: &Word) {
        let of_byte = |item: &Item, byte| (item.pattern.byte(byte), 1u64 << item.position);
        for (column, byte) in self.plan.bytes.iter().enumerate() {
            let mut rows = [0u64; 256];
            let mut everywhere = 0;
            for ((value, mask), bit) in word.items.iter().map(|i| of_byte(i, *byte)) {
                match mask {
                    0 => everywhere |= bit,
                    _ => accepted(value, mask).for_each(|v| rows[usize::from(v)] |= bit),
                }
            }
            for (value, row) in rows.iter().enumerate() {
                let at = row_at(&self.plan, word.number, column, value as u8);
                self.memory.u64(at).store(row | everywhere, Relaxed);
            }
        }
        for item in &word.items {
            let at = slot_at(&self.plan, word.number, item.position);
            self.memory.u32(at).store(item.slot, Relaxed);
        }
        let live = self.memory.u64(live_at(&self.plan, word.number));
        live.store(word.taken, Relaxed);
    }

    /// Takes words out of the chain that have become empty, and joins neighbours with few
    /// entries while that needs no waiting.
    fn tidy(&mut self, words: Range<usize>) {
        for index in words.rev() {
            if self.chain[index].items.is_empty() {
                self.link(index..index + 1, Vec::new(), Vec::new(), Spacing::Even);
                continue;
            }
            let Some(pair) = self.chain.get(index..index + 2) else {
                continue;
            };
            if pair[0].items.len() + pair[1].items.len() > MERGED_FILL {
                continue;
            }
            let items = pair.iter().flat_map(|word| word.items.clone()).collect();
            if let Some(number) = self.free.take_unused() {
                self.link(index..index + 2, vec![number], items, Spacing::Even);
            }
        }
    }
}

impl Word {
    fn new(number: u32, mut items: Vec<Item>, spacing: Spacing) -> Word {
        let count = items.len() as u32;
        for (index, item) in (0..).zip(&mut items) {
            item.position = match spacing {
                Spacing::Even => (2 * index + 1) * POSITIONS / (2 * count),
                Spacing::Low => index,
                Spacing::High => POSITIONS - count + index,
            };
        }
        let taken = items.iter().fold(0, |bits, item| bits | 1 << item.position);
        Word {
            number,
            items,
            taken,
        }
    }

    /// The first of `count` free positions in a row before the item at `place`.
    fn gap(&self, place: usize, count: u32, spacing: Spacing) -> Option<u32> {
        let before = place.checked_sub(1).map(|index| &self.items[index]);
        let from = before.map_or(0, |item| item.position + 1);
        let to = self.items.get(place).map_or(POSITIONS, |i| i.position);
        let last = to.checked_sub(count).filter(|last| *last >= from)?;
        let is_free = |start: &u32| {
            let bits = (u64::MAX >> (POSITIONS - count)) << start;
            self.taken & bits == 0
        };
        let middle = (from + last) / 2;
        match spacing {
            Spacing::Low => (from..=last).find(is_free),
            Spacing::High => (from..=last).rev().find(is_free),
            Spacing::Even => (middle..=last)
                .find(is_free)
                .or_else(|| (from..middle).rev().find(is_free)),
        }
    }
}

fn words_for(items: usize) -> usize {
    items.div_ceil(FILL)
}

/// The bytes that equal `value` under `mask`.
fn accepted(value: u8, mask: u8) -> impl Iterator<Item = u8> {
    let free = !mask;
    // All combinations of the free bits, in ascending order.
    let next = move |bits: &u8| match bits.wrapping_sub(free) & free {
        0 => None,
        next => Some(next),
    };
    std::iter::successors(Some(0), next).map(move |bits| value | bits)
}

/// Columns and slot of an item whose position is not live.
fn write(plan: &BitVectorPlan, memory: &SharedMemory, word: u32, item: &Item) {
    for (column, byte) in plan.bytes.iter().enumerate() {
        let (value, mask) = item.pattern.byte(*byte);
        for accepted in accepted(value, mask) {
            // One writer, and nobody else's bits: no need for a locked instruction.
            let row = memory.u64(row_at(plan, word, column, accepted));
            row.store(row.load(Relaxed) | 1 << item.position, Relaxed);
        }
    }
    let at = slot_at(plan, word, item.position);
    memory.u32(at).store(item.slot, Relaxed);
}

fn live_at(plan: &BitVectorPlan, word: u32) -> usize {
    (plan.live + 8 * word) as usize
}

fn next_at(plan: &BitVectorPlan, word: u32) -> usize {
    (plan.next + 4 * word) as usize
}

fn slot_at(plan: &BitVectorPlan, word: u32, position: u32) -> usize {
    (plan.slots + 4 * (word * POSITIONS + position)) as usize
}

fn row_at(plan: &BitVectorPlan, word: u32, column: usize, value: u8) -> usize {
    let columns = plan.columns as usize + word as usize * plan.word_bytes() as usize;
    columns + column * COLUMN_BYTES as usize + 8 * usize::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_bytes_are_those_that_equal_the_value_under_the_mask() {
        for (value, mask) in [
            (0, 0),
            (0xab, 0xff),
            (0x20, 0xf0),
            (0x01, 0x81),
            (0x40, 0x55),
        ] {
            let wanted: Vec<u8> = (0..=255).filter(|byte| byte & mask == value).collect();
            let found: Vec<u8> = accepted(value, mask).collect();
            assert_eq!(found, wanted, "{value:#x} under {mask:#x}");
        }
    }
}
