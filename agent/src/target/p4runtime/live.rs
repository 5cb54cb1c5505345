//! Counters and registers of the server, fetched into the model when a client asks for them.

use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::Interpreter;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use tonic::{Code, Status};

use super::link::Link;
use super::survey::{self, typed};
use crate::entity::Entity;
use crate::schema::Schema;
use crate::target::relay::RelayError;

/// Fetches what the filters ask for. One result for each.
pub(super) fn refresh(
    link: &Link,
    schema: &Schema,
    model: &Interpreter,
    filters: &[p4::Entity],
) -> Vec<Result<(), RelayError>> {
    let questions: Vec<Vec<p4::Entity>> = filters.iter().map(|f| live(schema, f)).collect();
    let all: Vec<p4::Entity> = questions.iter().flatten().cloned().collect();
    if all.is_empty() {
        return vec![Ok(()); filters.len()];
    }
    match survey::read(link, all) {
        Ok(found) => {
            note(schema, model, found);
            vec![Ok(()); filters.len()]
        }
        Err(status) if status.code() == Code::Unavailable => {
            let away = RelayError::Away(status.message().to_owned());
            let asked = questions.iter().map(|asked| match asked.is_empty() {
                true => Ok(()),
                false => Err(away.clone()),
            });
            asked.collect()
        }
        // Some servers stop at the first error, and say nothing of what else was asked.
        Err(_) => questions
            .into_iter()
            .map(|asked| one_by_one(link, schema, model, asked))
            .collect(),
    }
}

fn one_by_one(
    link: &Link,
    schema: &Schema,
    model: &Interpreter,
    asked: Vec<p4::Entity>,
) -> Result<(), RelayError> {
    for question in asked {
        let found = survey::read(link, vec![question]).map_err(|status| refused(&status))?;
        note(schema, model, found);
    }
    Ok(())
}

fn refused(status: &Status) -> RelayError {
    RelayError::Refused {
        code: status.code(),
        message: status.message().to_owned(),
    }
}

/// What of a filter only the server can answer, as filters that any server understands: one array or table
/// each, without conditions on what is stored.
fn live(schema: &Schema, filter: &p4::Entity) -> Vec<p4::Entity> {
    let entity = |message| p4::Entity {
        entity: Some(message),
    };
    match &filter.entity {
        Some(Message::CounterEntry(counter)) => {
            let arrays = schema.counters.iter();
            let wanted = arrays.filter(|c| counter.counter_id == 0 || counter.counter_id == c.id);
            wanted
                .map(|array| {
                    entity(Message::CounterEntry(p4::CounterEntry {
                        counter_id: array.id,
                        ..*counter
                    }))
                })
                .collect()
        }
        Some(Message::RegisterEntry(register)) => {
            let arrays = schema.registers.iter();
            let wanted = arrays.filter(|r| [0, r.id].contains(&register.register_id));
            wanted
                .map(|array| {
                    entity(Message::RegisterEntry(p4::RegisterEntry {
                        register_id: array.id,
                        ..register.clone()
                    }))
                })
                .collect()
        }
        Some(Message::DirectCounterEntry(counter)) => {
            direct_counters(schema, &counter.table_entry.clone().unwrap_or_default())
        }
        Some(Message::TableEntry(entry)) if entry.counter_data.is_some() => {
            direct_counters(schema, entry)
        }
        _ => Vec::new(),
    }
}

fn direct_counters(schema: &Schema, entry: &p4::TableEntry) -> Vec<p4::Entity> {
    let counted = schema.tables.iter().filter(|t| t.direct_counter.is_some());
    let wanted = counted.filter(|t| entry.table_id == 0 || entry.table_id == t.id);
    let filters = wanted.map(|table| p4::Entity {
        entity: Some(Message::DirectCounterEntry(p4::DirectCounterEntry {
            table_entry: Some(p4::TableEntry {
                table_id: table.id,
                r#match: entry.r#match.clone(),
                priority: match entry.r#match.is_empty() {
                    true => 0,
                    false => entry.priority,
                },
                ..p4::TableEntry::default()
            }),
            data: None,
        })),
    });
    filters.collect()
}

/// Notes what the server counts. What the model does not have is of no interest to anybody.
fn note(schema: &Schema, model: &Interpreter, found: Vec<p4::Entity>) {
    for entity in found {
        let result = match typed(schema, entity) {
            Some(Entity::Counter(cell)) => match (cell.index, cell.data) {
                (Some(index), Some(data)) => model.set_counter(cell.counter, index, data),
                _ => Ok(()),
            },
            Some(Entity::DirectCounter(key, Some(data))) => model.set_direct_counter(&key, data),
            Some(Entity::Register(cell)) => match cell.index {
                Some(index) => model.set_register(cell.register, index, &cell.value),
                None => Ok(()),
            },
            _ => Ok(()),
        };
        if let Err(error) = result {
            tracing::debug!(%error, "the switch counts something that is not stored");
        }
    }
}
