//! A table as its writer sees it: keys in the shape of its structure, records, counter cells.

use std::sync::Arc;
use std::sync::atomic::Ordering::Release;

use pointsman_p4::dataplane::{Bits, DataPlaneError, EntryKey, Match, Occupancy};
use pointsman_p4::ir::{MatchKind, Table};
use smallvec::{SmallVec, smallvec};

use crate::plan::{Structure, TablePlan};
use crate::sys::{SharedMemory, SysError};

use super::bitvec::{BitVectors, Pattern, Patterns};
use super::direct::DirectTable;
use super::grace::Grace;
use super::hash::{BucketsFull, HashTable};
use super::key::KeyWords;
use super::range::prefixes;
use super::records::{Record, RecordPool};
use super::slots::{SlotError, Slots};
use super::trie::{Prefix, Trie};

/// The most values under masks that the ranges of one entry may become.
const MAX_PATTERNS: usize = 1024;

#[derive(Debug)]
enum Index {
    Keyless,
    Direct(DirectTable),
    Hash(HashTable),
    Trie(Trie),
    BitVectors(BitVectors),
}

/// An entry's key in the shape of its structure.
enum Shaped {
    Words(KeyWords),
    Prefix(Prefix),
    Patterns(Patterns, i32),
}

/// The writer of a table.
#[derive(Debug)]
pub struct TableWriter {
    name: String,
    kinds: Vec<(MatchKind, u32)>,
    plan: TablePlan,
    memory: Arc<SharedMemory>,
    index: Index,
    records: RecordPool,
    cells: Slots,
    entries: u32,
}

/// What an entry does, as its record holds it.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// See [`super::records`].
    pub what: u32,
    /// Arguments.
    pub args: &'a [Bits],
    /// Their widths.
    pub widths: &'a [u32],
}

impl TableWriter {
    /// An empty table; the memory is zero.
    pub fn new(table: &Table, plan: &TablePlan, memory: &Arc<SharedMemory>) -> TableWriter {
        let index = match &plan.structure {
            Structure::Keyless => Index::Keyless,
            Structure::Direct(p) => Index::Direct(DirectTable::new(*p, Arc::clone(memory))),
            Structure::Hash(p) => Index::Hash(HashTable::new(*p, Arc::clone(memory))),
            Structure::Trie(p) => Index::Trie(Trie::new(*p, Arc::clone(memory))),
            Structure::BitVectors(p) => {
                Index::BitVectors(BitVectors::new(p.clone(), Arc::clone(memory)))
            }
        };
        TableWriter {
            name: table.name.clone(),
            kinds: table.key.iter().map(|k| (k.kind, k.width)).collect(),
            records: RecordPool::new(plan.records, Arc::clone(memory)),
            // Cell 0 is the default action's.
            cells: Slots::new(1..plan.capacity + 1),
            plan: plan.clone(),
            memory: Arc::clone(memory),
            index,
            entries: 0,
        }
    }

    /// How full it is.
    pub fn occupancy(&self) -> Occupancy {
        Occupancy {
            entries: u64::from(self.entries),
            capacity: u64::from(self.plan.capacity),
            structure: self.plan.structure.name(),
        }
    }

    /// Adds an entry.
    pub fn insert(
        &mut self,
        grace: &mut Grace,
        key: &EntryKey,
        content: Content<'_>,
    ) -> Result<(), DataPlaneError> {
        let shaped = self.shape(key)?;
        if self.find(&shaped).is_some() {
            return Err(DataPlaneError::AlreadyExists);
        }
        if self.entries >= self.plan.capacity {
            return Err(self.full());
        }
        let cell = self.cells.take(grace).map_err(|e| self.slot_error(e))?;
        self.clear_cell(cell);
        let slot = match self.write(grace, &shaped, content, cell) {
            Ok(slot) => slot,
            Err(error) => {
                self.cells.put_back(cell);
                return Err(error);
            }
        };
        let added = match (&mut self.index, &shaped) {
            (Index::Direct(table), Shaped::Words(words)) => {
                table.set(words, slot);
                Ok(())
            }
            (Index::Hash(table), Shaped::Words(words)) => table
                .insert(words, slot)
                .map_err(|BucketsFull| SlotError::Full),
            (Index::Trie(trie), Shaped::Prefix(prefix)) => trie.set(grace, prefix, slot).map(drop),
            (Index::BitVectors(vectors), Shaped::Patterns(patterns, priority)) => {
                vectors.insert(grace, patterns.clone(), *priority, slot)
            }
            _ => Err(SlotError::Full),
        };
        if let Err(error) = added {
            self.records.put_back(slot);
            self.cells.put_back(cell);
            return Err(self.slot_error(error));
        }
        self.entries += 1;
        Ok(())
    }

    /// Replaces what an entry does; its cell stays.
    pub fn modify(
        &mut self,
        grace: &mut Grace,
        key: &EntryKey,
        content: Content<'_>,
    ) -> Result<(), DataPlaneError> {
        let shaped = self.shape(key)?;
        let old = self.find(&shaped).ok_or(DataPlaneError::NotFound)?;
        let slot = self.write(grace, &shaped, content, self.records.cell(old))?;
        let records = &self.records;
        let replaced = match (&mut self.index, &shaped) {
            (Index::Direct(table), Shaped::Words(words)) => Ok(table.set(words, slot)),
            (Index::Hash(table), Shaped::Words(words)) => {
                Ok(table.replace(words, slot, |s| records.key_is(s, words)))
            }
            (Index::Trie(trie), Shaped::Prefix(prefix)) => trie.set(grace, prefix, slot),
            (Index::BitVectors(vectors), Shaped::Patterns(patterns, priority)) => {
                Ok(vectors.replace(patterns, *priority, slot))
            }
            _ => Ok(None),
        };
        match replaced {
            Ok(old) => {
                old.into_iter().for_each(|slot| self.records.retire(slot));
                Ok(())
            }
            Err(error) => {
                self.records.put_back(slot);
                Err(self.slot_error(error))
            }
        }
    }

    /// Removes an entry.
    pub fn delete(&mut self, key: &EntryKey) -> Result<(), DataPlaneError> {
        let shaped = self.shape(key)?;
        let records = &self.records;
        let removed = match (&mut self.index, &shaped) {
            (Index::Direct(table), Shaped::Words(words)) => table.set(words, 0),
            (Index::Hash(table), Shaped::Words(words)) => {
                table.remove(words, |s| records.key_is(s, words))
            }
            (Index::Trie(trie), Shaped::Prefix(prefix)) => trie.remove(prefix),
            (Index::BitVectors(vectors), Shaped::Patterns(patterns, priority)) => {
                vectors.remove(patterns, *priority)
            }
            _ => None,
        };
        let slot = removed.ok_or(DataPlaneError::NotFound)?;
        self.cells.retire(self.records.cell(slot));
        self.records.retire(slot);
        self.entries -= 1;
        Ok(())
    }

    /// Sets what happens on a miss; `None` does nothing.
    pub fn set_default(
        &mut self,
        grace: &mut Grace,
        content: Option<Content<'_>>,
    ) -> Result<(), DataPlaneError> {
        let slot = match content {
            Some(content) => {
                let zero: KeyWords = SmallVec::from_elem(0, self.plan.layout.words.len());
                self.write(grace, &Shaped::Words(zero), content, 0)?
            }
            None => 0,
        };
        let old = self
            .memory
            .u32(self.plan.default_at as usize)
            .swap(slot, Release);
        if old != 0 {
            self.records.retire(old);
        }
        Ok(())
    }

    /// The cell of an entry in the direct counter and meter.
    pub fn cell(&self, key: &EntryKey) -> Result<u32, DataPlaneError> {
        let slot = self
            .find(&self.shape(key)?)
            .ok_or(DataPlaneError::NotFound)?;
        Ok(self.records.cell(slot))
    }

    fn clear_cell(&self, cell: u32) {
        if let Some(counter) = self.plan.counter {
            counter.write(&self.memory, cell, Default::default());
        }
        if let Some(meter) = self.plan.meter {
            meter.configure(&self.memory, cell, None);
        }
    }

    fn write(
        &mut self,
        grace: &mut Grace,
        key: &Shaped,
        content: Content<'_>,
        cell: u32,
    ) -> Result<u32, DataPlaneError> {
        let words: &[u64] = match key {
            Shaped::Words(words) if self.plan.records.key_words > 0 => words,
            _ => &[],
        };
        let Content { what, args, widths } = content;
        let record = Record {
            what,
            cell,
            key: words,
            args,
            widths,
        };
        self.records
            .write(grace, &record)
            .map_err(|e| self.slot_error(e))
    }

    fn find(&self, key: &Shaped) -> Option<u32> {
        match (&self.index, key) {
            (Index::Direct(table), Shaped::Words(words)) => table.get(words),
            (Index::Hash(table), Shaped::Words(words)) => {
                table.get(words, |slot| self.records.key_is(slot, words))
            }
            (Index::Trie(trie), Shaped::Prefix(prefix)) => trie.get(prefix),
            (Index::BitVectors(vectors), Shaped::Patterns(patterns, priority)) => {
                vectors.get(patterns, *priority)
            }
            _ => None,
        }
    }

    fn full(&self) -> DataPlaneError {
        DataPlaneError::Full {
            what: format!("table {}", self.name),
            capacity: u64::from(self.plan.capacity),
        }
    }

    fn slot_error(&self, error: SlotError) -> DataPlaneError {
        match error {
            SlotError::Full => self.full(),
            SlotError::Grace(error) => kernel(error),
        }
    }

    fn shape(&self, key: &EntryKey) -> Result<Shaped, DataPlaneError> {
        match &self.index {
            Index::Keyless => Err(DataPlaneError::Unsupported {
                what: format!("an entry in table {}", self.name),
                why: "it has no key; set its default action".to_owned(),
            }),
            Index::Direct(_) | Index::Hash(_) => {
                let values = key.matches.iter().map(|m| match m {
                    Match::Exact(value) => Ok(value),
                    other => Err(self.mismatch(other)),
                });
                let values: SmallVec<[&Bits; 8]> = values.collect::<Result<_, _>>()?;
                Ok(Shaped::Words(self.plan.layout.pack(values)))
            }
            Index::Trie(_) => match key.matches.as_slice() {
                [Match::Lpm { value, prefix_len }] => {
                    let words = self.plan.layout.pack([value]);
                    let bytes = words.iter().flat_map(|w| w.to_be_bytes()).collect();
                    Ok(Shaped::Prefix(Prefix {
                        len: *prefix_len,
                        bytes,
                    }))
                }
                other => Err(self.mismatch(&other[0])),
            },
            Index::BitVectors(_) => self.patterns(key),
        }
    }

    fn mismatch(&self, found: &Match) -> DataPlaneError {
        DataPlaneError::Unsupported {
            what: format!("the match {found:?} in table {}", self.name),
            why: "the key of this table is matched in another way".to_owned(),
        }
    }

    fn patterns(&self, key: &EntryKey) -> Result<Shaped, DataPlaneError> {
        let mut combined: Vec<(Vec<Bits>, Vec<Bits>)> = vec![(Vec::new(), Vec::new())];
        let mut prefix_bits = 0;
        for (part, (_, width)) in key.matches.iter().zip(&self.kinds) {
            let choices = self.choices(part, *width)?;
            if let Match::Lpm { prefix_len, .. } = part {
                prefix_bits += *prefix_len as i32;
            }
            combined = combined
                .iter()
                .flat_map(|(values, masks)| {
                    choices.iter().map(|(value, mask)| {
                        let (mut values, mut masks) = (values.clone(), masks.clone());
                        values.push(value.clone());
                        masks.push(mask.clone());
                        (values, masks)
                    })
                })
                .collect();
            if combined.len() > MAX_PATTERNS {
                return Err(DataPlaneError::Unsupported {
                    what: format!("an entry with these ranges in table {}", self.name),
                    why: format!("they are more than {MAX_PATTERNS} prefixes together"),
                });
            }
        }
        let patterns = combined.iter().map(|(values, masks)| Pattern {
            value: self.plan.layout.pack(values),
            mask: self.plan.layout.pack(masks),
        });
        // Without priorities the longest prefix wins.
        let by_priority = self.kinds.iter().any(|(kind, _)| {
            matches!(
                kind,
                MatchKind::Ternary | MatchKind::Optional | MatchKind::Range
            )
        });
        let priority = if by_priority {
            key.priority
        } else {
            prefix_bits
        };
        Ok(Shaped::Patterns(patterns.collect(), priority))
    }

    /// A match as values under masks.
    fn choices(
        &self,
        part: &Match,
        width: u32,
    ) -> Result<SmallVec<[(Bits, Bits); 1]>, DataPlaneError> {
        Ok(match part {
            Match::Exact(value) | Match::Optional(Some(value)) => {
                smallvec![(value.clone(), Bits::ones(width))]
            }
            Match::Optional(None) => smallvec![(Bits::zero(), Bits::zero())],
            Match::Lpm { value, prefix_len } => {
                smallvec![(value.clone(), Bits::prefix_mask(*prefix_len, width))]
            }
            Match::Ternary { value, mask } => smallvec![(value.clone(), mask.clone())],
            Match::Range { low, high } => match (low.to_u64(), high.to_u64()) {
                (Some(low), Some(high)) if width <= 64 && low <= high => prefixes(low, high, width)
                    .into_iter()
                    .map(|(value, mask)| (Bits::from(value), Bits::from(mask)))
                    .collect(),
                _ => return Err(self.mismatch(part)),
            },
        })
    }
}

/// The kernel's refusal as a data plane reports it.
pub fn kernel(error: SysError) -> DataPlaneError {
    DataPlaneError::Kernel {
        what: "waiting for programs to end".to_owned(),
        error: error.to_string(),
    }
}
