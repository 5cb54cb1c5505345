//! Bringing objectives into the data plane, each on its own or with its group, and then those that waited for them.

use std::collections::{HashSet, VecDeque};

use pointsman_model::{Kind, Name, Objective, ObjectiveId};
use pointsman_proto::pointsman::objective::v1::{Reason, State};
use tonic::Code;

use super::batch::Context;
use super::degraded::in_force;
use super::group::GroupId;
use super::sink::Sink;
use super::{Objectives, Status};
use crate::entity::{Operation as EntityOperation, Update};
use crate::pipeliner::{Book, Pipeliner, Refusal, Staged, Undo};
use crate::switch::UpdateError;

/// What is applied wholly or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Unit {
    One(ObjectiveId),
    Group(GroupId),
}

/// What is to be settled, each once until its turn comes.
#[derive(Debug, Default)]
struct Queue {
    units: VecDeque<Unit>,
    known: HashSet<Unit>,
}

impl Queue {
    fn push(&mut self, unit: Unit) {
        if self.known.insert(unit.clone()) {
            self.units.push_back(unit);
        }
    }

    fn pop(&mut self) -> Option<Unit> {
        let unit = self.units.pop_front()?;
        self.known.remove(&unit);
        Some(unit)
    }
}

impl Objectives {
    /// Realises objectives, and then those that wait for them.
    pub(super) fn settle(
        &mut self,
        ids: VecDeque<ObjectiveId>,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) {
        let mut queue = Queue::default();
        for id in &ids {
            self.unit_of(id)
                .into_iter()
                .for_each(|unit| queue.push(unit));
        }
        while let Some(unit) = queue.pop() {
            let applied = match &unit {
                Unit::One(id) => self.settle_one(id, context, sink).into_iter().collect(),
                Unit::Group(group) => self.settle_group(group, context, sink),
            };
            for next in &applied {
                let referrers = self.referrers.get(next).into_iter().flatten();
                let waiting = referrers.filter(|id| self.waits_for_next(id));
                let units = waiting.filter_map(|id| self.unit_of(id));
                units
                    .filter(|waiting| *waiting != unit)
                    .for_each(|unit| queue.push(unit));
            }
        }
    }

    /// With what an objective is applied; nothing if it is not to be any more.
    fn unit_of(&self, id: &ObjectiveId) -> Option<Unit> {
        let wanted = self.wanted.get(id).filter(|wanted| !wanted.is_expired())?;
        Some(match GroupId::of(&wanted.objective) {
            Some(group) => Unit::Group(group),
            None => Unit::One(id.clone()),
        })
    }

    /// Returns its name if it is a next that is applied.
    fn settle_one(
        &mut self,
        id: &ObjectiveId,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) -> Option<Name> {
        let objective = self.wanted.get(id)?.objective.clone();
        let outcome = self.realise(&objective, context, sink, &mut Vec::new());
        let is_applied = self.note(id, outcome, context);
        (is_applied && id.kind == Kind::Next).then(|| id.name.clone())
    }

    /// Takes note of how an objective fares now; says whether it is applied.
    pub(super) fn note(
        &mut self,
        id: &ObjectiveId,
        outcome: Result<(), Refusal>,
        context: &Context<'_>,
    ) -> bool {
        let wanted = self.wanted.get_mut(id).expect("what is settled is wanted");
        let Status {
            revision,
            applied_revision,
            ..
        } = wanted.status;
        let mut status = match outcome {
            Ok(()) => {
                self.lives.begin(&wanted.objective, context.now);
                in_force(&self.book, &wanted.objective, context.ports, revision)
            }
            Err(refusal) => Status::refused(revision, refusal),
        };
        let is_applied = status.state == State::Applied;
        if !is_applied && self.book.contains(id) {
            status.message += "; the version before it stays in force";
            status.applied_revision = applied_revision;
        }
        if wanted.status != status {
            wanted.status = status;
            self.changed.insert(id.clone());
        }
        is_applied
    }

    /// Realises an objective. What is the switch's own gives way to what is not.
    pub(super) fn realise(
        &mut self,
        objective: &Objective,
        context: &Context<'_>,
        sink: &mut dyn Sink,
        undos: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        loop {
            let refusal = match realise(&mut self.book, objective, context, sink) {
                Ok(undo) => {
                    undos.push(undo);
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            let rival = refusal
                .rival
                .clone()
                .filter(|rival| rival.name.is_local() && !objective.name.is_local());
            let Some(rival) = rival else {
                return Err(refusal);
            };
            if !self.give_way(&rival, &objective.id(), context, sink, undos) {
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
        undos: &mut Vec<Undo>,
    ) -> bool {
        if id.kind == Kind::Next {
            for user in self.book.users(&id.name) {
                if !user.name.is_local() || !self.give_way(&user, to, context, sink, undos) {
                    return false;
                }
            }
        }
        match self.take_out(id, context, sink) {
            Ok(undo) => undos.extend(undo),
            Err(refusal) => {
                tracing::error!(objective = %id, reason = refusal.message, "cannot give way");
                return false;
            }
        }
        if let Some(wanted) = self.wanted.get_mut(id) {
            let revision = wanted.status.revision;
            wanted.status = Status::superseded(revision, format!("it gives way to {to}"));
            self.changed.insert(id.clone());
        }
        true
    }

    /// Takes an objective out of the data plane, if it is there.
    pub(super) fn take_out(
        &mut self,
        id: &ObjectiveId,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Option<Undo>, Refusal> {
        if !self.book.contains(id) {
            return Ok(None);
        }
        let staged = pipeliner(context)?.delete(&self.book, id)?;
        write(&mut self.book, staged, sink).map(Some)
    }

    fn waits_for_next(&self, id: &ObjectiveId) -> bool {
        let wanted = self.wanted.get(id);
        wanted.is_some_and(|wanted| wanted.status.reason == Reason::WaitsForNext)
    }
}

/// Writes what an objective needs, wholly or not at all.
pub(super) fn realise(
    book: &mut Book,
    objective: &Objective,
    context: &Context<'_>,
    sink: &mut dyn Sink,
) -> Result<Undo, Refusal> {
    let staged = pipeliner(context)?.put(book, context.ports, objective)?;
    write(book, staged, sink)
}

fn write(book: &mut Book, staged: Staged, sink: &mut dyn Sink) -> Result<Undo, Refusal> {
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
    Ok(book.commit(staged))
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
        error if error.code() == Code::Unavailable => Reason::SwitchAway,
        error if error.is_full() => Reason::TableFull,
        error if error.is_unsupported() => Reason::UnsupportedByPipeline,
        _ => Reason::Internal,
    };
    refusal(reason, error.to_string())
}

pub(super) fn refusal(reason: Reason, message: String) -> Refusal {
    Refusal::new(reason, message)
}
