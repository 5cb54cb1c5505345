//! A map that can be read as it was at one moment while it is written on: what a slow Read
//! holds, so that nobody waits for it.
//!
//! ```text
//! index    number of a row, by hash: see [`index`]
//! part     [`ROWS`] rows, in the order in which they came; some are free
//! row      key and value
//! ```
//!
//! A clone copies two pointers. The first change of a part after that copies the part and leaves the clone its own;
//! while there is no clone, nothing is ever copied. Tables have millions of entries, and their memory is far away:
//! new rows stand one after the other, so that only the index is written at random, which is small, and
//! [`foresee`](CowMap::foresee) looks at the places of many keys together.

mod index;

use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use pointsman_p4::dataplane::FORESEEN;
use smallvec::SmallVec;

use index::{Hash, Index};

/// Rows of a part.
const ROWS: usize = 128;

/// A map whose clone is cheap, and stays as it is while the map changes. It has no order.
#[derive(Debug)]
pub struct CowMap<K, V> {
    hasher: DefaultHashBuilder,
    index: Arc<Index>,
    parts: Arc<Vec<Part<K, V>>>,
    /// Rows that were ever in use; the next one is fresh.
    used: u32,
    /// A row that is free again, and leads to the next one.
    free: Option<u32>,
    len: usize,
}

/// [`ROWS`] rows.
type Part<K, V> = Arc<[Row<K, V>]>;

#[derive(Debug, Clone)]
enum Row<K, V> {
    Filled(K, V),
    /// With the next one that was in use and is free.
    Free(Option<u32>),
}

/// That there is no entry with some key.
#[derive(Debug)]
pub struct Vacancy {
    hash: Hash,
}

impl<K, V> Row<K, V> {
    fn filled(&self) -> Option<(&K, &V)> {
        match self {
            Row::Filled(key, value) => Some((key, value)),
            Row::Free(_) => None,
        }
    }
}

impl<K, V> Default for CowMap<K, V> {
    fn default() -> Self {
        CowMap {
            hasher: DefaultHashBuilder::default(),
            index: Arc::default(),
            parts: Arc::default(),
            used: 0,
            free: None,
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
        self.parts
            .iter()
            .flat_map(|part| part.iter().filter_map(Row::filled))
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The parts that it consists of, each of a few hundred entries at most.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The entries of a part.
    pub fn part(&self, part: usize) -> impl Iterator<Item = (&K, &V)> {
        self.parts[part].iter().filter_map(Row::filled)
    }

    fn row(&self, row: u32) -> &Row<K, V> {
        &self.parts[row as usize / ROWS][row as usize % ROWS]
    }
}

impl<K, V> Clone for CowMap<K, V> {
    fn clone(&self) -> Self {
        CowMap {
            hasher: self.hasher.clone(),
            index: Arc::clone(&self.index),
            parts: Arc::clone(&self.parts),
            used: self.used,
            free: self.free,
            len: self.len,
        }
    }
}

impl<K: std::hash::Hash + Eq + Clone, V: Clone> CowMap<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let row = self.find(self.hash(key), key)?;
        let (_, value) = self.row(row).filled()?;
        Some(value)
    }

    /// Whether there is an entry with this key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key, to be changed. Call it for keys that are there: it may copy their part.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let row = self.find(self.hash(key), key)?;
        match self.row_mut(row) {
            Row::Filled(_, value) => Some(value),
            Row::Free(_) => None,
        }
    }

    /// Looks where these keys are or could be, so that the memory there is near when they are looked up one by
    /// one. Each step is taken for all of them before the next, because memory can be waited for together.
    pub fn foresee(&self, keys: &[&K]) {
        let hashes = keys.iter().map(|key| self.hash(key));
        let hashes: SmallVec<[Hash; FORESEEN]> = hashes.collect();
        let rows = hashes.iter().map(|hash| self.index.find(*hash, |_| true));
        let rows: SmallVec<[Option<u32>; FORESEEN]> = rows.collect();
        for (row, key) in rows.iter().zip(keys) {
            black_box(row.is_some_and(|row| self.has(row, key)));
        }
    }

    /// Where an entry with this key could be; `None` if there is one.
    pub fn vacancy(&self, key: &K) -> Option<Vacancy> {
        let hash = self.hash(key);
        let found = self.find(hash, key);
        found.is_none().then_some(Vacancy { hash })
    }

    /// Adds an entry where there is none. The vacancy is that of its key, and nothing was added since it
    /// was found.
    pub fn fill(&mut self, vacancy: Vacancy, key: K, value: V) {
        let number = match self.free {
            Some(number) => number,
            None => self.fresh_row(),
        };
        let row = self.row_mut(number);
        if let Row::Free(next) = std::mem::replace(row, Row::Filled(key, value)) {
            self.free = next;
        }
        Arc::make_mut(&mut self.index).insert(vacancy.hash, number);
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
        let hash = self.hash(key);
        let number = self.find(hash, key)?;
        Arc::make_mut(&mut self.index).remove(hash, number);
        let next = self.free.replace(number);
        let removed = std::mem::replace(self.row_mut(number), Row::Free(next));
        self.len -= 1;
        if self.len == 0 {
            // Parts do not go one by one.
            *self = CowMap::default();
        }
        match removed {
            Row::Filled(_, value) => Some(value),
            Row::Free(_) => None,
        }
    }

    fn hash(&self, key: &K) -> Hash {
        Hash(self.hasher.hash_one(key) as u32)
    }

    fn find(&self, hash: Hash, key: &K) -> Option<u32> {
        self.index.find(hash, |row| self.has(row, key))
    }

    /// Whether a key is in a row.
    fn has(&self, row: u32, key: &K) -> bool {
        self.row(row)
            .filled()
            .is_some_and(|(found, _)| found == key)
    }

    fn row_mut(&mut self, row: u32) -> &mut Row<K, V> {
        let parts = Arc::make_mut(&mut self.parts);
        let part = Arc::make_mut(&mut parts[row as usize / ROWS]);
        &mut part[row as usize % ROWS]
    }

    /// A row that was never in use.
    fn fresh_row(&mut self) -> u32 {
        let row = self.used;
        if row as usize == self.parts.len() * ROWS {
            let part = (0..ROWS).map(|_| Row::Free(None)).collect();
            Arc::make_mut(&mut self.parts).push(part);
        }
        self.used += 1;
        row
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
        for key in 0..100_000 {
            assert_eq!(map.remove(&key), Some(key + 1), "key {key}");
        }
        assert!(map.is_empty());
        assert_eq!(map.parts(), 0);
    }

    #[test]
    fn rows_are_used_again() {
        let mut map = CowMap::default();
        for key in 0..1000u32 {
            map.insert(key, ());
        }
        let parts = map.parts();
        for key in 0..10_000u32 {
            assert_eq!(map.remove(&key), Some(()));
            map.insert(key + 1000, ());
        }
        assert_eq!((map.len(), map.parts()), (1000, parts));
    }

    #[test]
    fn a_change_copies_one_part_of_a_snapshot_and_nothing_without_one() {
        let mut map = CowMap::default();
        for key in 0..10_000u32 {
            map.insert(key, 0);
        }
        let parts = |map: &CowMap<u32, u32>| -> Vec<_> {
            let parts = map.parts.iter();
            parts.map(|part| part.as_ptr()).collect()
        };
        let before = parts(&map);
        map.insert(5, 1);
        assert_eq!(parts(&map), before);
        let snapshot = map.clone();
        map.insert(5, 2);
        map.insert(5, 3);
        let after = parts(&map);
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
