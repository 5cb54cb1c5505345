//! Digests: how they are configured, and the lists of what packets have learnt.

use pointsman_proto::p4::v1::{self as p4, p4_data};

use crate::digests::{List, Message};
use crate::entity::DigestEntry;
use crate::schema::{Data, DataSchema, Schema};

/// How a digest is sent.
pub(super) fn entry(schema: &Schema, entry: &DigestEntry) -> p4::DigestEntry {
    let config = entry.config;
    p4::DigestEntry {
        digest_id: schema.digest_of(entry.digest).map_or(0, |d| d.id),
        config: Some(p4::digest_entry::Config {
            max_timeout_ns: i64::try_from(config.max_timeout_ns).unwrap_or(i64::MAX),
            max_list_size: i32::try_from(config.max_list_size).unwrap_or(i32::MAX),
            ack_timeout_ns: i64::try_from(config.ack_timeout_ns).unwrap_or(i64::MAX),
        }),
    }
}

/// A list of messages, made at a time since the epoch.
pub fn digest_list(schema: &Schema, list: &List, timestamp_ns: i64) -> p4::DigestList {
    let Some(digest) = schema.digest_of(list.digest) else {
        return p4::DigestList::default();
    };
    let messages = list.messages.iter();
    p4::DigestList {
        digest_id: digest.id,
        list_id: list.list_id,
        data: messages
            .map(|message| data(schema, &digest.data, message))
            .collect(),
        timestamp: timestamp_ns,
    }
}

fn data(schema: &Schema, described: &DataSchema, message: &Message) -> p4::P4Data {
    let mut elements = message.iter().cloned();
    p4_data(described.data(&mut elements, &|value, width, translation| {
        schema.bytes(value, width, translation)
    }))
}

fn p4_data(data: Data) -> p4::P4Data {
    let all = |members: Vec<Data>| p4::P4StructLike {
        members: members.into_iter().map(p4_data).collect(),
    };
    p4::P4Data {
        data: Some(match data {
            Data::Bits(bytes) => p4_data::Data::Bitstring(bytes),
            Data::Bool(value) => p4_data::Data::Bool(value),
            Data::Enum(member) => p4_data::Data::Enum(member),
            Data::Error(error) => p4_data::Data::Error(error),
            Data::EnumValue(bytes) => p4_data::Data::EnumValue(bytes),
            Data::Struct(members) => p4_data::Data::Struct(all(members)),
            Data::Tuple(parts) => p4_data::Data::Tuple(all(parts)),
            // What learns the fields of a header has found it valid, or they are 0.
            Data::Header(bitstrings) => p4_data::Data::Header(p4::P4Header {
                is_valid: true,
                bitstrings,
            }),
        }),
    }
}
