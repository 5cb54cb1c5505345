//! Hashing for what writers look up once or more for each entry.
//!
//! The hash is that of the [hash tables](super::hash) that programs read. Whoever may write entries
//! could choose keys that collide there, too, so the standard library's defence would defend nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::hash::{MULTIPLIER, SEED};

/// A map with that hash.
pub type QuickHashMap<K, V> = HashMap<K, V, BuildHasherDefault<QuickHasher>>;

/// See above.
#[derive(Debug, Clone, Copy)]
pub struct QuickHasher(u64);

impl Default for QuickHasher {
    fn default() -> QuickHasher {
        QuickHasher(SEED)
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(MULTIPLIER);
        self.0 = mixed ^ mixed >> 29;
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}
