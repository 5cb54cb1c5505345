//! What is known of objectives from acknowledgements, one case each.

use std::cell::Cell;

use super::*;
use crate::objective::ObjectiveKey;
use crate::status::{Progress, Reason, Status};

const NODE: NodeId = 7;

fn spec() -> DeviceSpec {
    DeviceSpec {
        name: "leaf1".into(),
        address: "127.0.0.1:9559".into(),
        device_id: 1,
    }
}

fn key(name: &str) -> ObjectiveKey {
    ObjectiveKey::next(name)
}

fn failed(revision: u64) -> Status {
    Status {
        revision: Revision(revision),
        ..Status::failed(Reason::TableFull, "the table is full")
    }
}

fn said(anew: bool, taken: u64, exceptions: Vec<(&str, Option<Status>)>) -> Said {
    let exceptions = exceptions.into_iter();
    Said {
        anew,
        taken: Revision(taken),
        exceptions: exceptions
            .map(|(name, status)| (key(name), status))
            .collect(),
    }
}

fn unreachable() -> SessionFault {
    SessionFault {
        reason: Reason::DeviceUnreachable,
        message: "connection refused".into(),
    }
}

/// A state with one device, whose master is `NODE`.
struct Case {
    state: State,
    reports: Cell<u64>,
}

impl Case {
    fn new() -> Self {
        let mut state = State::default();
        state.apply(Command::Apply(ChangeSet {
            devices: vec![DeviceChange::Put(spec())],
            ..ChangeSet::default()
        }));
        let devices = vec!["leaf1".to_owned()];
        state.apply(Command::Claim {
            node: NODE,
            devices,
        });
        Self {
            state,
            reports: Cell::new(0),
        }
    }

    fn device(&self) -> &DeviceState {
        self.state.device("leaf1").unwrap()
    }

    fn report(&mut self, said: Said) -> Vec<RowKey> {
        let report = self.said(said);
        self.acknowledge(NODE, report)
    }

    fn said(&self, said: Said) -> Report {
        self.reports.set(self.reports.get() + 1);
        Report {
            number: self.reports.get(),
            spec: spec(),
            term: self.device().term(),
            fault: None,
            said: Some(said),
        }
    }

    fn lost(&self) -> Report {
        Report {
            fault: Some(unreachable()),
            said: None,
            ..self.said(said(false, 0, vec![]))
        }
    }

    fn acknowledge(&mut self, node: NodeId, report: Report) -> Vec<RowKey> {
        let reports = vec![report];
        self.state
            .apply(Command::Acknowledge { node, reports })
            .touched
    }

    fn status(&self, name: &str, revision: u64) -> Status {
        let wish = Wish {
            key: &key(name),
            revision: Revision(revision),
        };
        self.device()
            .acknowledged()
            .status(&wish, self.device().term())
    }

    fn progress(&self, name: &str, revision: u64) -> (Progress, Option<Reason>) {
        let status = self.status(name, revision);
        (status.progress, status.reason)
    }
}

const APPLIED: (Progress, Option<Reason>) = (Progress::Applied, None);
const IN_FLIGHT: (Progress, Option<Reason>) = (Progress::Pending, Some(Reason::InFlight));

#[test]
fn what_is_taken_without_exception_is_applied_and_what_follows_is_not() {
    let mut case = Case::new();
    assert_eq!(case.progress("a", 5), IN_FLIGHT);
    case.report(said(true, 5, vec![]));
    assert_eq!(case.status("a", 5), Status::applied(Revision(5)));
    assert_eq!(case.progress("a", 6), IN_FLIGHT);
}

#[test]
fn an_exception_holds_until_it_is_over_or_a_later_version_is_taken() {
    let mut case = Case::new();
    case.report(said(true, 5, vec![("a", Some(failed(4)))]));
    assert_eq!(case.status("a", 4), failed(4));
    // About a version after the one that failed nothing is known yet.
    assert_eq!(case.progress("a", 6), IN_FLIGHT);
    case.report(said(false, 6, vec![("a", None)]));
    assert_eq!(case.progress("a", 6), APPLIED);
}

#[test]
fn what_is_plainly_applied_is_no_exception() {
    let mut case = Case::new();
    let applied = Status::applied(Revision(5));
    case.report(said(true, 5, vec![("a", Some(applied.clone()))]));
    assert!(case.device().acknowledged().exceptions().is_empty());
    let degraded = Status {
        reason: Some(Reason::PortDown),
        ..applied
    };
    case.report(said(false, 5, vec![("a", Some(degraded.clone()))]));
    assert_eq!(case.status("a", 5), degraded);
}

#[test]
fn a_new_session_replaces_what_was_said_before() {
    let mut case = Case::new();
    case.report(said(true, 9, vec![("a", Some(failed(4)))]));
    let touched = case.report(said(true, 3, vec![("b", Some(failed(2)))]));
    let row = |name| RowKey::Exception("leaf1".into(), key(name));
    assert!(touched.contains(&row("a")) && touched.contains(&row("b")));
    assert_eq!(case.progress("a", 4), IN_FLIGHT);
    assert_eq!(case.status("b", 2), failed(2));
}

#[test]
fn what_a_master_of_an_earlier_term_says_is_passed_over() {
    let mut case = Case::new();
    let stale = case.said(said(true, 9, vec![]));
    let devices = vec!["leaf1".to_owned()];
    case.state.apply(Command::Claim {
        node: NODE,
        devices,
    });
    assert_eq!(case.acknowledge(NODE, stale), []);
    assert_eq!(case.progress("a", 5), IN_FLIGHT);
    let of_another_node = case.said(said(true, 9, vec![]));
    assert_eq!(case.acknowledge(NODE + 1, of_another_node), []);
    assert_eq!(case.progress("a", 5), IN_FLIGHT);
}

#[test]
fn a_report_that_is_committed_after_later_ones_changes_nothing() {
    let mut case = Case::new();
    case.report(said(true, 3, vec![]));
    let late = case.said(said(true, 4, vec![("a", Some(failed(4)))]));
    case.report(said(false, 5, vec![("a", None)]));
    case.acknowledge(NODE, late);
    assert_eq!(case.progress("a", 4), APPLIED);
    assert_eq!(case.progress("a", 5), APPLIED);
}

#[test]
fn what_a_session_says_more_counts_only_after_its_beginning() {
    let mut case = Case::new();
    case.report(said(false, 9, vec![]));
    assert_eq!(case.progress("a", 5), IN_FLIGHT);
}

#[test]
fn what_was_acknowledged_stays_known_while_the_agent_is_away_and_the_rest_says_why_not() {
    let mut case = Case::new();
    case.report(said(true, 5, vec![]));
    let lost = case.lost();
    case.acknowledge(NODE, lost);
    assert_eq!(case.progress("a", 5), APPLIED);
    let status = case.status("a", 6);
    assert_eq!(status.reason, Some(Reason::DeviceUnreachable));
    assert_eq!(status.message, "connection refused");
    case.report(said(true, 6, vec![]));
    assert_eq!(case.progress("a", 6), APPLIED);
}

#[test]
fn why_an_earlier_master_had_no_session_is_not_said_of_the_next() {
    let mut case = Case::new();
    let lost = case.lost();
    case.acknowledge(NODE, lost);
    assert_eq!(
        case.device().acknowledged().fault(case.device().term()),
        Some(&unreachable())
    );
    let devices = vec!["leaf1".to_owned()];
    case.state.apply(Command::Claim {
        node: NODE + 1,
        devices,
    });
    assert_eq!(case.progress("a", 5), IN_FLIGHT);
}

#[test]
fn a_device_that_moves_has_said_nothing_and_what_the_old_one_says_is_passed_over() {
    let mut case = Case::new();
    case.report(said(true, 5, vec![("b", Some(failed(4)))]));
    let late = case.said(said(true, 9, vec![]));
    let moved = DeviceSpec {
        address: "127.0.0.1:9560".into(),
        ..spec()
    };
    case.state.apply(Command::Apply(ChangeSet {
        devices: vec![DeviceChange::Put(moved)],
        ..ChangeSet::default()
    }));
    assert_eq!(case.progress("a", 5), IN_FLIGHT);
    assert_eq!(case.acknowledge(NODE, late), []);
    assert_eq!(case.progress("a", 5), IN_FLIGHT);
}

#[test]
fn acknowledgements_of_a_device_go_with_it() {
    let mut case = Case::new();
    case.report(said(true, 5, vec![("b", Some(failed(4)))]));
    let removed = case.state.apply(Command::Apply(ChangeSet {
        devices: vec![DeviceChange::Remove("leaf1".into())],
        ..ChangeSet::default()
    }));
    let rows = [
        RowKey::Acknowledged("leaf1".into()),
        RowKey::Exception("leaf1".into(), key("b")),
    ];
    assert!(rows.iter().all(|row| removed.touched.contains(row)));
}
