//! Entries of objectives that somebody else has changed or deleted: saying so, and putting them right.
//!
//! What has drifted is known to the [`Book`]. Whether and when it is put right is decided by whoever knows the policy and
//! the clock ([`crate::agent`]).

use std::collections::BTreeSet;

use pointsman_model::ObjectiveId;
use pointsman_proto::pointsman::objective::v1::{Reason, State};

use super::degraded::in_force;
use super::sink::Sink;
use super::{Objectives, Status};
use crate::entity::{Entity, Update};
use crate::pipeliner::{Book, Drift, Drifted, EntityKey, Ports};
use crate::switch::UpdateError;

/// What became of entities that were to be put right.
#[derive(Debug, Default)]
pub struct Repaired {
    /// As objectives want them.
    pub right: Vec<EntityKey>,
    /// Those that the switch refuses.
    pub failed: Vec<(EntityKey, UpdateError)>,
}

/// A drift of before a restart.
#[derive(Debug, Clone)]
pub struct KeptDrift {
    /// Of which entity.
    pub key: EntityKey,
    /// What had become of it.
    pub drift: Drift,
}

impl Objectives {
    /// Somebody else has written to an entity: compares what is there with what objectives want.
    pub fn look_at(&mut self, key: &EntityKey, drift: Drift, ports: &Ports) {
        if self.book.look_at(key, drift) {
            let owners = self.book.slot(key).map(|(owners, _)| owners.clone());
            self.refresh(&owners.unwrap_or_default(), ports);
        }
    }

    /// Makes of entities again what others had made of them before a restart; objectives are realised by now.
    pub fn drift_again(&mut self, mut kept: Vec<KeptDrift>, ports: &Ports, sink: &mut dyn Sink) {
        // What refers goes before what is referred to.
        kept.sort_by_key(|kept| !matches!(kept.key, EntityKey::Table(_)));
        for KeptDrift { key, drift } in kept {
            if self.book.slot(&key).is_none() {
                continue;
            }
            let update = match &drift.found {
                Some(found) => Update::modify(found.clone()),
                None => Update::delete(key.to_entity()),
            };
            match sink.apply(&update) {
                Ok(()) => self.look_at(&key, drift, ports),
                Err(error) => tracing::warn!(%error, "an entry that had drifted is put right"),
            }
        }
        let drifted = self.wanted.iter();
        let drifted = drifted.filter(|(_, wanted)| wanted.status.reason == Reason::Drifted);
        let drifted = drifted.map(|(id, _)| id.clone()).collect();
        self.refresh(&drifted, ports);
    }

    /// Gives entities that have drifted what their objectives want.
    pub fn repair(
        &mut self,
        which: impl Fn(&EntityKey, &BTreeSet<ObjectiveId>) -> bool,
        ports: &Ports,
        sink: &mut dyn Sink,
    ) -> Repaired {
        let mut keys: Vec<EntityKey> = self.drifts().map(|drifted| drifted.key.clone()).collect();
        keys.retain(|key| {
            let slot = self.book.slot(key);
            slot.is_some_and(|(owners, _)| which(key, owners))
        });
        // What is referred to comes before what refers to it.
        keys.sort_by_key(|key| matches!(key, EntityKey::Table(_)));
        let mut repaired = Repaired::default();
        for key in keys {
            let Some((owners, wanted)) = self.book.slot(&key) else {
                continue;
            };
            let (owners, wanted) = (owners.clone(), wanted.clone());
            let is_gone = sink.holds(&wanted) == Some(false);
            let update = match is_gone {
                true => Update::insert(wanted),
                false => Update::modify(wanted),
            };
            match sink.apply(&update) {
                Ok(()) => {
                    self.book.is_right_again(&key);
                    self.refresh(&owners, ports);
                    repaired.right.push(key);
                }
                Err(error) => repaired.failed.push((key, error)),
            }
        }
        repaired
    }

    /// A switch behind another server holds what is stored. Says how many entries are right again.
    pub fn right_beneath(&mut self, ports: &Ports) -> u64 {
        let beneath = self.drifts().filter(|drifted| drifted.drift.is_beneath);
        let keys: Vec<EntityKey> = beneath.map(|drifted| drifted.key.clone()).collect();
        for key in &keys {
            self.book.is_right_again(key);
            let owners = self.book.slot(key).map(|(owners, _)| owners.clone());
            self.refresh(&owners.unwrap_or_default(), ports);
        }
        keys.len() as u64
    }

    /// All that has drifted.
    pub fn drifts(&self) -> impl Iterator<Item = Drifted<'_>> {
        self.book.drifts()
    }

    /// What has drifted of an objective.
    pub fn drifts_of(&self, id: &ObjectiveId) -> impl Iterator<Item = Drifted<'_>> {
        self.book.drifts_of(id)
    }

    /// The objectives that want an entity, and what they want.
    pub fn slot(&self, key: &EntityKey) -> Option<(&BTreeSet<ObjectiveId>, &Entity)> {
        self.book.slot(key)
    }

    /// One that has drifted, if it has.
    pub fn drifted<'a>(&'a self, key: &'a EntityKey) -> Option<Drifted<'a>> {
        self.book.drifted(key)
    }

    /// What has drifted, or is right again, since the last call.
    pub fn take_turned(&mut self) -> Vec<EntityKey> {
        self.book.take_turned()
    }

    /// How many are applied, and have an entry that somebody else has changed or deleted.
    pub fn count_drifted(&self) -> usize {
        let owners = self.drifts().filter_map(|drifted| self.slot(drifted.key));
        let owners: BTreeSet<_> = owners.flat_map(|(owners, _)| owners).collect();
        owners.len()
    }

    /// These objectives fare otherwise.
    fn refresh(&mut self, ids: &BTreeSet<ObjectiveId>, ports: &Ports) {
        for id in ids {
            let Some(wanted) = self.wanted.get_mut(id) else {
                continue;
            };
            if wanted.status.state != State::Applied {
                continue;
            }
            let revision = wanted.status.revision;
            let status = in_force(&self.book, &wanted.objective, ports, revision);
            if wanted.status != status {
                wanted.status = status;
                self.changed.insert(id.clone());
            }
        }
    }
}

/// What others have done to an objective's entities; `None` if nothing.
pub(super) fn drifted(book: &Book, id: &ObjectiveId, revision: u64) -> Option<Status> {
    let mut drifts = book.drifts_of(id);
    let first = drifts.next()?;
    let what = match first.drift.found {
        Some(_) => "changed",
        None => "deleted",
    };
    let drifted = 1 + drifts.count();
    let all = book.entities(id).map_or(0, <[Entity]>::len);
    let message = format!(
        "{drifted} of {all} entries {} not as it wants; one was {what} by {}",
        if drifted == 1 { "is" } else { "are" },
        first.drift.by
    );
    Some(Status::drifted(revision, message))
}
