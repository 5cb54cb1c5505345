//! The decisions of [`super::sync`], one case each.

use std::time::{Duration, Instant};

use super::statuses::{Ack, Wish};
use super::sync::{Command, DeviceSync, Event, Fault, MAX_BATCHES_IN_FLIGHT, step};
use crate::objective::ObjectiveKey;
use crate::state::Revision;
use crate::status::{Progress, Reason, Status};

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

    /// A session whose agent is up to date at `revision`.
    fn synced_at(revision: u64) -> Self {
        let mut case = Self::new();
        case.step(Event::Start);
        case.step(Event::Connected);
        case.step(greeting(true, revision));
        case.step(Event::Sent(None));
        case
    }

    fn step(&mut self, event: Event) -> Vec<Command> {
        step(&mut self.sync, event, self.now)
    }

    fn status(&self, revision: u64, is_present: bool) -> Status {
        self.sync.status(&Wish {
            key: &key(),
            revision: Revision(revision),
            is_present,
        })
    }
}

fn key() -> ObjectiveKey {
    ObjectiveKey::next("spines")
}

fn greeting(can_continue: bool, revision: u64) -> Event {
    Event::AgentGreeted {
        can_continue,
        revision: Revision(revision),
        statuses: vec![],
    }
}

fn acked(status: Option<Status>, taken: u64) -> Event {
    Event::Acked {
        acks: vec![Ack { key: key(), status }],
        taken: Revision(taken),
    }
}

fn unreachable() -> Event {
    Event::Lost {
        fault: Fault::Unreachable("connection refused".into()),
        jitter: 0.5,
    }
}

#[test]
fn an_agent_that_fits_gets_the_tail_after_its_revision() {
    let mut case = Case::new();
    assert_eq!(case.step(Event::Start), [Command::Connect]);
    assert_eq!(case.step(Event::Connected), []);
    let commands = case.step(greeting(true, 7));
    assert_eq!(
        commands,
        [Command::Announce, Command::SendTail(Revision(7))]
    );
}

#[test]
fn an_agent_of_another_history_gets_a_snapshot() {
    let mut case = Case::new();
    case.step(Event::Start);
    case.step(Event::Connected);
    assert_eq!(
        case.step(greeting(false, 7)),
        [Command::Announce, Command::SendSnapshot]
    );
}

#[test]
fn a_session_of_an_earlier_term_is_begun_anew_in_the_later_one() {
    let mut case = Case::synced_at(7);
    let anew = [Command::Disconnect, Command::Connect];
    assert_eq!(case.step(Event::TermChanged), anew);
    assert_eq!(case.step(Event::TermChanged), []);
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
fn no_more_batches_are_sent_than_may_be_in_flight_until_one_is_acknowledged() {
    let mut case = Case::synced_at(0);
    case.step(Event::DesiredChanged);
    let last = MAX_BATCHES_IN_FLIGHT as u64;
    for revision in 1..last {
        let commands = case.step(Event::Sent(Some(Revision(revision))));
        assert_eq!(commands, [Command::SendTail(Revision(revision))]);
    }
    assert_eq!(case.step(Event::Sent(Some(Revision(last)))), []);
    assert_eq!(case.step(Event::DesiredChanged), []);
    let commands = case.step(acked(None, 1));
    assert_eq!(
        commands,
        [Command::Announce, Command::SendTail(Revision(last))]
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
    case.step(greeting(true, 0));
    case.now += Duration::from_secs(60);
    let commands = case.step(unreachable());
    assert_eq!(
        commands.last(),
        Some(&Command::Wait(Duration::from_millis(100)))
    );
}

#[test]
fn a_fenced_master_claims_anew_before_it_retries() {
    let mut case = Case::synced_at(7);
    let fault = Fault::Fenced("another controller".into());
    let commands = case.step(Event::Lost { fault, jitter: 0.5 });
    assert_eq!(
        commands[..3],
        [Command::Disconnect, Command::Announce, Command::Renew]
    );
}

#[test]
fn what_a_fenced_master_was_told_is_no_fact_any_more() {
    let mut case = Case::synced_at(0);
    case.step(acked(Some(Status::applied(Revision(5))), 5));
    let fault = Fault::Fenced("another controller".into());
    case.step(Event::Lost { fault, jitter: 0.5 });
    let status = case.status(5, true);
    assert_eq!(
        (status.progress, status.reason),
        (Progress::Pending, Some(Reason::Conflict))
    );
}

#[test]
fn an_acknowledgement_of_an_earlier_revision_says_nothing_about_a_later_one() {
    let mut case = Case::synced_at(0);
    case.step(acked(Some(Status::applied(Revision(5))), 5));
    assert_eq!(case.status(5, true).progress, Progress::Applied);
    let status = case.status(6, true);
    assert_eq!(
        (status.progress, status.reason),
        (Progress::Pending, Some(Reason::InFlight))
    );
}

#[test]
fn a_deletion_counts_once_its_revision_is_taken_and_the_objective_is_gone() {
    let mut case = Case::synced_at(0);
    case.step(acked(Some(Status::applied(Revision(5))), 5));
    assert_eq!(case.status(6, false).progress, Progress::Pending);
    case.step(acked(None, 6));
    assert_eq!(case.status(6, false).progress, Progress::Applied);
}

#[test]
fn a_wanted_objective_without_acknowledgement_is_never_applied() {
    let mut case = Case::synced_at(0);
    case.step(Event::Acked {
        acks: vec![],
        taken: Revision(9),
    });
    assert_eq!(case.status(5, true).progress, Progress::Pending);
}

#[test]
fn what_was_acknowledged_stays_known_while_the_agent_is_away() {
    let mut case = Case::synced_at(0);
    case.step(acked(Some(Status::applied(Revision(5))), 5));
    case.step(unreachable());
    assert_eq!(case.status(5, true).progress, Progress::Applied);
    let status = case.status(6, true);
    assert_eq!(status.reason, Some(Reason::DeviceUnreachable));
    assert_eq!(status.message, "connection refused");
}

#[test]
fn an_agent_that_comes_back_empty_is_believed() {
    let mut case = Case::synced_at(0);
    case.step(acked(Some(Status::applied(Revision(5))), 5));
    case.step(unreachable());
    case.step(Event::RetryDue);
    case.step(Event::Connected);
    case.step(greeting(false, 0));
    assert_eq!(case.status(5, true).progress, Progress::Pending);
}

#[test]
fn what_has_expired_on_the_switch_is_told_to_the_store_until_that_takes_it() {
    let expired = || {
        Status::pending(
            Reason::Expired,
            "its hard timeout of 5m is over",
            Revision(4),
        )
    };
    let expire = Command::Expire(vec![(key(), Revision(4))]);
    let mut case = Case::synced_at(4);
    let commands = case.step(acked(Some(expired()), 4));
    assert!(commands.contains(&expire), "{commands:?}");
    // Once, unless the store did not take it.
    let again = case.step(acked(None, 4));
    assert!(
        !again
            .iter()
            .any(|command| matches!(command, Command::Expire(_))),
        "{again:?}"
    );
    case.step(acked(Some(expired()), 4));
    let commands = case.step(Event::NotExpired);
    assert!(
        matches!(commands[..], [Command::WaitToExpire(_)]),
        "{commands:?}"
    );
    assert_eq!(case.step(Event::ExpiryDue), std::slice::from_ref(&expire));
    // The switch has forgotten it with its deletion; so there is nothing to tell any more.
    case.step(acked(None, 5));
    assert_eq!(case.step(Event::ExpiryDue), []);
    // Whoever becomes master hears of it in the hello.
    let commands = Case::new().step(Event::AgentGreeted {
        can_continue: true,
        revision: Revision(4),
        statuses: vec![Ack {
            key: key(),
            status: Some(expired()),
        }],
    });
    assert!(commands.contains(&expire), "{commands:?}");
}
