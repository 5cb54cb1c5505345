//! Each rule of the specification on digest lists, and the bounds that it leaves to the switch.

use std::sync::Arc;
use std::time::Duration;

use pointsman_p4::dataplane::Bits;
use pointsman_p4::ir::LearnListId;

use super::{Command, Digests, Event, List, MAX_LIST_SIZE, MAX_MESSAGES, Message};
use crate::entity::DigestConfig;

const MACS: LearnListId = LearnListId(0);
const OTHERS: LearnListId = LearnListId(1);

fn message(value: u64) -> Message {
    Arc::from([Bits::from(value)])
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Times in milliseconds.
fn config(max_timeout: u64, max_list_size: u32, ack_timeout: u64) -> DigestConfig {
    DigestConfig {
        max_timeout_ns: max_timeout * 1_000_000,
        max_list_size,
        ack_timeout_ns: ack_timeout * 1_000_000,
    }
}

fn digests(config: DigestConfig) -> Digests {
    let mut digests = Digests::default();
    digests.step(Event::Configured(MACS, config), at(0));
    digests
}

/// The lists that are to be sent.
fn lists(commands: Vec<Command>) -> Vec<List> {
    let lists = commands.into_iter().map(|command| match command {
        Command::Send(list) => list,
        other => panic!("not a list: {other:?}"),
    });
    lists.collect()
}

/// What is sent when these are learnt, one after the other.
fn learn(digests: &mut Digests, values: &[u64], now: u64) -> Vec<List> {
    let learnt = values.iter();
    learnt
        .flat_map(|value| lists(digests.step(Event::Learnt(MACS, message(*value)), at(now))))
        .collect()
}

/// What is done when a switch in another process sends these as its list 70.
fn listed(digests: &mut Digests, values: &[u64], now: u64) -> Vec<Command> {
    let event = Event::Listed {
        digest: MACS,
        list_id: 70,
        messages: values.iter().map(|value| message(*value)).collect(),
    };
    digests.step(event, at(now))
}

/// That list is dealt with.
const DEALT_WITH: Command = Command::Acknowledge {
    digest: MACS,
    list_id: 70,
};

/// Lists as their ids and values.
fn shown(lists: &[List]) -> Vec<(u64, Vec<u64>)> {
    let values = |list: &List| {
        let messages = list.messages.iter();
        messages.filter_map(|m| m[0].to_u64()).collect()
    };
    lists.iter().map(|l| (l.list_id, values(l))).collect()
}

#[test]
fn what_nobody_configured_is_not_sent() {
    let mut digests = digests(config(0, 1, 0));
    let learnt = Event::Learnt(OTHERS, message(1));
    assert_eq!(digests.step(learnt, at(0)), []);
    digests.step(Event::Removed(MACS), at(0));
    assert_eq!(learn(&mut digests, &[1], 0), []);
    assert_eq!(digests.lost(), 0);
}

#[test]
fn a_list_leaves_when_it_is_full_or_its_first_message_has_waited() {
    let mut digests = digests(config(100, 3, 1_000));
    assert_eq!(digests.deadline(), None);
    assert_eq!(learn(&mut digests, &[1, 2], 10), []);
    assert_eq!(digests.deadline(), Some(at(110)));
    assert_eq!(shown(&learn(&mut digests, &[3], 20)), [(1, vec![1, 2, 3])]);
    assert_eq!(digests.deadline(), None);

    assert_eq!(learn(&mut digests, &[4], 50), []);
    assert_eq!(learn(&mut digests, &[5], 140), []);
    assert_eq!(digests.step(Event::Timer, at(149)), []);
    let late = lists(digests.step(Event::Timer, at(150)));
    assert_eq!(shown(&late), [(2, vec![4, 5])]);
    assert_eq!(digests.step(Event::Timer, at(1_000)), []);
}

#[test]
fn without_a_timeout_every_message_leaves_at_once() {
    let mut digests = digests(config(0, 10, 0));
    let lists = learn(&mut digests, &[1, 2], 0);
    assert_eq!(shown(&lists), [(1, vec![1]), (2, vec![2])]);
}

#[test]
fn the_same_data_is_in_a_list_once() {
    let mut digests = digests(config(100, 2, 0));
    let lists = learn(&mut digests, &[1, 1, 1, 2], 0);
    assert_eq!(shown(&lists), [(1, vec![1, 2])]);
}

#[test]
fn what_was_sent_is_not_sent_again_before_it_is_acknowledged() {
    let mut digests = digests(config(0, 1, 1_000));
    assert_eq!(learn(&mut digests, &[1, 1], 0).len(), 1);
    assert_eq!(learn(&mut digests, &[1], 500), []);
    // An acknowledgement of another list, or of another digest, is none.
    for (digest, list_id) in [(MACS, 7), (OTHERS, 1)] {
        digests.step(Event::Acknowledged(digest, list_id), at(500));
        assert_eq!(learn(&mut digests, &[1], 500), []);
    }
    digests.step(Event::Acknowledged(MACS, 1), at(600));
    assert_eq!(shown(&learn(&mut digests, &[1], 600)), [(2, vec![1])]);
}

#[test]
fn what_nobody_acknowledged_is_sent_again_after_the_timeout_and_not_before() {
    let mut digests = digests(config(0, 1, 1_000));
    assert_eq!(shown(&learn(&mut digests, &[1], 0)), [(1, vec![1])]);
    assert_eq!(shown(&learn(&mut digests, &[2], 700)), [(2, vec![2])]);
    assert_eq!(learn(&mut digests, &[1, 2], 999), []);
    assert_eq!(shown(&learn(&mut digests, &[1, 2], 1_000)), [(3, vec![1])]);
    assert_eq!(shown(&learn(&mut digests, &[2], 1_700)), [(4, vec![2])]);
}

#[test]
fn without_an_ack_timeout_nothing_is_remembered() {
    let mut digests = digests(config(0, 1, 0));
    let lists = learn(&mut digests, &[1, 1], 0);
    assert_eq!(shown(&lists), [(1, vec![1]), (2, vec![1])]);
}

#[test]
fn a_new_configuration_counts_for_what_waits_and_for_what_was_sent() {
    let mut digests = digests(config(1_000, 10, 10_000));
    learn(&mut digests, &[1, 2, 3], 0);
    let smaller = Event::Configured(MACS, config(1_000, 2, 10_000));
    let full = lists(digests.step(smaller, at(10)));
    assert_eq!(shown(&full), [(1, vec![1, 2])]);
    let sooner = Event::Configured(MACS, config(5, 2, 50));
    assert_eq!(shown(&lists(digests.step(sooner, at(30)))), [(2, vec![3])]);
    assert_eq!(learn(&mut digests, &[1, 3], 60), []);
    assert_eq!(digests.deadline(), Some(at(65)));
    let due = lists(digests.step(Event::Timer, at(65)));
    assert_eq!(shown(&due), [(3, vec![1])]);
}

#[test]
fn a_list_that_did_not_leave_is_lost_and_can_be_learnt_again() {
    let mut digests = digests(config(0, 2, 1_000));
    assert_eq!(learn(&mut digests, &[1], 0).len(), 1);
    digests.step(Event::NotSent(MACS, 1), at(0));
    assert_eq!(digests.lost(), 1);
    assert_eq!(shown(&learn(&mut digests, &[1], 1)), [(2, vec![1])]);
}

#[test]
fn a_new_primary_is_told_what_the_one_before_did_not_acknowledge() {
    let mut digests = digests(config(0, 1, 1_000));
    assert_eq!(learn(&mut digests, &[1], 0).len(), 1);
    digests.step(Event::NewPrimary, at(10));
    assert_eq!(shown(&learn(&mut digests, &[1], 20)), [(2, vec![1])]);
}

#[test]
fn a_list_without_a_limit_is_limited_by_the_switch() {
    let mut digests = digests(config(1_000, 0, 0));
    let values: Vec<u64> = (0..MAX_LIST_SIZE as u64).collect();
    let lists = learn(&mut digests, &values, 0);
    assert_eq!(lists.len(), 1);
    assert_eq!(lists[0].messages.len(), MAX_LIST_SIZE);
}

#[test]
fn more_than_can_be_remembered_is_lost_and_counted() {
    let mut digests = digests(config(0, 1, 60_000));
    let values: Vec<u64> = (0..MAX_MESSAGES as u64 + 3).collect();
    let lists = learn(&mut digests, &values, 0);
    assert_eq!((lists.len(), digests.lost()), (MAX_MESSAGES, 3));
    digests.step(Event::Acknowledged(MACS, 1), at(1));
    assert_eq!(learn(&mut digests, &[values[MAX_MESSAGES]], 1).len(), 1);
}

#[test]
fn a_list_of_another_switch_is_passed_on_at_once_and_acknowledged_there_when_it_is_here() {
    let mut digests = digests(config(60_000, 10, 60_000));
    let sent = lists(listed(&mut digests, &[1, 2, 2], 0));
    assert_eq!(shown(&sent), [(1, vec![1, 2])]);
    assert_eq!(digests.deadline(), None);
    let acknowledged = digests.step(Event::Acknowledged(MACS, 1), at(10));
    assert_eq!(acknowledged, [DEALT_WITH]);
}

#[test]
fn a_list_of_another_switch_that_is_no_news_is_acknowledged_at_once() {
    let mut digests = digests(config(0, 10, 1_000));
    assert_eq!(listed(&mut digests, &[1], 0).len(), 1);
    assert_eq!(listed(&mut digests, &[1, 1], 10), [DEALT_WITH]);
    digests.step(Event::Removed(MACS), at(20));
    assert_eq!(listed(&mut digests, &[2], 30), [DEALT_WITH]);
}

#[test]
fn a_list_of_another_switch_that_is_cut_is_acknowledged_with_its_last_part() {
    let mut digests = digests(config(0, 2, 60_000));
    let sent = lists(listed(&mut digests, &[1, 2, 3], 0));
    assert_eq!(shown(&sent), [(1, vec![1, 2]), (2, vec![3])]);
    assert_eq!(digests.step(Event::Acknowledged(MACS, 1), at(1)), []);
    assert_eq!(
        digests.step(Event::Acknowledged(MACS, 2), at(1)),
        [DEALT_WITH]
    );
}

#[test]
fn a_list_of_another_switch_that_may_be_sent_again_can_be_learnt_there_again() {
    let mut digests = digests(config(0, 10, 1_000));
    listed(&mut digests, &[1], 0);
    assert_eq!(digests.step(Event::NotSent(MACS, 1), at(0)), [DEALT_WITH]);
    listed(&mut digests, &[1], 10);
    assert_eq!(digests.step(Event::NewPrimary, at(20)), [DEALT_WITH]);
    listed(&mut digests, &[1], 30);
    let expired = digests.step(Event::Learnt(MACS, message(2)), at(1_030));
    assert_eq!(expired[0], DEALT_WITH);
}
