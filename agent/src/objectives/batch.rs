//! Taking a batch of changes: each objective is applied, waits or fails, and those that
//! waited for it are looked at again.

use std::collections::{BTreeSet, VecDeque};

use pointsman_model::{Change, Kind, Objective, ObjectiveId, Operation};
use pointsman_proto::pointsman::objective::v1::{Reason, State};

use super::degraded::in_force;
use super::sink::Sink;
use super::{Objectives, Status, Wanted};
use crate::entity::{Operation as EntityOperation, Update};
use crate::pipeliner::{Book, Ids, Pipeliner, Ports, Refusal, Staged, merge};
use crate::switch::UpdateError;

/// What objectives are realised with.
pub struct Context<'a> {
    /// `None` without a pipeline; an error if the pipeline has no manifest.
    pub pipeliner: Option<Result<&'a Pipeliner, Refusal>>,
    /// The ports that objectives may name.
    pub ports: &'a Ports,
}

/// Changes that are taken together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Each with the revision it was given.
    pub changes: Vec<(Change, u64)>,
    /// What is not in the batch goes.
    pub snapshot: bool,
}

impl Objectives {
    /// Takes a batch. Whatever can be applied is in the sink afterwards; the rest says why not.
    pub fn take(&mut self, batch: Batch, context: &Context<'_>, sink: &mut dyn Sink) {
        let mut deletes = BTreeSet::new();
        if batch.snapshot {
            let named: BTreeSet<ObjectiveId> = batch
                .changes
                .iter()
                .map(|(change, _)| change.objective.id())
                .collect();
            let gone = self.wanted.keys().filter(|id| !named.contains(*id));
            let gone = gone.filter(|id| !id.name.is_local());
            deletes.extend(gone.cloned());
        }
        let mut puts = VecDeque::new();
        let mut again = BTreeSet::new();
        for (change, revision) in batch.changes {
            let id = change.objective.id();
            self.changed.insert(id.clone());
            let objective = match change.operation {
                Operation::Delete => {
                    deletes.insert(id);
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
            self.want(objective, revision);
            again.insert(id.clone());
            puts.push_back(id);
        }
        self.settle(puts, context, sink);
        // Who asks for an objective asks for all of it, whatever others have made of it.
        self.repair(|_, owners| !owners.is_disjoint(&again), context.ports, sink);
        // What refers goes before what is referred to: nexts are the last in the order of kinds.
        let frees = !deletes.is_empty();
        for id in deletes {
            self.remove(&id, context, sink);
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

    fn want(&mut self, objective: Objective, revision: u64) {
        let id = objective.id();
        let status = match self.wanted.remove(&id) {
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

    /// Realises objectives, and then those that wait for them.
    fn settle(
        &mut self,
        mut queue: VecDeque<ObjectiveId>,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) {
        while let Some(id) = queue.pop_front() {
            let Some(wanted) = self.wanted.get(&id) else {
                continue;
            };
            let Status {
                revision,
                applied_revision,
                ..
            } = wanted.status;
            let objective = wanted.objective.clone();
            let mut status = match self.realise(&objective, context, sink) {
                Ok(()) => in_force(&self.book, &objective, context.ports, revision),
                Err(refusal) => match refusal.reason {
                    Reason::WaitsForNext | Reason::NoPipeline => {
                        Status::pending(revision, refusal.reason, refusal.message)
                    }
                    _ => Status::failed(revision, refusal),
                },
            };
            let is_applied = status.state == State::Applied;
            if !is_applied && self.book.contains(&id) {
                status.message += "; the version before it stays in force";
                status.applied_revision = applied_revision;
            }
            let wanted = self.wanted.get_mut(&id).expect("it was found above");
            if wanted.status != status {
                wanted.status = status;
                self.changed.insert(id.clone());
            }
            if is_applied && id.kind == Kind::Next {
                let referrers = self.referrers.get(&id.name).into_iter().flatten();
                let waiting = referrers.filter(|id| self.waits_for_next(id));
                queue.extend(waiting.cloned());
            }
        }
    }

    /// Realises an objective. What is the switch's own gives way to what is not.
    fn realise(
        &mut self,
        objective: &Objective,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        loop {
            let refusal = match realise(&mut self.book, objective, context, sink) {
                Ok(()) => return Ok(()),
                Err(refusal) => refusal,
            };
            let rival = refusal
                .rival
                .clone()
                .filter(|rival| rival.name.is_local() && !objective.name.is_local());
            let Some(rival) = rival else {
                return Err(refusal);
            };
            if !self.give_way(&rival, &objective.id(), context, sink) {
                return Err(refusal);
            }
        }
    }

    /// Takes a local objective out of the data plane, and those that need it. It comes back when there is room. Says
    /// whether it is out.
    fn give_way(
        &mut self,
        id: &ObjectiveId,
        to: &ObjectiveId,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) -> bool {
        if id.kind == Kind::Next {
            for user in self.book.users(&id.name) {
                if !user.name.is_local() || !self.give_way(&user, to, context, sink) {
                    return false;
                }
            }
        }
        let out = pipeliner(context)
            .and_then(|pipeliner| pipeliner.delete(&self.book, id))
            .and_then(|staged| write(&mut self.book, staged, sink));
        if let Err(refusal) = out {
            tracing::error!(objective = %id, reason = refusal.message, "cannot give way");
            return false;
        }
        if let Some(wanted) = self.wanted.get_mut(id) {
            let revision = wanted.status.revision;
            wanted.status = Status::superseded(revision, format!("it gives way to {to}"));
            self.changed.insert(id.clone());
        }
        true
    }

    fn waits_for_next(&self, id: &ObjectiveId) -> bool {
        let wanted = self.wanted.get(id);
        wanted.is_some_and(|wanted| wanted.status.reason == Reason::WaitsForNext)
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
        if self.book.contains(id) {
            let taken_away = pipeliner(context)
                .and_then(|pipeliner| pipeliner.delete(&self.book, id))
                .and_then(|staged| write(&mut self.book, staged, sink));
            if let Err(refusal) = taken_away {
                tracing::error!(objective = %id, reason = refusal.message, "cannot be removed");
                wanted.leaving = true;
                wanted.status = wanted.status.failing(refusal);
                return;
            }
        }
        if let Some(wanted) = self.wanted.remove(id) {
            self.unrefer(&wanted.objective, id);
        }
    }

    /// Removes nexts that were to go and that nothing refers to any more.
    fn finish_leaving(&mut self, context: &Context<'_>, sink: &mut dyn Sink) {
        let free = |objectives: &Objectives, id: &ObjectiveId, wanted: &Wanted| {
            wanted.leaving && !objectives.referrers.contains_key(&id.name)
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

/// Writes what an objective needs, wholly or not at all.
pub(super) fn realise(
    book: &mut Book,
    objective: &Objective,
    context: &Context<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Refusal> {
    let staged = pipeliner(context)?.put(book, context.ports, objective)?;
    write(book, staged, sink)
}

fn write(book: &mut Book, staged: Staged, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let savepoint = sink.savepoint();
    for update in staged.updates() {
        let Some(update) = on_what_is_there(update, sink) else {
            continue;
        };
        if let Err(error) = sink.apply(&update) {
            sink.roll_back_to(savepoint);
            return Err(refusal_of(&error));
        }
    }
    book.commit(staged);
    Ok(())
}

/// What an update comes to where somebody else has deleted what it is about; `None` if to nothing.
fn on_what_is_there(update: Update, sink: &dyn Sink) -> Option<Update> {
    let is_gone = || sink.holds(&update.entity) == Some(false);
    match update.operation {
        EntityOperation::Modify if is_gone() => Some(Update::insert(update.entity)),
        EntityOperation::Delete if is_gone() => None,
        _ => Some(update),
    }
}

fn pipeliner<'a>(context: &Context<'a>) -> Result<&'a Pipeliner, Refusal> {
    match &context.pipeliner {
        Some(Ok(pipeliner)) => Ok(pipeliner),
        Some(Err(refusal)) => Err(refusal.clone()),
        None => Err(refusal(
            Reason::NoPipeline,
            "the switch has no pipeline; set one, or start the agent with --pipeline".to_owned(),
        )),
    }
}

/// Why the switch refused an update, in the words of objectives.
fn refusal_of(error: &UpdateError) -> Refusal {
    let reason = match error {
        UpdateError::AlreadyExists { what } => {
            let message =
                format!("{what} was written by a P4Runtime client; delete it there first");
            return refusal(Reason::Conflict, message);
        }
        UpdateError::MixedSelector { .. } | UpdateError::InUse { .. } => Reason::Conflict,
        error if error.is_full() => Reason::TableFull,
        error if error.is_unsupported() => Reason::UnsupportedByPipeline,
        _ => Reason::Internal,
    };
    refusal(reason, error.to_string())
}

fn refusal(reason: Reason, message: String) -> Refusal {
    Refusal::new(reason, message)
}
