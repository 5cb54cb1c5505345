//! A map that can be read as it was at one moment while it is written on: what a slow Read
//! holds, so that nobody waits for it.
//!
//! Entries are spread over shards by hash. A clone copies one pointer. The first change of a shard
//! after that copies the shard, at most [`SHARD`] entries, and leaves the clone its own; while there is no
//! clone, nothing is ever copied. A shard that grows too large is split in two (extendible
//! hashing), so that no insertion takes long, however large the map is.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Entries of a shard; before there are more, it is split. A hash table of 256 places takes no more.
const SHARD: usize = 224;

/// A map whose clone is cheap, and stays as it is while the map changes. It has no order.
#[derive(Debug)]
pub struct CowMap<K, V> {
    hasher: DefaultHashBuilder,
    directory: Arc<Directory<K, V>>,
    len: usize,
}

/// Which entries are where: `places` has the shard of each value that the `depth` low
/// [bits of a place](place_bits) can have. A shard that knows fewer bits than that is in several places.
#[derive(Debug, Clone)]
struct Directory<K, V> {
    depth: u32,
    places: Vec<u32>,
    shards: Vec<Arc<Shard<K, V>>>,
}

/// Entries whose places have the same `depth` low bits.
#[derive(Debug, Clone)]
struct Shard<K, V> {
    depth: u32,
    rows: HashTable<(K, V)>,
}

/// That there is no entry with some key.
#[derive(Debug)]
pub struct Vacancy {
    hash: u64,
}

impl<K, V> Default for CowMap<K, V> {
    fn default() -> Self {
        let shard = Shard {
            depth: 0,
            rows: HashTable::new(),
        };
        CowMap {
            hasher: DefaultHashBuilder::default(),
            directory: Arc::new(Directory {
                depth: 0,
                places: vec![0],
                shards: vec![Arc::new(shard)],
            }),
            len: 0,
        }
    }
}

impl<K, V> CowMap<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.directory.shards.iter().flat_map(|shard| shard.iter())
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The parts that it consists of, each of a few hundred entries at most.
    pub fn parts(&self) -> usize {
        self.directory.shards.len()
    }

    /// The entries of a part.
    pub fn part(&self, part: usize) -> impl Iterator<Item = (&K, &V)> {
        self.directory.shards[part].iter()
    }
}

impl<K, V> Clone for CowMap<K, V> {
    fn clone(&self) -> Self {
        CowMap {
            hasher: self.hasher.clone(),
            directory: Arc::clone(&self.directory),
            len: self.len,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> CowMap<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let hash = self.hasher.hash_one(key);
        let shard = &self.directory.shards[self.directory.shard(hash)];
        let found = shard.rows.find(hash, |(other, _)| other == key)?;
        Some(&found.1)
    }

    /// Whether there is an entry with this key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key, to be changed. Call it for keys that are there: it may copy their shard.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard_mut(hash);
        let found = shard.rows.find_mut(hash, |(other, _)| other == key)?;
        Some(&mut found.1)
    }

    /// Where an entry with this key could be; `None` if there is one.
    pub fn vacancy(&self, key: &K) -> Option<Vacancy> {
        let hash = self.hasher.hash_one(key);
        let shard = &self.directory.shards[self.directory.shard(hash)];
        let found = shard.rows.find(hash, |(other, _)| other == key);
        found.is_none().then_some(Vacancy { hash })
    }

    /// Adds an entry where there is none. The vacancy is that of its key, and nothing was added since it
    /// was found.
    pub fn fill(&mut self, vacancy: Vacancy, key: K, value: V) {
        let Vacancy { hash } = vacancy;
        let hasher = &self.hasher;
        let directory = Arc::make_mut(&mut self.directory);
        // One split is not always enough, but keys whose hashes end alike are few.
        if directory.shards[directory.shard(hash)].rows.len() >= SHARD {
            directory.split(hash, hasher);
        }
        let shard = directory.shard(hash);
        let rows = &mut Arc::make_mut(&mut directory.shards[shard]).rows;
        rows.insert_unique(hash, (key, value), |(key, _)| hasher.hash_one(key));
        self.len += 1;
    }

    /// Adds or replaces an entry; returns the value that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.vacancy(&key) {
            Some(vacancy) => {
                self.fill(vacancy, key, value);
                None
            }
            None => self.get_mut(&key).map(|old| std::mem::replace(old, value)),
        }
    }

    /// Removes an entry; returns its value. Call it for keys that are there, as
    /// [`get_mut`](Self::get_mut).
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard_mut(hash);
        let found = shard.rows.find_entry(hash, |(other, _)| other == key);
        let ((_, value), _) = found.ok()?.remove();
        self.len -= 1;
        if self.len == 0 {
            // Shards do not grow together again one by one.
            *self = CowMap::default();
        }
        Some(value)
    }

    fn shard_mut(&mut self, hash: u64) -> &mut Shard<K, V> {
        let directory = Arc::make_mut(&mut self.directory);
        let shard = directory.shard(hash);
        Arc::make_mut(&mut directory.shards[shard])
    }
}

impl<K, V> Directory<K, V> {
    /// The shard of a hash.
    fn shard(&self, hash: u64) -> usize {
        self.places[low_bits(hash, self.depth)] as usize
    }
}

impl<K: Hash + Clone, V: Clone> Directory<K, V> {
    /// Splits the shard of a hash by one more bit of its hashes.
    fn split(&mut self, hash: u64, hasher: &DefaultHashBuilder) {
        let index = self.shard(hash);
        let shard = Arc::make_mut(&mut self.shards[index]);
        let bit = 1 << shard.depth;
        let moved = shard
            .rows
            .extract_if(|(key, _)| place_bits(hasher.hash_one(key)) & bit != 0);
        let moved: Vec<(K, V)> = moved.collect();
        let first = low_bits(hash, shard.depth) | bit as usize;
        shard.depth += 1;
        let depth = shard.depth;
        let mut rows = HashTable::with_capacity(SHARD);
        for row in moved {
            rows.insert_unique(hasher.hash_one(&row.0), row, |(key, _)| {
                hasher.hash_one(key)
            });
        }
        if depth > self.depth {
            self.places.extend_from_within(..);
            self.depth = depth;
        }
        let places = self.places.iter_mut().skip(first).step_by(1 << depth);
        places.for_each(|place| *place = self.shards.len() as u32);
        self.shards.push(Arc::new(Shard { depth, rows }));
    }
}

fn low_bits(hash: u64, bits: u32) -> usize {
    (place_bits(hash) & ((1 << bits) - 1)) as usize
}

/// The bits of a hash that tell the shard. The hash tables within begin at the lowest bits and compare the
/// highest, which therefore have to differ in a shard.
fn place_bits(hash: u64) -> u64 {
    hash >> 24
}

impl<K, V> Shard<K, V> {
    fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.rows.iter().map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn contents(rows: impl Iterator<Item = (u32, u32)>) -> BTreeMap<u32, u32> {
        rows.collect()
    }

    #[test]
    fn it_holds_what_was_written_however_much_that_is() {
        let mut map = CowMap::default();
        for key in 0..100_000u32 {
            assert_eq!(map.insert(key, key + 1), None);
        }
        assert_eq!(map.len(), 100_000);
        assert_eq!(map.iter().count(), 100_000);
        for key in 0..100_000 {
            assert_eq!(map.get(&key), Some(&(key + 1)), "key {key}");
        }
        assert!(
            map.directory
                .shards
                .iter()
                .all(|shard| shard.rows.len() <= SHARD)
        );
        for key in 0..100_000 {
            assert_eq!(map.remove(&key), Some(key + 1), "key {key}");
        }
        assert!(map.is_empty());
        assert_eq!(map.parts(), 1);
    }

    #[test]
    fn a_change_copies_one_shard_of_a_snapshot_and_nothing_without_one() {
        let mut map = CowMap::default();
        for key in 0..10_000u32 {
            map.insert(key, 0);
        }
        let shards = |map: &CowMap<u32, u32>| -> Vec<_> {
            map.directory.shards.iter().map(Arc::as_ptr).collect()
        };
        let before = shards(&map);
        map.insert(5, 1);
        assert_eq!(shards(&map), before);
        let snapshot = map.clone();
        map.insert(5, 2);
        map.insert(5, 3);
        let after = shards(&map);
        let copied = before.iter().zip(&after).filter(|(a, b)| a != b);
        assert_eq!(copied.count(), 1);
        assert!(
            snapshot
                .iter()
                .all(|(key, value)| *value == u32::from(*key == 5))
        );
    }

    proptest! {
        #[test]
        fn a_snapshot_stays_as_it_was(
            before in prop::collection::vec((0u32..2000, any::<bool>()), 0..3000),
            after in prop::collection::vec((0u32..2000, any::<bool>()), 0..3000),
        ) {
            let mut map = CowMap::default();
            let mut model = BTreeMap::new();
            let mut write = |map: &mut CowMap<u32, u32>, changes: &[(u32, bool)], value| {
                for (key, add) in changes {
                    if *add {
                        prop_assert_eq!(map.insert(*key, value), model.insert(*key, value));
                    } else {
                        prop_assert_eq!(map.remove(key), model.remove(key));
                    }
                }
                let rows = contents(map.iter().map(|(k, v)| (*k, *v)));
                prop_assert_eq!(&rows, &model);
                Ok(rows)
            };
            let old = write(&mut map, &before, 1)?;
            let snapshot = map.clone();
            write(&mut map, &after, 2)?;
            prop_assert_eq!(contents(snapshot.iter().map(|(k, v)| (*k, *v))), old);
        }
    }
}
