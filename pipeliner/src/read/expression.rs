//! Values: constants, and words behind `$`.

use pointsman_model::MacAddr;
use pointsman_model::reader::{Reader, suggestion};
use pointsman_model::yaml::{Node, Shape};
use pointsman_p4::dataplane::Bits;

use super::Context;
use crate::facts::FactName;
use crate::manifest::{Expression, Term};

/// The words behind `$` that are neither facts nor constants.
const BUILT_IN: &[(&str, Term)] = &[
    ("next_id", Term::NextId),
    ("group_id", Term::GroupId),
    ("priority", Term::Priority),
];

/// Reads a value, or a list of values of which the first that there is counts.
pub(super) fn read(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    node: &Node,
    width: u32,
) -> Option<Expression> {
    let items = match &node.shape {
        Shape::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let before = reader.count();
    let terms: Vec<_> = items
        .iter()
        .filter_map(|item| read_term(reader, context, item, width))
        .collect();
    (reader.count() == before && !terms.is_empty()).then_some(terms)
}

fn read_term(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    node: &Node,
    width: u32,
) -> Option<Term> {
    let text = reader.text(node, "a value")?;
    let Some(word) = text.strip_prefix('$') else {
        let value = reader.checked(node, "a value", literal(text))?;
        return fitting(reader, node, value, width);
    };
    if let Some(value) = context.constants.get(word) {
        return fitting(reader, node, value.clone(), width);
    }
    if let Some((_, term)) = BUILT_IN.iter().find(|(name, _)| *name == word) {
        if !context.nexts && *term != Term::Priority {
            reader.error(node.span, format!("only nexts have a `{word}`"), "not here");
        }
        return Some(term.clone());
    }
    let (name, optional) = word
        .strip_suffix('?')
        .map_or((word, false), |name| (name, true));
    if let Ok(name) = name.parse::<FactName>() {
        return Some(Term::Fact { name, optional });
    }
    let facts: Vec<_> = FactName::all().map(|name| name.to_string()).collect();
    let names = facts
        .iter()
        .map(String::as_str)
        .chain(context.constants.keys().map(String::as_str));
    let names: Vec<_> = names
        .chain(BUILT_IN.iter().map(|(name, _)| *name))
        .collect();
    let message = format!("there is no `${name}`");
    reader.error_with_help(
        node.span,
        message,
        "neither a fact nor a constant",
        suggestion(name, &names),
    );
    None
}

fn fitting(reader: &mut Reader<'_>, node: &Node, value: Bits, width: u32) -> Option<Term> {
    if value.bit_length() > width {
        let message = format!("{value} does not fit into {width} bits");
        reader.error(node.span, message, "too large");
        return None;
    }
    Some(Term::Constant(value))
}

/// A number, decimal or hexadecimal, or a MAC address.
pub(super) fn literal(text: &str) -> Result<Bits, String> {
    if let Ok(mac) = text.parse::<MacAddr>() {
        return Ok(Bits::from_be_bytes(&mac.0));
    }
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number
        .map(Bits::from)
        .map_err(|_| format!("`{text}` is neither a number, a MAC address nor a word behind `$`"))
}
