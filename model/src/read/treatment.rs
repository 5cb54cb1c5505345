//! Treatments: a word, a mapping, or a list of mappings.
//!
//! The keys of a mapping have no order, so its steps are applied in that of
//! [`INSTRUCTIONS`]; a list is applied as it stands.
//!
//! `group: NAME` says what the `next` of a forward or bucket says. It is read as that, so that
//! there is one form of it.

use crate::field::Field;
use crate::objective::{Instruction, Meter, Name};
use crate::p4::{self, TableAction};
use crate::read::objective::read_next_name;
use crate::reader::{Reader, optional};
use crate::value::{PortRef, VlanId};
use crate::yaml::{Entry, Node, Shape, Span};

/// The instructions in the order in which those of a mapping are applied.
pub(crate) const INSTRUCTIONS: &[&str] = &[
    "pop_mpls",
    "pop_vlan",
    "push_vlan",
    "push_mpls",
    "set",
    "dec_ttl",
    "meter",
    "count",
    "queue",
    "copy_to_cpu",
    "punt",
    "drop",
    "table",
    "group",
    "output",
];

const METER_FIELDS: &[&str] = &[
    "committed_rate",
    "committed_burst",
    "peak_rate",
    "peak_burst",
];

const TABLE_FIELDS: &[&str] = &["name", "action", "args"];

/// What a treatment says.
#[derive(Default)]
pub(crate) struct Treatment {
    pub(crate) instructions: Vec<Instruction>,
    /// The next that it names, and where.
    pub(crate) group: Option<(Name, Span)>,
}

/// Reads a `treatment:`.
pub(crate) fn read_treatment(reader: &mut Reader<'_>, node: &Node) -> Treatment {
    let mut treatment = Treatment::default();
    treatment.read(reader, node);
    treatment
}

impl Treatment {
    fn read(&mut self, reader: &mut Reader<'_>, node: &Node) {
        match &node.shape {
            Shape::Scalar(word) => {
                let instruction = flag_instruction(word);
                if instruction.is_none() {
                    let message = format!("`{word}` is not a treatment");
                    let help = "accepted as a single word: drop, punt, copy_to_cpu, pop_vlan, pop_mpls, dec_ttl; \
                                others take a value, like { push_vlan: 10 }";
                    reader.error_with_help(node.span, message, "not known here", help);
                }
                self.instructions.extend(instruction);
            }
            Shape::List(items) => {
                for item in items {
                    self.read(reader, item);
                }
            }
            Shape::Null | Shape::Map(_) => {
                let entries = reader.map(node, "a treatment", INSTRUCTIONS);
                self.read_entries(reader, &entries.unwrap_or_default());
            }
        }
    }

    /// Reads the entries of a mapping that are instructions; passes over the others.
    pub(crate) fn read_entries(&mut self, reader: &mut Reader<'_>, entries: &[&Entry]) {
        for name in INSTRUCTIONS {
            let Some(entry) = entries.iter().find(|entry| entry.key == *name) else {
                continue;
            };
            if *name != "group" {
                read_instruction(reader, entry, &mut self.instructions);
            } else if self.group.is_some() {
                let message = "a treatment names one group";
                reader.error(entry.key_span, message, "the second one");
            } else {
                let next = read_next_name(reader, &entry.value);
                self.group = next.map(|next| (next, entry.key_span));
            }
        }
    }
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
            let label = read_u32(reader, node, name, (1 << 20) - 1);
            into.extend(label.map(Instruction::PushMpls));
        }
        "queue" => {
            let queue = read_u32(reader, node, name, u32::MAX);
            into.extend(queue.map(Instruction::Queue));
        }
        "count" => into.extend(read_next_name(reader, node).map(Instruction::Count)),
        "set" => read_set(reader, node, into),
        "meter" => into.extend(read_meter(reader, node).map(Instruction::Meter)),
        "table" => into.extend(read_table(reader, node).map(Instruction::Table)),
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

fn read_u32(reader: &mut Reader<'_>, node: &Node, name: &str, max: u32) -> Option<u32> {
    let number = reader.number(node, name, 0..=max.into())?;
    u32::try_from(number).ok()
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

/// An action of the pipeline, in place of the one that its manifest would choose.
fn read_table(reader: &mut Reader<'_>, node: &Node) -> Option<TableAction> {
    let entries = reader.map(node, "`table`", TABLE_FIELDS)?;
    let mut word = |key: &str| {
        let node = reader.required(&entries, key, "`table`", node.span)?;
        read_p4_name(reader, node)
    };
    let (name, action) = (word("name"), word("action"));
    let args = match optional(&entries, "args") {
        Some(node) => reader.entries(node, "`args`")?,
        None => Vec::new(),
    };
    let args = args.into_iter().map(|entry| {
        let text = reader.text(&entry.value, &entry.key)?;
        let value = reader.checked(&entry.value, "`args`", p4::parse_value(text))?;
        Some((entry.key.clone(), value))
    });
    let args = args.collect::<Option<_>>();
    Some(TableAction {
        name: name?,
        action: action?,
        args: args?,
    })
}

fn read_p4_name(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "a name of the pipeline")?;
    let valid = p4::is_name(text);
    if !valid {
        let message = format!("`{text}` is not a name of the pipeline");
        reader.error(node.span, message, "not a name");
    }
    valid.then(|| text.to_owned())
}
