//! A writer churns entries while a program looks the same key up again and again: an entry that stays
//! is never missed, one that changes is seen whole, and nothing is seen that was never there.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use pointsman_p4::dataplane::{Bits, Match};
use pointsman_p4::ir::MatchKind;

use crate::bed::{Bed, Parts, Probe, Tally};
use crate::support::privileged;
use crate::until::Until;

/// The answer of the entry that stays.
const STABLE: u32 = 1;
/// The answers of an entry that changes.
const CHANGING: RangeInclusive<u32> = 2..=9;
/// The answer of entries that must not match.
const OTHER: u32 = 63;
/// Lookups of one system call.
const LOOKUPS: u32 = 20_000;

/// Looks a key up while `churn` runs.
fn under_lookups(
    bed: &mut Bed,
    probe: &Probe,
    key: &[Bits],
    churn: impl FnOnce(&mut Bed),
) -> Tally {
    probe.aim(key);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut runs = 0;
            while !done.load(Relaxed) || runs < 3 {
                probe.repeat(LOOKUPS);
                runs += 1;
            }
        });
        let until = Until(&done);
        churn(bed);
        drop(until);
        reader.join().unwrap();
    });
    probe.tally()
}

/// Every lookup found a whole entry, and one of these answers.
fn assert_only(tally: &Tally, answers: RangeInclusive<u32>) {
    assert_eq!(tally.misses, 0, "missed: {tally:?}");
    assert_eq!(tally.torn, 0, "torn: {tally:?}");
    let of = |answer: &u32| tally.hits[*answer as usize];
    let expected: u64 = answers.clone().map(|answer| of(&answer)).sum();
    let all: u64 = tally.hits.iter().sum();
    assert_eq!(all, expected, "only {answers:?} match: {tally:?}");
    assert!(all >= u64::from(LOOKUPS), "there were lookups");
}

/// An entry stays while `others` come and go, in rounds; all of them at once, the first first or the
/// last first, and one after the other.
fn stays(parts: Parts, size: u32, stable: &Entry, key: &[Bits], others: &[Entry]) {
    if !privileged() {
        return;
    }
    let (mut bed, probe) = Bed::new(parts, size);
    bed.insert(&stable.0, stable.1, STABLE).unwrap();
    let tally = under_lookups(&mut bed, &probe, key, |bed| {
        for round in 0..6 {
            for (matches, priority) in others {
                bed.insert(matches, *priority, OTHER).unwrap();
            }
            let forward = others.iter();
            let backward = others.iter().rev();
            let order: Vec<&Entry> = match round % 2 {
                0 => forward.collect(),
                _ => backward.collect(),
            };
            for (matches, priority) in order {
                bed.delete(matches, *priority).unwrap();
            }
            for (matches, priority) in others {
                bed.insert(matches, *priority, OTHER).unwrap();
                bed.modify(matches, *priority, OTHER).unwrap();
                bed.delete(matches, *priority).unwrap();
            }
        }
    });
    assert_only(&tally, STABLE..=STABLE);
}

/// An entry changes what it does, again and again.
fn changes(parts: Parts, size: u32, entry: &Entry, key: &[Bits]) {
    if !privileged() {
        return;
    }
    let (mut bed, probe) = Bed::new(parts, size);
    let first = *CHANGING.start();
    bed.insert(&entry.0, entry.1, first).unwrap();
    let tally = under_lookups(&mut bed, &probe, key, |bed| {
        for answer in changing(20_000) {
            bed.modify(&entry.0, entry.1, answer).unwrap();
        }
    });
    assert_only(&tally, CHANGING);
}

/// The answers of an entry that changes so often.
fn changing(times: usize) -> impl Iterator<Item = u32> {
    CHANGING.cycle().take(times)
}

type Entry = (Vec<Match>, i32);

fn exact(value: u64) -> Match {
    Match::Exact(Bits::from(value))
}

fn ternary(value: u64, mask: u64) -> Match {
    Match::Ternary {
        value: Bits::from(value & mask),
        mask: Bits::from(mask),
    }
}

/// A prefix of a 32-bit number.
fn v4(address: u32, prefix_len: u32) -> Match {
    let mask = Bits::prefix_mask(prefix_len, 32);
    Match::Lpm {
        value: Bits::from(u64::from(address)).and(&mask),
        prefix_len,
    }
}

/// A prefix of a 128-bit number.
fn v6(address: u128, prefix_len: u32) -> Match {
    let mask = Bits::prefix_mask(prefix_len, 128);
    Match::Lpm {
        value: Bits::from_be_bytes(&address.to_be_bytes()).and(&mask),
        prefix_len,
    }
}

const DIRECT: Parts = &[(MatchKind::Exact, 9)];

#[test]
fn a_direct_index_keeps_an_entry_while_all_others_come_and_go() {
    let others: Vec<Entry> = (0..511).map(|n| (vec![exact(n)], 0)).collect();
    stays(
        DIRECT,
        512,
        &(vec![exact(511)], 0),
        &[Bits::from(511)],
        &others,
    );
}

#[test]
fn a_direct_index_shows_a_changing_entry_whole() {
    changes(DIRECT, 512, &(vec![exact(5)], 0), &[Bits::from(5)]);
}

const HASH: Parts = &[(MatchKind::Exact, 48), (MatchKind::Exact, 128)];

#[test]
fn a_hash_table_keeps_an_entry_while_its_buckets_fill_and_empty() {
    // As full as it gets: every bucket is shared by many.
    let others: Vec<Entry> = (1..200).map(|n| (vec![exact(n), exact(n)], 0)).collect();
    let key = [Bits::from(0), Bits::from(0)];
    stays(HASH, 256, &(vec![exact(0), exact(0)], 0), &key, &others);
}

#[test]
fn a_hash_table_shows_a_changing_entry_whole() {
    let key = [Bits::from(7), Bits::from(9)];
    changes(HASH, 64, &(vec![exact(7), exact(9)], 0), &key);
}

const V4: Parts = &[(MatchKind::Lpm, 32)];

#[test]
fn an_ipv4_trie_keeps_a_route_while_shorter_ones_and_neighbours_come_and_go() {
    let address = 0x0a01_0203;
    let shorter = (0..27).map(|len| (vec![v4(address, len)], 0));
    let neighbours = (1..200u32).flat_map(|n| {
        [
            (vec![v4(address ^ n << 5, 27)], 0),
            (vec![v4(address ^ n << 8, 32)], 0),
        ]
    });
    let others: Vec<Entry> = shorter.chain(neighbours).collect();
    let key = [Bits::from(u64::from(address))];
    stays(V4, 1024, &(vec![v4(address, 27)], 0), &key, &others);
}

#[test]
fn an_ipv4_trie_shows_a_changing_route_whole() {
    changes(
        V4,
        64,
        &(vec![v4(0x0a01_0203, 20)], 0),
        &[Bits::from(0x0a01_0203)],
    );
}

#[test]
fn a_longer_route_hides_a_shorter_one_and_gives_it_back() {
    if !privileged() {
        return;
    }
    let (mut bed, probe) = Bed::new(V4, 64);
    let address = 0x0a01_0203;
    bed.insert(&[v4(address, 20)], 0, STABLE).unwrap();
    let key = [Bits::from(u64::from(address))];
    let tally = under_lookups(&mut bed, &probe, &key, |bed| {
        for answer in changing(8_000) {
            let longer = [v4(address, 20 + answer)];
            bed.insert(&longer, 0, answer).unwrap();
            bed.delete(&longer, 0).unwrap();
        }
    });
    assert_only(&tally, STABLE..=*CHANGING.end());
}

const V6: Parts = &[(MatchKind::Lpm, 128)];

#[test]
fn an_ipv6_trie_keeps_a_route_while_shorter_ones_and_neighbours_come_and_go() {
    let address = 0x2001_0db8_0001_0002_0003_0004_0005_0006;
    let shorter = (0..64).map(|len| (vec![v6(address, len)], 0));
    let neighbours = (1..100u128).flat_map(|n| {
        [
            (vec![v6(address ^ n << 64, 64)], 0),
            (vec![v6(address ^ n << 72, 128)], 0),
        ]
    });
    let others: Vec<Entry> = shorter.chain(neighbours).collect();
    let key = [Bits::from_be_bytes(&address.to_be_bytes())];
    stays(V6, 1024, &(vec![v6(address, 64)], 0), &key, &others);
}

#[test]
fn an_ipv6_trie_shows_a_changing_route_whole() {
    let address = 0x2001_0db8_0001_0002_0003_0004_0005_0006;
    let key = [Bits::from_be_bytes(&u128::to_be_bytes(address))];
    changes(V6, 64, &(vec![v6(address, 48)], 0), &key);
}

const TERNARY: Parts = &[(MatchKind::Ternary, 32), (MatchKind::Range, 16)];

fn any_port() -> Match {
    ports(0, 0xffff)
}

fn ports(low: u64, high: u64) -> Match {
    Match::Range {
        low: Bits::from(low),
        high: Bits::from(high),
    }
}

/// Entries above that do not match, entries below that do, in disorder and under many masks.
fn around(priority: i32, value: u64) -> Vec<Entry> {
    let above = (0..150).map(|n| {
        let other = !value & 0xffff_ffff;
        let mask = 1 << (n % 32) | 1 << (n / 32);
        let disorder = 1 + (n * 83) % 150;
        (vec![ternary(other, mask), any_port()], priority + disorder)
    });
    let below = (0..150).map(|n| {
        let mask = 3 << (n % 31);
        let disorder = 1 + (n as i32 * 59) % 150;
        let ranges = ports(n, 60_000 - n);
        (vec![ternary(value, mask), ranges], priority - disorder)
    });
    above.chain(below).collect()
}

#[test]
fn bit_vectors_keep_an_entry_while_those_above_and_below_come_and_go() {
    let stable = (vec![ternary(0x1234_5678, 0xffff_0000), any_port()], 1000);
    let key = [Bits::from(0x1234_5678), Bits::from(500)];
    stays(TERNARY, 8192, &stable, &key, &around(1000, 0x1234_5678));
}

#[test]
fn bit_vectors_show_a_changing_entry_whole() {
    let entry = (vec![ternary(0x1234_5678, 0xffff_0000), ports(10, 999)], 5);
    changes(
        TERNARY,
        256,
        &entry,
        &[Bits::from(0x1234_5678), Bits::from(500)],
    );
}

#[test]
fn a_tuple_space_keeps_an_entry_while_those_above_and_below_come_and_go() {
    let stable = (vec![ternary(0x1234_5678, 0xffff_0000), any_port()], 1000);
    let key = [Bits::from(0x1234_5678), Bits::from(500)];
    let others: Vec<Entry> = around(1000, 0x1234_5678)
        .into_iter()
        // Each length of a range's prefixes is a mask of its own.
        .map(|(mut matches, priority)| {
            matches[1] = any_port();
            (matches, priority)
        })
        .collect();
    stays(TERNARY, 16_384, &stable, &key, &others);
}

#[test]
fn a_tuple_space_shows_a_changing_entry_whole() {
    let entry = (vec![ternary(0x1234_5678, 0xffff_0000), ports(10, 999)], 5);
    changes(
        TERNARY,
        16_384,
        &entry,
        &[Bits::from(0x1234_5678), Bits::from(500)],
    );
}

/// An entry with the same match and a higher priority comes and goes.
fn is_hidden_and_comes_back(size: u32) {
    if !privileged() {
        return;
    }
    let (mut bed, probe) = Bed::new(TERNARY, size);
    let matches = [ternary(0x1234_5678, 0xffff_0000), any_port()];
    bed.insert(&matches, 100, STABLE).unwrap();
    let key = [Bits::from(0x1234_5678), Bits::from(500)];
    let tally = under_lookups(&mut bed, &probe, &key, |bed| {
        for answer in changing(4_000) {
            let priority = 100 + answer as i32;
            bed.insert(&matches, priority, answer).unwrap();
            bed.delete(&matches, priority).unwrap();
        }
    });
    assert_only(&tally, STABLE..=*CHANGING.end());
}

#[test]
fn bit_vectors_give_an_entry_back_when_a_higher_one_goes() {
    is_hidden_and_comes_back(256);
}

#[test]
fn a_tuple_space_gives_an_entry_back_when_a_higher_one_goes() {
    is_hidden_and_comes_back(16_384);
}

#[test]
fn declared_entries_in_code_are_whole_while_they_change_come_and_go() {
    if !privileged() {
        return;
    }
    let above = (vec![ternary(0x1234_5678, 0xffff_0000), ports(1, 2)], 3);
    let entry = (vec![ternary(0x1234_5678, 0xffff_0000), any_port()], 2);
    let declared = [above.clone(), entry.clone()];
    let (mut bed, probe) = Bed::with_declared(TERNARY, 2, &declared);
    bed.insert(&entry.0, entry.1, *CHANGING.start()).unwrap();
    let key = [Bits::from(0x1234_5678), Bits::from(500)];
    let tally = under_lookups(&mut bed, &probe, &key, |bed| {
        for answer in changing(300) {
            bed.modify(&entry.0, entry.1, answer).unwrap();
            bed.insert(&above.0, above.1, OTHER).unwrap();
            bed.delete(&above.0, above.1).unwrap();
        }
    });
    assert_only(&tally, CHANGING);
}
