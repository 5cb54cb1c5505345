//! `when:` of a rule, an entry or a choice.

use pointsman_model::Field;
use pointsman_model::reader::{Reader, suggestion};
use pointsman_model::yaml::{Node, Shape};

use super::Context;
use crate::facts::FactName;
use crate::manifest::{Pattern, When};

const WORDS: &[(&str, Pattern)] = &[
    ("present", Pattern::Present),
    ("absent", Pattern::Absent),
    ("optional", Pattern::Optional),
    ("accepted", Pattern::Accepted),
    ("exact", Pattern::Exact),
    ("zero", Pattern::Zero),
    ("untagged", Pattern::Untagged),
];

/// Reads a `when:`.
pub(super) fn read(reader: &mut Reader<'_>, context: &Context<'_>, node: &Node) -> When {
    let mut when = When::default();
    for entry in reader.entries(node, "`when`").unwrap_or_default() {
        if entry.key == "type" {
            when.types = read_types(reader, context, &entry.value);
        } else if let Ok(name) = entry.key.parse::<FactName>() {
            let pattern = read_pattern(reader, name, &entry.value);
            when.patterns.extend(pattern.map(|pattern| (name, pattern)));
        } else {
            let names: Vec<_> = FactName::all().map(|name| name.to_string()).collect();
            let names: Vec<&str> = std::iter::once("type")
                .chain(names.iter().map(String::as_str))
                .collect();
            let message = format!("objectives have no `{}`", entry.key);
            reader.error_with_help(
                entry.key_span,
                message,
                "not known",
                suggestion(&entry.key, &names),
            );
        }
    }
    when
}

fn read_types(reader: &mut Reader<'_>, context: &Context<'_>, node: &Node) -> Vec<String> {
    let items = match &node.shape {
        Shape::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut types = Vec::new();
    for item in items {
        let Some(text) = reader.text(item, "type") else {
            continue;
        };
        if context.types.contains(&text) {
            types.push(text.to_owned());
        } else {
            let help = suggestion(text, context.types);
            reader.error_with_help(
                item.span,
                format!("type is `{text}`"),
                "not a type here",
                help,
            );
        }
    }
    types
}

fn read_pattern(reader: &mut Reader<'_>, name: FactName, node: &Node) -> Option<Pattern> {
    let text = reader.text(node, "a pattern")?;
    if let Some((_, pattern)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Some(pattern.clone());
    }
    let field = match name {
        FactName::Criterion(field) | FactName::Set(field) => Some(field),
        _ => None,
    };
    let value = field.and_then(|field: Field| field.parse_value(text).ok());
    if value.is_none() {
        let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
        let help = format!("accepted: {}, or a value of the field", words.join(", "));
        reader.error_with_help(
            node.span,
            format!("{name} cannot be `{text}`"),
            "not a pattern",
            help,
        );
    }
    value.map(Pattern::Value)
}
