//! What only the server knows (counters, registers, when entries were last hit), fetched into the model when a
//! client asks for it.

use std::time::Duration;

use pointsman_ebpf::sys::monotonic_clock;
use pointsman_p4::dataplane::{ColorCounts, CounterData, DataPlane, DataPlaneError, EntryKey};
use pointsman_p4::interpreter::Interpreter;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use tonic::{Code, Status};

use super::link::Link;
use super::question;
use super::survey::{self, typed};
use crate::entity::{Entity, EntryName};
use crate::p4runtime::decode;
use crate::schema::Schema;
use crate::target::relay::RelayError;

/// Fetches what the filters ask for. One result for each.
pub(super) fn refresh(
    link: &Link,
    schema: &Schema,
    model: &Interpreter,
    filters: &[p4::Entity],
) -> Vec<Result<(), RelayError>> {
    let questions: Vec<Vec<p4::Entity>> =
        filters.iter().map(|f| question::live(schema, f)).collect();
    let all: Vec<p4::Entity> = questions.iter().flatten().cloned().collect();
    if all.is_empty() {
        return vec![Ok(()); filters.len()];
    }
    let noted = survey::read(link, all).map(|found| note(schema, model, found));
    match noted {
        Ok(Ok(())) => vec![Ok(()); filters.len()],
        Err(status) if status.code() == Code::Unavailable => {
            let away = RelayError::Away(status.message().to_owned());
            let asked = questions.iter().map(|asked| match asked.is_empty() {
                true => Ok(()),
                false => Err(away.clone()),
            });
            asked.collect()
        }
        // Some servers stop at the first error, and say nothing of what else was asked.
        _ => questions
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
        note(schema, model, found)?;
    }
    Ok(())
}

fn refused(status: &Status) -> RelayError {
    RelayError::Refused {
        code: status.code(),
        message: status.message().to_owned(),
    }
}

/// Notes what the server says. What the model does not have is of no interest to anybody.
fn note(schema: &Schema, model: &Interpreter, found: Vec<p4::Entity>) -> Result<(), RelayError> {
    for entity in found {
        let noted = match &entity.entity {
            Some(Message::TableEntry(entry)) => note_last_hit(schema, model, entry)?,
            Some(Message::MeterEntry(entry)) => {
                let colors = colors(entry.counter_data.as_ref())?;
                let cell = decode::meter_schema(schema, entry.meter_id);
                let cell = cell.and_then(|meter| {
                    let index = decode::index(meter, entry.index.as_ref())?;
                    Ok((meter.ir, index.unwrap_or_default()))
                });
                let cell = cell.map_err(|_| DataPlaneError::NotFound);
                cell.and_then(|(meter, index)| model.set_meter_counts(meter, index, colors))
            }
            Some(Message::DirectMeterEntry(entry)) => {
                let colors = colors(entry.counter_data.as_ref())?;
                let name = name(schema, entry.table_entry.as_ref());
                name.and_then(|name| model.set_direct_meter_counts(name.as_ref(), colors))
            }
            _ => note_cell(schema, model, entity),
        };
        if let Err(error) = noted {
            tracing::debug!(%error, "the switch has something that is not stored");
        }
    }
    Ok(())
}

/// Whether the model has it.
type Noted = Result<(), DataPlaneError>;

fn note_cell(schema: &Schema, model: &Interpreter, entity: p4::Entity) -> Noted {
    match typed(schema, entity) {
        Some(Entity::Counter(cell)) => match (cell.index, cell.data) {
            (Some(index), Some(data)) => model.set_counter(cell.counter, index, data),
            _ => Ok(()),
        },
        Some(Entity::DirectCounter(entry, Some(data))) => {
            model.set_direct_counter(entry.as_ref(), data)
        }
        Some(Entity::Register(cell)) => match cell.index {
            Some(index) => model.set_register(cell.register, index, &cell.value),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// An entry, which was asked for only with the time since it was hit.
fn note_last_hit(
    schema: &Schema,
    model: &Interpreter,
    entry: &p4::TableEntry,
) -> Result<Noted, RelayError> {
    let since = entry.time_since_last_hit.ok_or_else(|| {
        let table = decode::table(schema, entry.table_id).map_or("", |table| &table.name);
        RelayError::Refused {
            code: Code::Unimplemented,
            message: format!("it does not say when entries of {table} were last hit"),
        }
    })?;
    let key = key(schema, Some(entry));
    let since = Duration::from_nanos(u64::try_from(since.elapsed_ns).unwrap_or(0));
    let at = monotonic_clock().saturating_sub(since);
    Ok(key.and_then(|key| model.set_last_hit(&key, at)))
}

/// What a meter has counted, which was asked for.
fn colors(counts: Option<&p4::MeterCounterData>) -> Result<ColorCounts, RelayError> {
    let counts = counts.ok_or_else(|| RelayError::Refused {
        code: Code::Unimplemented,
        message: "its meters do not count by color".to_owned(),
    })?;
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let color = |data: Option<&p4::CounterData>| {
        data.map_or_else(CounterData::default, |data| CounterData {
            packets: number(data.packet_count),
            bytes: number(data.byte_count),
        })
    };
    Ok(ColorCounts {
        green: color(counts.green.as_ref()),
        yellow: color(counts.yellow.as_ref()),
        red: color(counts.red.as_ref()),
    })
}

fn name(schema: &Schema, entry: Option<&p4::TableEntry>) -> Result<EntryName, DataPlaneError> {
    match entry.filter(|entry| entry.is_default_action) {
        Some(entry) => {
            let table = decode::table(schema, entry.table_id);
            let table = table.map_err(|_| DataPlaneError::NotFound)?;
            Ok(EntryName::Default(table.table))
        }
        None => Ok(EntryName::Keyed(key(schema, entry)?)),
    }
}

fn key(schema: &Schema, entry: Option<&p4::TableEntry>) -> Result<EntryKey, DataPlaneError> {
    let entry = entry.ok_or(DataPlaneError::NotFound)?;
    let table = decode::table(schema, entry.table_id);
    let key = table.and_then(|table| decode::entry_key(table, entry));
    key.map_err(|_| DataPlaneError::NotFound)
}
