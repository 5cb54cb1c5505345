//! When entries are looked at and reported.

use std::sync::Arc;
use std::time::Duration;

use pointsman_p4::dataplane::{Bits, EntryKey, Match};
use pointsman_p4::ir::TableId;

use super::{Aging, Command, Event, MAX_LOOKED_AT, MIN_TIMEOUT};

fn key(value: u64) -> EntryKey {
    EntryKey {
        table: TableId(0),
        matches: vec![Match::Exact(Bits::from(value))].into(),
        priority: 0,
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is reported at a time, if each entry was last hit when `last_hit` says.
fn reported(
    aging: &mut Aging,
    now: Duration,
    last_hit: impl Fn(&EntryKey) -> Option<Duration>,
) -> Vec<EntryKey> {
    let mut reported = Vec::new();
    while let Some(Command::LookAt(keys)) = aging.step(Event::Timer, now) {
        let seen = keys.into_iter().map(|key| (key.clone(), last_hit(&key)));
        if let Some(Command::Report(keys)) = aging.step(Event::Seen(seen.collect()), now) {
            reported.extend(keys.iter().map(|key| EntryKey::clone(key)));
        }
    }
    reported
}

#[test]
fn an_entry_that_nothing_hits_is_reported_once_each_timeout() {
    let mut aging = Aging::default();
    aging.step(Event::Added(key(1), at(10)), at(5));
    assert_eq!(aging.deadline(), Some(at(15)));
    let added = |_: &EntryKey| Some(at(5));
    assert_eq!(reported(&mut aging, at(14), added), []);
    assert_eq!(reported(&mut aging, at(15), added), [key(1)]);
    assert_eq!(reported(&mut aging, at(24), added), []);
    assert_eq!(reported(&mut aging, at(26), added), [key(1)]);
    assert_eq!(aging.deadline(), Some(at(36)));
}

#[test]
fn a_hit_starts_the_timeout_anew_without_being_told() {
    let mut aging = Aging::default();
    aging.step(Event::Added(key(1), at(10)), at(0));
    assert_eq!(reported(&mut aging, at(10), |_| Some(at(7))), []);
    assert_eq!(aging.deadline(), Some(at(17)));
    assert_eq!(reported(&mut aging, at(17), |_| Some(at(7))), [key(1)]);
    // Also after a report.
    assert_eq!(reported(&mut aging, at(27), |_| Some(at(20))), []);
    assert_eq!(reported(&mut aging, at(30), |_| Some(at(20))), [key(1)]);
}

#[test]
fn without_a_timeout_nothing_is_looked_at() {
    let mut aging = Aging::default();
    aging.step(Event::Added(key(1), Duration::ZERO), at(0));
    assert_eq!(aging.deadline(), None);
    aging.step(Event::Added(key(2), at(1)), at(0));
    aging.step(Event::Changed(key(2), Duration::ZERO), at(0));
    assert_eq!(aging.deadline(), None);
}

#[test]
fn a_changed_timeout_counts_from_the_last_hit() {
    let mut aging = Aging::default();
    aging.step(Event::Added(key(1), at(100)), at(0));
    aging.step(Event::Changed(key(1), at(10)), at(50));
    assert_eq!(reported(&mut aging, at(50), |_| Some(at(45))), []);
    assert_eq!(reported(&mut aging, at(55), |_| Some(at(45))), [key(1)]);
    // Longer ones, too.
    aging.step(Event::Changed(key(1), at(30)), at(60));
    assert_eq!(reported(&mut aging, at(84), |_| Some(at(45))), []);
    assert_eq!(reported(&mut aging, at(85), |_| Some(at(45))), [key(1)]);
}

#[test]
fn an_entry_that_is_given_a_timeout_later_may_be_idle_already() {
    let mut aging = Aging::default();
    aging.step(Event::Changed(key(1), at(10)), at(50));
    assert_eq!(reported(&mut aging, at(50), |_| Some(at(20))), [key(1)]);
}

#[test]
fn what_is_gone_is_not_reported() {
    let mut aging = Aging::default();
    aging.step(Event::Added(key(1), at(10)), at(0));
    aging.step(Event::Removed(key(1)), at(5));
    assert_eq!(aging.deadline(), None);
    aging.step(Event::Added(key(2), at(10)), at(0));
    assert_eq!(reported(&mut aging, at(10), |_| None), []);
    assert_eq!(aging.deadline(), None);
}

#[test]
fn an_entry_that_is_written_while_it_is_looked_at_is_another_one() {
    let mut aging = Aging::default();
    aging.step(Event::Added(key(1), at(10)), at(0));
    let looked_at = aging.step(Event::Timer, at(10));
    assert_eq!(looked_at, Some(Command::LookAt(vec![Arc::new(key(1))])));
    aging.step(Event::Removed(key(1)), at(10));
    aging.step(Event::Added(key(1), at(10)), at(10));
    let seen = Event::Seen(vec![(Arc::new(key(1)), Some(at(0)))]);
    assert_eq!(aging.step(seen, at(10)), None);
    assert_eq!(aging.deadline(), Some(at(20)));
}

#[test]
fn a_timeout_that_is_too_short_is_the_shortest_there_is() {
    let mut aging = Aging::default();
    aging.step(Event::Added(key(1), Duration::from_nanos(1)), at(1));
    assert_eq!(aging.deadline(), Some(at(1) + MIN_TIMEOUT));
    assert_eq!(reported(&mut aging, at(1), |_| Some(at(1))), []);
}

#[test]
fn many_entries_are_looked_at_in_parts() {
    let mut aging = Aging::default();
    let entries = 3 * MAX_LOOKED_AT as u64 + 1;
    for value in 0..entries {
        aging.step(Event::Added(key(value), at(10)), at(0));
    }
    let Some(Command::LookAt(first)) = aging.step(Event::Timer, at(10)) else {
        panic!("all of them are due");
    };
    assert_eq!(first.len(), MAX_LOOKED_AT);
    let others = reported(&mut aging, at(10), |_| Some(at(0)));
    assert_eq!(others.len() as u64, entries - MAX_LOOKED_AT as u64);
}
