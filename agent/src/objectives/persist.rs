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

use super::batch::{Context, realise};
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
            self.refer(&objective, &id);
            let wanted = Wanted {
                objective,
                status: Status::from(status),
                leaving: saved.leaving,
            };
            self.wanted.insert(id, wanted);
        }
        Ok(())
    }

    /// Realises again what was in force, in the versions that were, with the same ids.
    pub fn rebuild(&mut self, realised: &Realised, context: &Context<'_>, sink: &mut dyn Sink) {
        self.book = Book::new(realised.ids.clone());
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
        for (id, _) in objectives {
            tracing::warn!(objective = %id, "was applied before the restart, and is not possible now");
            if let Some(wanted) = self.wanted.get_mut(id) {
                wanted.status.state = State::Pending;
                wanted.status.reason = Reason::InFlight;
                wanted.status.applied_revision = 0;
            }
        }
    }

    fn forget(&mut self, id: &ObjectiveId) {
        if let Some(old) = self.wanted.remove(id) {
            self.unrefer(&old.objective, id);
        }
    }
}
