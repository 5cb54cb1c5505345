//! What is realised: for each objective its entities, and for each entity its objectives.
//!
//! Several objectives may need the same entity, for instance the tag of a VLAN on a port. It is
//! in the data plane once, stays while one of them needs it, and two objectives that want
//! different actions for one key are a conflict.
//!
//! Invariant: an entity is in `slots` exactly if some objective owns it, and it is what each of
//! its owners asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use pointsman_model::{Instruction, Kind, Name, Next, Objective, ObjectiveId, ObjectiveKind};
use pointsman_p4::dataplane::EntryKey;

use super::Ids;
use super::drift::Drift;
use super::ids::IdKind;
use super::staged::{Staged, Step};
use super::translate::Translation;
use pointsman_p4::entity::{CloneSession, Entity, EntryName, MulticastGroup, TableEntry};

/// Everything that the pipeliner has brought into being.
#[derive(Debug, Clone, Default)]
pub struct Book {
    ids: Ids,
    realised: BTreeMap<ObjectiveId, Realised>,
    slots: HashMap<EntityKey, Slot>,
    users: BTreeMap<Name, BTreeSet<ObjectiveId>>,
    /// What others have made of what is in `slots`.
    pub(super) drifts: HashMap<EntityKey, Drift>,
    /// Where that has changed since somebody asked.
    pub(super) turned: HashSet<EntityKey>,
}

/// A realised objective.
#[derive(Debug, Clone)]
pub(super) struct Realised {
    pub(super) objective: Objective,
    pub(super) translation: Translation,
}

/// What a book was before a commit.
#[derive(Debug)]
pub struct Undo {
    objectives: Vec<(ObjectiveId, Option<Realised>)>,
    drifts: Vec<(EntityKey, Drift)>,
}

impl Undo {
    /// The objectives that it is about.
    pub fn ids(&self) -> impl Iterator<Item = &ObjectiveId> {
        self.objectives.iter().map(|(id, _)| id)
    }
}

/// Two objectives that want different things for one key.
#[derive(Debug, Clone)]
pub(super) struct Conflict {
    /// The one that is refused.
    pub(super) id: ObjectiveId,
    /// The other; the same one if it contradicts itself.
    pub(super) owner: ObjectiveId,
    /// What the other asks for.
    pub(super) held: Entity,
}

#[derive(Debug, Clone)]
struct Slot {
    entity: Entity,
    owners: BTreeSet<ObjectiveId>,
}

/// What makes an entity the one it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EntityKey {
    /// An entry of a table.
    Table(EntryKey),
    /// A multicast group, by its id.
    MulticastGroup(u32),
    /// A clone session, by its id.
    CloneSession(u32),
}

/// The entities that objectives needed at one moment.
#[derive(Debug)]
pub struct Owned(HashSet<EntityKey>);

impl Owned {
    /// Whether one of them needed this.
    pub fn has(&self, entity: &Entity) -> bool {
        !self.0.is_empty() && EntityKey::find(entity).is_some_and(|key| self.0.contains(&key))
    }
}

impl Book {
    /// Nothing realised, with the ids of before a restart.
    pub fn new(ids: Ids) -> Book {
        Book {
            ids,
            ..Book::default()
        }
    }

    /// To be kept over restarts.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Whether this objective is realised.
    pub fn contains(&self, id: &ObjectiveId) -> bool {
        self.realised.contains_key(id)
    }

    /// The objective as it is realised.
    pub fn objective(&self, id: &ObjectiveId) -> Option<&Objective> {
        self.realised.get(id).map(|realised| &realised.objective)
    }

    /// The entities that realise an objective, in the order in which they are written.
    pub fn entities(&self, id: &ObjectiveId) -> Option<&[Entity]> {
        self.realised
            .get(id)
            .map(|realised| realised.translation.entities.as_slice())
    }

    /// What a `count` of the objective counts: its name, and the entries with the counters.
    pub fn counted(&self, id: &ObjectiveId) -> Option<(&Name, Vec<&Entity>)> {
        let realised = self.realised.get(id)?;
        let treatment = match &realised.objective.kind {
            ObjectiveKind::Filter(filter) => &filter.treatment,
            ObjectiveKind::Forward(forward) => &forward.treatment,
            ObjectiveKind::Next(_) => return None,
        };
        let name = treatment.iter().find_map(|step| match step {
            Instruction::Count(name) => Some(name),
            _ => None,
        })?;
        let counts = |entity: &&Entity| match entity {
            Entity::TableEntry(entry) => realised.translation.counting.contains(&entry.key.table),
            _ => false,
        };
        let entities = realised.translation.entities.iter().filter(counts);
        Some((name, entities.collect()))
    }

    /// The realised objectives.
    pub fn objectives(&self) -> impl Iterator<Item = (&ObjectiveId, &Objective)> {
        let realised = self.realised.iter();
        realised.map(|(id, realised)| (id, &realised.objective))
    }

    /// An objective that needs the entity of that key.
    pub fn owner(&self, entity: &Entity) -> Option<&ObjectiveId> {
        if self.slots.is_empty() {
            return None;
        }
        let key = EntityKey::find(entity)?;
        self.slots.get(&key)?.owners.first()
    }

    /// All objectives that need the entity of that key.
    pub fn owners(&self, entity: &Entity) -> impl Iterator<Item = &ObjectiveId> {
        let slot = EntityKey::find(entity).and_then(|key| self.slots.get(&key));
        slot.into_iter().flat_map(|slot| &slot.owners)
    }

    /// What objectives need, as it is now.
    pub fn owned(&self) -> Owned {
        let owned = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.owners.is_empty());
        Owned(owned.map(|(key, _)| key.clone()).collect())
    }

    /// Every entity, once.
    pub fn all(&self) -> impl Iterator<Item = &Entity> {
        self.slots.values().map(|slot| &slot.entity)
    }

    /// The realised objectives that refer to this next.
    pub fn users(&self, next: &Name) -> Vec<ObjectiveId> {
        self.users
            .get(next)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// The realised next of that name.
    pub(super) fn next(&self, name: &Name) -> Option<&Next> {
        let id = ObjectiveId {
            kind: Kind::Next,
            name: name.clone(),
        };
        match &self.realised.get(&id)?.objective.kind {
            ObjectiveKind::Next(next) => Some(next),
            _ => None,
        }
    }

    /// The objectives that want the entity of this key, and what they want.
    pub fn slot(&self, key: &EntityKey) -> Option<(&BTreeSet<ObjectiveId>, &Entity)> {
        let slot = self.slots.get(key)?;
        Some((&slot.owners, &slot.entity))
    }

    /// Takes a next to be there of which nothing is known: others may refer to it. Without a free id it is not.
    pub(super) fn assume_next(&mut self, name: &Name, ids: &RangeInclusive<u32>) {
        let objective = Objective::empty(Kind::Next, name.clone());
        let id = objective.id();
        let Ok(next_id) = self.ids.get_or_free(IdKind::Next, &id, ids) else {
            return;
        };
        let translation = Translation {
            entities: Vec::new(),
            next_id: Some(next_id),
            group_id: None,
            counting: BTreeSet::new(),
        };
        self.remember(
            id,
            Realised {
                objective,
                translation,
            },
        );
    }

    /// What it takes to make `changes` so: each objective becomes this, or nothing.
    pub(super) fn stage(
        &self,
        changes: Vec<(ObjectiveId, Option<Realised>)>,
    ) -> Result<Staged, Box<Conflict>> {
        let changed: BTreeSet<&ObjectiveId> = changes.iter().map(|(id, _)| id).collect();
        let mut claims: HashMap<EntityKey, (&Entity, &ObjectiveId)> = HashMap::new();
        let mut steps = Vec::new();
        for (id, realised) in &changes {
            for entity in realised
                .iter()
                .flat_map(|realised| &realised.translation.entities)
            {
                let key = EntityKey::of(entity);
                let claimed = claims.get(&key).map(|(other, owner)| (*other, *owner));
                let slot = self.slots.get(&key);
                let kept = slot.and_then(|slot| {
                    let owner = slot.owners.iter().find(|owner| !changed.contains(owner))?;
                    Some((&slot.entity, owner))
                });
                match claimed.or(kept) {
                    Some((other, owner)) if other != entity => {
                        let (owner, held) = (owner.clone(), other.clone());
                        let id = id.clone();
                        return Err(Box::new(Conflict { id, owner, held }));
                    }
                    Some(_) => {}
                    None => match slot {
                        Some(slot) if slot.entity != *entity => {
                            steps.push(Step::modify(slot.entity.clone(), entity.clone()));
                        }
                        Some(_) => {}
                        None => steps.push(Step::insert(entity.clone())),
                    },
                }
                claims.insert(key, (entity, id));
            }
        }
        // What is referred to comes before what refers to it.
        steps.sort_by_key(|step| !step.is_replication());
        let mut deletes = Vec::new();
        let mut gone = BTreeSet::new();
        for (id, _) in &changes {
            for entity in self.entities(id).unwrap_or_default() {
                let key = EntityKey::of(entity);
                let slot = self.slots.get(&key).expect("what is realised has a slot");
                let wanted = claims.contains_key(&key)
                    || slot.owners.iter().any(|owner| !changed.contains(owner));
                let position = deletes.len();
                if !wanted
                    && !deletes
                        .iter()
                        .any(|step: &Step| EntityKey::of(step.entity()) == key)
                {
                    gone.insert(position);
                    deletes.push(Step::delete(slot.entity.clone()));
                }
            }
        }
        // Nothing is deleted that something else still refers to.
        deletes.reverse();
        deletes.sort_by_key(Step::is_replication);
        steps.extend(deletes);
        Ok(Staged { changes, steps })
    }

    /// Takes note that the data plane holds what was staged on this book. What is returned takes that note back.
    pub fn commit(&mut self, staged: Staged) -> Undo {
        // What is written is as it should be, whatever it was before.
        let mut drifts = Vec::new();
        for step in &staged.steps {
            let key = EntityKey::of(step.entity());
            let drift = self.drifts.get(&key).cloned();
            self.is_right_again(&key);
            drifts.extend(drift.map(|drift| (key, drift)));
        }
        Undo {
            objectives: self.exchange(staged.changes),
            drifts,
        }
    }

    /// Makes the book what it was before a commit. The latest commit is the first to be undone.
    pub fn undo(&mut self, undo: Undo) {
        self.exchange(undo.objectives);
        for (key, drift) in undo.drifts {
            self.turned.insert(key.clone());
            self.drifts.insert(key, drift);
        }
    }

    /// Makes objectives these; returns what they were.
    fn exchange(
        &mut self,
        changes: Vec<(ObjectiveId, Option<Realised>)>,
    ) -> Vec<(ObjectiveId, Option<Realised>)> {
        let before = changes.iter().map(|(id, _)| (id.clone(), self.forget(id)));
        let before = before.collect();
        for (id, realised) in changes {
            match realised {
                Some(realised) => self.remember(id, realised),
                None => self.ids.release(&id),
            }
        }
        before
    }

    fn forget(&mut self, id: &ObjectiveId) -> Option<Realised> {
        let realised = self.realised.remove(id)?;
        for next in realised.objective.nexts() {
            if let Some(users) = self.users.get_mut(next) {
                users.remove(id);
            }
        }
        for entity in &realised.translation.entities {
            let key = EntityKey::of(entity);
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            slot.owners.remove(id);
            if slot.owners.is_empty() {
                self.slots.remove(&key);
            }
        }
        Some(realised)
    }

    fn remember(&mut self, id: ObjectiveId, realised: Realised) {
        let Translation {
            next_id, group_id, ..
        } = realised.translation;
        self.ids.assign(IdKind::Next, &id, next_id);
        self.ids.assign(IdKind::Group, &id, group_id);
        for next in realised.objective.nexts() {
            self.users
                .entry(next.clone())
                .or_default()
                .insert(id.clone());
        }
        for entity in &realised.translation.entities {
            let slot = self.slots.entry(EntityKey::of(entity));
            let slot = slot.or_insert_with(|| Slot {
                entity: entity.clone(),
                owners: BTreeSet::new(),
            });
            slot.entity.clone_from(entity);
            slot.owners.insert(id.clone());
        }
        self.realised.insert(id, realised);
    }
}

impl EntityKey {
    pub(super) fn of(entity: &Entity) -> EntityKey {
        EntityKey::find(entity).expect("the pipeliner makes only entities of these kinds")
    }

    /// The entity of this key, to be deleted.
    pub fn to_entity(&self) -> Entity {
        match self {
            EntityKey::Table(key) => Entity::TableEntry(TableEntry::of_key(key.clone())),
            EntityKey::MulticastGroup(id) => Entity::MulticastGroup(MulticastGroup::of_id(*id)),
            EntityKey::CloneSession(id) => Entity::CloneSession(CloneSession::of_id(*id)),
        }
    }

    /// The key of an entity of a kind that the pipeliner makes.
    pub fn find(entity: &Entity) -> Option<EntityKey> {
        match entity {
            Entity::TableEntry(entry) => Some(EntityKey::Table(entry.key.clone())),
            // Part of its entry.
            Entity::DirectMeter(meter) => match &meter.entry {
                EntryName::Keyed(key) => Some(EntityKey::Table(key.clone())),
                EntryName::Default(_) => None,
            },
            Entity::MulticastGroup(group) => Some(EntityKey::MulticastGroup(group.id)),
            Entity::CloneSession(session) => Some(EntityKey::CloneSession(session.id)),
            _ => None,
        }
    }
}
