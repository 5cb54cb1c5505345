//! Brings what this node's sessions report into the replicated state, in bulk: one command at a time is on its way, and
//! what comes meanwhile is gathered for the next. So a command costs the same whether one switch has said something or
//! all of them have said much.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::raft::Store;
use crate::state::{Command, Report};

/// How long to wait after the store took no reports.
const RETRY: Duration = Duration::from_millis(100);

/// Reports that no command carries yet, one for each device. Bounded by what there is to report.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gathered(BTreeMap<String, Report>);

impl Gathered {
    /// Adds what a session has learnt.
    pub fn add(&mut self, report: Report) {
        match self.0.get_mut(&report.spec.name) {
            Some(earlier) => earlier.then(report),
            None => drop(self.0.insert(report.spec.name.clone(), report)),
        }
    }

    /// Takes all of them, for a command.
    pub fn take(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.0).into_values().collect()
    }

    /// Puts reports back that were not taken, before those that have come since.
    pub fn put_back(&mut self, reports: Vec<Report>) {
        for mut earlier in reports {
            if let Some(later) = self.0.remove(&earlier.spec.name) {
                earlier.then(later);
            }
            self.0.insert(earlier.spec.name.clone(), earlier);
        }
    }
}

/// The way of reports into the store.
#[derive(Debug, Default)]
pub struct Reports {
    gathered: Mutex<Gathered>,
    /// The number of the latest.
    last: AtomicU64,
    is_waiting: Notify,
}

impl Reports {
    /// The number of the next report.
    pub fn next_number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds what a session has learnt.
    pub fn add(&self, report: Report) {
        self.with(|gathered| gathered.add(report));
        self.is_waiting.notify_one();
    }

    fn with<T>(&self, change: impl FnOnce(&mut Gathered) -> T) -> T {
        change(&mut self.gathered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Submits reports until it is cancelled.
    pub async fn run(&self, store: &Store, cancel: &CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.is_waiting.notified() => {}
            }
            let reports = self.with(Gathered::take);
            if reports.is_empty() {
                continue;
            }
            let command = Command::Acknowledge {
                node: store.node_id(),
                reports: reports.clone(),
            };
            if let Err(error) = store.submit(command).await {
                tracing::debug!(%error, "what switches have acknowledged is not replicated yet");
                self.with(|gathered| gathered.put_back(reports));
                tokio::time::sleep(RETRY).await;
                self.is_waiting.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::ObjectiveKey;
    use crate::state::{DeviceSpec, Revision, Said, SessionFault, Term};
    use crate::status::{Reason, Status};

    fn spec(name: &str) -> DeviceSpec {
        DeviceSpec {
            name: name.into(),
            address: "127.0.0.1:1".into(),
            device_id: 1,
        }
    }

    fn said(anew: bool, taken: u64, names: &[&str]) -> Said {
        let status = || Some(Status::pending(Reason::WaitsForNext, "", Revision(taken)));
        let keys = names.iter().map(|name| ObjectiveKey::next(*name));
        Said {
            anew,
            taken: Revision(taken),
            exceptions: keys.map(|key| (key, status())).collect(),
        }
    }

    fn report(term: u64, said: Option<Said>) -> Report {
        Report {
            spec: spec("leaf1"),
            term: Term(term),
            number: 0,
            fault: None,
            said,
        }
    }

    fn gathered(reports: impl IntoIterator<Item = Report>) -> Gathered {
        let mut gathered = Gathered::default();
        for report in reports {
            gathered.add(report);
        }
        gathered
    }

    #[test]
    fn reports_of_a_session_become_one() {
        let all = gathered([
            report(1, Some(said(true, 4, &["a"]))),
            report(1, Some(said(false, 6, &["b"]))),
        ]);
        let Said {
            anew,
            taken,
            exceptions,
        } = all.0["leaf1"].said.clone().unwrap();
        assert_eq!((anew, taken, exceptions.len()), (true, Revision(6), 2));
    }

    #[test]
    fn a_new_session_says_it_all_again() {
        let all = gathered([
            report(1, Some(said(false, 9, &["a"]))),
            report(2, Some(said(true, 4, &["b"]))),
        ]);
        assert_eq!(all.0["leaf1"], report(2, Some(said(true, 4, &["b"]))));
    }

    #[test]
    fn a_lost_session_leaves_what_it_has_learnt() {
        let fault = Some(SessionFault {
            reason: Reason::DeviceUnreachable,
            message: "connection refused".into(),
        });
        let lost = Report {
            fault: fault.clone(),
            ..report(1, None)
        };
        let all = gathered([report(1, Some(said(false, 9, &["a"]))), lost]);
        let expected = Report {
            fault,
            ..report(1, Some(said(false, 9, &["a"])))
        };
        assert_eq!(all.0["leaf1"], expected);
    }

    #[test]
    fn reports_that_the_store_did_not_take_come_before_those_since() {
        let mut all = gathered([report(1, Some(said(true, 4, &["a"])))]);
        let taken = all.take();
        all.add(report(1, Some(said(false, 5, &["b"]))));
        all.put_back(taken);
        let expected = gathered([
            report(1, Some(said(true, 4, &["a"]))),
            report(1, Some(said(false, 5, &["b"]))),
        ]);
        assert_eq!(all, expected);
    }
}
