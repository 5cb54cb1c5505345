//! Match under masks by priority, for tables too big for bit vectors: tuple space search, a hash
//! lookup for each different mask.
//!
//! ```text
//! header   u32 which of the two lists readers use (64 bytes reserved)
//! list     MAX_MASKS + 1 tuples
//! tuple    u64 no entry of this tuple or a later one ranks higher; 0 ends the list
//!          u64 number of the tuple | the mask, `key_words` u64
//! bucket   64 bytes, one cache line: eight words, for all tuples together
//! word     high 32 bits: tag, taken from the hash of tuple and value, never 0, once in a bucket
//!          low 32 bits:  number of the node; 0: free
//! node     u64 rank | u32 slot of the record | u32 number of the tuple | the value, `key_words` u64
//! ```
//!
//! A rank is an entry's priority and, below it, its age: the higher one wins. A reader goes through the
//! list until what is left cannot win any more. How all this is written while programs read
//! it: see [`writer`].

pub mod writer;

use crate::asm::{Alu, Assembler, Cond, Label, Reg, Size};

use super::arena::Arena;
use super::hash::{MULTIPLIER, SEED};
use super::reader::{Outcome, Reader};
use super::records::RecordPlan;

pub use writer::Tuples;

/// The most different masks of a table.
pub const MAX_MASKS: u32 = 256;

const HEADER_BYTES: u64 = 64;
const TUPLE_HEADER_BYTES: u32 = 16;
const NODE_HEADER_BYTES: u32 = 16;
const BUCKET_WORDS: u32 = 8;
const BUCKET_BYTES: u32 = 64;

// What a reader keeps in its spare bytes.
const BEST_RANK: i32 = 0;
const BEST_SLOT: i32 = 8;
const LIST: i32 = 16;
const POSITION: i32 = 24;

/// Where a tuple space is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TuplePlan {
    header: u32,
    lists: u32,
    nodes: u32,
    /// A power of two; number 0 is not used.
    node_count: u32,
    buckets: u32,
    /// A power of two.
    bucket_count: u32,
    key_words: u32,
}

impl TuplePlan {
    /// Reserves nodes for twice as many patterns as `entries`, in buckets at a load of at most a half.
    pub fn new(arena: &mut Arena, entries: u32, key_words: u32) -> TuplePlan {
        let node_count = entries.clamp(64, 1 << 24).next_power_of_two() * 2;
        let bucket_count = node_count / BUCKET_WORDS * 2;
        let mut plan = TuplePlan {
            header: arena.reserve(HEADER_BYTES),
            lists: 0,
            nodes: 0,
            node_count,
            buckets: arena.reserve(u64::from(bucket_count) * u64::from(BUCKET_BYTES)),
            bucket_count,
            key_words,
        };
        plan.lists = arena.reserve(2 * u64::from(plan.list_bytes()));
        plan.nodes = arena.reserve(u64::from(node_count) * u64::from(plan.node_bytes()));
        plan
    }

    fn tuple_bytes(&self) -> u32 {
        TUPLE_HEADER_BYTES + 8 * self.key_words
    }

    fn list_bytes(&self) -> u32 {
        (MAX_MASKS + 1) * self.tuple_bytes()
    }

    fn node_bytes(&self) -> u32 {
        NODE_HEADER_BYTES + 8 * self.key_words
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler, reader: &Reader, records: &RecordPlan, to: Outcome) {
        let (each_tuple, next_tuple, done) = (asm.label(), asm.label(), asm.label());
        let spare = reader.spare_offset;
        asm.map_value(Reg::R2, reader.arena, self.header);
        asm.load(Size::W, Reg::R1, Reg::R2, 0);
        asm.store(Size::DW, Reg::R7, spare + LIST, Reg::R1);
        asm.mov_imm(Reg::R1, 0);
        asm.store(Size::DW, Reg::R7, spare + BEST_RANK, Reg::R1);
        asm.store(Size::DW, Reg::R7, spare + BEST_SLOT, Reg::R1);
        // R0 = position in the list.
        if reader.may_goto {
            asm.store(Size::DW, Reg::R7, spare + POSITION, Reg::R1);
        } else {
            asm.mov_imm(Reg::R0, 0);
        }

        asm.place(each_tuple);
        if reader.may_goto {
            asm.may_goto(done);
            asm.load(Size::DW, Reg::R0, Reg::R7, spare + POSITION);
        }
        asm.jump_if_imm(Cond::Ge, Reg::R0, MAX_MASKS as i32, done);
        // R9 = the tuple.
        asm.load(Size::DW, Reg::R1, Reg::R7, spare + LIST);
        asm.alu_imm(Alu::And, Reg::R1, 1);
        asm.alu_imm(Alu::Mul, Reg::R1, self.list_bytes() as i32);
        asm.mov(Reg::R2, Reg::R0);
        asm.alu_imm(Alu::Mul, Reg::R2, self.tuple_bytes() as i32);
        asm.map_value(Reg::R9, reader.arena, self.lists);
        asm.alu(Alu::Add, Reg::R9, Reg::R1);
        asm.alu(Alu::Add, Reg::R9, Reg::R2);
        asm.load(Size::DW, Reg::R4, Reg::R9, 0);
        asm.load(Size::DW, Reg::R5, Reg::R7, spare + BEST_RANK);
        asm.jump_if(Cond::Le, Reg::R4, Reg::R5, done);
        self.emit_hash(asm, reader);
        // R3 = tag.
        asm.mov(Reg::R3, Reg::R8);
        asm.alu_imm(Alu::Rsh, Reg::R3, 32);
        asm.alu32_imm(Alu::Or, Reg::R3, i32::MIN);
        for shift in self.bucket_shifts() {
            self.emit_bucket(asm, reader, shift, next_tuple);
        }
        asm.place(next_tuple);
        asm.alu_imm(Alu::Add, Reg::R0, 1);
        if reader.may_goto {
            asm.store(Size::DW, Reg::R7, spare + POSITION, Reg::R0);
        }
        asm.jump(each_tuple);

        asm.place(done);
        asm.load(Size::DW, Reg::R4, Reg::R7, spare + BEST_SLOT);
        asm.jump_if_imm(Cond::Eq, Reg::R4, 0, to.miss);
        reader.record_address(asm, records, Reg::R4);
        asm.jump(to.hit);
    }

    /// How far the hash is shifted for the numbers of a key's two buckets. The first is in its highest
    /// bits: short keys stand in the high bytes of a word, and a product's low bits know nothing of those.
    fn bucket_shifts(&self) -> [u32; 2] {
        [u64::BITS - self.bucket_count.ilog2(), 24]
    }

    /// R8 = hash of the tuple in R9 and the key under its mask, as the writer computes it.
    fn emit_hash(&self, asm: &mut Assembler, reader: &Reader) {
        asm.mov_imm(Reg::R8, SEED);
        asm.mov_imm(Reg::R1, MULTIPLIER);
        asm.load(Size::DW, Reg::R2, Reg::R9, 8);
        emit_mix(asm);
        for word in 0..self.key_words {
            reader.load_word(asm, Reg::R2, word as usize);
            let mask = TUPLE_HEADER_BYTES + 8 * word;
            asm.load(Size::DW, Reg::R3, Reg::R9, mask as i32);
            asm.alu(Alu::And, Reg::R2, Reg::R3);
            emit_mix(asm);
        }
    }

    /// Looks into one bucket for the tuple in R9, and goes on behind it if the key is not there.
    fn emit_bucket(&self, asm: &mut Assembler, reader: &Reader, shift: u32, next_tuple: Label) {
        let (tagged, absent) = (asm.label(), asm.label());
        let spare = reader.spare_offset;
        asm.mov(Reg::R1, Reg::R8);
        asm.alu_imm(Alu::Rsh, Reg::R1, shift as i32);
        asm.alu32_imm(Alu::And, Reg::R1, (self.bucket_count - 1) as i32);
        asm.alu_imm(Alu::Lsh, Reg::R1, BUCKET_BYTES.ilog2() as i32);
        asm.map_value(Reg::R2, reader.arena, self.buckets);
        asm.alu(Alu::Add, Reg::R2, Reg::R1);
        for word in 0..BUCKET_WORDS {
            asm.load(Size::DW, Reg::R4, Reg::R2, (word * 8) as i32);
            asm.mov(Reg::R5, Reg::R4);
            asm.alu_imm(Alu::Rsh, Reg::R5, 32);
            asm.jump_if(Cond::Eq, Reg::R5, Reg::R3, tagged);
        }
        asm.jump(absent);

        asm.place(tagged);
        // R2 = the node.
        asm.alu32_imm(Alu::And, Reg::R4, (self.node_count - 1) as i32);
        asm.alu_imm(Alu::Mul, Reg::R4, self.node_bytes() as i32);
        asm.map_value(Reg::R2, reader.arena, self.nodes);
        asm.alu(Alu::Add, Reg::R2, Reg::R4);
        asm.load(Size::W, Reg::R4, Reg::R2, 12);
        asm.load(Size::DW, Reg::R5, Reg::R9, 8);
        asm.jump_if(Cond::Ne, Reg::R4, Reg::R5, absent);
        for word in 0..self.key_words {
            let (mask, value) = (TUPLE_HEADER_BYTES + 8 * word, NODE_HEADER_BYTES + 8 * word);
            reader.load_word(asm, Reg::R4, word as usize);
            asm.load(Size::DW, Reg::R5, Reg::R9, mask as i32);
            asm.alu(Alu::And, Reg::R4, Reg::R5);
            asm.load(Size::DW, Reg::R5, Reg::R2, value as i32);
            asm.jump_if(Cond::Ne, Reg::R4, Reg::R5, absent);
        }
        asm.load(Size::DW, Reg::R4, Reg::R2, 0);
        asm.load(Size::DW, Reg::R5, Reg::R7, spare + BEST_RANK);
        asm.jump_if(Cond::Le, Reg::R4, Reg::R5, next_tuple);
        asm.store(Size::DW, Reg::R7, spare + BEST_RANK, Reg::R4);
        asm.load(Size::W, Reg::R4, Reg::R2, 8);
        asm.store(Size::DW, Reg::R7, spare + BEST_SLOT, Reg::R4);
        asm.jump(next_tuple);
        asm.place(absent);
    }
}

/// Mixes R2 into the hash in R8; R1 is the multiplier.
fn emit_mix(asm: &mut Assembler) {
    asm.alu(Alu::Xor, Reg::R8, Reg::R2);
    asm.alu(Alu::Mul, Reg::R8, Reg::R1);
    asm.mov(Reg::R2, Reg::R8);
    asm.alu_imm(Alu::Rsh, Reg::R2, 29);
    asm.alu(Alu::Xor, Reg::R8, Reg::R2);
}
