//! One item of `objectives:`. Its kind is the key that holds its name, as in
//! `forward: rack2`.

use crate::attributes::Attributes;
use crate::field::Field;
use crate::objective::{
    Bucket, Change, Criterion, DEFAULT_PRIORITY, Filter, FilterType, Forward, ForwardFlag, Kind,
    Name, Next, NextType, Objective, ObjectiveKind, Operation, P4Criterion, Selector,
};
use crate::p4;
use crate::read::attributes::read_attributes;
use crate::read::treatment::{INSTRUCTIONS, read_treatment};
use crate::reader::{Reader, optional};
use crate::yaml::{Entry, Node, Span};

/// The keys that say what an objective is, one of which it must have.
pub(crate) const OBJECTIVE_FIELDS: &[(Kind, &str)] = &[
    (Kind::Filter, "filter"),
    (Kind::Forward, "forward"),
    (Kind::Next, "next"),
];
pub(crate) const FILTER_FIELDS: &[&str] = &[
    "filter",
    "owner",
    "group",
    "timeout",
    "priority",
    "type",
    "key",
    "conditions",
    "treatment",
];
pub(crate) const FORWARD_FIELDS: &[&str] = &[
    "forward",
    "owner",
    "group",
    "timeout",
    "priority",
    "flag",
    "selector",
    "next",
    "treatment",
];
pub(crate) const NEXT_FIELDS: &[&str] = &[
    "next",
    "owner",
    "group",
    "timeout",
    "operation",
    "priority",
    "type",
    "buckets",
    "meta",
];
pub(crate) const BUCKET_FIELDS: &[&str] = &["weight", "next", "treatment"];

/// The key of matches on the pipeline's own fields.
pub(crate) const P4: &str = "p4";

/// Reads one objective; `None` when a mistake was reported.
pub(crate) fn read_objective(reader: &mut Reader<'_>, node: &Node) -> Option<Change> {
    // A forward has a `next` too, so the order of the question matters.
    if node.entry("filter").is_some() {
        read_filter(reader, node)
    } else if node.entry("forward").is_some() {
        read_forward(reader, node)
    } else if node.entry("next").is_some() {
        read_next(reader, node)
    } else {
        reader.entries(node, "an objective")?;
        reader.error_with_help(
            node.span,
            "an objective says what it is by the key of its name",
            "neither filter, forward nor next",
            "start it with `filter: NAME`, `forward: NAME` or `next: NAME`",
        );
        None
    }
}

fn read_filter(reader: &mut Reader<'_>, node: &Node) -> Option<Change> {
    let entries = reader.map(node, "a filter", FILTER_FIELDS)?;
    let name = read_name(reader, &entries, "filter");
    let filter_type = optional(&entries, "type").map_or(Some(FilterType::Permit), |node| {
        reader.word(node, "type", FilterType::WORDS)
    });
    let key = read_selector(reader, &entries, "key");
    let conditions = read_selector(reader, &entries, "conditions");
    let treatment = optional(&entries, "treatment")
        .map(|node| read_treatment(reader, node))
        .unwrap_or_default();
    if let Some((_, span)) = treatment.group {
        let label = "forwards decide where packets go";
        reader.error(span, "a filter cannot name a group", label);
    }
    let priority = read_priority(reader, &entries);
    let attributes = read_attributes(reader, &entries);
    let filter = Filter {
        filter_type: filter_type?,
        key: key?,
        conditions: conditions?,
        treatment: treatment.instructions,
    };
    put(name?, priority?, attributes?, ObjectiveKind::Filter(filter))
}

fn read_forward(reader: &mut Reader<'_>, node: &Node) -> Option<Change> {
    let entries = reader.map(node, "a forward", FORWARD_FIELDS)?;
    let name = read_name(reader, &entries, "forward");
    let at = optional(&entries, "forward").map_or(node.span, |name| name.span);
    let flag = reader
        .required(&entries, "flag", "the forward", at)
        .and_then(|node| reader.word(node, "flag", ForwardFlag::WORDS));
    let selector = read_selector(reader, &entries, "selector");
    let treatment = optional(&entries, "treatment")
        .map(|node| read_treatment(reader, node))
        .unwrap_or_default();
    let next = read_destination(reader, &entries, treatment.group)?;
    let priority = read_priority(reader, &entries);
    let attributes = read_attributes(reader, &entries);
    let forward = Forward {
        flag: flag?,
        selector: selector?,
        next,
        treatment: treatment.instructions,
    };
    put(
        name?,
        priority?,
        attributes?,
        ObjectiveKind::Forward(forward),
    )
}

fn read_next(reader: &mut Reader<'_>, node: &Node) -> Option<Change> {
    let entries = reader.map(node, "a next", NEXT_FIELDS)?;
    let name = read_name(reader, &entries, "next");
    let at = optional(&entries, "next").map_or(node.span, |name| name.span);
    let next_type = reader
        .required(&entries, "type", "the next", at)
        .and_then(|node| reader.word(node, "type", NextType::WORDS));
    let operation = optional(&entries, "operation").map_or(Some(Operation::Put), |node| {
        reader.word(node, "operation", Operation::WORDS)
    });
    let buckets = reader
        .required(&entries, "buckets", "the next", at)
        .and_then(|node| reader.list(node, "buckets"));
    let buckets: Option<Vec<_>> = buckets.map(|items| {
        items
            .iter()
            .filter_map(|item| read_bucket(reader, item))
            .collect()
    });
    let meta = read_selector(reader, &entries, "meta");
    let priority = read_priority(reader, &entries);
    let attributes = read_attributes(reader, &entries);
    let next = Next {
        next_type: next_type?,
        buckets: buckets?,
        meta: meta?,
    };
    let objective = Objective {
        name: name?,
        priority: priority?,
        attributes: attributes?,
        kind: ObjectiveKind::Next(next),
    };
    Some(Change {
        operation: operation?,
        objective,
    })
}

fn read_bucket(reader: &mut Reader<'_>, node: &Node) -> Option<Bucket> {
    let accepted = [BUCKET_FIELDS, INSTRUCTIONS].concat();
    let entries = reader.map(node, "a bucket", &accepted)?;
    let weight = optional(&entries, "weight").map_or(Some(1), |node| {
        reader.number(node, "weight", 1..=u64::from(u16::MAX))
    });
    let mut treatment = optional(&entries, "treatment")
        .map(|node| read_treatment(reader, node))
        .unwrap_or_default();
    treatment.read_entries(reader, &entries);
    let next = read_destination(reader, &entries, treatment.group)?;
    let weight = u16::try_from(weight?).expect("the number is in range");
    Some(Bucket {
        weight,
        treatment: treatment.instructions,
        next,
    })
}

/// The next of a forward or bucket: under `next`, or the group of its treatment. The outer `None`
/// is a mistake that was reported.
fn read_destination(
    reader: &mut Reader<'_>,
    entries: &[&Entry],
    group: Option<(Name, Span)>,
) -> Option<Option<Name>> {
    match (optional(entries, "next"), group) {
        (Some(_), Some((_, span))) => {
            let message = "`next` and `group` say the same, and are both there";
            reader.error(span, message, "leave one of them out");
            None
        }
        (Some(node), None) => read_next_name(reader, node).map(Some),
        (None, group) => Some(group.map(|(name, _)| name)),
    }
}

fn put(name: Name, priority: u16, attributes: Attributes, kind: ObjectiveKind) -> Option<Change> {
    Some(Change {
        operation: Operation::Put,
        objective: Objective {
            name,
            priority,
            attributes,
            kind,
        },
    })
}

fn read_name(reader: &mut Reader<'_>, entries: &[&Entry], key: &str) -> Option<Name> {
    read_next_name(reader, optional(entries, key)?)
}

pub(crate) fn read_next_name(reader: &mut Reader<'_>, node: &Node) -> Option<Name> {
    let text = reader.text(node, "the name of an objective")?;
    let name = Name::new(text);
    if name.is_none() {
        let help = "a name starts with a letter or digit and goes on with these or - _ . : / @ +, \
                    at most 128 characters";
        reader.error_with_help(
            node.span,
            format!("`{text}` is not a name"),
            "not a name",
            help,
        );
    }
    name
}

fn read_priority(reader: &mut Reader<'_>, entries: &[&Entry]) -> Option<u16> {
    let Some(node) = optional(entries, "priority") else {
        return Some(DEFAULT_PRIORITY);
    };
    let priority = reader.number(node, "priority", 1..=u64::from(u16::MAX))?;
    u16::try_from(priority).ok()
}

fn read_selector(reader: &mut Reader<'_>, entries: &[&Entry], key: &str) -> Option<Selector> {
    let Some(node) = optional(entries, key) else {
        return Some(Selector::default());
    };
    let fields: Vec<_> = Field::all().map(Field::name).chain([P4]).collect();
    let what = format!("`{key}`");
    let entries = reader.map(node, &what, &fields)?;
    let mut criteria = Vec::with_capacity(entries.len());
    let mut p4 = Vec::new();
    let mut complete = true;
    for entry in entries {
        if entry.key == P4 {
            match read_p4(reader, &entry.value) {
                Some(found) => p4 = found,
                None => complete = false,
            }
            continue;
        }
        let Ok(field) = entry.key.parse::<Field>() else {
            continue;
        };
        let text = reader.text(&entry.value, field.name());
        let matching = text.and_then(|text| reader.checked(&entry.value, &what, field.parse(text)));
        match matching {
            Some(matching) => criteria.push(Criterion { field, matching }),
            None => complete = false,
        }
    }
    let selector = Selector::new(criteria).expect("the reader keeps the first of equal keys");
    let selector = selector.with_p4(p4);
    complete.then(|| selector.expect("the reader keeps the first of equal keys"))
}

/// Matches on fields of the pipeline: `{ TABLE: { FIELD: VALUE } }`.
fn read_p4(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<P4Criterion>> {
    let mut criteria = Vec::new();
    let before = reader.count();
    for table in reader.entries(node, "`p4`")? {
        let what = format!("the key of {}", table.key);
        for field in reader.entries(&table.value, &what).unwrap_or_default() {
            for entry in [table, field] {
                if !p4::is_name(&entry.key) {
                    let message = format!("`{}` is not a name of the pipeline", entry.key);
                    reader.error(entry.key_span, message, "not a name");
                }
            }
            let text = reader.text(&field.value, &field.key);
            let matching =
                text.and_then(|text| reader.checked(&field.value, &what, p4::parse_match(text)));
            criteria.extend(matching.map(|matching| P4Criterion {
                table: table.key.clone(),
                field: field.key.clone(),
                matching,
            }));
        }
    }
    (reader.count() == before).then_some(criteria)
}
