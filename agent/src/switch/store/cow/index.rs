//! Which row a key is in: numbers of rows by the hashes of their keys.
//!
//! Places are spread over shards by hash. A shard that grows too large is split in two (extendible hashing), so
//! that no insertion takes long, however many there are. Each place has the hash beside the row, so that neither
//! a split nor a search in vain looks at rows, which may be far away in memory. The shards are copied
//! on write like the rows: see [`super`].

use std::sync::Arc;

use hashbrown::HashTable;

/// Places of a shard; before there are more, it is split. A hash table of 1024 places takes no more.
const SHARD: usize = 896;

/// The lowest bits of a hash tell places in a shard, the next ones shards; the highest are compared in the hash
/// table.
const SHARD_SHIFT: u32 = 10;
/// Shards that would need more bits than these grow.
const MAX_DEPTH: u32 = 16;

/// The hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub u32);

impl Hash {
    /// As hash tables take it: they begin at the lowest bits and compare the highest.
    fn spread(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }

    fn shard_bits(self, depth: u32) -> usize {
        (self.0 >> SHARD_SHIFT) as usize & ((1 << depth) - 1)
    }
}

/// Rows by hash: `directory` has the shard of each value that the `depth` [bits](Hash::shard_bits) of a hash can
/// have. A shard that knows fewer bits than that is in several places of it.
#[derive(Debug, Clone)]
pub(super) struct Index {
    depth: u32,
    directory: Vec<u32>,
    shards: Vec<Arc<Shard>>,
}

/// Places whose hashes have the same `depth` shard bits.
#[derive(Debug, Clone)]
struct Shard {
    depth: u32,
    places: HashTable<Place>,
}

/// That a key with this hash is in this row.
#[derive(Debug, Clone, Copy)]
struct Place {
    hash: Hash,
    row: u32,
}

impl Default for Index {
    fn default() -> Index {
        let shard = Shard {
            depth: 0,
            places: HashTable::new(),
        };
        Index {
            depth: 0,
            directory: vec![0],
            shards: vec![Arc::new(shard)],
        }
    }
}

impl Index {
    /// The row of a key with this hash, given a test whether it is in a row.
    pub fn find(&self, hash: Hash, is_in: impl Fn(u32) -> bool) -> Option<u32> {
        let places = &self.shards[self.shard(hash)].places;
        let found = places.find(hash.spread(), |place| {
            place.hash == hash && is_in(place.row)
        });
        Some(found?.row)
    }

    /// Adds a row that is not there.
    pub fn insert(&mut self, hash: Hash, row: u32) {
        // One split is not always enough, but keys whose hashes are alike are few.
        let shard = &self.shards[self.shard(hash)];
        if shard.places.len() >= SHARD && shard.depth < MAX_DEPTH {
            self.split(hash);
        }
        self.shard_mut(hash).insert(Place { hash, row });
    }

    /// Removes a row that is there.
    pub fn remove(&mut self, hash: Hash, row: u32) {
        let places = &mut self.shard_mut(hash).places;
        let found = places.find_entry(hash.spread(), |place| place.row == row);
        found.expect("what is removed was inserted").remove();
    }

    fn shard(&self, hash: Hash) -> usize {
        self.directory[hash.shard_bits(self.depth)] as usize
    }

    fn shard_mut(&mut self, hash: Hash) -> &mut Shard {
        let shard = self.shard(hash);
        Arc::make_mut(&mut self.shards[shard])
    }

    /// Splits the shard of a hash by one more bit.
    fn split(&mut self, hash: Hash) {
        let index = self.shard(hash);
        let old = &self.shards[index];
        let depth = old.depth + 1;
        let mut halves = [(); 2].map(|()| Shard {
            depth,
            places: HashTable::with_capacity(SHARD),
        });
        for place in &old.places {
            let half = place.hash.shard_bits(depth) >> old.depth;
            halves[half].insert(*place);
        }
        let first_moved = hash.shard_bits(old.depth) | 1 << old.depth;
        if depth > self.depth {
            self.directory.extend_from_within(..);
            self.depth = depth;
        }
        let moved = self.directory.iter_mut().skip(first_moved);
        moved
            .step_by(1 << depth)
            .for_each(|shard| *shard = self.shards.len() as u32);
        let [stay, go] = halves.map(Arc::new);
        self.shards[index] = stay;
        self.shards.push(go);
    }
}

impl Shard {
    fn insert(&mut self, place: Place) {
        let hash = |place: &Place| place.hash.spread();
        self.places.insert_unique(hash(&place), place, hash);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_split_before_they_grow() {
        let mut index = Index::default();
        let hash = |row: u32| Hash(row.wrapping_mul(0x9e37_79b1));
        for row in 0..100_000 {
            index.insert(hash(row), row);
        }
        let largest = index.shards.iter().map(|shard| shard.places.len()).max();
        assert!(largest.unwrap() <= SHARD, "{largest:?}");
        for row in 0..100_000 {
            assert_eq!(index.find(hash(row), |found| found == row), Some(row));
            index.remove(hash(row), row);
            assert_eq!(index.find(hash(row), |found| found == row), None);
        }
    }

    #[test]
    fn keys_with_one_hash_are_told_apart_by_their_rows() {
        let mut index = Index::default();
        let hash = Hash(u32::MAX);
        for row in 0..10 * SHARD as u32 {
            index.insert(hash, row);
        }
        let last = 10 * SHARD as u32 - 1;
        assert_eq!(index.find(hash, |row| row == last), Some(last));
        index.remove(hash, last);
        assert_eq!(index.find(hash, |row| row == last), None);
    }
}
