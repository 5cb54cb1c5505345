//! Records: what an entry does, in fixed slots of the arena.
//!
//! ```text
//! offset 0   u32  what: an action id, or MEMBER | index, or GROUP | index, or NOTHING
//!        4   u32  the entry's cell in the table's direct counter and meter
//!        8   u64  the packed key, `key_words` words (hash tables only)
//!        8 + 8 * key_words
//!            u64  arguments: a number in host order, or, beyond 64 bits,
//!                 big-endian bytes padded in front to a multiple of eight
//! ```
//!
//! Slot 0 means "none" and is never handed out. A record is written while nothing refers to its
//! slot, and never changed afterwards: a reader that got hold of the slot's number reads the record
//! whole. A freed slot is handed out again only after a grace period. Entries that have neither cell nor
//! key in their records share one if they do the same, so that the few next hops of a million routes stay
//! in the cache.

use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pointsman_p4::dataplane::{Args, Bits, Call};
use smallvec::SmallVec;

use super::arena::Arena;
use super::grace::Grace;
use super::quick_hash::{QuickHashMap, QuickHasher};
use super::slots::{SlotError, Slots};
use crate::sys::SharedMemory;

/// `what`: the rest is the index of a member.
pub const MEMBER: u32 = 1 << 30;
/// `what`: the rest is the index of a group.
pub const GROUP: u32 = 1 << 31;

/// `what`: no action at all, which only a default entry without one has.
pub const NOTHING: u32 = MEMBER - 1;

/// Bytes before the packed key.
pub const HEADER_BYTES: u32 = 8;

/// Where a pool of records is and how they look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlan {
    /// Offset of slot 0 in the arena.
    pub offset: u32,
    /// Slots, a power of two.
    pub slots: u32,
    /// Bytes of a slot.
    pub stride: u32,
    /// Words of the packed key.
    pub key_words: u32,
}

impl RecordPlan {
    /// Reserves room for `entries` records at least, and as many again for those in flight: enough
    /// even in a small table that few changes have to wait.
    pub fn new(arena: &mut Arena, entries: u32, key_words: u32, arg_words: u32) -> RecordPlan {
        let slots = (entries.max(30) + 2).saturating_mul(2).next_power_of_two();
        let stride = HEADER_BYTES + 8 * (key_words + arg_words);
        let offset = arena.reserve(u64::from(slots) * u64::from(stride));
        RecordPlan {
            offset,
            slots,
            stride,
            key_words,
        }
    }

    /// Offset of the arguments in a record.
    pub fn args_offset(&self) -> u32 {
        HEADER_BYTES + 8 * self.key_words
    }

    /// Offset of a record in the arena.
    pub fn at(&self, slot: u32) -> usize {
        self.offset as usize + slot as usize * self.stride as usize
    }
}

/// Words that an argument of this many bits takes.
pub fn arg_words(width: u32) -> u32 {
    width.div_ceil(64).max(1)
}

/// Whether entries that do the same have the same record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each has one of its own: it has a key or a cell.
    Own,
    /// They share it.
    Shared,
}

/// All words of a record.
type Image = SmallVec<[u64; 6]>;

/// Records that several entries may have.
#[derive(Debug, Default)]
struct Shared {
    slots: QuickHashMap<Image, u32>,
    /// How many entries have each.
    users: QuickHashMap<u32, u32>,
}

/// Hands out slots and writes records.
#[derive(Debug)]
pub struct RecordPool {
    plan: RecordPlan,
    memory: Arc<SharedMemory>,
    slots: Slots,
    shared: Option<Shared>,
}

impl RecordPool {
    /// A pool with all slots free.
    pub fn new(plan: RecordPlan, memory: Arc<SharedMemory>, sharing: Sharing) -> RecordPool {
        RecordPool {
            plan,
            memory,
            slots: Slots::new(1..plan.slots),
            shared: (sharing == Sharing::Shared).then(Shared::default),
        }
    }

    /// Writes a record into a free slot, or finds one that is the same. Publish the number with a
    /// release store.
    pub fn write(&mut self, grace: &Grace, record: &Record<'_>) -> Result<u32, SlotError> {
        let image = self.image(record);
        if let Some(shared) = &mut self.shared
            && let Some(slot) = shared.slots.get(&image)
        {
            *shared.users.entry(*slot).or_default() += 1;
            return Ok(*slot);
        }
        let slot = self.slots.take(grace)?;
        let at = self.plan.at(slot);
        for (index, word) in image.iter().enumerate() {
            self.memory.u64(at + 8 * index).store(*word, Relaxed);
        }
        if let Some(shared) = &mut self.shared {
            shared.slots.insert(image, slot);
            shared.users.insert(slot, 1);
        }
        Ok(slot)
    }

    fn image(&self, record: &Record<'_>) -> Image {
        let words = self.plan.stride as usize / 8;
        let mut image = Image::with_capacity(words);
        image.push(u64::from(record.what) | u64::from(record.cell) << 32);
        image.extend_from_slice(record.key);
        for (arg, width) in record
            .args
            .into_iter()
            .flat_map(Args::values)
            .zip(record.widths)
        {
            push_arg(&mut image, arg, *width);
        }
        image.resize(words, 0);
        image
    }

    /// Gives a slot back after a reference to it was removed.
    pub fn retire(&mut self, slot: u32) {
        if self.is_last(slot) {
            self.slots.retire(slot);
        }
    }

    /// Gives back a slot that was not published this time.
    pub fn put_back(&mut self, slot: u32) {
        if self.is_last(slot) {
            self.slots.put_back(slot);
        }
    }

    /// Whether nobody has a record any more that one entry gives up.
    fn is_last(&mut self, slot: u32) -> bool {
        let Some(shared) = &mut self.shared else {
            return true;
        };
        let users = shared.users.get_mut(&slot);
        let users = users.expect("a record that is given up was written");
        *users -= 1;
        if *users > 0 {
            return false;
        }
        shared.users.remove(&slot);
        let at = self.plan.at(slot);
        let words = (0..self.plan.stride as usize).step_by(8);
        let image: Image = words
            .map(|offset| self.memory.u64(at + offset).load(Relaxed))
            .collect();
        shared.slots.remove(&image);
        true
    }

    /// The word at the start of a record.
    pub fn what(&self, slot: u32) -> u32 {
        self.memory.u32(self.plan.at(slot)).load(Relaxed)
    }

    /// The arguments of a record, given their widths.
    pub fn args(&self, slot: u32, widths: impl Iterator<Item = u32>) -> Args {
        let mut at = self.plan.at(slot) + self.plan.args_offset() as usize;
        let args = widths.map(|width| {
            let here = (at..).step_by(8).take(arg_words(width) as usize);
            let words = here.map(|at| self.memory.u64(at).load(Relaxed));
            at += 8 * arg_words(width) as usize;
            match width {
                0..=64 => words.map(Bits::from).next().unwrap_or_default(),
                _ => {
                    let bytes: SmallVec<[u8; 32]> = words.flat_map(u64::to_ne_bytes).collect();
                    Bits::from_be_bytes(&bytes)
                }
            }
        });
        args.collect()
    }

    /// A hash of what a record does. Members and groups have other indices in other lives of the agent: that it is
    /// one is all that counts.
    pub fn content_hash(&self, slot: u32) -> u64 {
        let what = self.what(slot);
        let kind = what & (MEMBER | GROUP);
        let mut hasher = QuickHasher::default();
        hasher.write_u32(if kind == 0 { what } else { kind });
        let args = self.plan.args_offset()..self.plan.stride;
        for offset in args.step_by(8) {
            let word = self.memory.u64(self.plan.at(slot) + offset as usize);
            hasher.write_u64(word.load(Relaxed));
        }
        hasher.finish()
    }

    /// The direct counter's cell of a record.
    pub fn cell(&self, slot: u32) -> u32 {
        self.memory.u32(self.plan.at(slot) + 4).load(Relaxed)
    }

    /// The packed key of a record equals these words.
    pub fn key_is(&self, slot: u32, key: &[u64]) -> bool {
        let at = self.plan.at(slot) + HEADER_BYTES as usize;
        key.iter()
            .enumerate()
            .all(|(i, w)| self.memory.u64(at + 8 * i).load(Relaxed) == *w)
    }
}

/// What goes into a record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The word at offset 0.
    pub what: u32,
    /// The word at offset 4.
    pub cell: u32,
    /// The packed key, for hash tables.
    pub key: &'a [u64],
    /// The arguments, if it runs an action.
    pub args: Option<&'a Args>,
    /// Their widths.
    pub widths: &'a [u32],
}

impl<'a> Record<'a> {
    /// A record that runs an action.
    pub fn call(call: &'a Call, widths: &'a [u32], cell: u32, key: &'a [u64]) -> Record<'a> {
        Record {
            what: call.action.0,
            cell,
            key,
            args: Some(&call.args),
            widths,
        }
    }
}

/// Adds an argument, given as its canonical bytes.
fn push_arg(image: &mut Image, arg: &[u8], width: u32) {
    if width <= 64 && arg.len() <= 8 {
        image.push(
            arg.iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        );
        return;
    }
    let mut bytes = vec![0u8; 8 * arg_words(width) as usize];
    Bits::from_be_bytes(arg).write_be(&mut bytes);
    for word in bytes.chunks_exact(8) {
        image.push(u64::from_ne_bytes(word.try_into().expect("eight bytes")));
    }
}
