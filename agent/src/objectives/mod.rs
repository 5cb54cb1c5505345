//! Flow objectives: what is wanted of the switch, what of it the data plane holds, and why
//! not the rest.
//!
//! [`Objectives`] is a core without I/O: a batch of changes goes in together with a [`Sink`]
//! that entities are written to; statuses come out. How an objective becomes entities is the
//! [pipeliner](crate::pipeliner)'s part; keeping it on disk and telling controllers is
//! [`crate::service`]'s.
//!
//! # Invariants
//!
//! 1. An objective is APPLIED exactly if every entity it needs was accepted by the data plane.
//!    One of which an entity is refused leaves nothing behind.
//! 2. A new version of an objective that cannot be realised leaves the old one in force: traffic
//!    goes on, and the status says so.
//! 3. The [`Book`] holds exactly what the sink took, and not what is merely wanted.
//! 4. Of a group either all that is new is in the data plane, or nothing of it.
//! 5. What has expired is not in the data plane, and comes back only if it is put anew.

mod batch;
mod degraded;
mod drift;
mod dry;
mod group;
mod holdings;
mod life;
mod persist;
mod repairs;
mod settle;
mod sink;
mod status;
mod verify;

pub use batch::{Batch, Context};
pub use drift::{KeptDrift, Repaired};
pub use dry::DrySink;
pub use holdings::Inquiry;
pub use life::{Moment, Sighting};
pub use persist::{PersistError, Realised};
pub use repairs::Repairs;
pub use sink::{RecordingSink, Sink, SwitchSink};
pub use status::Status;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pointsman_model::{Kind, Name, Objective, ObjectiveId};
use pointsman_proto::pointsman::agent::v1::Ack;
use pointsman_proto::pointsman::objective::v1 as pb;
use pointsman_proto::pointsman::objective::v1::State;

use group::GroupId;
use life::Lives;

use crate::entity::Entity;
use crate::pipeliner::{Book, Owned};

/// What is wanted, and what is done.
#[derive(Debug, Clone, Default)]
pub struct Objectives {
    /// Whose revisions these are; empty before the first controller.
    pub cluster_id: String,
    /// All changes up to this one are taken.
    pub revision: u64,
    wanted: BTreeMap<ObjectiveId, Wanted>,
    /// Who refers to a next, whether it exists or not.
    referrers: HashMap<Name, BTreeSet<ObjectiveId>>,
    /// The members of each group; none that has expired.
    groups: HashMap<GroupId, BTreeSet<ObjectiveId>>,
    /// What is in the data plane.
    book: Book,
    /// When what is there and has a timeout has to go.
    lives: Lives,
    /// What has changed since it was last taken.
    changed: BTreeSet<ObjectiveId>,
}

/// An objective that is wanted, or that should go but is still in use.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// As it is wanted.
    pub objective: Objective,
    /// How it fares.
    pub status: Status,
    /// It is to go as soon as nothing refers to it.
    pub leaving: bool,
}

impl Objectives {
    /// All objectives, in the order of kind and name.
    pub fn iter(&self) -> impl Iterator<Item = &Wanted> {
        self.wanted.values()
    }

    /// One objective.
    pub fn get(&self, id: &ObjectiveId) -> Option<&Wanted> {
        self.wanted.get(id)
    }

    /// What is in the data plane for an objective. While a newer version cannot be realised,
    /// this is the older one's.
    pub fn entities(&self, id: &ObjectiveId) -> &[Entity] {
        self.book.entities(id).unwrap_or_default()
    }

    /// What a `count` of the objective counts: its name, and the entries with the counters.
    pub fn counted(&self, id: &ObjectiveId) -> Option<(&Name, Vec<&Entity>)> {
        self.book.counted(id)
    }

    /// How many are in a state.
    pub fn count(&self, state: State) -> usize {
        self.iter().filter(|w| w.status.state == state).count()
    }

    /// What is in the data plane for failover nexts.
    pub fn failovers(&self) -> Vec<Entity> {
        let nexts = self.wanted.keys().filter(|id| id.kind == Kind::Next);
        let entities = nexts.flat_map(|id| self.entities(id));
        let groups = entities.filter(|entity| entity.first_live_group().is_some());
        groups.cloned().collect()
    }

    /// How many are applied, and not wholly of use.
    pub fn degraded(&self) -> usize {
        self.iter().filter(|w| w.status.is_degraded()).count()
    }

    /// The objective that an entity belongs to.
    pub fn owner(&self, entity: &Entity) -> Option<&ObjectiveId> {
        self.book.owner(entity)
    }

    /// All objectives that an entity belongs to.
    pub fn owners(&self, entity: &Entity) -> impl Iterator<Item = &ObjectiveId> {
        self.book.owners(entity)
    }

    /// What belongs to objectives now.
    pub fn owned(&self) -> Owned {
        self.book.owned()
    }

    /// How an objective fares, for its controller.
    pub fn ack(&self, id: &ObjectiveId) -> Ack {
        let wanted = self.wanted.get(id);
        Ack {
            kind: pb::Kind::from(id.kind).into(),
            name: id.name.to_string(),
            exists: wanted.is_some(),
            status: wanted.map(|wanted| (&wanted.status).into()),
        }
    }

    /// What has changed since the last call.
    pub fn take_changed(&mut self) -> Vec<ObjectiveId> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// Forgets an objective that the data plane does not hold.
    fn forget(&mut self, id: &ObjectiveId) {
        self.lives.remove(id);
        self.changed.insert(id.clone());
        if let Some(old) = self.wanted.remove(id) {
            self.unrefer(&old.objective, id);
        }
    }

    fn refer(&mut self, objective: &Objective, id: &ObjectiveId) {
        if let Some(group) = GroupId::of(objective) {
            self.groups.entry(group).or_default().insert(id.clone());
        }
        for next in objective.nexts() {
            let referrers = self.referrers.entry(next.clone()).or_default();
            referrers.insert(id.clone());
        }
    }

    fn unrefer(&mut self, objective: &Objective, id: &ObjectiveId) {
        if let Some(group) = GroupId::of(objective)
            && let Some(members) = self.groups.get_mut(&group)
        {
            members.remove(id);
            if members.is_empty() {
                self.groups.remove(&group);
            }
        }
        for next in objective.nexts() {
            if let Some(referrers) = self.referrers.get_mut(next) {
                referrers.remove(id);
                if referrers.is_empty() {
                    self.referrers.remove(next);
                }
            }
        }
    }
}
