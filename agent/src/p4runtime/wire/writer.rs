//! Updates of table entries, written in one pass: what a snapshot of a large table consists of.
//!
//! It does for what is saved what [`UpdateReader`](super::UpdateReader) does for what is read: entries with matches
//! and an action, a member or a group, of tables without translations, are written as they are. All else is left
//! to [`encode`] and prost; what both write reads the same, which a test holds them to.

use pointsman_p4::dataplane::{Call, Match};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::entity::{Entity, Operation, TableAction, TableEntry, Update};
use crate::p4runtime::encode;
use crate::schema::{ByteStrings, Schema, TableSchema};

/// Writes updates of a pipeline.
pub struct UpdateWriter<'s> {
    schema: &'s Schema,
}

/// It is left to prost.
struct Unusual;

impl<'s> UpdateWriter<'s> {
    /// A writer for a pipeline.
    pub fn new(schema: &'s Schema) -> UpdateWriter<'s> {
        UpdateWriter { schema }
    }

    /// Adds an update as a message.
    pub fn write(&self, update: &Update, out: &mut Vec<u8>) {
        let start = out.len();
        if let Err(Unusual) = self.write_common(update, out) {
            out.truncate(start);
            let message = encode::update(self.schema, update);
            out.extend(message.encode_to_vec());
        }
    }

    fn write_common(&self, update: &Update, out: &mut Vec<u8>) -> Result<(), Unusual> {
        let Entity::TableEntry(entry) = &update.entity else {
            return Err(Unusual);
        };
        let table = self.schema.table_of(entry.key.table).ok_or(Unusual)?;
        if self.schema.byte_strings != ByteStrings::Canonical || !entry.extra.is_nothing() {
            return Err(Unusual);
        }
        let operation = match update.operation {
            Operation::Insert => 1,
            Operation::Modify => 2,
            Operation::Delete => 3,
        };
        number(out, 1, operation);
        message(out, 2, |out| {
            message(out, 2, |out| self.entry(table, entry, out))
        })
    }

    /// `TableEntry`.
    fn entry(
        &self,
        table: &TableSchema,
        entry: &TableEntry,
        out: &mut Vec<u8>,
    ) -> Result<(), Unusual> {
        number(out, 1, table.id);
        for (field, part) in table.fields.iter().zip(entry.key.matches.views()) {
            if field.translation.is_some() {
                return Err(Unusual);
            }
            if !is_dont_care(&part) {
                message(out, 2, |out| {
                    number(out, 1, field.id);
                    field_match(&part, out)
                })?;
            }
        }
        if let Some(action) = &entry.action {
            message(out, 3, |out| match action {
                TableAction::Call(call) => message(out, 1, |out| self.call(call, out)),
                TableAction::Member(id) => {
                    number(out, 2, *id);
                    Ok(())
                }
                TableAction::Group(id) => {
                    number(out, 3, *id);
                    Ok(())
                }
                TableAction::OneShot(_) => Err(Unusual),
            })?;
        }
        match u32::try_from(entry.key.priority) {
            Ok(0) => {}
            Ok(priority) => number(out, 4, priority),
            Err(_) => return Err(Unusual),
        }
        Ok(())
    }

    /// `Action`.
    fn call(&self, call: &Call, out: &mut Vec<u8>) -> Result<(), Unusual> {
        let action = self.schema.action_of(call.action).ok_or(Unusual)?;
        number(out, 1, action.id);
        for (param, argument) in action.params.iter().zip(call.args.values()) {
            if param.translation.is_some() {
                return Err(Unusual);
            }
            message(out, 4, |out| {
                number(out, 2, param.id);
                value(out, 3, argument);
            });
        }
        Ok(())
    }
}

/// Whether a match is left out, because it matches everything.
fn is_dont_care(part: &Match<&[u8]>) -> bool {
    match part {
        Match::Lpm { prefix_len, .. } => *prefix_len == 0,
        Match::Ternary { mask, .. } => mask.is_empty(),
        Match::Optional(value) => value.is_none(),
        Match::Exact(_) | Match::Range { .. } => false,
    }
}

/// What is in a `FieldMatch` beside the number of the field.
fn field_match(part: &Match<&[u8]>, out: &mut Vec<u8>) -> Result<(), Unusual> {
    match *part {
        Match::Exact(exact) => message(out, 2, |out| value(out, 1, exact)),
        Match::Ternary { value: bits, mask } => message(out, 3, |out| {
            value(out, 1, bits);
            value(out, 2, mask);
        }),
        Match::Lpm {
            value: bits,
            prefix_len,
        } => message(out, 4, |out| {
            value(out, 1, bits);
            number(out, 2, prefix_len);
        }),
        Match::Optional(Some(bits)) => message(out, 7, |out| value(out, 1, bits)),
        // Whether it matches everything depends on its width.
        Match::Optional(None) | Match::Range { .. } => return Err(Unusual),
    }
    Ok(())
}

fn number(out: &mut Vec<u8>, field: u32, number: u32) {
    encode_key(field, WireType::Varint, out);
    encode_varint(number.into(), out);
}

/// A byte string in P4Runtime's canonical form, which has at least one byte.
fn value(out: &mut Vec<u8>, field: u32, bits: &[u8]) {
    let bytes = if bits.is_empty() { &[0] } else { bits };
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A message in a field.
fn message<T>(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    encode_key(field, WireType::LengthDelimited, out);
    let start = out.len();
    // Nearly all are shorter than 128 bytes, and so are their lengths written in one.
    out.push(0);
    let written = write(out);
    let length = (out.len() - start - 1) as u64;
    match encoded_len_varint(length) {
        1 => out[start] = length as u8,
        _ => {
            let mut prefix = Vec::new();
            encode_varint(length, &mut prefix);
            out.splice(start..=start, prefix);
        }
    }
    written
}
