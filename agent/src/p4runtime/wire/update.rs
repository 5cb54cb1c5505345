//! Updates of table entries, read in one pass.
//!
//! This is the way of nearly all updates: an entry with matches and an action, a member or a group, of a table
//! without translations and restrictions. It allocates nothing for keys of a few dozen bytes. Whatever else an
//! update is or has, and whatever is wrong with it, is left to prost and [`decode`](crate::p4runtime::decode),
//! which say what it is; what both read is the same, which a test holds them to.

use pointsman_p4::dataplane::{Args, Call, EntryKey, Match, Matches};
use pointsman_p4::ir::MatchKind;
use smallvec::{SmallVec, smallvec};

use super::fields::{Fields, Unusual, Value};
use crate::entity::{Entity, Operation, TableAction, TableEntry, Update};
use crate::schema::{ActionSchema, FieldSchema, Schema, Scope, TableSchema};

/// Values of a key, or of an action, that are read without an allocation.
const INLINE: usize = 8;

/// Reads updates for a pipeline. It remembers which table and action came last, as most come in a row.
pub struct UpdateReader<'s> {
    schema: &'s Schema,
    table: Option<&'s TableSchema>,
    action: Option<&'s ActionSchema>,
}

/// The parts of a `TableEntry` of this kind.
#[derive(Default)]
struct Parts<'a> {
    table_id: u32,
    matches: SmallVec<[&'a [u8]; INLINE]>,
    action: Option<Action<'a>>,
    priority: i32,
}

/// A `TableAction` of this kind.
enum Action<'a> {
    Call(u32, SmallVec<[(u32, &'a [u8]); INLINE]>),
    Member(u32),
    Group(u32),
}

impl<'s> UpdateReader<'s> {
    /// A reader for a pipeline.
    pub fn new(schema: &'s Schema) -> UpdateReader<'s> {
        UpdateReader {
            schema,
            table: None,
            action: None,
        }
    }

    /// Reads an update, if it is a common one and nothing is wrong with it: the table that it is for, and
    /// what it says.
    pub fn read(&mut self, update: &[u8]) -> Option<(&'s TableSchema, Update)> {
        let (operation, entry) = operation_and_entry(update).ok()?;
        let parts = Parts::read(entry).ok()?;
        let table = self.table(parts.table_id)?;
        if table.is_const || table.restriction.is_some() || table.fields.is_empty() {
            return None;
        }
        let priority_fits = match table.has_priority() {
            true => parts.priority > 0,
            false => parts.priority == 0,
        };
        let key = EntryKey {
            table: table.table,
            matches: matches(&table.fields, &parts.matches).filter(|_| priority_fits)?,
            priority: parts.priority,
        };
        let mut entry = TableEntry::of_key(key);
        if operation != Operation::Delete {
            entry.action = match parts.action {
                Some(action) => Some(self.action(table, action)?),
                None if operation == Operation::Modify => None,
                None => return None,
            };
        }
        let entity = Entity::TableEntry(entry);
        Some((table, Update { operation, entity }))
    }

    fn table(&mut self, id: u32) -> Option<&'s TableSchema> {
        if self.table.is_none_or(|table| table.id != id) {
            self.table = self.schema.table(id);
        }
        self.table
    }

    fn action(&mut self, table: &TableSchema, action: Action<'_>) -> Option<TableAction> {
        match (action, table.profile) {
            (Action::Call(id, params), None) => {
                let allowed = table.action(id)?;
                if !matches!(allowed.scope, Scope::TableAndDefault | Scope::TableOnly) {
                    return None;
                }
                if self.action.is_none_or(|action| action.id != id) {
                    self.action = self.schema.action(id);
                }
                Some(TableAction::Call(Call {
                    action: allowed.action,
                    args: arguments(self.action?, &params)?,
                }))
            }
            (Action::Member(id), Some(_)) => Some(TableAction::Member(id)),
            (Action::Group(id), Some(_)) if table.with_selector => Some(TableAction::Group(id)),
            _ => None,
        }
    }
}

/// `Update.type` and `Update.entity.table_entry`.
fn operation_and_entry(update: &[u8]) -> Result<(Operation, &[u8]), Unusual> {
    let mut operation = None;
    let mut entity = None;
    for field in Fields::of(update) {
        match field? {
            (1, Value::Number(1)) => once(&mut operation, Operation::Insert)?,
            (1, Value::Number(2)) => once(&mut operation, Operation::Modify)?,
            (1, Value::Number(3)) => once(&mut operation, Operation::Delete)?,
            (2, Value::Bytes(message)) => once(&mut entity, message)?,
            _ => return Err(Unusual),
        }
    }
    let entry = match only(entity.ok_or(Unusual)?)? {
        (2, entry) => entry.into_bytes()?,
        _ => return Err(Unusual),
    };
    Ok((operation.ok_or(Unusual)?, entry))
}

impl<'a> Parts<'a> {
    fn read(entry: &'a [u8]) -> Result<Parts<'a>, Unusual> {
        let mut parts = Parts::default();
        for field in Fields::of(entry) {
            match field? {
                (1, id) if parts.table_id == 0 => parts.table_id = id.into_number()?,
                (2, message) => parts.matches.push(message.into_bytes()?),
                (3, message) => once(&mut parts.action, Action::read(message.into_bytes()?)?)?,
                (4, priority) if parts.priority == 0 => parts.priority = priority.into_number()?,
                _ => return Err(Unusual),
            }
        }
        Ok(parts)
    }
}

impl<'a> Action<'a> {
    fn read(message: &'a [u8]) -> Result<Action<'a>, Unusual> {
        match only(message)? {
            (1, call) => Action::read_call(call.into_bytes()?),
            (2, member) => Ok(Action::Member(member.into_number()?)),
            (3, group) => Ok(Action::Group(group.into_number()?)),
            _ => Err(Unusual),
        }
    }

    fn read_call(message: &'a [u8]) -> Result<Action<'a>, Unusual> {
        let mut action_id = 0;
        let mut params = SmallVec::new();
        for field in Fields::of(message) {
            match field? {
                (1, id) if action_id == 0 => action_id = id.into_number()?,
                (4, param) => params.push(number_and_bytes(param.into_bytes()?, 2, 3)?),
                _ => return Err(Unusual),
            }
        }
        Ok(Action::Call(action_id, params))
    }
}

/// One match for each field of a key, in the program's order.
fn matches(fields: &[FieldSchema], given: &[&[u8]]) -> Option<Matches> {
    let mut found: SmallVec<[Option<Match<&[u8]>>; INLINE]> = smallvec![None; fields.len()];
    for message in given {
        let (id, kind, message) = field_match(message).ok()?;
        let field = fields.iter().find(|field| field.id == id)?;
        let part = one_match(field, kind, message).ok()?;
        // Twice is once too often.
        if found[field.position].replace(part).is_some() {
            return None;
        }
    }
    let mut matches = Matches::default();
    for (field, part) in fields.iter().zip(found) {
        match (part, field.kind) {
            (Some(part), _) => matches.push(&part),
            (None, MatchKind::Ternary) => {
                matches.push::<&[u8]>(&Match::Ternary {
                    value: &[],
                    mask: &[],
                });
            }
            (None, MatchKind::Lpm) => matches.push::<&[u8]>(&Match::Lpm {
                value: &[],
                prefix_len: 0,
            }),
            (None, MatchKind::Optional) => matches.push::<&[u8]>(&Match::Optional(None)),
            (None, MatchKind::Exact | MatchKind::Range) => return None,
        }
    }
    Some(matches)
}

/// `FieldMatch`: which field, how it is matched, and the message that says so.
fn field_match(message: &[u8]) -> Result<(u32, u32, &[u8]), Unusual> {
    let mut id = 0;
    let mut kind = None;
    for field in Fields::of(message) {
        match field? {
            (1, field_id) if id == 0 => id = field_id.into_number()?,
            (number, message) => once(&mut kind, (number, message.into_bytes()?))?,
        }
    }
    let (kind, message) = kind.ok_or(Unusual)?;
    Ok((id, kind, message))
}

/// A match on a field whose values are as the program's.
fn one_match<'a>(
    field: &FieldSchema,
    kind: u32,
    message: &'a [u8],
) -> Result<Match<&'a [u8]>, Unusual> {
    if field.translation.is_some() {
        return Err(Unusual);
    }
    match (field.kind, kind) {
        (MatchKind::Exact, 2) => Ok(Match::Exact(sole_value(message, field.width)?)),
        (MatchKind::Optional, 7) => {
            let value = sole_value(message, field.width)?;
            Ok(Match::Optional(Some(value)))
        }
        (MatchKind::Lpm, 4) => {
            let (prefix_len, value) = number_and_bytes(message, 2, 1)?;
            let value = number(value, field.width)?;
            let fits = (1..=field.width).contains(&prefix_len);
            match fits && trailing_zeros(value) >= field.width - prefix_len {
                true => Ok(Match::Lpm { value, prefix_len }),
                false => Err(Unusual),
            }
        }
        (MatchKind::Ternary, 3) => {
            let (mut value, mut mask) = (None, None);
            for part in Fields::of(message) {
                match part? {
                    (1, bytes) => once(&mut value, bytes.into_bytes()?)?,
                    (2, bytes) => once(&mut mask, bytes.into_bytes()?)?,
                    _ => return Err(Unusual),
                }
            }
            let value = number(value.ok_or(Unusual)?, field.width)?;
            let mask = number(mask.ok_or(Unusual)?, field.width)?;
            match !mask.is_empty() && is_within(value, mask) {
                true => Ok(Match::Ternary { value, mask }),
                false => Err(Unusual),
            }
        }
        _ => Err(Unusual),
    }
}

/// One argument for each parameter of an action, in its order.
fn arguments(action: &ActionSchema, given: &[(u32, &[u8])]) -> Option<Args> {
    if action.restriction.is_some() || given.len() != action.params.len() {
        return None;
    }
    // All are there if there are as many, and each is found once.
    let in_order = action.params.iter().map(|param| {
        let mut values = given.iter().filter(|(id, _)| *id == param.id);
        let (_, bytes) = values.next().filter(|_| param.translation.is_none())?;
        number(bytes, param.width)
            .ok()
            .filter(|_| values.next().is_none())
    });
    in_order.collect()
}

/// A message with one field in it.
fn only(message: &[u8]) -> Result<(u32, Value<'_>), Unusual> {
    let mut fields = Fields::of(message);
    let only = fields.next().ok_or(Unusual)??;
    match fields.next() {
        None => Ok(only),
        Some(_) => Err(Unusual),
    }
}

/// A message with a number and a byte string, in any order, by their field numbers.
fn number_and_bytes(message: &[u8], number: u32, bytes: u32) -> Result<(u32, &[u8]), Unusual> {
    let (mut a_number, mut some_bytes) = (None, None);
    for field in Fields::of(message) {
        match field? {
            (found, value) if found == number => once(&mut a_number, value.into_number()?)?,
            (found, value) if found == bytes => once(&mut some_bytes, value.into_bytes()?)?,
            _ => return Err(Unusual),
        }
    }
    Ok((a_number.ok_or(Unusual)?, some_bytes.ok_or(Unusual)?))
}

/// A message with nothing but a value.
fn sole_value(message: &[u8], width: u32) -> Result<&[u8], Unusual> {
    match only(message)? {
        (1, value) => number(value.into_bytes()?, width),
        _ => Err(Unusual),
    }
}

/// A byte string of at most `width` bits, without leading zeros.
fn number(bytes: &[u8], width: u32) -> Result<&[u8], Unusual> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let number = &bytes[zeros..];
    let bits = number.first().map_or(0, |first| {
        number.len() as u64 * 8 - u64::from(first.leading_zeros())
    });
    match !bytes.is_empty() && bits <= u64::from(width) {
        true => Ok(number),
        false => Err(Unusual),
    }
}

/// How many of the lowest bits are zero; all there could be for zero.
fn trailing_zeros(number: &[u8]) -> u32 {
    match number.iter().rposition(|byte| *byte != 0) {
        Some(last) => (number.len() - 1 - last) as u32 * 8 + number[last].trailing_zeros(),
        None => u32::MAX,
    }
}

/// Whether all ones of a number are ones of a mask.
fn is_within(number: &[u8], mask: &[u8]) -> bool {
    let mut pairs = number.iter().rev().zip(mask.iter().rev());
    number.len() <= mask.len() && pairs.all(|(value, mask)| value & !mask == 0)
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Unusual> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Unusual),
    }
}
