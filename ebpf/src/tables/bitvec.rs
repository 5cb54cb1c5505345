//! Match under masks by priority: bit vectors, one for each value of each byte of the key.
//!
//! ```text
//! header   u32 which of the two copies readers use, u32 words in use (64 bytes reserved)
//! copy     live:     `words` u64, bit p set: position p holds an entry
//!          slots:    64 * `words` u32, the record of each position
//!          columns:  for each byte of the key 256 rows of `words` u64, and a cache line between;
//!                    bit p set: the entry at p accepts this byte value
//! ```
//!
//! The lower the position, the higher the priority, so the answer is the lowest bit of `live`
//! and of one row of each column. An entry is written column by column, then its slot, then its
//! `live` bit with a release store; it goes by clearing that bit. Its position is not used again in
//! this copy: a reader may be half way through. When no position is free between two neighbours, all
//! entries are spread anew over the other copy (after a grace period) and readers are switched.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

use smallvec::SmallVec;

use crate::asm::{Alu, Assembler, Cond, Reg, Size};
use crate::sys::SharedMemory;

use super::arena::Arena;
use super::grace::Grace;
use super::key::KeyWords;
use super::reader::{Outcome, Reader};
use super::records::RecordPlan;
use super::slots::SlotError;

/// The most entries that bit vectors are made for.
pub const MAX_ENTRIES: u32 = 8192;

const HEADER_BYTES: u64 = 64;
/// Positions for each entry when all are spread anew: the more, the longer until the next time; the
/// fewer, the fewer words a lookup goes through.
const SPREAD: usize = 4;
/// Between columns. They are as long as a power of two, so that rows of the same byte value would
/// all be in the same set of the cache.
const COLUMN_GAP: u32 = 64;
/// Multiplying a single bit by this leaves its number in the top six bits.
const DE_BRUIJN: u64 = 0x03f7_9d71_b4cb_0a89;

/// Where bit vectors are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitVectorPlan {
    header: u32,
    copies: u32,
    copy_bytes: u32,
    words: u32,
    /// The bytes of the packed key that hold key bits.
    columns: Vec<usize>,
    bit_numbers: u32,
}

impl BitVectorPlan {
    /// Reserves two copies with twice as many positions as `entries`.
    pub fn new(
        arena: &mut Arena,
        entries: u32,
        columns: Vec<usize>,
        bit_numbers: u32,
    ) -> BitVectorPlan {
        let words = (entries.clamp(32, MAX_ENTRIES) * 2)
            .div_ceil(64)
            .next_power_of_two();
        let copy_bytes = words * 8 + words * 64 * 4 + columns.len() as u32 * column_bytes(words);
        let header = arena.reserve(HEADER_BYTES);
        let copies = arena.reserve(2 * u64::from(copy_bytes));
        BitVectorPlan {
            header,
            copies,
            copy_bytes,
            words,
            columns,
            bit_numbers,
        }
    }

    /// Entries that fit, patterns of ranges counted each.
    pub fn capacity(&self) -> u32 {
        self.words * 32
    }

    fn slots_at(&self) -> u32 {
        self.copies + self.words * 8
    }

    fn column_at(&self, column: usize) -> u32 {
        self.slots_at() + self.words * 64 * 4 + column as u32 * column_bytes(self.words)
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler, reader: &Reader, records: &RecordPlan, to: Outcome) {
        let (each_word, next_word, found) = (asm.label(), asm.label(), asm.label());
        // R8 = offset of the copy, R3 = number of the word.
        asm.map_value(Reg::R2, reader.arena, self.header);
        asm.load(Size::W, Reg::R8, Reg::R2, 0);
        asm.alu_imm(Alu::And, Reg::R8, 1);
        asm.alu_imm(Alu::Mul, Reg::R8, self.copy_bytes as i32);
        asm.mov_imm(Reg::R3, 0);

        asm.place(each_word);
        asm.jump_if_imm(Cond::Ge, Reg::R3, self.words as i32, to.miss);
        asm.map_value(Reg::R2, reader.arena, self.header);
        asm.load(Size::W, Reg::R1, Reg::R2, 4);
        asm.jump_if(Cond::Ge, Reg::R3, Reg::R1, to.miss);
        // R4 = offset of this word in each row of the copy.
        asm.mov(Reg::R4, Reg::R3);
        asm.alu_imm(Alu::Lsh, Reg::R4, 3);
        asm.alu(Alu::Add, Reg::R4, Reg::R8);
        asm.map_value(Reg::R2, reader.arena, self.copies);
        asm.alu(Alu::Add, Reg::R2, Reg::R4);
        asm.load(Size::DW, Reg::R0, Reg::R2, 0);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 0, next_word);
        for (column, byte) in self.columns.iter().enumerate() {
            reader.load_byte(asm, Reg::R1, *byte);
            asm.alu_imm(Alu::Lsh, Reg::R1, (self.words * 8).ilog2() as i32);
            asm.map_value(Reg::R2, reader.arena, self.column_at(column));
            asm.alu(Alu::Add, Reg::R2, Reg::R4);
            asm.alu(Alu::Add, Reg::R2, Reg::R1);
            asm.load(Size::DW, Reg::R5, Reg::R2, 0);
            asm.alu(Alu::And, Reg::R0, Reg::R5);
            if column % 4 == 3 {
                asm.jump_if_imm(Cond::Eq, Reg::R0, 0, next_word);
            }
        }
        asm.jump_if_imm(Cond::Ne, Reg::R0, 0, found);
        asm.place(next_word);
        asm.alu_imm(Alu::Add, Reg::R3, 1);
        asm.jump(each_word);

        asm.place(found);
        // R0 = number of the lowest set bit.
        asm.mov(Reg::R1, Reg::R0);
        asm.neg(Reg::R1);
        asm.alu(Alu::And, Reg::R0, Reg::R1);
        asm.mov_imm(Reg::R1, DE_BRUIJN);
        asm.alu(Alu::Mul, Reg::R0, Reg::R1);
        asm.alu_imm(Alu::Rsh, Reg::R0, 58);
        asm.map_value(Reg::R2, reader.arena, self.bit_numbers);
        asm.alu(Alu::Add, Reg::R2, Reg::R0);
        asm.load(Size::B, Reg::R0, Reg::R2, 0);
        asm.alu_imm(Alu::And, Reg::R0, 63);
        asm.alu_imm(Alu::Lsh, Reg::R3, 6);
        asm.alu(Alu::Add, Reg::R3, Reg::R0);
        asm.alu_imm(Alu::Lsh, Reg::R3, 2);
        asm.map_value(Reg::R2, reader.arena, self.slots_at());
        asm.alu(Alu::Add, Reg::R2, Reg::R8);
        asm.alu(Alu::Add, Reg::R2, Reg::R3);
        asm.load(Size::W, Reg::R4, Reg::R2, 0);
        asm.jump_if_imm(Cond::Eq, Reg::R4, 0, to.miss);
        reader.record_address(asm, records, Reg::R4);
        asm.jump(to.hit);
    }
}

fn column_bytes(words: u32) -> u32 {
    256 * words * 8 + COLUMN_GAP
}

/// Fills the 64 bytes that turn a `DE_BRUIJN` product into a bit number.
pub fn write_bit_numbers(memory: &SharedMemory, at: u32) {
    for bit in 0..64u8 {
        let index = (1u64 << bit).wrapping_mul(DE_BRUIJN) >> 58;
        memory.u8(at as usize + index as usize).store(bit, Relaxed);
    }
}

/// A value under a mask, packed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The value; 0 outside the mask.
    pub value: KeyWords,
    /// The mask.
    pub mask: KeyWords,
}

/// What an entry matches: one pattern, or several for a range. With the priority it is the key.
pub type Patterns = SmallVec<[Pattern; 1]>;

/// First by priority, then by age.
type Rank = (Reverse<i32>, u64);

#[derive(Debug)]
struct Entry {
    patterns: Patterns,
    slot: u32,
    /// The first of as many positions as there are patterns.
    position: u32,
}

/// The writer.
#[derive(Debug)]
pub struct BitVectors {
    plan: BitVectorPlan,
    memory: Arc<SharedMemory>,
    entries: BTreeMap<Rank, Entry>,
    ranks: HashMap<(Patterns, i32), Rank>,
    next_age: u64,
    /// Patterns of all entries.
    used: usize,
    active: u32,
    /// Positions of the active copy that hold or held an entry.
    taken: Vec<bool>,
}

impl BitVectors {
    /// Empty bit vectors; the memory is zero.
    pub fn new(plan: BitVectorPlan, memory: Arc<SharedMemory>) -> BitVectors {
        let positions = plan.words as usize * 64;
        BitVectors {
            plan,
            memory,
            entries: BTreeMap::new(),
            ranks: HashMap::new(),
            next_age: 0,
            used: 0,
            active: 0,
            taken: vec![false; positions],
        }
    }

    /// The record of a key.
    pub fn get(&self, patterns: &Patterns, priority: i32) -> Option<u32> {
        let rank = self.ranks.get(&(patterns.clone(), priority))?;
        Some(self.entries[rank].slot)
    }

    /// Publishes a record under a key that is not there.
    pub fn insert(
        &mut self,
        grace: &mut Grace,
        patterns: Patterns,
        priority: i32,
        slot: u32,
    ) -> Result<(), SlotError> {
        if self.used + patterns.len() > self.plan.capacity() as usize {
            return Err(SlotError::Full);
        }
        let rank = (Reverse(priority), self.next_age);
        self.next_age += 1;
        match self.free_position(&rank, patterns.len()) {
            Some(position) => {
                let entry = Entry {
                    patterns: patterns.clone(),
                    slot,
                    position,
                };
                self.write(&entry, self.active);
                self.grow_words(self.active, position + entry.patterns.len() as u32);
                self.publish(&entry, self.active);
                self.taken[position as usize..][..entry.patterns.len()].fill(true);
                self.entries.insert(rank, entry);
            }
            None => {
                let entry = Entry {
                    patterns: patterns.clone(),
                    slot,
                    position: 0,
                };
                self.entries.insert(rank, entry);
                if let Err(error) = self.spread(grace) {
                    self.entries.remove(&rank);
                    return Err(error);
                }
            }
        }
        self.used += patterns.len();
        self.ranks.insert((patterns, priority), rank);
        Ok(())
    }

    /// Replaces the record of a key that is there; returns the old slot.
    pub fn replace(&mut self, patterns: &Patterns, priority: i32, slot: u32) -> Option<u32> {
        let rank = self.ranks.get(&(patterns.clone(), priority))?;
        let entry = self.entries.get_mut(rank).expect("ranks and entries agree");
        let old = std::mem::replace(&mut entry.slot, slot);
        for index in 0..entry.patterns.len() as u32 {
            let at = slot_at(&self.plan, self.active, entry.position + index);
            self.memory.u32(at).store(slot, Release);
        }
        Some(old)
    }

    /// Unpublishes a key; returns its record's slot, to be retired.
    pub fn remove(&mut self, patterns: &Patterns, priority: i32) -> Option<u32> {
        let rank = self.ranks.remove(&(patterns.clone(), priority))?;
        let entry = self.entries.remove(&rank).expect("ranks and entries agree");
        self.used -= entry.patterns.len();
        for index in 0..entry.patterns.len() as u32 {
            let (at, bit) = self.live_bit(self.active, entry.position + index);
            self.memory.u64(at).fetch_and(!bit, AcqRel);
        }
        Some(entry.slot)
    }

    /// The first of `count` positions in a row that are free between the neighbours of a rank;
    /// near the middle, so that the next one finds room too, or right after the last entry.
    fn free_position(&self, rank: &Rank, count: usize) -> Option<u32> {
        let before = self.entries.range(..*rank).next_back();
        let after = self.entries.range(*rank..).next();
        let from = before.map_or(0, |(_, e)| e.position as usize + e.patterns.len());
        let to = after.map_or(self.taken.len(), |(_, e)| e.position as usize);
        let middle = match (before, after) {
            (_, Some(_)) => from + (to - from).saturating_sub(count) / 2,
            _ => from,
        };
        let is_free = |start: &usize| {
            *start + count <= to && !self.taken[*start..*start + count].contains(&true)
        };
        (middle..to)
            .find(is_free)
            .or_else(|| (from..middle).find(is_free))
            .map(|p| p as u32)
    }

    /// Writes all entries, evenly spaced, into the other copy and switches readers to it.
    fn spread(&mut self, grace: &mut Grace) -> Result<(), SlotError> {
        // Readers may still be in the other copy since the last switch.
        grace.wait().map_err(SlotError::Grace)?;
        let copy = 1 - self.active;
        self.clear(copy);
        let total: usize = self.entries.values().map(|e| e.patterns.len()).sum();
        let words = (SPREAD * total)
            .div_ceil(64)
            .clamp(1, self.plan.words as usize);
        let room = words * 64 - total;
        let mut entries = std::mem::take(&mut self.entries);
        self.taken.fill(false);
        let mut written = 0;
        for entry in entries.values_mut() {
            let position = written + (written * room) / total;
            entry.position = position as u32;
            self.taken[position..position + entry.patterns.len()].fill(true);
            written += entry.patterns.len();
            self.write(entry, copy);
            self.publish(entry, copy);
        }
        self.entries = entries;
        let header = self.plan.header as usize;
        // More words in use than the old copy has do no harm there: its `live` is 0 in them.
        let in_use = self.memory.u32(header + 4).load(Relaxed).max(words as u32);
        self.memory.u32(header + 4).store(in_use, Release);
        self.memory.u32(header).store(copy, Release);
        self.active = copy;
        Ok(())
    }

    /// Makes the words of a copy that were ever in use 0.
    fn clear(&self, copy: u32) {
        let base = (copy * self.plan.copy_bytes) as usize;
        let used = self.memory.u32(self.plan.header as usize + 4).load(Relaxed) as usize;
        let zero = |from: u32| {
            for word in 0..used {
                self.memory
                    .u64(base + from as usize + 8 * word)
                    .store(0, Relaxed);
            }
        };
        zero(self.plan.copies);
        for column in 0..self.plan.columns.len() {
            for value in 0..256 {
                zero(self.plan.column_at(column) + value * self.plan.words * 8);
            }
        }
    }

    /// Columns and slots of an entry whose position is not live.
    fn write(&self, entry: &Entry, copy: u32) {
        let row_bytes = self.plan.words as usize * 8;
        for (index, pattern) in entry.patterns.iter().enumerate() {
            let position = entry.position + index as u32;
            let bit = 1u64 << (position % 64);
            let word = (position / 64) as usize * 8 + (copy * self.plan.copy_bytes) as usize;
            for (column, &byte) in self.plan.columns.iter().enumerate() {
                let value = pattern.value[byte / 8].to_be_bytes()[byte % 8];
                let mask = pattern.mask[byte / 8].to_be_bytes()[byte % 8];
                let base = self.plan.column_at(column) as usize + word;
                for candidate in (0..=255u8).filter(|c| c & mask == value) {
                    let at = base + usize::from(candidate) * row_bytes;
                    // One writer, and nobody else's bits: no need for a locked instruction.
                    let row = self.memory.u64(at);
                    row.store(row.load(Relaxed) | bit, Relaxed);
                }
            }
            self.memory
                .u32(slot_at(&self.plan, copy, position))
                .store(entry.slot, Relaxed);
        }
    }

    fn grow_words(&self, copy: u32, end: u32) {
        debug_assert_eq!(copy, self.active);
        let at = self.plan.header as usize + 4;
        let words = end.div_ceil(64);
        if words > self.memory.u32(at).load(Relaxed) {
            self.memory.u32(at).store(words, Release);
        }
    }

    fn publish(&self, entry: &Entry, copy: u32) {
        for index in 0..entry.patterns.len() as u32 {
            let (at, bit) = self.live_bit(copy, entry.position + index);
            self.memory.u64(at).fetch_or(bit, AcqRel);
        }
    }

    fn live_bit(&self, copy: u32, position: u32) -> (usize, u64) {
        let copy_at = self.plan.copies + copy * self.plan.copy_bytes;
        ((copy_at + position / 64 * 8) as usize, 1 << (position % 64))
    }
}

fn slot_at(plan: &BitVectorPlan, copy: u32, position: u32) -> usize {
    (plan.slots_at() + copy * plan.copy_bytes + position * 4) as usize
}
