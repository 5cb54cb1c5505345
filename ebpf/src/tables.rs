//! Match tables in memory that the agent and the kernel share.
//!
//! Each structure is one file with both of its sides: the plan (where it is in the arena), the
//! writer, which runs in the agent, and the reader, which is emitted into the program. A reader
//! sees an entry whole or not at all; how is written where it is done.

pub mod arena;
pub mod bitvec;
pub mod cells;
pub mod declared;
pub mod direct;
pub mod grace;
pub mod hash;
pub mod hits;
pub mod index;
pub mod key;
pub mod owners;
mod quick_hash;
pub mod range;
pub mod reader;
pub mod records;
pub mod selector;
pub mod shape;
pub mod slots;
pub mod table;
pub mod trie;
pub mod tuples;
pub mod value_set;
