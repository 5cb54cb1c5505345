//! What a table should answer, worked out by going through all entries.

use pointsman_p4::dataplane::{Bits, Match};
use pointsman_p4::ir::MatchKind;

use crate::bed::Parts;

/// An entry, as old as its place in the list.
#[derive(Debug, Clone)]
pub struct Entry {
    pub matches: Vec<Match>,
    pub priority: i32,
    pub answer: u32,
}

/// All entries of a table, the oldest first.
#[derive(Debug, Default)]
pub struct Model {
    entries: Vec<Entry>,
}

impl Model {
    pub fn position(&self, matches: &[Match], priority: i32) -> Option<usize> {
        let is_it = |e: &Entry| e.matches == matches && e.priority == priority;
        self.entries.iter().position(is_it)
    }

    pub fn insert(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    pub fn modify(&mut self, position: usize, answer: u32) {
        self.entries[position].answer = answer;
    }

    pub fn remove(&mut self, position: usize) {
        self.entries.remove(position);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The answer for a key, 0 for none.
    pub fn answer(&self, parts: Parts, key: &[Bits]) -> u32 {
        let has_priorities = parts.iter().any(|(kind, _)| {
            matches!(
                kind,
                MatchKind::Ternary | MatchKind::Optional | MatchKind::Range
            )
        });
        let rank = |entry: &Entry| match has_priorities {
            true => entry.priority,
            false => entry.matches.iter().map(prefix_len).sum(),
        };
        let mut best: Option<&Entry> = None;
        for entry in &self.entries {
            let parts = parts.iter().zip(&entry.matches).zip(key);
            let hits = parts
                .clone()
                .all(|(((_, width), m), value)| accepts(m, *width, value));
            if hits && best.is_none_or(|best| rank(entry) > rank(best)) {
                best = Some(entry);
            }
        }
        best.map_or(0, |entry| entry.answer)
    }
}

fn prefix_len(part: &Match) -> i32 {
    match part {
        Match::Lpm { prefix_len, .. } => *prefix_len as i32,
        _ => 0,
    }
}

fn accepts(part: &Match, width: u32, value: &Bits) -> bool {
    match part {
        Match::Exact(wanted) | Match::Optional(Some(wanted)) => value == wanted,
        Match::Optional(None) => true,
        Match::Lpm {
            value: wanted,
            prefix_len,
        } => value.and(&Bits::prefix_mask(*prefix_len, width)) == *wanted,
        Match::Ternary {
            value: wanted,
            mask,
        } => value.and(mask) == *wanted,
        Match::Range { low, high } => low <= value && value <= high,
    }
}
