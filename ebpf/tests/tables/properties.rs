//! Whatever is inserted, changed and deleted, in whatever order: the emitted reader answers as a
//! search through all entries does.

use pointsman_ebpf::plan::Structure;
use pointsman_p4::dataplane::{Bits, DataPlaneError, Match};
use pointsman_p4::ir::MatchKind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::bed::{Bed, Parts, Probe};
use crate::model::{Entry, Model};
use crate::support::privileged;

const CASES: u32 = 16;
const CHANGES: usize = 250;
/// Keys looked up after each few changes.
const LOOKUPS: usize = 12;
const CHANGES_BETWEEN: usize = 10;

/// Two words of random bits for each part of a key.
type Draw = Vec<(u64, u64)>;

#[derive(Debug, Clone)]
enum Change {
    Insert(Draw, i32),
    /// Of an entry that was drawn before.
    Modify(prop::sample::Index),
    Delete(prop::sample::Index),
}

fn changes(parts: usize) -> impl Strategy<Value = Vec<(Change, u32)>> {
    let draw = || vec((any::<u64>(), any::<u64>()), parts);
    let change = prop_oneof![
        4 => (draw(), 1..40i32).prop_map(|(draw, priority)| Change::Insert(draw, priority)),
        1 => any::<prop::sample::Index>().prop_map(Change::Modify),
        2 => any::<prop::sample::Index>().prop_map(Change::Delete),
    ];
    vec((change, 1..1_000_000u32), 1..CHANGES)
}

/// A number of few different values, which differ in their first and last bits.
fn value(random: u64, width: u32) -> Bits {
    let few = u128::from(random & 7) | u128::from(random >> 3 & 7) << (width.max(4) - 3);
    let middle = u128::from(random >> 6 & 1) << (width / 2);
    bits(few | middle, width)
}

fn bits(value: u128, width: u32) -> Bits {
    let value = value & (u128::MAX >> (128 - width));
    Bits::from_be_bytes(&value.to_be_bytes())
}

fn matches(parts: Parts, draw: &Draw) -> Vec<Match> {
    let part = |((kind, width), (random, shape)): (&(MatchKind, u32), &(u64, u64))| {
        let (width, value) = (*width, value(*random, *width));
        match kind {
            MatchKind::Exact => Match::Exact(value),
            MatchKind::Lpm => {
                let prefix_len = (shape % u64::from(width + 1)) as u32;
                Match::Lpm {
                    value: value.and(&Bits::prefix_mask(prefix_len, width)),
                    prefix_len,
                }
            }
            MatchKind::Ternary => {
                let masks = [0, u128::MAX, 0b111, 0xff00, 1 << (width / 2)];
                let mask = bits(masks[(shape % 5) as usize], width);
                Match::Ternary {
                    value: value.and(&mask),
                    mask,
                }
            }
            MatchKind::Optional if shape % 3 == 0 => Match::Optional(None),
            MatchKind::Optional => Match::Optional(Some(value)),
            MatchKind::Range => {
                let other = bits(u128::from(*shape), width);
                Match::Range {
                    low: value.clone().min(other.clone()),
                    high: value.max(other),
                }
            }
        }
    };
    parts.iter().zip(draw).map(part).collect()
}

/// Runs random changes on tables of this shape.
fn holds(parts: Parts, size: u32, is_expected: fn(&Structure) -> bool) {
    if !privileged() {
        return;
    }
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let draws = (changes(parts.len()), vec(any::<u64>(), 64));
    let result = TestRunner::new(config).run(&draws, |(changes, randoms)| {
        let (mut bed, probe) = Bed::new(parts, size);
        assert!(is_expected(&bed.structure), "{:?}", bed.structure);
        let mut model = Model::default();
        let mut seen: Vec<(Vec<Match>, i32)> = Vec::new();
        let mut randoms = randoms.iter().cycle();
        for (number, (change, answer)) in changes.into_iter().enumerate() {
            apply(&mut bed, &mut model, &mut seen, change, answer)?;
            if number % CHANGES_BETWEEN == 0 {
                for _ in 0..LOOKUPS {
                    agree(&bed, &probe, &model, || *randoms.next().unwrap())?;
                }
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

fn apply(
    bed: &mut Bed,
    model: &mut Model,
    seen: &mut Vec<(Vec<Match>, i32)>,
    change: Change,
    answer: u32,
) -> Result<(), TestCaseError> {
    let has_priorities = bed
        .parts()
        .iter()
        .any(|(kind, _)| !matches!(kind, MatchKind::Exact | MatchKind::Lpm));
    match change {
        Change::Insert(draw, priority) => {
            let matches = matches(bed.parts(), &draw);
            let priority = if has_priorities { priority } else { 0 };
            let inserted = bed.insert(&matches, priority, answer);
            match (model.position(&matches, priority), inserted) {
                (Some(_), result) => prop_assert_eq!(result, Err(DataPlaneError::AlreadyExists)),
                (None, Ok(())) => {
                    seen.push((matches.clone(), priority));
                    model.insert(Entry {
                        matches,
                        priority,
                        answer,
                    });
                }
                (None, Err(DataPlaneError::Full { .. })) => {
                    prop_assert!(model.len() > 8, "a table with few entries has room");
                }
                (None, Err(error)) => prop_assert!(false, "{}", error),
            }
        }
        Change::Modify(index) if !seen.is_empty() => {
            let (matches, priority) = index.get(seen);
            let result = bed.modify(matches, *priority, answer);
            match model.position(matches, *priority) {
                Some(position) => {
                    prop_assert_eq!(result, Ok(()));
                    model.modify(position, answer);
                }
                None => prop_assert_eq!(result, Err(DataPlaneError::NotFound)),
            }
        }
        Change::Delete(index) if !seen.is_empty() => {
            let (matches, priority) = index.get(seen);
            let result = bed.delete(matches, *priority);
            match model.position(matches, *priority) {
                Some(position) => {
                    prop_assert_eq!(result, Ok(()));
                    model.remove(position);
                }
                None => prop_assert_eq!(result, Err(DataPlaneError::NotFound)),
            }
        }
        _ => {}
    }
    Ok(())
}

fn agree(
    bed: &Bed,
    probe: &Probe,
    model: &Model,
    mut random: impl FnMut() -> u64,
) -> Result<(), TestCaseError> {
    let key: Vec<Bits> = bed
        .parts()
        .iter()
        .map(|(_, width)| value(random(), *width))
        .collect();
    let (found, wanted) = (probe.answer(&key), model.answer(bed.parts(), &key));
    prop_assert_eq!(found, wanted, "for {:?}", key);
    Ok(())
}

/// Tables of this shape for which the program declares a few entries, each of which comes and goes.
fn declared_holds(parts: Parts) {
    if !privileged() {
        return;
    }
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let has_priorities = parts
        .iter()
        .any(|(kind, _)| !matches!(kind, MatchKind::Exact | MatchKind::Lpm));
    let entry = (vec((any::<u64>(), any::<u64>()), parts.len()), 1..4i32);
    let changes = vec((any::<prop::sample::Index>(), 1..1_000_000u32), 1..60);
    let draws = (vec(entry, 1..5), changes, vec(any::<u64>(), 64));
    let result = TestRunner::new(config).run(&draws, |(entries, changes, randoms)| {
        let mut declared: Vec<(Vec<Match>, i32)> = Vec::new();
        for (draw, priority) in entries {
            let entry = (matches(parts, &draw), priority * i32::from(has_priorities));
            if !declared.contains(&entry) {
                declared.push(entry);
            }
        }
        let (mut bed, probe) = Bed::with_declared(parts, declared.len() as u32, &declared);
        let mut model = Declared {
            is_there: vec![false; declared.len()],
            entries: declared,
            answers: vec![0; 5],
        };
        let mut randoms = randoms.iter().cycle();
        for (index, answer) in changes {
            model.toggle(&mut bed, index.index(model.entries.len()), answer)?;
            for _ in 0..LOOKUPS {
                agree(&bed, &probe, &model.model(), || *randoms.next().unwrap())?;
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Declared entries, of which some are there.
struct Declared {
    entries: Vec<(Vec<Match>, i32)>,
    is_there: Vec<bool>,
    answers: Vec<u32>,
}

impl Declared {
    /// Takes an entry out that is there, or changes or writes it.
    fn toggle(&mut self, bed: &mut Bed, index: usize, answer: u32) -> Result<(), TestCaseError> {
        let (matches, priority) = &self.entries[index];
        let result = match (self.is_there[index], answer % 2) {
            (true, 0) => bed.delete(matches, *priority),
            (true, _) => bed.modify(matches, *priority, answer),
            (false, _) => bed.insert(matches, *priority, answer),
        };
        prop_assert_eq!(result, Ok(()));
        self.is_there[index] = !self.is_there[index] || answer % 2 == 1;
        self.answers[index] = answer;
        Ok(())
    }

    /// In code the order of declaration decides between equal priorities, not the age.
    fn model(&self) -> Model {
        let mut model = Model::default();
        for (index, (matches, priority)) in self.entries.iter().enumerate() {
            if self.is_there[index] {
                model.insert(Entry {
                    matches: matches.clone(),
                    priority: *priority,
                    answer: self.answers[index],
                });
            }
        }
        model
    }
}

#[test]
fn a_direct_index_answers_as_its_entries_say() {
    holds(&[(MatchKind::Exact, 9)], 512, |s| {
        matches!(s, Structure::Direct(_))
    });
}

#[test]
fn a_hash_table_of_one_word_answers_as_its_entries_say() {
    holds(&[(MatchKind::Exact, 48)], 64, |s| {
        matches!(s, Structure::Hash(_))
    });
}

#[test]
fn a_hash_table_of_many_words_answers_as_its_entries_say() {
    const PARTS: Parts = &[
        (MatchKind::Exact, 128),
        (MatchKind::Exact, 9),
        (MatchKind::Exact, 64),
    ];
    holds(PARTS, 128, |s| matches!(s, Structure::Hash(_)));
}

#[test]
fn an_ipv4_trie_answers_with_the_longest_prefix() {
    holds(&[(MatchKind::Lpm, 32)], 1024, |s| {
        matches!(s, Structure::Trie(_))
    });
}

#[test]
fn an_ipv6_trie_answers_with_the_longest_prefix() {
    holds(&[(MatchKind::Lpm, 128)], 1024, |s| {
        matches!(s, Structure::Trie(_))
    });
}

#[test]
fn a_trie_on_a_short_key_answers_with_the_longest_prefix() {
    holds(&[(MatchKind::Lpm, 11)], 256, |s| {
        matches!(s, Structure::Trie(_))
    });
}

const MIXED: Parts = &[
    (MatchKind::Ternary, 32),
    (MatchKind::Optional, 8),
    (MatchKind::Range, 16),
    (MatchKind::Exact, 9),
];

#[test]
fn bit_vectors_answer_by_priority_and_then_by_age() {
    holds(MIXED, 256, |s| matches!(s, Structure::BitVectors(_)));
}

#[test]
fn bit_vectors_of_one_word_answer_by_priority_and_then_by_age() {
    holds(&[(MatchKind::Ternary, 128)], 32, |s| {
        matches!(s, Structure::BitVectors(_))
    });
}

#[test]
fn bit_vectors_without_priorities_answer_with_the_longest_prefix() {
    holds(&[(MatchKind::Exact, 9), (MatchKind::Lpm, 32)], 128, |s| {
        matches!(s, Structure::BitVectors(_))
    });
}

#[test]
fn a_tuple_space_answers_by_priority_and_then_by_age() {
    holds(MIXED, 16_384, |s| matches!(s, Structure::Tuples(_)));
}

#[test]
fn a_tuple_space_without_priorities_answers_with_the_longest_prefix() {
    holds(
        &[(MatchKind::Exact, 9), (MatchKind::Lpm, 32)],
        10_000,
        |s| matches!(s, Structure::Tuples(_)),
    );
}

#[test]
fn declared_entries_in_code_answer_by_priority_and_then_in_order() {
    declared_holds(&[(MatchKind::Ternary, 32), (MatchKind::Optional, 8)]);
}

#[test]
fn declared_ranges_in_code_answer_by_priority_or_not_in_code_if_they_are_too_many() {
    declared_holds(&[(MatchKind::Range, 5), (MatchKind::Exact, 9)]);
}

#[test]
fn declared_prefixes_in_code_answer_with_the_longest() {
    declared_holds(&[(MatchKind::Lpm, 32)]);
}

#[test]
fn declared_exact_entries_in_code_answer_as_they_say() {
    declared_holds(&[(MatchKind::Exact, 64)]);
}
