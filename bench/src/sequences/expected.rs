//! What a switch has to hold for objectives: made of them alone, by a book that has seen nothing else.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use pointsman_agent::entity::Entity;
use pointsman_agent::pipeliner::{Book, Ids, Pipeliner, Ports};
use pointsman_agent::schema::Schema;
use pointsman_model::{Kind, Objective, ObjectiveId};

/// The entries of objectives that can all be realised.
///
/// # Errors
/// Says which cannot, and why.
pub(super) fn entities(
    schema: &Schema,
    ports: &Ports,
    objectives: &BTreeMap<ObjectiveId, Objective>,
) -> Result<Vec<Entity>> {
    let Some(pipeliner) = Pipeliner::find(schema) else {
        bail!("there is no manifest for pipeline {}", schema.name);
    };
    let mut book = Book::new(Ids::default());
    let mut waiting: Vec<&Objective> = objectives.values().collect();
    waiting.sort_by_key(|objective| objective.kind() != Kind::Next);
    loop {
        let before = waiting.len();
        let mut refused = None;
        waiting.retain(|objective| match pipeliner.put(&book, ports, objective) {
            Ok(staged) => {
                book.commit(staged);
                false
            }
            Err(refusal) => {
                refused = Some(format!("{}: {}", objective.id(), refusal.message));
                true
            }
        });
        match refused {
            None => return Ok(book.all().cloned().collect()),
            Some(refused) if waiting.len() == before => bail!("{refused}"),
            Some(_) => {}
        }
    }
}
