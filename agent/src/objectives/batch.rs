//! Taking a batch of changes: each objective is applied, waits or fails, and those that
//! waited for it are looked at again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pointsman_model::{Change, Kind, Objective, ObjectiveId, Operation};
use pointsman_proto::pointsman::objective::v1::Reason;

use super::life::Moment;
use super::settle::refusal;
use super::sink::Sink;
use super::{Objectives, Status, Wanted};
use crate::pipeliner::{Book, Ids, Pipeliner, Ports, Refusal, merge};

/// What objectives are realised with.
pub struct Context<'a> {
    /// `None` without a pipeline; an error if the pipeline has no manifest.
    pub pipeliner: Option<Result<&'a Pipeliner, Refusal>>,
    /// The ports that objectives may name.
    pub ports: &'a Ports,
    /// Now.
    pub now: Moment,
}

/// Changes that are taken together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Each with the revision it was given.
    pub changes: Vec<(Change, u64)>,
    /// What is there already, under another revision.
    pub revised: Vec<(ObjectiveId, u64)>,
    /// What is not in the batch goes.
    pub snapshot: bool,
}

impl Objectives {
    /// Takes a batch. Whatever can be applied is in the sink afterwards; the rest says why not.
    pub fn take(&mut self, batch: Batch, context: &Context<'_>, sink: &mut dyn Sink) {
        for (id, revision) in &batch.revised {
            self.revise(id, *revision);
        }
        let mut deletes: BTreeMap<ObjectiveId, Option<u64>> = BTreeMap::new();
        if batch.snapshot {
            let named: BTreeSet<ObjectiveId> = batch
                .changes
                .iter()
                .map(|(change, _)| change.objective.id())
                .collect();
            let gone = self.wanted.keys().filter(|id| !named.contains(*id));
            let gone = gone.filter(|id| !id.name.is_local());
            deletes.extend(gone.map(|id| (id.clone(), None)));
        }
        let mut puts = VecDeque::new();
        let mut again = BTreeSet::new();
        for (change, revision) in batch.changes {
            let id = change.objective.id();
            self.changed.insert(id.clone());
            let objective = match change.operation {
                Operation::Delete => {
                    deletes.insert(id, Some(revision));
                    continue;
                }
                Operation::Put => change.objective,
                Operation::Verify => {
                    if let Err(refusal) = self.verify(&change.objective) {
                        self.refuse(change.objective, revision, refusal);
                    }
                    continue;
                }
                Operation::AddToExisting | Operation::RemoveFromExisting | Operation::Modify => {
                    let existing = self.wanted.get(&id).map(|wanted| &wanted.objective);
                    match merge(existing, &change) {
                        Ok(whole) => whole,
                        Err(refusal) => {
                            self.refuse(change.objective, revision, refusal);
                            continue;
                        }
                    }
                }
            };
            deletes.remove(&id);
            if self.has_expired(&objective, revision) {
                // The controller has not heard of it yet, and is told again.
                continue;
            }
            self.want(objective, revision);
            again.insert(id.clone());
            puts.push_back(id);
        }
        for (id, revision) in &deletes {
            if let (Some(wanted), Some(revision)) = (self.wanted.get_mut(id), revision) {
                wanted.status.revision = *revision;
            }
            // It goes with the rest of its group.
            if self.is_grouped(id)
                && let Some(wanted) = self.wanted.get_mut(id)
            {
                wanted.leaving = true;
                puts.push_back(id.clone());
            }
            self.changed.insert(id.clone());
        }
        self.settle(puts, context, sink);
        // Who asks for an objective asks for all of it, whatever others have made of it.
        self.repair(|_, owners| !owners.is_disjoint(&again), context.ports, sink);
        // What refers goes before what is referred to: nexts are the last in the order of kinds.
        let frees = !deletes.is_empty();
        for id in deletes.into_keys() {
            if !self.is_blocked(&id) {
                self.remove(&id, context, sink);
            }
        }
        if frees {
            self.finish_leaving(context, sink);
            self.retry(Wanted::lacks_room, context, sink);
        }
    }

    /// Looks again at objectives that may now be possible.
    pub fn retry(
        &mut self,
        which: impl Fn(&Wanted) -> bool,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) {
        let ids = self
            .wanted
            .iter()
            .filter(|(_, wanted)| which(wanted) && !wanted.leaving);
        let ids = ids.map(|(id, _)| id.clone()).collect();
        self.settle(ids, context, sink);
    }

    /// The pipeline is another one, or gone: realises everything anew on an empty data plane.
    pub fn restart(&mut self, context: &Context<'_>, sink: &mut dyn Sink) {
        self.book = Book::new(Ids::default());
        self.changed.extend(self.wanted.keys().cloned());
        // Nexts first, so that few have to wait.
        let mut ids: Vec<_> = self.wanted.keys().cloned().collect();
        ids.sort_by_key(|id| id.kind != Kind::Next);
        self.settle(ids.into(), context, sink);
    }

    /// Whether this is what has expired, and not something that was put again.
    fn has_expired(&self, objective: &Objective, revision: u64) -> bool {
        self.wanted.get(&objective.id()).is_some_and(|wanted| {
            let is_same = wanted.status.revision == revision && wanted.objective == *objective;
            wanted.is_expired() && is_same
        })
    }

    fn want(&mut self, objective: Objective, revision: u64) {
        let id = objective.id();
        let status = match self.wanted.remove(&id) {
            Some(old) if old.is_expired() => Status::pending(revision, Reason::InFlight, ""),
            Some(old) => {
                self.unrefer(&old.objective, &id);
                Status {
                    revision,
                    ..old.status
                }
            }
            None => Status::pending(revision, Reason::InFlight, ""),
        };
        self.refer(&objective, &id);
        let wanted = Wanted {
            objective,
            status,
            leaving: false,
        };
        self.wanted.insert(id, wanted);
    }

    /// Notes a change that makes no objective. What there is of that name stays as it is.
    fn refuse(&mut self, objective: Objective, revision: u64, refusal: Refusal) {
        let id = objective.id();
        if !self.wanted.contains_key(&id) {
            self.want(objective, revision);
        }
        if let Some(wanted) = self.wanted.get_mut(&id) {
            wanted.status.revision = revision;
            wanted.status = wanted.status.failing(refusal);
        }
    }

    fn remove(&mut self, id: &ObjectiveId, context: &Context<'_>, sink: &mut dyn Sink) {
        self.changed.insert(id.clone());
        let Some(wanted) = self.wanted.get_mut(id) else {
            return;
        };
        let referrers = match id.kind {
            Kind::Next => self.referrers.get(&id.name),
            Kind::Filter | Kind::Forward => None,
        };
        if let Some(first) = referrers.and_then(|referrers| referrers.first()) {
            let message = format!(
                "next {} is in use by {first}; it goes when that does",
                id.name
            );
            let refusal = refusal(Reason::NextInUse, message);
            wanted.leaving = true;
            wanted.status = wanted.status.failing(refusal);
            return;
        }
        if let Err(refusal) = self.take_out(id, context, sink) {
            tracing::error!(objective = %id, reason = refusal.message, "cannot be removed");
            if let Some(wanted) = self.wanted.get_mut(id) {
                wanted.leaving = true;
                wanted.status = wanted.status.failing(refusal);
            }
            return;
        }
        self.forget(id);
    }

    /// Removes what was to go and is free to.
    pub(super) fn finish_leaving(&mut self, context: &Context<'_>, sink: &mut dyn Sink) {
        let free = |objectives: &Objectives, id: &ObjectiveId, wanted: &Wanted| {
            let is_used = id.kind == Kind::Next && objectives.referrers.contains_key(&id.name);
            wanted.leaving && !is_used && !objectives.is_blocked(id)
        };
        loop {
            let ids = self
                .wanted
                .iter()
                .filter(|(id, wanted)| free(self, id, wanted));
            let ids: Vec<_> = ids.map(|(id, _)| id.clone()).collect();
            let before = self.wanted.len();
            for id in ids {
                self.remove(&id, context, sink);
            }
            if self.wanted.len() == before {
                return;
            }
        }
    }
}

impl Wanted {
    /// Something else has the entry that it needs, or the table is full.
    pub fn lacks_room(&self) -> bool {
        matches!(
            self.status.reason,
            Reason::Conflict | Reason::TableFull | Reason::Superseded
        )
    }
}
