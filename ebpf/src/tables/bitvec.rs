//! Match under masks by priority: bit vectors, one for each value of each byte of the key.
//!
//! ```text
//! header   u32 the first word of the chain, 0 for none (64 bytes reserved)
//! live     u64 for each word, bit p set: position p of this word holds an entry
//! slots    64 u32 for each word, the record of each position
//! next     u32 for each word, the word after it, 0 for none
//! columns  for each word, for each byte of the key, 256 u64, and a cache line between;
//!          bit p set: the entry at p of the word accepts this byte value
//! ```
//!
//! Words form a chain. The earlier a word in the chain and the lower a position in the word, the
//! higher the priority, so the answer is the lowest bit of `live` and of one row of each column in the
//! first word where there is one. How words are written while programs read them: see [`chain`].

pub mod chain;

use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use crate::asm::{Alu, Assembler, Cond, Reg, Size};
use crate::sys::SharedMemory;

use super::arena::Arena;
use super::key::KeyWords;
use super::reader::{Outcome, Reader};
use super::records::RecordPlan;

pub use chain::BitVectors;

/// The most entries that bit vectors are made for.
pub const MAX_ENTRIES: u32 = 8192;

const HEADER_BYTES: u64 = 64;
/// Offsets of accesses are below this.
const REACH: u32 = 1 << 15;
/// Positions of a word.
const POSITIONS: u32 = 64;
/// Bytes of a column. The cache line at its end keeps rows of the same byte value from being all in
/// the same set of the cache.
const COLUMN_BYTES: u32 = 256 * 8 + 64;
/// Multiplying a single bit by this leaves its number in the top six bits.
const DE_BRUIJN: u64 = 0x03f7_9d71_b4cb_0a89;

/// Where bit vectors are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitVectorPlan {
    header: u32,
    live: u32,
    slots: u32,
    next: u32,
    columns: u32,
    /// Words, a power of two; number 0 is not used.
    words: u32,
    /// The longest chain.
    chain: u32,
    /// The bytes of the packed key that hold key bits.
    bytes: Vec<usize>,
    bit_numbers: u32,
}

impl BitVectorPlan {
    /// Reserves a chain with twice as many positions as `entries`, and as many words again for those
    /// that are written anew.
    pub fn new(
        arena: &mut Arena,
        entries: u32,
        bytes: Vec<usize>,
        bit_numbers: u32,
    ) -> BitVectorPlan {
        let chain = (entries.clamp(32, MAX_ENTRIES) * 2)
            .div_ceil(POSITIONS)
            .next_power_of_two();
        let words = match chain {
            1 => 4,
            _ => (2 * chain).max(8),
        };
        let columns = u64::from(words) * bytes.len() as u64 * u64::from(COLUMN_BYTES);
        let mut reserve = |bytes: u32| arena.reserve(u64::from(words) * u64::from(bytes));
        BitVectorPlan {
            live: reserve(8),
            slots: reserve(4 * POSITIONS),
            next: reserve(4),
            columns: arena.reserve(columns),
            header: arena.reserve(HEADER_BYTES),
            words,
            chain,
            bytes,
            bit_numbers,
        }
    }

    /// Entries that fit, patterns of ranges counted each.
    pub fn capacity(&self) -> u32 {
        self.chain * POSITIONS / 2
    }

    /// Bytes of the columns of a word.
    fn word_bytes(&self) -> u32 {
        self.bytes.len() as u32 * COLUMN_BYTES
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler, reader: &Reader, records: &RecordPlan, to: Outcome) {
        let (each_word, next_word, found) = (asm.label(), asm.label(), asm.label());
        // R3 = number of the word, R8 = how many there were.
        asm.map_value(Reg::R2, reader.arena, self.header);
        asm.load(Size::W, Reg::R3, Reg::R2, 0);
        if !reader.may_goto {
            asm.mov_imm(Reg::R8, 0);
        }

        asm.place(each_word);
        asm.jump_if_imm(Cond::Eq, Reg::R3, 0, to.miss);
        if reader.may_goto {
            asm.may_goto(to.miss);
        } else {
            // A packet that is held up meets old words and new ones: a quarter more than there are would
            // have to be written meanwhile.
            let most = self.chain + self.chain / 4 + 1;
            asm.jump_if_imm(Cond::Ge, Reg::R8, most as i32, to.miss);
            asm.alu_imm(Alu::Add, Reg::R8, 1);
        }
        asm.alu32_imm(Alu::And, Reg::R3, self.words as i32 - 1);
        asm.mov(Reg::R4, Reg::R3);
        asm.alu_imm(Alu::Lsh, Reg::R4, 3);
        asm.map_value(Reg::R2, reader.arena, self.live);
        asm.alu(Alu::Add, Reg::R2, Reg::R4);
        asm.load(Size::DW, Reg::R0, Reg::R2, 0);
        // R4 = the columns of this word.
        asm.mov(Reg::R1, Reg::R3);
        asm.alu_imm(Alu::Mul, Reg::R1, self.word_bytes() as i32);
        asm.map_value(Reg::R4, reader.arena, self.columns);
        asm.alu(Alu::Add, Reg::R4, Reg::R1);
        for (column, byte) in self.bytes.iter().enumerate() {
            reader.load_byte(asm, Reg::R1, *byte);
            asm.alu_imm(Alu::Lsh, Reg::R1, 3);
            asm.alu(Alu::Add, Reg::R1, Reg::R4);
            // Beyond what an access reaches, for keys that long.
            let at = column as u32 * COLUMN_BYTES;
            let far = at / REACH * REACH;
            if far > 0 {
                asm.alu_imm(Alu::Add, Reg::R1, far as i32);
            }
            asm.load(Size::DW, Reg::R5, Reg::R1, (at - far) as i32);
            asm.alu(Alu::And, Reg::R0, Reg::R5);
            if column % 4 == 3 {
                asm.jump_if_imm(Cond::Eq, Reg::R0, 0, next_word);
            }
        }
        asm.jump_if_imm(Cond::Ne, Reg::R0, 0, found);
        asm.place(next_word);
        asm.alu_imm(Alu::Lsh, Reg::R3, 2);
        asm.map_value(Reg::R2, reader.arena, self.next);
        asm.alu(Alu::Add, Reg::R2, Reg::R3);
        asm.load(Size::W, Reg::R3, Reg::R2, 0);
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
        asm.alu_imm(Alu::And, Reg::R0, POSITIONS as i32 - 1);
        asm.alu_imm(Alu::Lsh, Reg::R3, POSITIONS.ilog2() as i32);
        asm.alu(Alu::Add, Reg::R3, Reg::R0);
        asm.alu_imm(Alu::Lsh, Reg::R3, 2);
        asm.map_value(Reg::R2, reader.arena, self.slots);
        asm.alu(Alu::Add, Reg::R2, Reg::R3);
        asm.load(Size::W, Reg::R4, Reg::R2, 0);
        asm.jump_if_imm(Cond::Eq, Reg::R4, 0, to.miss);
        reader.record_address(asm, records, Reg::R4);
        asm.jump(to.hit);
    }
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

impl Pattern {
    /// Value and mask of a byte of the key, counted from the most significant one.
    fn byte(&self, byte: usize) -> (u8, u8) {
        let of = |words: &KeyWords| words[byte / 8].to_be_bytes()[byte % 8];
        (of(&self.value), of(&self.mask))
    }
}

/// What an entry matches: one pattern, or several for a range. With the priority it is the key.
pub type Patterns = SmallVec<[Pattern; 1]>;
