//! The prefixes of a trie with their records: what its writer finds entries by.
//!
//! There are as many as the table has entries, so prefixes of short keys take one word.

use crate::tables::quick_hash::QuickHashMap;

use super::Prefix;

/// The longest key, in bytes, that has room in a word beside its length.
const NARROW_BYTES: usize = 7;

/// The prefixes of one trie.
#[derive(Debug)]
pub struct Prefixes {
    by_prefix: ByPrefix,
    /// How many there are of each length.
    of_length: Vec<u32>,
}

#[derive(Debug)]
enum ByPrefix {
    Narrow(QuickHashMap<u64, u32>),
    Wide(QuickHashMap<Prefix, u32>),
}

impl Prefixes {
    /// None, of keys of so many bytes.
    pub fn new(key_bytes: usize) -> Prefixes {
        Prefixes {
            by_prefix: match key_bytes <= NARROW_BYTES {
                true => ByPrefix::Narrow(QuickHashMap::default()),
                false => ByPrefix::Wide(QuickHashMap::default()),
            },
            of_length: vec![0; 8 * key_bytes + 1],
        }
    }

    /// The record of a prefix.
    pub fn get(&self, prefix: &Prefix) -> Option<u32> {
        match &self.by_prefix {
            ByPrefix::Narrow(map) => map.get(&word(prefix)).copied(),
            ByPrefix::Wide(map) => map.get(prefix).copied(),
        }
    }

    /// Sets the record of a prefix; returns the old one.
    pub fn insert(&mut self, prefix: &Prefix, slot: u32) -> Option<u32> {
        let old = match &mut self.by_prefix {
            ByPrefix::Narrow(map) => map.insert(word(prefix), slot),
            ByPrefix::Wide(map) => map.insert(prefix.clone(), slot),
        };
        self.of_length[prefix.len as usize] += u32::from(old.is_none());
        old
    }

    /// Removes a prefix; returns its record.
    pub fn remove(&mut self, prefix: &Prefix) -> Option<u32> {
        let old = match &mut self.by_prefix {
            ByPrefix::Narrow(map) => map.remove(&word(prefix)),
            ByPrefix::Wide(map) => map.remove(prefix),
        };
        self.of_length[prefix.len as usize] -= u32::from(old.is_some());
        old
    }

    /// The longest of those that are shorter than this one and cover it: its length and its record.
    pub fn covering(&self, prefix: &Prefix) -> Option<(u32, u32)> {
        let shorter = (0..prefix.len).rev();
        let mut shorter = shorter.filter(|len| self.of_length[*len as usize] > 0);
        shorter.find_map(|len| Some((len, self.get(&prefix.cut(len))?)))
    }
}

/// A prefix of a short key: its bits from the top, its length at the bottom. Padding is 0.
fn word(prefix: &Prefix) -> u64 {
    let mut word = [0; 8];
    let bytes = prefix.bytes.len().min(NARROW_BYTES);
    word[..bytes].copy_from_slice(&prefix.bytes[..bytes]);
    word[NARROW_BYTES] = prefix.len as u8;
    u64::from_be_bytes(word)
}
