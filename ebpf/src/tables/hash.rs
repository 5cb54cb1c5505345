//! Exact match on keys of any length: a bucketised hash table.
//!
//! ```text
//! bucket   64 bytes, one cache line: eight words
//! word     high 32 bits: tag, taken from the hash, never 0
//!          low 32 bits:  slot of the record, which holds the whole key
//!          0: free
//! ```
//!
//! A key lives in one of two buckets. A word is published with one release store after its record
//! is complete, replaced with one store (a modified entry gets a new record), and cleared before its
//! record's slot is retired. Entries never move, so a reader cannot miss one.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use pointsman_p4::dataplane::FORESEEN;
use smallvec::SmallVec;

use crate::asm::{Alu, Assembler, Cond, Reg, Size};
use crate::sys::SharedMemory;

use super::arena::Arena;
use super::key::KeyWords;
use super::reader::{Outcome, Reader};
use super::records::{HEADER_BYTES, RecordPlan};

const BUCKET_WORDS: u32 = 8;
const BUCKET_BYTES: u32 = 64;
/// Where the second bucket's number begins in the hash.
const SECOND_SHIFT: u32 = 24;
pub(super) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
pub(super) const SEED: u64 = 0x5851_f42d_4c95_7f2d;

/// Where a hash table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashPlan {
    offset: u32,
    buckets: u32,
    key_words: u32,
}

impl HashPlan {
    /// Reserves buckets for `entries` at a load of at most a half.
    pub fn new(arena: &mut Arena, entries: u32, key_words: u32) -> HashPlan {
        let buckets = (entries.max(4) * 2 / BUCKET_WORDS)
            .max(2)
            .next_power_of_two();
        let offset = arena.reserve(u64::from(buckets) * u64::from(BUCKET_BYTES));
        HashPlan {
            offset,
            buckets,
            key_words,
        }
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler, reader: &Reader, records: &RecordPlan, to: Outcome) {
        self.emit_hash(asm, reader);
        // R3 = tag, in the place it has in a word.
        asm.mov(Reg::R3, Reg::R8);
        asm.alu_imm(Alu::Rsh, Reg::R3, 32);
        asm.alu32_imm(Alu::Or, Reg::R3, i32::MIN);
        for bucket in [Bucket::First, Bucket::Second] {
            asm.mov(Reg::R1, Reg::R8);
            match bucket {
                Bucket::First => asm.alu_imm(Alu::Rsh, Reg::R1, self.first_shift() as i32),
                Bucket::Second => {
                    asm.alu_imm(Alu::Rsh, Reg::R1, SECOND_SHIFT as i32);
                    asm.alu32_imm(Alu::And, Reg::R1, (self.buckets - 1) as i32);
                }
            }
            asm.alu_imm(Alu::Lsh, Reg::R1, BUCKET_BYTES.ilog2() as i32);
            asm.map_value(Reg::R2, reader.arena, self.offset);
            asm.alu(Alu::Add, Reg::R2, Reg::R1);
            for word in 0..BUCKET_WORDS {
                let next = asm.label();
                asm.load(Size::DW, Reg::R4, Reg::R2, (word * 8) as i32);
                asm.mov(Reg::R5, Reg::R4);
                asm.alu_imm(Alu::Rsh, Reg::R5, 32);
                asm.jump_if(Cond::Ne, Reg::R5, Reg::R3, next);
                reader.record_address(asm, records, Reg::R4);
                for key_word in 0..self.key_words {
                    asm.load(
                        Size::DW,
                        Reg::R1,
                        Reg::R9,
                        (HEADER_BYTES + 8 * key_word) as i32,
                    );
                    reader.load_word(asm, Reg::R5, key_word as usize);
                    asm.jump_if(Cond::Ne, Reg::R1, Reg::R5, next);
                }
                asm.jump(to.hit);
                asm.place(next);
            }
        }
        asm.jump(to.miss);
    }

    /// How far the hash is shifted for the first bucket: its highest bits are that. Short keys stand in the
    /// high bytes of a word, and a product's low bits know nothing of those.
    fn first_shift(&self) -> u32 {
        u64::BITS - self.buckets.ilog2()
    }

    /// The two buckets of a key, and its tag.
    fn place(&self, key: &[u64]) -> ([u32; 2], u32) {
        let hash = hash(key);
        let buckets = [
            (hash >> self.first_shift()) as u32,
            (hash >> SECOND_SHIFT) as u32 & (self.buckets - 1),
        ];
        (buckets, (hash >> 32) as u32 | 1 << 31)
    }

    /// R8 = [`hash`] of the packed key.
    fn emit_hash(&self, asm: &mut Assembler, reader: &Reader) {
        asm.mov_imm(Reg::R8, SEED);
        asm.mov_imm(Reg::R1, MULTIPLIER);
        for word in 0..self.key_words {
            reader.load_word(asm, Reg::R2, word as usize);
            asm.alu(Alu::Xor, Reg::R8, Reg::R2);
            asm.alu(Alu::Mul, Reg::R8, Reg::R1);
            asm.mov(Reg::R2, Reg::R8);
            asm.alu_imm(Alu::Rsh, Reg::R2, 29);
            asm.alu(Alu::Xor, Reg::R8, Reg::R2);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bucket {
    First,
    Second,
}

/// The hash of packed words, as readers compute it.
pub(super) fn hash(key: &[u64]) -> u64 {
    key.iter().fold(SEED, |hash, word| {
        let mixed = (hash ^ word).wrapping_mul(MULTIPLIER);
        mixed ^ mixed >> 29
    })
}

/// The writer.
#[derive(Debug)]
pub struct HashTable {
    plan: HashPlan,
    memory: Arc<SharedMemory>,
}

/// Both buckets of the key are full.
#[derive(Debug, PartialEq, Eq)]
pub struct BucketsFull;

impl HashTable {
    /// An empty table; the memory is zero.
    pub fn new(plan: HashPlan, memory: Arc<SharedMemory>) -> HashTable {
        HashTable { plan, memory }
    }

    /// Entries that may have the same buckets.
    pub fn bucket_entries(&self) -> u32 {
        2 * BUCKET_WORDS
    }

    /// Publishes a record under a key that is not in the table.
    pub fn insert(&mut self, key: &[u64], slot: u32) -> Result<(), BucketsFull> {
        let (buckets, tag) = self.plan.place(key);
        // The emptier bucket, so that both fill evenly.
        let [first, second] = buckets.map(|bucket| self.bucket(bucket));
        let emptier = match free(second).count() > free(first).count() {
            true => second,
            false => first,
        };
        let word = free(emptier).next().ok_or(BucketsFull)?;
        word.store(u64::from(tag) << 32 | u64::from(slot), Release);
        Ok(())
    }

    /// The word for this key, given a test whether a record has that key.
    fn find(&self, key: &[u64], is_key: impl Fn(u32) -> bool) -> Option<&AtomicU64> {
        let (buckets, tag) = self.plan.place(key);
        buckets
            .into_iter()
            .flat_map(|bucket| self.bucket(bucket))
            .find(|word| {
                let word = word.load(Acquire);
                word >> 32 == u64::from(tag) && is_key(word as u32)
            })
    }

    /// Looks at the buckets of keys, and at the records that may be theirs. First all buckets, because memory that
    /// is far away can be waited for together.
    pub fn foresee(&self, keys: impl Iterator<Item = KeyWords>, look_at: impl Fn(u32)) {
        let places: SmallVec<[_; FORESEEN]> = keys.map(|key| self.plan.place(&key)).collect();
        for ([first, second], _) in &places {
            let [first, second] = [first, second].map(|bucket| &self.bucket(*bucket)[0]);
            black_box(first.load(Relaxed) ^ second.load(Relaxed));
        }
        for (buckets, tag) in &places {
            let words = buckets.iter().flat_map(|bucket| self.bucket(*bucket));
            let words = words.map(|word| word.load(Acquire));
            let theirs = words.filter(|word| word >> 32 == u64::from(*tag));
            theirs.for_each(|word| look_at(word as u32));
        }
    }

    /// The record of a key.
    pub fn get(&self, key: &[u64], is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let word = self.find(key, is_key)?;
        Some(word.load(Acquire) as u32)
    }

    /// Replaces the record of a key that is in the table; returns the old slot.
    pub fn replace(&mut self, key: &[u64], slot: u32, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let word = self.find(key, is_key)?;
        let tag = word.load(Acquire) >> 32;
        let old = word.swap(tag << 32 | u64::from(slot), Release);
        Some(old as u32)
    }

    /// Unpublishes a key; returns its record's slot, to be retired.
    pub fn remove(&mut self, key: &[u64], is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let word = self.find(key, is_key)?;
        Some(word.swap(0, Release) as u32)
    }

    fn bucket(&self, bucket: u32) -> &[AtomicU64; BUCKET_WORDS as usize] {
        let at = self.plan.offset as usize + (bucket * BUCKET_BYTES) as usize;
        self.memory.line(at)
    }
}

/// The words of a bucket that lead to no record.
fn free(bucket: &[AtomicU64]) -> impl Iterator<Item = &AtomicU64> {
    bucket.iter().filter(|word| word.load(Acquire) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these keys find no room.
    fn homeless(entries: u32, keys: impl Iterator<Item = u64>) -> usize {
        let plan = HashPlan {
            offset: 0,
            buckets: (entries * 2 / BUCKET_WORDS).next_power_of_two(),
            key_words: 1,
        };
        let mut held = vec![0; plan.buckets as usize];
        keys.filter(|&key| {
            let (buckets, _) = plan.place(&[key]);
            let emptier = buckets.into_iter().min_by_key(|&b| held[b as usize]);
            let emptier = emptier.expect("there are two") as usize;
            held[emptier] += 1;
            held[emptier] > BUCKET_WORDS
        })
        .count()
    }

    #[test]
    fn a_table_holds_as_many_keys_as_it_is_made_for_wherever_they_differ() {
        for shift in (0..=56).step_by(4) {
            for entries in [64_u32, 200] {
                let keys = (0..entries).map(|n| u64::from(n) << shift);
                assert_eq!(
                    homeless(entries, keys),
                    0,
                    "{entries} keys, shifted by {shift}"
                );
            }
        }
    }
}
