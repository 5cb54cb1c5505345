//! Objectives of one group: all of them are in the data plane as they are wanted, or none of what is new is.
//!
//! A group is looked at as a whole whenever one of its members is. Its members are written one after the other behind
//! one savepoint; if one is refused, or waits for something, everything since then is taken back, so that what was
//! in force before stays so. Members that are to go do so with the rest. Each member says which one is to blame.

use std::fmt;

use pointsman_model::{Kind, MAX_GROUP, Name, Objective, ObjectiveId};
use pointsman_proto::pointsman::objective::v1::{Reason, State};

use super::batch::Context;
use super::sink::Sink;
use super::{Objectives, Status};
use crate::pipeliner::{Refusal, Undo};

/// What makes a group the one it is: two applications may use one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GroupId {
    owner: Option<Name>,
    name: Name,
}

impl GroupId {
    /// The group of an objective, if it has one.
    pub(super) fn of(objective: &Objective) -> Option<GroupId> {
        let attributes = &objective.attributes;
        attributes.group.clone().map(|name| GroupId {
            owner: attributes.owner.clone(),
            name,
        })
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.name)
    }
}

/// Who keeps a group from being applied, and why.
struct Blame {
    id: ObjectiveId,
    refusal: Refusal,
}

/// In which order a group is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// So that packets always find the one or the other.
    PutsFirst,
    /// When what comes needs the place of what goes.
    DeletionsFirst,
}

impl Objectives {
    /// Whether this objective is in a group.
    pub(super) fn is_grouped(&self, id: &ObjectiveId) -> bool {
        let wanted = self.wanted.get(id).filter(|wanted| !wanted.is_expired());
        wanted.is_some_and(|wanted| wanted.objective.attributes.group.is_some())
    }

    /// Whether its group keeps it from going.
    pub(super) fn is_blocked(&self, id: &ObjectiveId) -> bool {
        let wanted = self.wanted.get(id).filter(|wanted| !wanted.is_expired());
        let group = wanted.and_then(|wanted| GroupId::of(&wanted.objective));
        let members = group.and_then(|group| self.groups.get(&group));
        members.into_iter().flatten().any(|member| {
            let member = self.wanted.get(member);
            member.is_some_and(|m| !m.leaving && m.status.state != State::Applied)
        })
    }

    /// Applies a group, or leaves all as it is. Returns the nexts that are applied.
    pub(super) fn settle_group(
        &mut self,
        group: &GroupId,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) -> Vec<Name> {
        let members = self.groups.get(group).cloned().unwrap_or_default();
        let is_leaving = |id: &ObjectiveId| self.wanted.get(id).is_some_and(|w| w.leaving);
        let (leaving, mut staying): (Vec<_>, Vec<_>) = members.into_iter().partition(is_leaving);
        let goes = |id: &&ObjectiveId| !self.is_used_by_others(id, &leaving);
        let mut leaving: Vec<_> = leaving.iter().filter(goes).cloned().collect();
        // What is referred to comes first and goes last.
        staying.sort_by_key(|id| id.kind != Kind::Next);
        leaving.sort_by_key(|id| id.kind == Kind::Next);
        let mut outcome = self.attempt(&staying, &leaving, Order::PutsFirst, context, sink);
        if outcome.is_err() && !leaving.is_empty() {
            outcome = self.attempt(&staying, &leaving, Order::DeletionsFirst, context, sink);
        }
        match outcome {
            Ok(()) => {
                for id in &staying {
                    self.note(id, Ok(()), context);
                }
                for id in &leaving {
                    self.forget(id);
                }
                let nexts = staying.into_iter().filter(|id| id.kind == Kind::Next);
                nexts.map(|id| id.name).collect()
            }
            Err(blame) => {
                self.blame(group, &blame, &staying, &leaving, context);
                Vec::new()
            }
        }
    }

    /// Writes a group wholly or not at all.
    fn attempt(
        &mut self,
        staying: &[ObjectiveId],
        leaving: &[ObjectiveId],
        order: Order,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Blame> {
        if let Some(id) = staying.get(MAX_GROUP) {
            let message = format!("a group has at most {MAX_GROUP} objectives on a switch");
            let refusal = Refusal::new(Reason::BadParameters, message);
            let id = id.clone();
            return Err(Blame { id, refusal });
        }
        let savepoint = sink.savepoint();
        let mut undos = Vec::new();
        let written = match order {
            Order::PutsFirst => self
                .put_all(staying, context, sink, &mut undos)
                .and_then(|()| self.delete_all(leaving, context, sink, &mut undos)),
            Order::DeletionsFirst => self
                .delete_all(leaving, context, sink, &mut undos)
                .and_then(|()| self.put_all(staying, context, sink, &mut undos)),
        };
        if written.is_err() {
            sink.roll_back_to(savepoint);
            for undo in undos.into_iter().rev() {
                self.come_back(&undo);
                self.book.undo(undo);
            }
        }
        written
    }

    /// Those that wait for a next of their own group are tried again when it is there.
    fn put_all(
        &mut self,
        ids: &[ObjectiveId],
        context: &Context<'_>,
        sink: &mut dyn Sink,
        undos: &mut Vec<Undo>,
    ) -> Result<(), Blame> {
        let mut ahead = ids.to_vec();
        loop {
            let before = ahead.len();
            let mut waiting = Vec::new();
            for id in ahead {
                let Some(wanted) = self.wanted.get(&id) else {
                    continue;
                };
                let objective = wanted.objective.clone();
                match self.realise(&objective, context, sink, undos) {
                    Ok(()) => {}
                    Err(refusal) if refusal.reason == Reason::WaitsForNext => {
                        waiting.push(Blame { id, refusal });
                    }
                    Err(refusal) => return Err(Blame { id, refusal }),
                }
            }
            if waiting.len() == before
                && let Some(first) = waiting.pop()
            {
                return Err(first);
            }
            if waiting.is_empty() {
                return Ok(());
            }
            ahead = waiting.into_iter().map(|blame| blame.id).collect();
        }
    }

    fn delete_all(
        &mut self,
        ids: &[ObjectiveId],
        context: &Context<'_>,
        sink: &mut dyn Sink,
        undos: &mut Vec<Undo>,
    ) -> Result<(), Blame> {
        for id in ids {
            match self.take_out(id, context, sink) {
                Ok(undo) => undos.extend(undo),
                Err(refusal) => {
                    let id = id.clone();
                    return Err(Blame { id, refusal });
                }
            }
        }
        Ok(())
    }

    /// What gave way to a group that is not applied after all is in force again.
    fn come_back(&mut self, undo: &Undo) {
        for id in undo.ids().filter(|id| id.name.is_local()) {
            if let Some(wanted) = self.wanted.get_mut(id) {
                wanted.status = Status::applied(wanted.status.revision);
                self.changed.insert(id.clone());
            }
        }
    }

    /// Says of each member why the group is not applied. Those that are in force as they are wanted stay applied.
    fn blame(
        &mut self,
        group: &GroupId,
        blame: &Blame,
        staying: &[ObjectiveId],
        leaving: &[ObjectiveId],
        context: &Context<'_>,
    ) {
        let Blame {
            id: culprit,
            refusal,
        } = blame;
        let waits = Status::refused(0, refusal.clone()).state == State::Pending;
        let reason = if waits { refusal.reason } else { Reason::Group };
        let verb = if waits {
            "waits for"
        } else {
            "is not applied because of"
        };
        let why = format!("{group} {verb} {culprit}: {}", refusal.message);
        for id in staying {
            let in_force = self.book.objective(id);
            let is_so = self.wanted.get(id).is_some_and(|wanted| {
                wanted.status.state == State::Applied && in_force == Some(&wanted.objective)
            });
            if is_so {
                continue;
            }
            let refusal = match id == culprit {
                true => Refusal {
                    message: format!("{}; nothing of {group} is applied", refusal.message),
                    ..refusal.clone()
                },
                false => Refusal::new(reason, why.clone()),
            };
            self.note(id, Err(refusal), context);
        }
        for id in leaving {
            if let Some(wanted) = self.wanted.get_mut(id) {
                let refusal = Refusal::new(Reason::Group, format!("it goes with its group; {why}"));
                wanted.status = wanted.status.failing(refusal);
                self.changed.insert(id.clone());
            }
        }
    }

    /// Whether something refers to it that does not go as well.
    fn is_used_by_others(&self, id: &ObjectiveId, going: &[ObjectiveId]) -> bool {
        let referrers = match id.kind {
            Kind::Next => self.referrers.get(&id.name),
            Kind::Filter | Kind::Forward => None,
        };
        let mut referrers = referrers.into_iter().flatten();
        referrers.any(|referrer| !going.contains(referrer))
    }
}
