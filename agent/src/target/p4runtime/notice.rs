//! Digest lists and idle entries, as the server tells of them: read with the schema of the pipeline that runs.
//!
//! What does not fit the pipeline is dropped: it is of one that is gone, or of a server that does not keep to
//! the types of p4info.

use std::sync::Arc;

use pointsman_p4::dataplane::{Bits, EntryKey};
use pointsman_p4::ir::LearnListId;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_data::Data;

use crate::digests::Message;
use crate::p4runtime::decode;
use crate::schema::{DataSchema, Schema, Translation};

/// What the server has noticed.
#[derive(Debug)]
pub(super) enum Notice {
    /// Packets have learnt something.
    Learnt(Listed),
    /// No packet has hit these entries for their timeout.
    Idle {
        schema: Arc<Schema>,
        keys: Vec<EntryKey>,
    },
}

/// A list of what packets have learnt on a switch in another process.
#[derive(Debug)]
pub struct Listed {
    /// By which pipeline.
    pub schema: Arc<Schema>,
    /// Of this digest.
    pub digest: LearnListId,
    /// By which that switch knows the list.
    pub list_id: u64,
    /// The oldest first.
    pub messages: Vec<Message>,
}

/// A digest list of the server.
pub(super) fn learnt(schema: &Arc<Schema>, list: &p4::DigestList) -> Option<Notice> {
    let digest = schema.digest(list.digest_id)?;
    let messages = list.data.iter().filter_map(|data| {
        let mut elements = Vec::new();
        flatten(&digest.data, data, &mut elements)?;
        Some(elements.into())
    });
    let messages: Vec<Message> = messages.collect();
    if messages.len() < list.data.len() {
        tracing::debug!(
            digest = digest.name,
            "a digest is not of the type that p4info has for it"
        );
    }
    Some(Notice::Learnt(Listed {
        schema: Arc::clone(schema),
        digest: digest.list,
        list_id: list.list_id,
        messages,
    }))
}

/// Entries that the server says are idle.
pub(super) fn idle(schema: &Arc<Schema>, told: &p4::IdleTimeoutNotification) -> Notice {
    let keys = told.table_entry.iter().filter_map(|entry| {
        let table = decode::table(schema, entry.table_id).ok()?;
        decode::entry_key(table, entry).ok()
    });
    Notice::Idle {
        schema: Arc::clone(schema),
        keys: keys.collect(),
    }
}

/// The elements that a program has for data. None if they are not of this type.
fn flatten(described: &DataSchema, data: &p4::P4Data, elements: &mut Vec<Bits>) -> Option<()> {
    let data = data.data.as_ref()?;
    match (described, data) {
        (DataSchema::Struct(members), Data::Struct(given))
        | (DataSchema::Tuple(members), Data::Tuple(given)) => {
            if members.len() != given.members.len() {
                return None;
            }
            let mut parts = members.iter().zip(&given.members);
            return parts.try_for_each(|(member, given)| flatten(member, given, elements));
        }
        (DataSchema::Header(fields), Data::Header(given)) => {
            // A header that is not valid has none.
            let mut given = given.bitstrings.iter();
            for (width, translation) in fields {
                let value = match given.next() {
                    Some(bytes) => value(bytes, *width, translation.as_deref())?,
                    None => Bits::zero(),
                };
                elements.push(value);
            }
            return Some(());
        }
        _ => {}
    }
    elements.push(match (described, data) {
        (DataSchema::Bits { width, translation }, Data::Bitstring(bytes)) => {
            value(bytes, *width, translation.as_deref())?
        }
        (DataSchema::Bool, Data::Bool(value)) => Bits::from(u64::from(*value)),
        (DataSchema::Enum(names), Data::Enum(name))
        | (DataSchema::Error(names), Data::Error(name)) => number(names, name)?,
        (DataSchema::SerializableEnum { width }, Data::EnumValue(bytes)) => {
            value(bytes, *width, None)?
        }
        _ => return None,
    });
    Some(())
}

fn value(bytes: &[u8], width: u32, translation: Option<&Translation>) -> Option<Bits> {
    let value = match translation {
        Some(translation) => translation.to_program(bytes).ok()?,
        None => Bits::from_be_bytes(bytes),
    };
    (value.bit_length() <= width).then_some(value)
}

fn number(names: &[String], name: &str) -> Option<Bits> {
    let index = names.iter().position(|known| known == name)?;
    Some(Bits::from(index as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(width: u32) -> DataSchema {
        DataSchema::Bits {
            width,
            translation: None,
        }
    }

    fn bitstring(bytes: &[u8]) -> p4::P4Data {
        p4::P4Data {
            data: Some(Data::Bitstring(bytes.to_vec())),
        }
    }

    fn structure(members: Vec<p4::P4Data>) -> p4::P4Data {
        p4::P4Data {
            data: Some(Data::Struct(p4::P4StructLike { members })),
        }
    }

    fn elements(described: &DataSchema, data: &p4::P4Data) -> Option<Vec<Bits>> {
        let mut elements = Vec::new();
        flatten(described, data, &mut elements)?;
        Some(elements)
    }

    #[test]
    fn data_become_the_elements_of_the_program_padded_or_not() {
        let described = DataSchema::Struct(vec![
            bits(48),
            DataSchema::Tuple(vec![
                DataSchema::Bool,
                DataSchema::Enum(vec!["A".to_owned()]),
            ]),
        ]);
        let tuple = p4::P4Data {
            data: Some(Data::Tuple(p4::P4StructLike {
                members: vec![
                    p4::P4Data {
                        data: Some(Data::Bool(true)),
                    },
                    p4::P4Data {
                        data: Some(Data::Enum("A".to_owned())),
                    },
                ],
            })),
        };
        let data = structure(vec![bitstring(&[0, 0, 7]), tuple]);
        let expected = [7u64, 1, 0].map(Bits::from);
        assert_eq!(elements(&described, &data).as_deref(), Some(&expected[..]));
    }

    #[test]
    fn data_of_another_type_are_none() {
        let described = DataSchema::Struct(vec![bits(8)]);
        assert_eq!(elements(&described, &bitstring(&[1])), None);
        let long = structure(vec![bitstring(&[1]), bitstring(&[2])]);
        assert_eq!(elements(&described, &long), None);
        let wide = structure(vec![bitstring(&[1, 1])]);
        assert_eq!(elements(&described, &wide), None);
    }
}
