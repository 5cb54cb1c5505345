//! The model as YAML again, in the style in which people write it.
//!
//! Reading the output gives the same objectives back.

use std::fmt::Write;

use crate::attributes::Attributes;
use crate::field::Field;
use crate::model::Device;
use crate::objective::{
    Bucket, DEFAULT_PRIORITY, FilterType, Instruction, Name, Objective, ObjectiveKind, P4Criterion,
    Selector,
};
use crate::p4::{self, TableAction};
use crate::read::{INSTRUCTIONS, P4};

/// The document of one device's objectives.
pub fn to_yaml<'o>(device: &str, objectives: impl IntoIterator<Item = &'o Objective>) -> String {
    let objectives: Vec<_> = objectives.into_iter().collect();
    let owner_of = |objective: &'o Objective| objective.attributes.owner.as_ref();
    // An owner that all have is said once.
    let first = objectives.first().filter(|_| objectives.len() > 1);
    let owner = first.and_then(|first| owner_of(first));
    let owner = owner.filter(|owner| {
        objectives
            .iter()
            .all(|other| owner_of(other) == Some(owner))
    });
    let mut items = String::new();
    for objective in objectives {
        for (index, line) in lines_of(objective, owner).iter().enumerate() {
            let indent = if index == 0 { "  - " } else { "    " };
            writeln!(items, "{indent}{line}").expect("writing to a string does not fail");
        }
    }
    let device = quoted(device);
    let owner = owner.map(|owner| format!("owner: {}\n", quoted(owner.as_str())));
    let owner = owner.unwrap_or_default();
    if items.is_empty() {
        format!("device: {device}\nobjectives: []\n")
    } else {
        format!("device: {device}\n{owner}objectives:\n{items}")
    }
}

/// The document of an inventory.
pub fn devices_to_yaml<'d>(devices: impl IntoIterator<Item = &'d Device>) -> String {
    let mut text = String::new();
    for Device {
        name,
        address,
        device_id,
    } in devices
    {
        let (name, address) = (quoted(name), quoted(address));
        writeln!(
            text,
            "  - {{ name: {name}, address: {address}, device_id: {device_id} }}"
        )
        .expect("writing to a string does not fail");
    }
    if text.is_empty() {
        "devices: []\n".to_owned()
    } else {
        format!("devices:\n{text}")
    }
}

fn lines_of(objective: &Objective, default_owner: Option<&Name>) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {}",
        objective.kind(),
        quoted(objective.name.as_str())
    )];
    let Attributes {
        owner,
        group,
        timeout,
    } = &objective.attributes;
    for (key, name) in [
        (
            "owner",
            owner.as_ref().filter(|owner| Some(*owner) != default_owner),
        ),
        ("group", group.as_ref()),
    ] {
        lines.extend(name.map(|name| format!("{key}: {}", quoted(name.as_str()))));
    }
    if !timeout.is_never() {
        lines.push(format!("timeout: {timeout}"));
    }
    if objective.priority != DEFAULT_PRIORITY {
        lines.push(format!("priority: {}", objective.priority));
    }
    match &objective.kind {
        ObjectiveKind::Filter(filter) => {
            if filter.filter_type == FilterType::Deny {
                lines.push("type: deny".to_owned());
            }
            push_selector(&mut lines, "key", &filter.key);
            push_selector(&mut lines, "conditions", &filter.conditions);
            push_treatment(&mut lines, &filter.treatment);
        }
        ObjectiveKind::Forward(forward) => {
            lines.push(format!("flag: {}", forward.flag.name()));
            push_selector(&mut lines, "selector", &forward.selector);
            if let Some(next) = &forward.next {
                lines.push(format!("next: {}", quoted(next.as_str())));
            }
            push_treatment(&mut lines, &forward.treatment);
        }
        ObjectiveKind::Next(next) => {
            lines.push(format!("type: {}", next.next_type.name()));
            push_selector(&mut lines, "meta", &next.meta);
            lines.push("buckets:".to_owned());
            lines.extend(
                next.buckets
                    .iter()
                    .map(|bucket| format!("  - {}", flow_bucket(bucket))),
            );
        }
    }
    lines
}

fn push_selector(lines: &mut Vec<String>, key: &str, selector: &Selector) {
    if !selector.is_empty() {
        let criteria = selector.iter().map(|criterion| {
            let text = criterion.field.format(&criterion.matching);
            format!("{}: {}", criterion.field, quoted(&text))
        });
        let p4 = (!selector.p4().is_empty()).then(|| format!("{P4}: {}", flow_p4(selector.p4())));
        lines.push(format!("{key}: {}", flow(criteria.chain(p4))));
    }
}

/// Matches on fields of the pipeline, by tables.
fn flow_p4(criteria: &[P4Criterion]) -> String {
    let tables = criteria.chunk_by(|one, other| one.table == other.table);
    flow(tables.map(|fields| {
        let texts = fields.iter().map(|criterion| {
            let text = quoted(&p4::format_match(&criterion.matching));
            format!("{}: {text}", quoted(&criterion.field))
        });
        format!("{}: {}", quoted(&fields[0].table), flow(texts))
    }))
}

fn push_treatment(lines: &mut Vec<String>, treatment: &[Instruction]) {
    if !treatment.is_empty() {
        lines.push(format!("treatment: {}", flow_treatment(treatment)));
    }
}

fn flow_treatment(treatment: &[Instruction]) -> String {
    if is_in_mapping_order(treatment) {
        return flow(mapping_entries(treatment));
    }
    let steps: Vec<_> = treatment
        .iter()
        .map(|instruction| flow(mapping_entries(std::slice::from_ref(instruction))))
        .collect();
    format!("[ {} ]", steps.join(", "))
}

fn flow_bucket(bucket: &Bucket) -> String {
    let mut entries = Vec::new();
    if bucket.weight != 1 {
        entries.push(format!("weight: {}", bucket.weight));
    }
    if let Some(next) = &bucket.next {
        entries.push(format!("next: {}", quoted(next.as_str())));
    }
    if is_in_mapping_order(&bucket.treatment) {
        entries.extend(mapping_entries(&bucket.treatment));
    } else {
        entries.push(format!("treatment: {}", flow_treatment(&bucket.treatment)));
    }
    flow(entries)
}

/// Whether a mapping of these steps reads back as them: in the fixed order, each
/// once, and each field set once, in one place.
fn is_in_mapping_order(treatment: &[Instruction]) -> bool {
    let rank = |instruction: &Instruction| {
        INSTRUCTIONS
            .iter()
            .position(|name| *name == instruction.name())
    };
    treatment.windows(2).all(|pair| match (&pair[0], &pair[1]) {
        (Instruction::Set { .. }, Instruction::Set { .. }) => true,
        (first, second) => rank(first) < rank(second),
    }) && {
        let mut fields: Vec<_> = treatment
            .iter()
            .filter_map(|instruction| match instruction {
                Instruction::Set { field, .. } => Some(*field),
                _ => None,
            })
            .collect();
        let count = fields.len();
        fields.sort();
        fields.dedup();
        fields.len() == count
    }
}

fn mapping_entries(treatment: &[Instruction]) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    let mut set: Vec<String> = Vec::new();
    let mut set_at = None;
    for instruction in treatment {
        match instruction {
            Instruction::Set { field, value } => {
                set_at.get_or_insert(entries.len());
                set.push(set_entry(*field, *value));
            }
            Instruction::Output(port) => entries.push(format!("output: {}", quoted(&port.to_string()))),
            Instruction::PushVlan(vlan) => entries.push(format!("push_vlan: {vlan}")),
            Instruction::PushMpls(label) => entries.push(format!("push_mpls: {label}")),
            Instruction::Queue(queue) => entries.push(format!("queue: {queue}")),
            Instruction::Count(name) => entries.push(format!("count: {}", quoted(name.as_str()))),
            Instruction::Table(table) => entries.push(format!("table: {}", flow_table(table))),
            Instruction::Meter(meter) => entries.push(format!(
                "meter: {{ committed_rate: {}, committed_burst: {}, peak_rate: {}, peak_burst: {} }}",
                meter.committed_rate, meter.committed_burst, meter.peak_rate, meter.peak_burst
            )),
            Instruction::PopVlan
            | Instruction::Drop
            | Instruction::Punt
            | Instruction::CopyToCpu
            | Instruction::DecTtl
            | Instruction::PopMpls => entries.push(format!("{}: true", instruction.name())),
        }
    }
    if let Some(index) = set_at {
        entries.insert(index, format!("set: {}", flow(set)));
    }
    entries
}

fn flow_table(table: &TableAction) -> String {
    let mut entries = vec![
        format!("name: {}", quoted(&table.name)),
        format!("action: {}", quoted(&table.action)),
    ];
    if !table.args.is_empty() {
        let args = table.args.iter();
        let args =
            args.map(|(name, value)| format!("{}: {}", quoted(name), p4::format_value(*value)));
        entries.push(format!("args: {}", flow(args)));
    }
    flow(entries)
}

fn set_entry(field: Field, value: u128) -> String {
    format!("{field}: {}", quoted(&field.format_value(value)))
}

fn flow(entries: impl IntoIterator<Item = String>) -> String {
    let entries: Vec<_> = entries.into_iter().collect();
    format!("{{ {} }}", entries.join(", "))
}

/// Quotes what YAML would read as something else inside a flow mapping.
fn quoted(text: &str) -> String {
    let plain_start = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':')
        && !text.starts_with("::");
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./:@+".contains(c));
    let reserved = matches!(text, "null" | "Null" | "NULL");
    if plain_start && plain && !reserved && !text.ends_with(':') {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
