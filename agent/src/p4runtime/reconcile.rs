//! RECONCILE_AND_COMMIT: what was written to one pipeline, as updates for another.
//!
//! Everything that clients wrote has to find its place in the new pipeline, by name, or the new
//! pipeline is refused with the list of what has none. Counts and the cells of registers are the data
//! plane's own: they go on where the new program has them too, and end with it where it has not.
//! Entities of objectives are left out, because objectives are realised anew.
//!
//! Nothing is changed here; [`super::pipeline`] loads the result.

use std::collections::HashSet;

use pointsman_p4::dataplane::EntryKey;
use thiserror::Error;

use super::rename::Renames;
use super::{decode, encode};
use crate::entity::{Entity, EntryName, Operation, Update};
use crate::objectives::Objectives;
use crate::switch::{Locked, Pipeline, Store};

/// Entities that are named in a refusal; a status is metadata, which clients limit.
const NAMED: usize = 12;

/// Why a new pipeline cannot take over.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{} of {written} entities cannot be kept, and nothing was changed: {}; delete these first, or use \
     VERIFY_AND_COMMIT to start with empty tables", lost.len(), named(lost)
)]
pub struct CannotKeep {
    /// Each entity with the reason.
    pub lost: Vec<String>,
    /// How many there are.
    pub written: usize,
}

fn named(lost: &[String]) -> String {
    let mut text = lost[..lost.len().min(NAMED)].join("; ");
    if lost.len() > NAMED {
        text.push_str(&format!("; and {} more", lost.len() - NAMED));
    }
    text
}

/// What was written to a pipeline, and its counts, as updates for another.
pub fn carried_over(
    old: &Pipeline,
    store: &Locked<'_>,
    counts: Vec<Update>,
    objectives: &Objectives,
    new: &Pipeline,
) -> Result<Vec<Update>, CannotKeep> {
    let renames = Renames::new(&old.source.p4info, &new.source.p4info);
    let declared = Store::new(&new.program, &new.schema);
    let declared = declared.read();
    let renamed = |update: &Update| {
        let message = encode::update(&old.schema, update);
        let message = renames.update(message).map_err(|e| e.to_string())?;
        decode::update(&new.schema, &message).map_err(|e| e.to_string())
    };
    let written = store.updates().into_iter();
    let written = written.filter(|update| objectives.owner(&update.entity).is_none());
    let mut kept = Vec::new();
    let mut lost = Vec::new();
    let mut total = 0;
    for update in written {
        // What an old program declared and a client took away need not be anywhere.
        let may_be_missing = match (&update.entity, update.operation) {
            (Entity::TableEntry(_), Operation::Delete) => true,
            (Entity::DirectMeter(meter), _) => matches!(meter.entry, EntryName::Keyed(_)),
            _ => false,
        };
        total += 1;
        match renamed(&update).and_then(|update| onto(&declared, update)) {
            Ok(update) => kept.extend(update),
            Err(_) if may_be_missing => {}
            Err(why) => lost.push(format!("{}: {why}", old.schema.describe(&update.entity))),
        }
    }
    if !lost.is_empty() {
        return Err(CannotKeep {
            lost,
            written: total,
        });
    }
    let before = counts.len();
    let mut counts: Vec<Update> = counts.iter().flat_map(renamed).collect();
    let inserted: HashSet<EntryKey> = kept.iter().filter_map(inserted).collect();
    counts.retain(|update| match &update.entity {
        Entity::DirectCounter(EntryName::Keyed(key), _) => {
            inserted.contains(key) || declared.entry(key).is_some()
        }
        _ => true,
    });
    if counts.len() < before {
        tracing::info!(
            cells = before - counts.len(),
            "counts and register cells end with the old pipeline: the new one does not have them"
        );
    }
    kept.extend(counts);
    Ok(kept)
}

fn inserted(update: &Update) -> Option<EntryKey> {
    match (&update.entity, update.operation) {
        (Entity::TableEntry(entry), Operation::Insert) => Some(entry.key.clone()),
        _ => None,
    }
}

/// An update for a switch that holds what its program declares; none if there is nothing to do.
fn onto(declared: &Locked<'_>, update: Update) -> Result<Option<Update>, String> {
    let operation = match (&update.entity, update.operation) {
        (Entity::TableEntry(entry), Operation::Delete) => match declared.entry(&entry.key) {
            Some(there) if !there.is_const => Operation::Delete,
            _ => return Ok(None),
        },
        (Entity::TableEntry(entry), _) => match declared.entry(&entry.key) {
            None => Operation::Insert,
            Some(there) if !there.is_const => Operation::Modify,
            Some(there) if entry.action.as_ref() == Some(&there.action) => return Ok(None),
            Some(_) => {
                return Err("the new program has a const entry with this key".to_owned());
            }
        },
        (Entity::DirectMeter(meter), operation) => match &meter.entry {
            EntryName::Keyed(key) if declared.entry(key).is_none() => return Ok(None),
            _ => operation,
        },
        (_, operation) => operation,
    };
    Ok(Some(Update {
        operation,
        entity: update.entity,
    }))
}
