//! What switches have acknowledged, in bulk: for each device the revision up to which everything is taken, and the
//! objectives that are not plainly applied.
//!
//! The master of a device reports ([`Report`]) what its session learns; a node's reports of all its devices are one
//! command. What a master of an earlier term says is passed over, for the switch may be another's by now. Statuses are
//! read from here on any node (`service`, through `distribution`); the session with a switch keeps one for itself, which
//! is ahead of the replicated one by a commit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    DeviceSpec, DeviceState, Effect, Expired, NodeId, Response, Revision, RowKey, State, Term,
};
use crate::objective::ObjectiveKey;
use crate::status::{Progress, Reason, Status};

/// Why a session is not possible, in the words of the node that wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFault {
    /// Why objectives are not applied because of it.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

/// What a master's session with a device has learnt since its last report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The switch: what one at an earlier address has said is about another.
    pub spec: DeviceSpec,
    /// The term of the session.
    pub term: Term,
    /// Rises with each report of a node. One that is committed late, after others that were made later, says nothing new.
    pub number: u64,
    /// Why there is no session now; `None` while there is one.
    pub fault: Option<SessionFault>,
    /// What the agent has said.
    pub said: Option<Said>,
}

/// What an agent has said of its objectives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// It is all that there is to say; what was said before holds no more.
    pub anew: bool,
    /// The revision up to which it has taken every change.
    pub taken: Revision,
    /// Objectives that are not plainly applied, and `None` for those that are now, or are gone.
    pub exceptions: BTreeMap<ObjectiveKey, Option<Status>>,
}

impl Report {
    /// Adds what has been learnt since.
    pub fn then(&mut self, later: Report) {
        let is_of_another = (&self.spec, self.term) != (&later.spec, later.term);
        match (&mut self.said, later.said) {
            (_, None) if !is_of_another => {}
            (Some(said), Some(more)) if !is_of_another && !more.anew => {
                said.taken = said.taken.max(more.taken);
                said.exceptions.extend(more.exceptions);
            }
            (said, more) => *said = more,
        }
        (self.spec, self.term, self.fault) = (later.spec, later.term, later.fault);
        self.number = later.number;
    }
}

/// What is known of the objectives of a device.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The term of the master that told.
    term: Term,
    /// The latest report, and the term in which it was made.
    latest: (Term, u64),
    taken: Revision,
    /// The latest attempt of a master to open a session, if it failed, and that master's term.
    fault: Option<(Term, SessionFault)>,
    /// Invariant: none of them is plainly applied.
    exceptions: BTreeMap<ObjectiveKey, Status>,
}

impl Acknowledged {
    /// Takes a report in. Returns the objectives whose status is another one.
    pub fn record(&mut self, report: Report) -> BTreeSet<ObjectiveKey> {
        let mut changed = BTreeSet::new();
        let reported = (report.term, report.number);
        if reported <= self.latest {
            return changed;
        }
        self.latest = reported;
        self.fault = report.fault.map(|fault| (report.term, fault));
        let Some(said) = report.said else {
            return changed;
        };
        if said.anew {
            changed.extend(std::mem::take(&mut self.exceptions).into_keys());
            self.taken = said.taken;
            self.term = report.term;
        } else if self.term != report.term {
            return changed;
        }
        self.taken = self.taken.max(said.taken);
        for (key, status) in said.exceptions {
            match status.filter(|status| !status.is_plainly_applied()) {
                Some(status) => drop(self.exceptions.insert(key.clone(), status)),
                None => drop(self.exceptions.remove(&key)),
            }
            changed.insert(key);
        }
        changed
    }

    /// What the agent said about an objective since it is wanted like that; `None` if nothing yet.
    pub fn get(&self, wish: &Wish<'_>) -> Option<Status> {
        match self.exceptions.get(wish.key) {
            Some(status) if status.revision >= wish.revision => Some(status.clone()),
            Some(_) => None,
            None if self.taken >= wish.revision => Some(Status::applied(wish.revision)),
            None => None,
        }
    }

    /// How a wish fares under a master's term.
    pub fn status(&self, wish: &Wish<'_>, term: Term) -> Status {
        if let Some(status) = self.get(wish) {
            return status;
        }
        let revision = wish.revision;
        match self.fault(term) {
            Some(fault) => Status::pending(fault.reason, &fault.message, revision),
            None if self.term == term => Status::pending(
                Reason::InFlight,
                "accepted, and on its way to the switch",
                revision,
            ),
            None => Status::pending(
                Reason::InFlight,
                "accepted; the device is about to be connected",
                revision,
            ),
        }
    }

    /// Has the agent applied or refused it?
    pub fn is_settled(&self, wish: &Wish<'_>) -> bool {
        self.get(wish)
            .is_some_and(|status| status.progress != Progress::Pending)
    }

    /// Why the master of this term has no session; `None` if it has one, or is about to.
    pub fn fault(&self, term: Term) -> Option<&SessionFault> {
        let (of, fault) = self.fault.as_ref()?;
        (*of == term).then_some(fault)
    }

    /// Is it what the master of this term has told?
    pub fn is_of(&self, term: Term) -> bool {
        self.term == term || self.fault(term).is_some()
    }

    /// What the switch has let expire and still knows of: the controller has yet to forget it.
    pub fn expired(&self) -> Expired {
        let expired = self
            .exceptions
            .iter()
            .filter(|(_, status)| status.is_expired());
        let expired = expired.map(|(key, status)| (key.clone(), status.revision));
        expired.collect()
    }

    /// The objectives that are not plainly applied.
    pub fn exceptions(&self) -> &BTreeMap<ObjectiveKey, Status> {
        &self.exceptions
    }

    /// Without those, for a store that keeps them row by row.
    pub fn without_rows(&self) -> Self {
        Self {
            exceptions: BTreeMap::new(),
            fault: self.fault.clone(),
            ..*self
        }
    }

    /// Puts back an exception that a store kept.
    pub fn restore(&mut self, key: ObjectiveKey, status: Status) {
        self.exceptions.insert(key, status);
    }
}

/// What is wanted of one objective, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// The objective.
    pub key: &'a ObjectiveKey,
    /// The revision that made it so: that it is there like this, or that it is gone.
    pub revision: Revision,
}

impl DeviceState {
    /// What its switch has acknowledged.
    pub fn acknowledged(&self) -> &Acknowledged {
        &self.acknowledged
    }

    /// The term of its master; zero without one.
    pub fn term(&self) -> Term {
        self.mastership().map_or(Term::default(), |held| held.term)
    }
}

impl State {
    pub(super) fn acknowledge(&mut self, node: NodeId, reports: Vec<Report>) -> Effect {
        let mut touched = Vec::new();
        for report in reports {
            let name = report.spec.name.clone();
            let Some(device) = self.devices.get_mut(&name) else {
                continue;
            };
            let is_masters = device
                .mastership
                .as_ref()
                .is_some_and(|held| (held.node, held.term) == (node, report.term));
            if !is_masters || device.spec != report.spec {
                continue;
            }
            let changed = device.acknowledged.record(report).into_iter();
            touched.extend(changed.map(|key| RowKey::Exception(name.clone(), key)));
            touched.push(RowKey::Acknowledged(name));
        }
        Effect {
            response: Response::Done,
            touched,
        }
    }
}
