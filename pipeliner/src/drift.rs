//! What others have made of entities that are in the data plane for objectives.
//!
//! Drift is found by comparing and never by believing: who has written something says only which entities to look at, and
//! what is there decides. Nothing here writes, and nothing here asks the switch.
//!
//! Invariant: what has drifted is in the data plane for some objective, and is not as that wants it.

use std::fmt;
use std::time::SystemTime;

use pointsman_model::ObjectiveId;
use pointsman_p4::entity::{Entity, OneShot, TableAction, TableEntry};

use super::Book;
use super::book::EntityKey;

/// What somebody else has made of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// What is there; `None` if nothing is.
    pub found: Option<Entity>,
    /// Who did it last.
    pub by: Writer,
    /// When.
    pub time: SystemTime,
    /// It was done past the agent, in a switch behind another server: what is stored is as objectives want it.
    pub is_beneath: bool,
}

/// Who writes to a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// In which role; empty is the default one.
    pub role: String,
    /// As which primary of it, if that is known.
    pub election_id: Option<u128>,
    /// What the client's certificate says.
    pub identity: Option<String>,
    /// Where it comes from; for a switch behind another server, that switch.
    pub address: String,
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Some(identity) => write!(f, "{identity} from {}", self.address)?,
            None => write!(f, "a client from {}", self.address)?,
        }
        if !self.role.is_empty() {
            write!(f, " in role {}", self.role)?;
        }
        match self.election_id {
            Some(id) => write!(f, " with election id {id}"),
            None => Ok(()),
        }
    }
}

/// A drift with all that belongs to it.
#[derive(Debug, Clone, Copy)]
pub struct Drifted<'a> {
    /// Which entity.
    pub key: &'a EntityKey,
    /// As objectives want it.
    pub wanted: &'a Entity,
    /// As it is.
    pub drift: &'a Drift,
}

impl Book {
    /// Compares what is there with what objectives want. Says whether that is news.
    pub fn look_at(&mut self, key: &EntityKey, drift: Drift) -> bool {
        let Some((_, wanted)) = self.slot(key) else {
            return false;
        };
        let found = drift.found.as_ref();
        let is_right = found.is_some_and(|found| is_as(wanted, found));
        if is_right {
            return self.is_right_again(key);
        }
        let before = self.drifts.insert(key.clone(), drift.clone());
        let is_news = before.is_none_or(|before| before != drift);
        if is_news {
            self.turned.insert(key.clone());
        }
        is_news
    }

    /// An entity is as objectives want it. Says whether it was not.
    pub fn is_right_again(&mut self, key: &EntityKey) -> bool {
        let was_not = self.drifts.remove(key).is_some();
        if was_not {
            self.turned.insert(key.clone());
        }
        was_not
    }

    /// All that has drifted.
    pub fn drifts(&self) -> impl Iterator<Item = Drifted<'_>> {
        self.drifts.keys().filter_map(|key| self.drifted(key))
    }

    /// What has drifted of an objective, in the order of its entities.
    pub fn drifts_of(&self, id: &ObjectiveId) -> impl Iterator<Item = Drifted<'_>> {
        // Nearly always there is none.
        let entities = match self.drifts.is_empty() {
            true => None,
            false => self.entities(id),
        };
        let entities = entities.into_iter().flatten();
        entities.filter_map(|entity| {
            let key = EntityKey::find(entity)?;
            let (key, _) = self.drifts.get_key_value(&key)?;
            self.drifted(key)
        })
    }

    /// What has drifted, or is right again, since the last call.
    pub fn take_turned(&mut self) -> Vec<EntityKey> {
        self.turned.drain().collect()
    }

    /// One that has drifted.
    pub fn drifted<'a>(&'a self, key: &'a EntityKey) -> Option<Drifted<'a>> {
        let drift = self.drifts.get(key)?;
        let (_, wanted) = self.slot(key)?;
        Some(Drifted { key, wanted, drift })
    }
}

/// Whether what is there does what is wanted. What is only echoed to clients makes no difference.
fn is_as(wanted: &Entity, found: &Entity) -> bool {
    match (wanted, found) {
        (Entity::TableEntry(wanted), Entity::TableEntry(found)) => is_entry_as(wanted, found),
        (Entity::MulticastGroup(wanted), Entity::MulticastGroup(found)) => {
            wanted.replicas == found.replicas
        }
        (Entity::CloneSession(wanted), Entity::CloneSession(found)) => {
            wanted.replicas == found.replicas
                && wanted.packet_length_bytes == found.packet_length_bytes
        }
        _ => wanted == found,
    }
}

fn is_entry_as(wanted: &TableEntry, found: &TableEntry) -> bool {
    let is_action_same = match (&wanted.action, &found.action) {
        (Some(TableAction::OneShot(wanted)), Some(TableAction::OneShot(found))) => {
            is_group_as(wanted, found)
        }
        (wanted, found) => wanted == found,
    };
    is_action_same
        && wanted.extra.meter == found.extra.meter
        && wanted.extra.idle_timeout_ns == found.extra.idle_timeout_ns
}

fn is_group_as(wanted: &OneShot, found: &OneShot) -> bool {
    wanted.actions == found.actions && wanted.selection == found.selection
}
