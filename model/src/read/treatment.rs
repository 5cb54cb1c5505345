//! Treatments: a word, a mapping, or a list of mappings.
//!
//! The keys of a mapping have no order, so its steps are applied in that of
//! [`INSTRUCTIONS`]; a list is applied as it stands.

use crate::field::Field;
use crate::objective::{Instruction, Meter};
use crate::reader::Reader;
use crate::value::{PortRef, VlanId};
use crate::yaml::{Entry, Node, Shape};

/// The instructions in the order in which those of a mapping are applied.
pub(crate) const INSTRUCTIONS: &[&str] = &[
    "pop_mpls",
    "pop_vlan",
    "push_vlan",
    "push_mpls",
    "set",
    "dec_ttl",
    "meter",
    "copy_to_cpu",
    "punt",
    "drop",
    "output",
];

const METER_FIELDS: &[&str] = &[
    "committed_rate",
    "committed_burst",
    "peak_rate",
    "peak_burst",
];

/// Reads a `treatment:`.
pub(crate) fn read_treatment(reader: &mut Reader<'_>, node: &Node) -> Vec<Instruction> {
    const WHAT: &str = "a treatment";
    match &node.shape {
        Shape::Scalar(word) => {
            let instruction = flag_instruction(word);
            if instruction.is_none() {
                let message = format!("`{word}` is not a treatment");
                let help = "accepted as a single word: drop, punt, copy_to_cpu, pop_vlan, pop_mpls, dec_ttl; \
                            others take a value, like { push_vlan: 10 }";
                reader.error_with_help(node.span, message, "not known here", help);
            }
            instruction.into_iter().collect()
        }
        Shape::List(items) => items
            .iter()
            .flat_map(|item| read_treatment(reader, item))
            .collect(),
        Shape::Null | Shape::Map(_) => {
            let entries = reader.map(node, WHAT, INSTRUCTIONS).unwrap_or_default();
            read_instructions(reader, &entries)
        }
    }
}

/// Reads the entries of a mapping that are instructions; passes over the others.
pub(crate) fn read_instructions(reader: &mut Reader<'_>, entries: &[&Entry]) -> Vec<Instruction> {
    let mut instructions = Vec::new();
    for name in INSTRUCTIONS {
        if let Some(entry) = entries.iter().find(|entry| entry.key == *name) {
            read_instruction(reader, entry, &mut instructions);
        }
    }
    instructions
}

fn read_instruction(reader: &mut Reader<'_>, entry: &Entry, into: &mut Vec<Instruction>) {
    let (name, node) = (entry.key.as_str(), &entry.value);
    match name {
        "output" => into.extend(reader.value::<PortRef>(node, name).map(Instruction::Output)),
        "push_vlan" => into.extend(
            reader
                .value::<VlanId>(node, name)
                .map(Instruction::PushVlan),
        ),
        "push_mpls" => {
            let label = reader.number(node, name, 0..=(1 << 20) - 1);
            into.extend(
                label
                    .and_then(|label| u32::try_from(label).ok())
                    .map(Instruction::PushMpls),
            );
        }
        "set" => read_set(reader, node, into),
        "meter" => into.extend(read_meter(reader, node).map(Instruction::Meter)),
        flag => match reader.boolean(node, name) {
            Some(true) => into.extend(flag_instruction(flag)),
            Some(false) => reader.error_with_help(
                node.span,
                format!("`{flag}: false` says nothing"),
                "leave it out",
                format!("`{flag}: true` asks for it, leaving the field out does not"),
            ),
            None => {}
        },
    }
}

fn flag_instruction(name: &str) -> Option<Instruction> {
    Some(match name {
        "pop_vlan" => Instruction::PopVlan,
        "pop_mpls" => Instruction::PopMpls,
        "drop" => Instruction::Drop,
        "punt" => Instruction::Punt,
        "copy_to_cpu" => Instruction::CopyToCpu,
        "dec_ttl" => Instruction::DecTtl,
        _ => return None,
    })
}

fn read_set(reader: &mut Reader<'_>, node: &Node, into: &mut Vec<Instruction>) {
    let settable: Vec<_> = Field::all()
        .filter(|field| field.settable())
        .map(Field::name)
        .collect();
    for entry in reader.map(node, "`set`", &settable).unwrap_or_default() {
        let Ok(field) = entry.key.parse::<Field>() else {
            continue;
        };
        let Some(text) = reader.text(&entry.value, field.name()) else {
            continue;
        };
        let value = reader.checked(&entry.value, "`set`", field.parse_value(text));
        into.extend(value.map(|value| Instruction::Set { field, value }));
    }
}

fn read_meter(reader: &mut Reader<'_>, node: &Node) -> Option<Meter> {
    let entries = reader.map(node, "a meter", METER_FIELDS)?;
    let mut number = |key: &str| {
        let node = reader.required(&entries, key, "a meter", node.span)?;
        reader.number(node, key, 1..=u64::MAX >> 1)
    };
    let (committed_rate, committed_burst) = (number("committed_rate"), number("committed_burst"));
    let (peak_rate, peak_burst) = (number("peak_rate"), number("peak_burst"));
    Some(Meter {
        committed_rate: committed_rate?,
        committed_burst: committed_burst?,
        peak_rate: peak_rate?,
        peak_burst: peak_burst?,
    })
}
