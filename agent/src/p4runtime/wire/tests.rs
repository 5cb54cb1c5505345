//! Both ways to read an update find the same, and both ways to write it say the same.

use pointsman_p4::bmv2;
use pointsman_p4::ir::MatchKind;
use pointsman_p4::p4info::parse_p4info;
use pointsman_p4::programs;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};
use pointsman_proto::p4::v1::table_action::Type as ActionType;
use proptest::prelude::*;
use prost::Message as _;

use super::{UpdateReader, UpdateWriter};
use crate::p4runtime::{decode, encode};
use crate::schema::{FieldSchema, Presentation, Schema};

/// A pipeline with exact, lpm, ternary and optional fields, with and without a profile.
fn schema() -> Schema {
    let program = programs::embedded("leaf_spine").unwrap();
    let info = parse_p4info(program.p4info).unwrap();
    let program = bmv2::read(program.bmv2_json).unwrap();
    Schema::build(&info, &program, &Presentation::default()).unwrap()
}

/// A byte string that often fits a field.
fn bytes(width: u32) -> impl Strategy<Value = Vec<u8>> {
    let length = width.div_ceil(8) as usize;
    let fits = prop::collection::vec(any::<u8>(), length).prop_map(move |mut bytes| {
        if let (Some(first), 1..) = (bytes.first_mut(), width % 8) {
            *first &= 0xff >> (8 - width % 8);
        }
        bytes
    });
    let short = prop::collection::vec(any::<u8>(), 0..length + 2);
    prop_oneof![8 => fits, 1 => short, 1 => Just(vec![0; length])]
}

fn field(field: &FieldSchema) -> impl Strategy<Value = p4::FieldMatch> + use<> {
    let (id, width) = (field.id, field.width);
    let fitting = match field.kind {
        MatchKind::Exact => 0,
        MatchKind::Ternary => 3,
        MatchKind::Lpm => 7,
        MatchKind::Optional => 10,
        MatchKind::Range => 11,
    };
    let kind = prop_oneof![8 => Just(fitting), 1 => 0..12u8];
    let prefix_len = prop_oneof![4 => 1..=width as i32, 1 => -1..200];
    let parts = (bytes(width), bytes(width), prefix_len, kind);
    parts.prop_map(move |(value, mask, prefix_len, kind)| {
        let masked = value.iter().zip(&mask).map(|(value, mask)| value & mask);
        let masked = masked.collect();
        let mut prefix = value.clone();
        for (at, byte) in prefix.iter_mut().enumerate() {
            let bits = (prefix_len - 8 * at as i32).clamp(0, 8);
            *byte &= !(0xff_u16 >> bits) as u8;
        }
        let kind = match kind {
            0..3 => FieldMatchType::Exact(field_match::Exact { value }),
            3..6 => FieldMatchType::Ternary(field_match::Ternary {
                value: masked,
                mask,
            }),
            6 => FieldMatchType::Ternary(field_match::Ternary { value, mask }),
            7 | 8 => FieldMatchType::Lpm(field_match::Lpm {
                value: prefix,
                prefix_len,
            }),
            9 => FieldMatchType::Lpm(field_match::Lpm { value, prefix_len }),
            10 => FieldMatchType::Optional(field_match::Optional { value }),
            _ => FieldMatchType::Range(field_match::Range {
                low: value,
                high: mask,
            }),
        };
        p4::FieldMatch {
            field_id: id,
            field_match_type: Some(kind),
        }
    })
}

fn action(schema: &Schema, id: u32) -> BoxedStrategy<ActionType> {
    let params = schema.action(id).map_or(&[][..], |action| &action.params);
    let params: Vec<_> = params
        .iter()
        .map(|param| {
            let id = param.id;
            bytes(param.width).prop_map(move |value| p4::action::Param {
                param_id: id,
                value,
            })
        })
        .collect();
    let call = (params, any::<bool>()).prop_map(move |(mut params, reversed)| {
        if reversed {
            params.reverse();
        }
        ActionType::Action(p4::Action {
            action_id: id,
            params,
        })
    });
    prop_oneof![
        6 => call,
        1 => any::<u32>().prop_map(ActionType::ActionProfileMemberId),
        1 => any::<u32>().prop_map(ActionType::ActionProfileGroupId),
    ]
    .boxed()
}

/// Updates of entries of the pipeline, right and wrong.
fn update(schema: &Schema) -> BoxedStrategy<p4::Update> {
    let tables = schema.tables.iter().map(|table| {
        let fields: Vec<_> = table.fields.iter().map(field).collect();
        let given = fields.prop_flat_map(|fields| {
            let count = fields.len();
            prop_oneof![
                4 => Just(fields.clone()),
                1 => prop::sample::subsequence(fields, 0..=count),
            ]
        });
        let actions: Vec<_> = table.actions.iter().map(|a| action(schema, a.id)).collect();
        let action =
            prop::option::weighted(0.9, prop::sample::select(actions).prop_flat_map(|a| a));
        let id = table.id;
        let priority = prop_oneof![Just(0), 1..100, Just(-1)];
        let rare = (any::<[bool; 3]>(), prop::collection::vec(any::<u8>(), 0..3));
        (given, action, priority, 0..5, rare).prop_map(
            move |(matches, action, priority, kind, (rare, metadata))| p4::Update {
                r#type: kind,
                entity: Some(p4::Entity {
                    entity: Some(Message::TableEntry(p4::TableEntry {
                        table_id: id,
                        r#match: matches,
                        action: action.map(|kind| p4::TableAction { r#type: Some(kind) }),
                        priority,
                        is_default_action: rare == [true; 3],
                        metadata,
                        ..p4::TableEntry::default()
                    })),
                }),
            },
        )
    });
    let tables: Vec<_> = tables.map(Strategy::boxed).collect();
    proptest::strategy::Union::new(tables).boxed()
}

/// What this reader reads is what prost and the decoder read.
fn agrees(schema: &Schema, bytes: &[u8]) -> Result<bool, TestCaseError> {
    let Some((table, found)) = UpdateReader::new(schema).read(bytes) else {
        return Ok(false);
    };
    let message = p4::Update::decode(bytes);
    let message = message.map_err(|error| TestCaseError::fail(error.to_string()))?;
    let expected = decode::update(schema, &message);
    let expected = expected.map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(found, expected);
    let entity = message.entity.and_then(|entity| entity.entity);
    let is_same = matches!(entity, Some(Message::TableEntry(entry)) if entry.table_id == table.id);
    prop_assert!(is_same);
    Ok(true)
}

#[test]
fn both_ways_to_read_an_update_find_the_same() {
    let schema = schema();
    let mutations = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let mut runner = proptest::test_runner::TestRunner::default();
    let ran = runner.run(&(update(&schema), mutations), |(update, mutations)| {
        let mut bytes = update.encode_to_vec();
        agrees(&schema, &bytes)?;
        for (index, byte) in mutations {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        agrees(&schema, &bytes)?;
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn both_ways_to_write_an_update_say_the_same() {
    let schema = schema();
    let mut runner = proptest::test_runner::TestRunner::default();
    let ran = runner.run(&update(&schema), |message| {
        if let Ok(update) = decode::update(&schema, &message) {
            let mut bytes = vec![1, 2, 3];
            UpdateWriter::new(&schema).write(&update, &mut bytes);
            let written = p4::Update::decode(&bytes[3..]);
            let written = written.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(written, encode::update(&schema, &update));
        }
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn entries_that_are_right_need_no_other_reader() {
    let schema = schema();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = update(&schema);
    let mut read = 0;
    let mut right = 0;
    for _ in 0..4096 {
        let update =
            proptest::strategy::ValueTree::current(&strategy.new_tree(&mut runner).unwrap());
        let entry = match update
            .entity
            .as_ref()
            .and_then(|entity| entity.entity.as_ref())
        {
            Some(Message::TableEntry(entry)) => entry,
            _ => continue,
        };
        let is_range =
            |m: &p4::FieldMatch| matches!(m.field_match_type, Some(FieldMatchType::Range(_)));
        let is_common = entry.metadata.is_empty()
            && !entry.is_default_action
            && !entry.r#match.iter().any(is_range);
        if is_common && decode::update(&schema, &update).is_ok() {
            right += 1;
            read += usize::from(agrees(&schema, &update.encode_to_vec()).unwrap());
        }
    }
    assert!(right > 50, "{right} updates were right");
    assert_eq!(read, right);
}
