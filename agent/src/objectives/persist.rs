//! Objectives on disk.

use std::collections::BTreeMap;

use pointsman_model::wire::WireError;
use pointsman_model::{Kind, Name, Objective, ObjectiveId};
use pointsman_proto::pointsman::agent::v1::{
    StateDrift, StateObjective, StateObjectiveKey, StateObjectives,
};
use pointsman_proto::pointsman::objective::v1 as pb;
use pointsman_proto::pointsman::objective::v1::{Reason, State};
use prost::Message;
use thiserror::Error;

use super::batch::Context;
use super::group::GroupId;
use super::life::Moment;
use super::settle::realise;
use super::sink::Sink;
use super::{Objectives, Status, Wanted};
use crate::pipeliner::{Book, Ids};

/// Why saved objectives cannot be used.
#[derive(Debug, Error)]
pub enum PersistError {
    /// A part is missing.
    #[error("a saved objective has no {0}")]
    Missing(&'static str),
    /// It is not an objective.
    #[error("a saved objective: {0}")]
    Objective(#[from] WireError),
    /// The ids are not readable.
    #[error("the saved ids of nexts: {0}")]
    Ids(#[from] serde_json::Error),
}

/// What an earlier run had in the data plane.
#[derive(Debug, Default)]
pub struct Realised {
    ids: Ids,
    objectives: BTreeMap<ObjectiveId, Objective>,
    /// By the entry, as it was written down.
    drifts: BTreeMap<Vec<u8>, StateDrift>,
}

impl Realised {
    /// What others had made of entries.
    pub fn drifts(&self) -> impl Iterator<Item = &StateDrift> {
        self.drifts.values()
    }

    /// There is another pipeline: nothing has drifted there.
    pub fn forget_drifts(&mut self) {
        self.drifts.clear();
    }
}

impl Objectives {
    /// What has to be kept of a change: these objectives as they are now. Their entities are
    /// not kept, but made again from the same ids.
    pub fn to_record(&self, changed: &[ObjectiveId]) -> StateObjectives {
        let mut record = StateObjectives {
            cluster_id: self.cluster_id.clone(),
            revision: self.revision,
            ..StateObjectives::default()
        };
        if changed.iter().any(|id| id.kind == Kind::Next) {
            // Maps with text keys can always be JSON.
            record.ids = serde_json::to_string(self.book.ids()).unwrap_or_default();
        }
        for id in changed {
            match self.wanted.get(id) {
                Some(wanted) => record.put.push(StateObjective {
                    objective: Some((&wanted.objective).into()),
                    status: Some((&wanted.status).into()),
                    realised: self.book.objective(id).map(Into::into),
                    leaving: wanted.leaving,
                    applied_milliseconds: self.lives.applied(id).map_or(0, |applied| applied.0),
                }),
                None => record.deleted.push(StateObjectiveKey {
                    kind: pb::Kind::from(id.kind).into(),
                    name: id.name.to_string(),
                }),
            }
        }
        record
    }

    /// Everything, for a snapshot.
    pub fn to_snapshot(&self) -> StateObjectives {
        let all: Vec<_> = self.wanted.keys().cloned().collect();
        self.to_record(&all)
    }

    /// Replays a record. What was realised is collected for [`Objectives::rebuild`].
    pub fn replay(
        &mut self,
        record: &StateObjectives,
        realised: &mut Realised,
    ) -> Result<(), PersistError> {
        self.cluster_id.clone_from(&record.cluster_id);
        self.revision = record.revision;
        if !record.ids.is_empty() {
            realised.ids = serde_json::from_str(&record.ids)?;
        }
        for drift in &record.drifts {
            let entry = drift.entry.as_ref().map(Message::encode_to_vec);
            let entry = entry.ok_or(PersistError::Missing("entry"))?;
            match drift.over {
                true => drop(realised.drifts.remove(&entry)),
                false => drop(realised.drifts.insert(entry, drift.clone())),
            }
        }
        for key in &record.deleted {
            let name = Name::new(&key.name).ok_or(PersistError::Missing("name"))?;
            let kind = Kind::try_from(key.kind())?;
            let id = ObjectiveId { kind, name };
            realised.objectives.remove(&id);
            self.forget(&id);
            self.changed.remove(&id);
        }
        for saved in &record.put {
            let objective = saved.objective.as_ref();
            let objective = objective.ok_or(PersistError::Missing("objective"))?;
            let objective = Objective::try_from(objective)?;
            let status = saved.status.as_ref();
            let status = status.ok_or(PersistError::Missing("status"))?;
            let id = objective.id();
            match &saved.realised {
                None => realised.objectives.remove(&id),
                Some(in_force) => {
                    let in_force = Objective::try_from(in_force)?;
                    realised.objectives.insert(id.clone(), in_force)
                }
            };
            self.forget(&id);
            self.changed.remove(&id);
            let wanted = Wanted {
                objective,
                status: Status::from(status),
                leaving: saved.leaving,
            };
            if !wanted.is_expired() {
                self.refer(&wanted.objective, &id);
            }
            if saved.applied_milliseconds > 0 {
                let lives = realised.objectives.get(&id).unwrap_or(&wanted.objective);
                let applied = Moment(saved.applied_milliseconds);
                self.lives.restore(lives, applied, applied);
            }
            self.wanted.insert(id, wanted);
        }
        Ok(())
    }

    /// Realises again what was in force, in the versions that were, with the same ids.
    pub fn rebuild(&mut self, realised: &Realised, context: &Context<'_>, sink: &mut dyn Sink) {
        self.book = Book::new(realised.ids.clone());
        self.lives.wake(context.now);
        let mut objectives: Vec<_> = realised.objectives.iter().collect();
        // Nexts refer to nexts that are in force; sooner or later each finds its own.
        objectives.sort_by_key(|(id, _)| id.kind != Kind::Next);
        loop {
            let before = objectives.len();
            objectives.retain(|(_, objective)| {
                realise(&mut self.book, objective, context, sink).is_err()
            });
            if objectives.is_empty() || objectives.len() == before {
                break;
            }
        }
        for (id, objective) in objectives {
            tracing::warn!(objective = %id, "was applied before the restart, and is not possible now");
            self.suspend(id);
            if let Some(group) = GroupId::of(objective) {
                self.suspend_group(&group, context, sink);
            }
        }
    }

    /// What is wanted is not in the data plane, and is looked at again.
    fn suspend(&mut self, id: &ObjectiveId) {
        if let Some(wanted) = self.wanted.get_mut(id) {
            wanted.status.state = State::Pending;
            wanted.status.reason = Reason::InFlight;
            wanted.status.applied_revision = 0;
        }
    }

    /// A group of which a member is not possible any more is not there at all.
    fn suspend_group(&mut self, group: &GroupId, context: &Context<'_>, sink: &mut dyn Sink) {
        let members = self.groups.get(group).cloned().unwrap_or_default();
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_by_key(|id| id.kind == Kind::Next);
        for id in members.iter().filter(|id| !id.name.is_local()) {
            match self.take_out(id, context, sink) {
                Ok(None) => {}
                Ok(Some(_)) => self.suspend(id),
                // Something outside the group needs it.
                Err(refusal) => tracing::warn!(objective = %id, reason = refusal.message, "stays"),
            }
        }
    }
}
