//! The decisions of [`super::sync`], one case each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::statuses::Ack;
use super::sync::{
    Beginning, Command, DeviceSync, Event, Fault, MAX_BATCH_CHANGES, MAX_BATCHES_IN_FLIGHT, step,
};
use super::walk::{Difference, MAX_BUCKETS_ASKED, Remedy};
use crate::objective::ObjectiveKey;
use crate::state::{Revision, Said};
use crate::status::{Reason, Status};

struct Case {
    sync: DeviceSync,
    now: Instant,
}

impl Case {
    fn new() -> Self {
        Self {
            sync: DeviceSync::default(),
            now: Instant::now(),
        }
    }

    fn greeted(beginning: Beginning) -> (Self, Vec<Command>) {
        let mut case = Self::new();
        case.step(Event::Start);
        case.step(Event::Connected);
        let commands = case.step(greeting(beginning));
        (case, commands)
    }

    /// A session whose agent is up to date at `revision`.
    fn synced_at(revision: u64) -> Self {
        let (mut case, _) = Self::greeted(Beginning::Tail(Revision(revision)));
        case.step(Event::Sent(None));
        case
    }

    /// A session with an agent that holds nobody knows what.
    fn in_doubt() -> Self {
        Self::greeted(Beginning::Walk).0
    }

    fn step(&mut self, event: Event) -> Vec<Command> {
        step(&mut self.sync, event, self.now)
    }

    /// What is put on the stream at an event, and at each that follows from it.
    fn send_all(&mut self, event: Event) -> Vec<Command> {
        let mut sent = Vec::new();
        let mut commands = self.step(event);
        while let Some(command) = commands.pop() {
            let revision = match &command {
                Command::SendDifferences(_, revision) => Some(*revision),
                _ => None,
            };
            sent.push(command);
            if let Some(revision) = revision {
                commands.extend(self.step(Event::Sent(Some(revision))));
            }
        }
        sent
    }
}

fn greeting(beginning: Beginning) -> Event {
    Event::AgentGreeted {
        beginning,
        can_be_asked: true,
        statuses: vec![],
    }
}

fn report(anew: bool, taken: u64) -> Command {
    Command::Report(Some(Said {
        anew,
        taken: Revision(taken),
        exceptions: BTreeMap::new(),
    }))
}

fn acked(taken: u64, batches: u64) -> Event {
    Event::Acked {
        acks: vec![],
        taken: Revision(taken),
        batches,
    }
}

fn compared(at: u64, is_current: bool, differing: Vec<u32>) -> Event {
    Event::Compared {
        at: Revision(at),
        is_current,
        bits: 12,
        differing,
    }
}

fn put(number: usize) -> Difference {
    Difference {
        key: ObjectiveKey::next(format!("next{number}")),
        remedy: Remedy::Put,
        revision: Revision(number as u64),
        group: None,
    }
}

fn unreachable() -> Event {
    Event::Lost {
        fault: Fault::Unreachable("connection refused".into()),
        jitter: 0.5,
    }
}

const CHECK_LATER: Command = Command::WaitToCheck(Duration::from_secs(2));

#[test]
fn an_agent_that_fits_gets_the_tail_after_its_revision() {
    let (_, commands) = Case::greeted(Beginning::Tail(Revision(7)));
    assert_eq!(
        commands,
        [report(true, 7), Command::SendTail(Revision(7)), CHECK_LATER]
    );
}

#[test]
fn an_agent_in_doubt_is_asked_for_digests_and_sent_nothing_before_it_has_answered() {
    let (mut case, commands) = Case::greeted(Beginning::Walk);
    assert_eq!(commands, [report(true, 0), Command::AskDigests]);
    assert_eq!(case.step(Event::DesiredChanged), []);
    assert!(case.sync.expects_answer());
}

#[test]
fn an_agent_in_doubt_that_cannot_be_asked_gets_a_snapshot() {
    let (_, commands) = Case::greeted(Beginning::Snapshot);
    assert_eq!(commands, [report(true, 0), Command::SendSnapshot]);
}

#[test]
fn an_agent_that_turns_out_to_hold_everything_is_told_its_revision_and_gets_the_tail() {
    let mut case = Case::in_doubt();
    let commands = case.step(compared(7, false, vec![]));
    assert_eq!(commands, [Command::SendDifferences(vec![], Revision(7))]);
    let commands = case.step(Event::Sent(Some(Revision(7))));
    assert_eq!(commands, [Command::SendTail(Revision(7))]);
}

#[test]
fn buckets_that_differ_are_asked_for_in_parts_and_then_what_differs_is_sent() {
    let mut case = Case::in_doubt();
    let many: Vec<u32> = (0..=u32::try_from(MAX_BUCKETS_ASKED).unwrap()).collect();
    let ask = |buckets: &[u32]| Command::AskHoldings {
        at: Revision(9),
        bits: 12,
        buckets: buckets.to_vec(),
    };
    let commands = case.step(compared(9, false, many.clone()));
    assert_eq!(commands, [ask(&many[..MAX_BUCKETS_ASKED])]);
    let commands = case.step(Event::Listed(vec![put(2)]));
    assert_eq!(commands, [ask(&many[MAX_BUCKETS_ASKED..])]);
    let commands = case.step(Event::Listed(vec![put(1)]));
    assert_eq!(
        commands,
        [Command::SendDifferences(vec![put(1), put(2)], Revision(9))]
    );
}

#[test]
fn differences_keep_to_the_batches_that_may_be_in_flight_and_only_the_last_has_a_revision() {
    let mut case = Case::in_doubt();
    let batches = MAX_BATCHES_IN_FLIGHT + 1;
    case.step(compared(9, false, vec![0]));
    let differences = (0..batches * MAX_BATCH_CHANGES).map(put).collect();
    let sent = case.send_all(Event::Listed(differences));
    assert_eq!(sent.len(), MAX_BATCHES_IN_FLIGHT);
    let is_part = |command: &Command| matches!(command, Command::SendDifferences(all, Revision(0)) if all.len() == MAX_BATCH_CHANGES);
    assert!(sent.iter().all(is_part));
    let commands = case.step(acked(0, 1));
    assert!(
        matches!(commands[..], [_, Command::SendDifferences(_, Revision(9))]),
        "{commands:?}"
    );
    case.step(Event::Sent(Some(Revision(9))));
    let commands = case.step(acked(9, batches as u64));
    assert_eq!(commands, [report(false, 9), Command::SendTail(Revision(9))]);
}

#[test]
fn a_session_is_checked_once_when_nothing_is_on_its_way() {
    let mut case = Case::synced_at(7);
    case.step(Event::DesiredChanged);
    case.step(Event::Sent(Some(Revision(8))));
    case.step(Event::Sent(None));
    assert_eq!(case.step(Event::CheckDue), [CHECK_LATER]);
    case.step(acked(8, 1));
    case.step(Event::Sent(None));
    assert_eq!(case.step(Event::CheckDue), [Command::AskDigests]);
    // Changes go on meanwhile; then the answer says nothing.
    assert_eq!(
        case.step(Event::DesiredChanged),
        [Command::SendTail(Revision(8))]
    );
    case.step(Event::Sent(None));
    let commands = case.step(compared(9, false, vec![3]));
    assert_eq!(commands, [Command::SendTail(Revision(8)), CHECK_LATER]);
    case.step(Event::Sent(None));
    case.step(Event::CheckDue);
    let commands = case.step(compared(8, true, vec![]));
    assert_eq!(commands, [Command::SendTail(Revision(8))]);
}

#[test]
fn an_agent_that_does_not_hold_what_it_has_acknowledged_gets_what_differs() {
    let mut case = Case::synced_at(7);
    case.step(Event::CheckDue);
    let commands = case.step(compared(7, true, vec![3]));
    let ask = Command::AskHoldings {
        at: Revision(7),
        bits: 12,
        buckets: vec![3],
    };
    assert_eq!(commands, [report(true, 0), ask]);
    let commands = case.step(Event::Listed(vec![put(1)]));
    assert_eq!(
        commands,
        [Command::SendDifferences(vec![put(1)], Revision(7))]
    );
}

#[test]
fn no_more_batches_are_sent_than_may_be_in_flight_until_one_is_acknowledged() {
    let last = MAX_BATCHES_IN_FLIGHT as u64;
    // An agent that counts batches, and one that does not.
    for batches in [1, 0] {
        let mut case = Case::synced_at(0);
        case.step(Event::DesiredChanged);
        for revision in 1..last {
            let commands = case.step(Event::Sent(Some(Revision(revision))));
            assert_eq!(commands, [Command::SendTail(Revision(revision))]);
        }
        assert_eq!(case.step(Event::Sent(Some(Revision(last)))), []);
        assert_eq!(case.step(Event::DesiredChanged), []);
        let commands = case.step(acked(1, batches));
        assert_eq!(
            commands,
            [report(false, 1), Command::SendTail(Revision(last))]
        );
    }
}

#[test]
fn a_session_of_an_earlier_term_is_begun_anew_in_the_later_one() {
    let mut case = Case::synced_at(7);
    let anew = [Command::Disconnect, Command::Connect];
    assert_eq!(case.step(Event::TermChanged), anew);
    assert_eq!(case.step(Event::TermChanged), []);
}

#[test]
fn a_fenced_master_asks_for_a_later_term_and_takes_back_what_it_was_told() {
    let mut case = Case::synced_at(7);
    let fault = Fault::Fenced("another controller".into());
    let commands = case.step(Event::Lost { fault, jitter: 0.5 });
    assert_eq!(
        commands[..3],
        [Command::Disconnect, report(true, 0), Command::Renew]
    );
}

#[test]
fn a_lost_agent_takes_back_nothing() {
    let mut case = Case::synced_at(7);
    let commands = case.step(unreachable());
    assert_eq!(commands[..2], [Command::Disconnect, Command::Report(None)]);
    assert_eq!(case.sync.fault().unwrap().message, "connection refused");
}

#[test]
fn what_has_expired_on_the_switch_is_told_to_the_store_until_that_takes_it() {
    let expired = || Ack {
        key: ObjectiveKey::next("spines"),
        status: Some(Status::pending(
            Reason::Expired,
            "its hard timeout of 5m is over",
            Revision(4),
        )),
    };
    let expire = Command::Expire(vec![(expired().key, Revision(4))]);
    let mut case = Case::synced_at(4);
    let commands = case.step(Event::Acked {
        acks: vec![expired()],
        taken: Revision(4),
        batches: 0,
    });
    assert!(commands.contains(&expire), "{commands:?}");
    // Once, unless the store did not take it.
    let again = case.step(acked(4, 0));
    let is_expire = |command: &Command| matches!(command, Command::Expire(_));
    assert!(!again.iter().any(is_expire), "{again:?}");
    let commands = case.step(Event::NotExpired);
    assert!(
        matches!(commands[..], [Command::ExpireLater(_)]),
        "{commands:?}"
    );
    // Whoever becomes master hears of it in the hello.
    let commands = Case::new().step(Event::AgentGreeted {
        beginning: Beginning::Tail(Revision(4)),
        can_be_asked: true,
        statuses: vec![expired()],
    });
    assert!(commands.contains(&expire), "{commands:?}");
}

#[test]
fn sending_stops_when_there_is_nothing_left_and_goes_on_with_the_next_change() {
    let mut case = Case::synced_at(7);
    assert_eq!(
        case.step(Event::DesiredChanged),
        [Command::SendTail(Revision(7))]
    );
    assert_eq!(
        case.step(Event::Sent(Some(Revision(9)))),
        [Command::SendTail(Revision(9))]
    );
    assert_eq!(case.step(Event::Sent(None)), []);
    assert_eq!(
        case.step(Event::DesiredChanged),
        [Command::SendTail(Revision(9))]
    );
}

#[test]
fn a_tail_that_the_store_has_forgotten_becomes_a_snapshot() {
    let mut case = Case::synced_at(7);
    case.step(Event::DesiredChanged);
    assert_eq!(case.step(Event::TailForgotten), [Command::SendSnapshot]);
}

#[test]
fn retries_become_slower_up_to_a_limit_and_fast_again_after_a_stable_session() {
    let mut case = Case::new();
    case.step(Event::Start);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let commands = case.step(unreachable());
        let Some(Command::Wait(delay)) = commands.last() else {
            panic!("{commands:?}")
        };
        waits.push(delay.as_millis());
        assert_eq!(case.step(Event::RetryDue), [Command::Connect]);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3000, 3000, 3000]);
    case.step(Event::Connected);
    case.step(greeting(Beginning::Tail(Revision(0))));
    case.now += Duration::from_secs(60);
    let commands = case.step(unreachable());
    assert_eq!(
        commands.last(),
        Some(&Command::Wait(Duration::from_millis(100)))
    );
}
