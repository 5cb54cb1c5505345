//! The entries of one table, and finding the one that matches.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::dataplane::{
    Bits, Color, ColorCounts, CounterData, EntryAction, EntryKey, EntryRef, Match, Matches,
    TableEntry,
};
use crate::ir::{MatchKind, Table};

use super::meter::Meter;
use super::state::count;

/// The direct counter and meter of an entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Direct {
    pub(super) counter: CounterData,
    pub(super) meter: Option<Meter>,
    /// What the meter counted, once it has.
    pub(super) colors: Option<Box<ColorCounts>>,
}

impl Direct {
    /// Meters a packet; nothing if the meter is not configured.
    pub(super) fn mark(&mut self, units: u64, now: Duration) -> Option<Color> {
        self.meter.as_mut().map(|meter| meter.mark(units, now))
    }

    /// Counts a packet by its color, which is green if no meter says another.
    pub(super) fn count_color(&mut self, color: Option<Color>, length: usize) -> Color {
        let color = color.unwrap_or(Color::Green);
        let counts = self.colors.get_or_insert_default();
        count(counts.of_mut(color), length);
        color
    }
}

/// An entry with its direct resources.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: EntryKey,
    pub(super) action: EntryAction,
    pub(super) direct: Direct,
    /// When a packet last hit it, or when it was added.
    pub(super) last_hit: Duration,
}

/// The entries of one table.
#[derive(Debug)]
pub(super) struct TableState {
    /// `None` is what the program says.
    pub(super) default: Option<EntryAction>,
    /// Of the default entry.
    default_direct: Direct,
    entries: HashMap<u64, Entry>,
    /// Entries in the order in which they came.
    next_id: u64,
    by_key: HashMap<EntryKey, u64>,
    lookup: Lookup,
    capacity: u64,
}

/// How a table is searched.
#[derive(Debug)]
enum Lookup {
    /// All parts exact.
    Exact(HashMap<Vec<Bits>, u64>),
    /// One part by prefix, the others exact: longest prefix first. Keys are masked.
    Lpm {
        part: usize,
        by_length: BTreeMap<u32, HashMap<Vec<Bits>, u64>>,
    },
    /// Anything else: by priority, the highest first, then by age. `(-priority, id)`.
    Ordered(BTreeMap<(i64, u64), Vec<Match>>),
}

impl TableState {
    /// An empty table.
    pub(super) fn new(table: &Table) -> TableState {
        let count = |kind| table.key.iter().filter(|k| k.kind == kind).count();
        let exact = count(MatchKind::Exact);
        let lookup = if exact == table.key.len() {
            Lookup::Exact(HashMap::new())
        } else if exact + 1 == table.key.len() && count(MatchKind::Lpm) == 1 {
            let part = table.key.iter().position(|k| k.kind == MatchKind::Lpm);
            Lookup::Lpm {
                part: part.expect("there is one"),
                by_length: BTreeMap::new(),
            }
        } else {
            Lookup::Ordered(BTreeMap::new())
        };
        TableState {
            default: None,
            default_direct: Direct::default(),
            entries: HashMap::new(),
            next_id: 0,
            by_key: HashMap::new(),
            lookup,
            capacity: u64::from(table.size).max(table.entries.len() as u64),
        }
    }

    /// How the table is searched, in words.
    pub(super) fn structure(&self) -> &'static str {
        match self.lookup {
            Lookup::Exact(_) => "hash map",
            Lookup::Lpm { .. } => "hash map for each prefix length",
            Lookup::Ordered(_) => "ordered list",
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn contains(&self, key: &EntryKey) -> bool {
        self.by_key.contains_key(key)
    }

    pub(super) fn get(&self, key: &EntryKey) -> Option<&Entry> {
        self.entries.get(self.by_key.get(key)?)
    }

    pub(super) fn get_mut(&mut self, key: &EntryKey) -> Option<&mut Entry> {
        self.entries.get_mut(self.by_key.get(key)?)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Adds an entry that is not there.
    pub(super) fn insert(&mut self, entry: &TableEntry, now: Duration) {
        let id = self.next_id;
        self.next_id += 1;
        let key = &entry.key;
        match &mut self.lookup {
            Lookup::Exact(map) => {
                map.insert(values(&key.matches), id);
            }
            Lookup::Lpm { part, by_length } => {
                let length = prefix_len(key.matches.get(*part));
                let map = by_length.entry(length).or_default();
                map.insert(values(&key.matches), id);
            }
            Lookup::Ordered(list) => {
                list.insert((-i64::from(key.priority), id), key.matches.to_vec());
            }
        }
        self.by_key.insert(key.clone(), id);
        self.entries.insert(
            id,
            Entry {
                key: key.clone(),
                action: entry.action.clone(),
                direct: Direct::default(),
                last_hit: now,
            },
        );
    }

    /// Removes an entry; false if there is none.
    pub(super) fn remove(&mut self, key: &EntryKey) -> bool {
        let Some(id) = self.by_key.remove(key) else {
            return false;
        };
        self.entries.remove(&id);
        match &mut self.lookup {
            Lookup::Exact(map) => {
                map.remove(&values(&key.matches));
            }
            Lookup::Lpm { part, by_length } => {
                let length = prefix_len(key.matches.get(*part));
                if let Some(map) = by_length.get_mut(&length) {
                    map.remove(&values(&key.matches));
                    if map.is_empty() {
                        by_length.remove(&length);
                    }
                }
            }
            Lookup::Ordered(list) => {
                list.remove(&(-i64::from(key.priority), id));
            }
        }
        true
    }

    /// The direct resources of an entry.
    pub(super) fn direct(&self, entry: EntryRef<'_>) -> Option<&Direct> {
        match entry {
            EntryRef::Keyed(key) => Some(&self.get(key)?.direct),
            EntryRef::Default(_) => Some(&self.default_direct),
        }
    }

    /// The same, to be changed.
    pub(super) fn direct_mut(&mut self, entry: EntryRef<'_>) -> Option<&mut Direct> {
        match entry {
            EntryRef::Keyed(key) => Some(&mut self.get_mut(key)?.direct),
            EntryRef::Default(_) => Some(&mut self.default_direct),
        }
    }

    /// The entry that a packet with these key values hits.
    pub(super) fn find(&mut self, key: &[Bits], widths: &[u32]) -> Option<&mut Entry> {
        let id = match &self.lookup {
            Lookup::Exact(map) => *map.get(key)?,
            Lookup::Lpm { part, by_length } => {
                let mut masked = key.to_vec();
                by_length.iter().rev().find_map(|(length, map)| {
                    let mask = Bits::prefix_mask(*length, widths[*part]);
                    masked[*part] = key[*part].and(&mask);
                    map.get(&masked).copied()
                })?
            }
            Lookup::Ordered(list) => list
                .iter()
                .find(|(_, parts)| matches(parts, key, widths))
                .map(|((_, id), _)| *id)?,
        };
        self.entries.get_mut(&id)
    }
}

/// What stands for an entry in the maps: the values of its parts.
fn values(matches: &Matches) -> Vec<Bits> {
    matches
        .iter()
        .map(|part| match part {
            Match::Exact(value) | Match::Lpm { value, .. } | Match::Ternary { value, .. } => value,
            Match::Optional(value) => value.unwrap_or_default(),
            Match::Range { low, .. } => low,
        })
        .collect()
}

fn prefix_len(part: Option<Match>) -> u32 {
    match part {
        Some(Match::Lpm { prefix_len, .. }) => prefix_len,
        _ => 0,
    }
}

fn matches(entry: &[Match], key: &[Bits], widths: &[u32]) -> bool {
    let mut parts = entry.iter().zip(key).zip(widths);
    parts.all(|((part, value), width)| match part {
        Match::Exact(wanted) => value == wanted,
        Match::Lpm {
            value: wanted,
            prefix_len,
        } => value.and(&Bits::prefix_mask(*prefix_len, *width)) == *wanted,
        Match::Ternary {
            value: wanted,
            mask,
        } => value.and(mask) == *wanted,
        Match::Optional(wanted) => wanted.as_ref().is_none_or(|w| w == value),
        Match::Range { low, high } => low <= value && value <= high,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::{Args, Call};
    use crate::ir::{
        ActionId, ControlKind, HeaderId, Implementation, Key, KeySource, TableId, TableNext,
    };

    fn table(kinds: &[MatchKind]) -> Table {
        let field = crate::ir::FieldRef {
            header: HeaderId(0),
            field: 0,
        };
        let key = kinds.iter().map(|kind| Key {
            name: "k".to_owned(),
            kind: *kind,
            source: KeySource::Field(crate::ir::LValue::Field(field)),
            width: 8,
            mask: None,
        });
        Table {
            name: "t".to_owned(),
            control: ControlKind::Ingress,
            key: key.collect(),
            actions: vec![],
            implementation: Implementation::Direct,
            default: None,
            next: TableNext::HitMiss {
                hit: None,
                miss: None,
            },
            size: 16,
            counter: None,
            meter: None,
            idle_timeout: false,
            entries: vec![],
            source: Default::default(),
        }
    }

    fn entry(matches: Vec<Match>, priority: i32, action: u32) -> TableEntry {
        TableEntry {
            key: EntryKey {
                table: TableId(0),
                matches: matches.into(),
                priority,
            },
            action: EntryAction::Call(Call {
                action: ActionId(action),
                args: Args::default(),
            }),
        }
    }

    fn hit(state: &mut TableState, key: &[u64], widths: &[u32]) -> Option<u32> {
        let key: Vec<Bits> = key.iter().map(|k| Bits::from(*k)).collect();
        match &state.find(&key, widths)?.action {
            EntryAction::Call(call) => Some(call.action.0),
            _ => None,
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut state = TableState::new(&table(&[MatchKind::Exact, MatchKind::Lpm]));
        let prefix = |value: u64, prefix_len| {
            vec![
                Match::Exact(Bits::from(1)),
                Match::Lpm {
                    value: Bits::from(value),
                    prefix_len,
                },
            ]
        };
        state.insert(&entry(prefix(0, 0), 0, 1), Duration::ZERO);
        state.insert(&entry(prefix(0x80, 1), 0, 2), Duration::ZERO);
        let long = entry(prefix(0xc0, 4), 0, 3);
        state.insert(&long, Duration::ZERO);
        assert_eq!(hit(&mut state, &[1, 0xcf], &[8, 8]), Some(3));
        assert_eq!(hit(&mut state, &[1, 0xf0], &[8, 8]), Some(2));
        assert_eq!(hit(&mut state, &[1, 0x0f], &[8, 8]), Some(1));
        assert_eq!(hit(&mut state, &[2, 0x0f], &[8, 8]), None);
        assert!(state.remove(&long.key));
        assert_eq!(hit(&mut state, &[1, 0xcf], &[8, 8]), Some(2));
    }

    #[test]
    fn the_higher_priority_wins_and_then_the_older_entry() {
        let mut state = TableState::new(&table(&[MatchKind::Ternary]));
        let ternary = |mask: u64| {
            vec![Match::Ternary {
                value: Bits::zero(),
                mask: Bits::from(mask),
            }]
        };
        state.insert(&entry(ternary(0x01), 5, 1), Duration::ZERO);
        state.insert(&entry(ternary(0x02), 5, 2), Duration::ZERO);
        state.insert(&entry(ternary(0x04), 9, 3), Duration::ZERO);
        assert_eq!(hit(&mut state, &[0], &[8]), Some(3));
        assert_eq!(hit(&mut state, &[4], &[8]), Some(1));
        assert_eq!(hit(&mut state, &[5], &[8]), Some(2));
    }
}
