//! A change that is worked out but not made: what to write, and how to take it back.

use pointsman_model::ObjectiveId;

use super::book::Realised;
use pointsman_p4::entity::{Entity, Update};

/// The updates that bring the data plane from a [`Book`](super::Book) to what an objective asks.
///
/// Write [`updates`](Staged::updates) in order; if all are taken, [`commit`](super::Book::commit)
/// to the same book; if one is refused, write [`undo`](Staged::undo) and drop this.
#[derive(Debug, Clone)]
pub struct Staged {
    pub(super) changes: Vec<(ObjectiveId, Option<Realised>)>,
    pub(super) steps: Vec<Step>,
}

/// One update with its opposite.
#[derive(Debug, Clone)]
pub(super) struct Step {
    forward: Update,
    backward: Update,
}

impl Staged {
    /// Inserts and modifications first, so that packets always find one entry or the other;
    /// replication before what refers to it.
    pub fn updates(&self) -> Vec<Update> {
        self.steps.iter().map(|step| step.forward.clone()).collect()
    }

    /// What takes the first `done` updates back.
    pub fn undo(&self, done: usize) -> Vec<Update> {
        let done = &self.steps[..done.min(self.steps.len())];
        done.iter()
            .rev()
            .map(|step| step.backward.clone())
            .collect()
    }
}

impl Step {
    pub(super) fn insert(entity: Entity) -> Step {
        Step {
            backward: Update::delete(entity.clone()),
            forward: Update::insert(entity),
        }
    }

    pub(super) fn modify(before: Entity, after: Entity) -> Step {
        Step {
            forward: Update::modify(after),
            backward: Update::modify(before),
        }
    }

    pub(super) fn delete(entity: Entity) -> Step {
        Step {
            backward: Update::insert(entity.clone()),
            forward: Update::delete(entity),
        }
    }

    pub(super) fn entity(&self) -> &Entity {
        &self.forward.entity
    }

    pub(super) fn is_replication(&self) -> bool {
        matches!(
            self.entity(),
            Entity::MulticastGroup(_) | Entity::CloneSession(_)
        )
    }
}
