//! What servers lack that can be said in another way: updates that change nothing are not sent, and all cells of an
//! array are written one by one where the server takes no more than one.

use tonic::Code;

use super::batch;
use super::link::Link;
use super::outcome::Outcome;
use crate::entity::{Entity, Update};
use crate::schema::Schema;
use crate::target::relay::RelayError;

/// Arrays with more cells are not written one by one.
const MOST_CELLS: u32 = 1 << 16;

/// Sends updates. One outcome for each.
pub(super) fn write(
    link: &Link,
    schema: &Schema,
    updates: &[Update],
) -> Result<Vec<Outcome>, RelayError> {
    if updates.iter().all(changes_something) {
        let mut outcomes = batch::write(link, schema, updates)?;
        write_cells(link, schema, updates, &mut outcomes)?;
        return Ok(outcomes);
    }
    let sent = updates.iter().filter(|u| changes_something(u)).cloned();
    let mut outcomes = write(link, schema, &sent.collect::<Vec<_>>())?.into_iter();
    let outcomes = updates
        .iter()
        .map(|update| match changes_something(update) {
            true => outcomes.next().unwrap_or(Outcome::NotTried),
            false => Outcome::Done,
        });
    Ok(outcomes.collect())
}

/// Some servers take a counter without data for one of 0.
fn changes_something(update: &Update) -> bool {
    match &update.entity {
        Entity::Counter(cell) => cell.data.is_some(),
        Entity::DirectCounter(_, data) => data.is_some(),
        _ => true,
    }
}

/// Writes to all cells that the server does not take as one.
fn write_cells(
    link: &Link,
    schema: &Schema,
    updates: &[Update],
    outcomes: &mut [Outcome],
) -> Result<(), RelayError> {
    for (update, outcome) in updates.iter().zip(outcomes) {
        if !matches!(outcome, Outcome::Refused { code, .. } if *code == Code::Unimplemented) {
            continue;
        }
        let Some(cells) = cells(schema, update) else {
            continue;
        };
        let written = batch::write(link, schema, &cells)?.into_iter();
        let mut failed = written.filter(|outcome| *outcome != Outcome::Done);
        *outcome = failed.next().unwrap_or(Outcome::Done);
    }
    Ok(())
}

/// An update of all cells of an array as updates of each.
fn cells(schema: &Schema, update: &Update) -> Option<Vec<Update>> {
    let size = match &update.entity {
        Entity::Counter(cell) if cell.index.is_none() => {
            let mut arrays = schema.counters.iter();
            arrays.find(|array| array.ir == cell.counter)?.size
        }
        Entity::Meter(cell) if cell.index.is_none() => {
            let mut arrays = schema.meters.iter();
            arrays.find(|array| array.ir == cell.meter)?.size
        }
        Entity::Register(cell) if cell.index.is_none() => {
            let mut arrays = schema.registers.iter();
            arrays.find(|array| array.ir == cell.register)?.size
        }
        _ => return None,
    };
    let cells = (size <= MOST_CELLS).then_some(0..size)?;
    let cells = cells.map(|cell| {
        let mut update = update.clone();
        let index = match &mut update.entity {
            Entity::Counter(cell) => &mut cell.index,
            Entity::Meter(cell) => &mut cell.index,
            Entity::Register(cell) => &mut cell.index,
            _ => return update,
        };
        *index = Some(cell);
        update
    });
    Some(cells.collect())
}
