//! Counters, meters, registers and value sets.

use std::collections::HashSet;

use pointsman_p4::dataplane::{Bits, CounterData, Match};
use pointsman_p4::ir::{CounterId, MeterId, RegisterId};
use pointsman_proto::p4::v1::{self as p4, p4_data};

use super::error::{DecodeError, invalid};
use super::table::{direct, direct_entry};
use super::value::{bits, key, signed_bits};
use crate::entity::{CounterCell, Entity, Operation, RegisterCell, ValueSet};
use crate::schema::{CellSchema, Schema, ValueSetSchema};

/// The indirect counter of an id.
pub fn counter_schema(schema: &Schema, id: u32) -> Result<&CellSchema<CounterId>, DecodeError> {
    find("counter", id, schema.counter(id), &schema.counters)
}

/// The indirect meter of an id.
pub fn meter_schema(schema: &Schema, id: u32) -> Result<&CellSchema<MeterId>, DecodeError> {
    find("meter", id, schema.meter(id), &schema.meters)
}

/// The register of an id.
pub fn register_schema(schema: &Schema, id: u32) -> Result<&CellSchema<RegisterId>, DecodeError> {
    find("register", id, schema.register(id), &schema.registers)
}

/// The value set of an id.
pub fn value_set_schema(schema: &Schema, id: u32) -> Result<&ValueSetSchema, DecodeError> {
    schema.value_set(id).ok_or_else(|| DecodeError::UnknownId {
        place: "value set entry".to_owned(),
        kind: "value set",
        id,
        known: format!("{} value sets", schema.value_sets.len()),
    })
}

fn find<'s, Id>(
    kind: &'static str,
    id: u32,
    found: Option<&'s CellSchema<Id>>,
    all: &[CellSchema<Id>],
) -> Result<&'s CellSchema<Id>, DecodeError> {
    found.ok_or_else(|| {
        let known = all.iter().map(|c| format!("{:#010x} {}", c.id, c.name));
        DecodeError::UnknownId {
            place: format!("{kind} entry"),
            kind,
            id,
            known: match all {
                [] => "none".to_owned(),
                _ => known.collect::<Vec<_>>().join(", "),
            },
        }
    })
}

pub(super) fn modify_only(kind: &str, operation: Operation) -> Result<(), DecodeError> {
    match operation {
        Operation::Modify => Ok(()),
        _ => Err(invalid(kind, "can only be modified; use MODIFY")),
    }
}

/// A cell of an array; `None` is all of them.
pub fn index<Id>(
    array: &CellSchema<Id>,
    index: Option<&p4::Index>,
) -> Result<Option<u32>, DecodeError> {
    let Some(index) = index else { return Ok(None) };
    if index.index < 0 {
        let what = format!("index {} is negative", index.index);
        return Err(invalid(&array.name, what));
    }
    let cell = match &array.index {
        None => u32::try_from(index.index).ok(),
        Some(translation) => {
            let value = translation.to_program(&index.index.to_be_bytes());
            let value = value.map_err(|error| DecodeError::Translation {
                place: format!("{}, index", array.name),
                error,
            })?;
            value.to_u64().and_then(|value| u32::try_from(value).ok())
        }
    };
    match cell {
        Some(cell) if cell < array.size => Ok(Some(cell)),
        _ => Err(DecodeError::IndexTooLarge {
            place: array.name.clone(),
            index: index.index,
            size: array.size,
        }),
    }
}

pub(super) fn counter(
    schema: &Schema,
    operation: Operation,
    entry: &p4::CounterEntry,
) -> Result<Entity, DecodeError> {
    modify_only("counter entry", operation)?;
    let counter = counter_schema(schema, entry.counter_id)?;
    Ok(Entity::Counter(CounterCell {
        counter: counter.ir,
        index: index(counter, entry.index.as_ref())?,
        data: optional_counts(&counter.name, entry.data.as_ref())?,
    }))
}

pub(super) fn direct_counter(
    schema: &Schema,
    operation: Operation,
    entry: &p4::DirectCounterEntry,
) -> Result<Entity, DecodeError> {
    modify_only("direct counter entry", operation)?;
    let (name, table) = direct_entry(schema, entry.table_entry.as_ref())?;
    direct(table, table.direct_counter, "direct counter")?;
    let data = optional_counts(&table.name, entry.data.as_ref())?;
    Ok(Entity::DirectCounter(name, data))
}

pub(super) fn register(
    schema: &Schema,
    operation: Operation,
    entry: &p4::RegisterEntry,
) -> Result<Entity, DecodeError> {
    modify_only("register entry", operation)?;
    let register = register_schema(schema, entry.register_id)?;
    let value = match entry.data.as_ref().and_then(|data| data.data.as_ref()) {
        Some(p4_data::Data::Bitstring(bytes)) if register.signed => {
            signed_bits(bytes, register.width, || register.name.clone())?
        }
        Some(p4_data::Data::Bitstring(bytes)) => {
            bits(bytes, register.width, || register.name.clone())?
        }
        Some(_) => {
            let what = "its cells are numbers; give a bitstring";
            return Err(invalid(&register.name, what));
        }
        None => {
            return Err(DecodeError::Missing {
                place: register.name.clone(),
                what: "the data",
            });
        }
    };
    Ok(Entity::Register(RegisterCell {
        register: register.ir,
        index: index(register, entry.index.as_ref())?,
        value,
    }))
}

pub(super) fn value_set(
    schema: &Schema,
    operation: Operation,
    entry: &p4::ValueSetEntry,
) -> Result<Entity, DecodeError> {
    modify_only("value set entry", operation)?;
    let set = value_set_schema(schema, entry.value_set_id)?;
    if entry.members.len() as u64 > u64::from(set.size) {
        return Err(DecodeError::TooMany {
            place: format!("value set {}", set.name),
            what: format!("{} members", entry.members.len()),
            limit: u64::from(set.size),
        });
    }
    let mut members = Vec::with_capacity(entry.members.len());
    let mut seen = HashSet::with_capacity(entry.members.len());
    for (index, member) in entry.members.iter().enumerate() {
        let member = value_set_member(set, member)?;
        if !seen.insert(member.clone()) {
            return Err(DecodeError::AlreadyThere {
                place: format!("value set {}", set.name),
                what: format!("member {} ({member})", index + 1),
            });
        }
        members.push(member);
    }
    Ok(Entity::ValueSet(ValueSet {
        set: set.set,
        members,
    }))
}

/// The fields of a member, one after the other, as one number.
fn value_set_member(
    set: &ValueSetSchema,
    member: &p4::ValueSetMember,
) -> Result<Bits, DecodeError> {
    let mut whole = num_bigint::BigUint::default();
    let matches = key(|| set.name.clone(), &set.fields, &member.r#match)?;
    for (field, value) in set.fields.iter().zip(&matches) {
        let Match::Exact(value) = value else {
            return Err(DecodeError::Unsupported {
                what: "a value set member that is not an exact match",
            });
        };
        whole = (whole << field.width) + num_bigint::BigUint::from(value);
    }
    Ok(Bits::from(&whole))
}

/// Counts that are left alone if they are not given.
fn optional_counts(
    place: &str,
    data: Option<&p4::CounterData>,
) -> Result<Option<CounterData>, DecodeError> {
    data.map(|data| counter_data(place, data)).transpose()
}

/// Counts are not negative.
pub(super) fn counter_data(
    place: &str,
    data: &p4::CounterData,
) -> Result<CounterData, DecodeError> {
    let count = |count: i64, what| {
        u64::try_from(count).map_err(|_| invalid(place, format!("{what} {count} is negative")))
    };
    Ok(CounterData {
        packets: count(data.packet_count, "packet count")?,
        bytes: count(data.byte_count, "byte count")?,
    })
}
