//! `unsupported:` of a manifest: what objectives may say and this pipeline cannot do.
//!
//! A manifest says of every word what becomes of it: a rule takes it, or it stands here with a
//! reason. So nothing is refused because it was forgotten.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_model::reader::{Reader, optional, suggestion};
use pointsman_model::yaml::{Node, Span};

use crate::facts::FactName;
use crate::manifest::{Role, Rule};

/// Stands for all words that are not named.
const OTHERS: &str = "others";

/// Reads the list, and holds it to the rules of the manifest `whole`.
pub(super) fn read<'r>(
    reader: &mut Reader<'_>,
    whole: &Node,
    list: Option<&Node>,
    rules: impl Iterator<Item = &'r Rule>,
) -> BTreeMap<FactName, String> {
    let before = reader.count();
    let taken: BTreeMap<FactName, &str> = rules
        .filter(|rule| rule.role != Role::Refuse)
        .flat_map(|rule| {
            rule.mentions()
                .into_iter()
                .map(|name| (name, rule.name.as_str()))
        })
        .collect();
    let mut declared = Declared::default();
    for item in list
        .and_then(|list| reader.list(list, "unsupported"))
        .unwrap_or_default()
    {
        declared.read(reader, item);
    }
    let mut reasons = BTreeMap::new();
    for (name, (reason, span)) in declared.named {
        if let Some(rule) = taken.get(&name) {
            let message = format!("{name} is unsupported, and the rule `{rule}` takes it");
            reader.error(span, message, "take it out here");
        }
        reasons.insert(name, reason);
    }
    let words = FactName::all().filter(|name| !name.is_derived());
    let open: BTreeSet<_> = words
        .filter(|name| !taken.contains_key(name) && !reasons.contains_key(name))
        .collect();
    match declared.others {
        Some(reason) => reasons.extend(open.into_iter().map(|name| (name, reason.clone()))),
        // Rules that could not be read take nothing, and that has been said.
        None if !open.is_empty() && before == 0 => {
            let open: Vec<_> = open.iter().map(FactName::to_string).collect();
            let span = list.map_or(
                Span {
                    length: 0,
                    ..whole.span
                },
                |list| list.span,
            );
            reader.error_with_help(
                span,
                format!("nothing is said of {}", open.join(", ")),
                "missing here",
                "give them to a rule, or list them with the reason: `- { words: [ ... ], reason: ... }`",
            );
        }
        None => {}
    }
    reasons
}

#[derive(Default)]
struct Declared {
    named: BTreeMap<FactName, (String, Span)>,
    others: Option<String>,
}

impl Declared {
    /// One item: some words, or the others, and why not.
    fn read(&mut self, reader: &mut Reader<'_>, node: &Node) {
        const WHAT: &str = "an item of `unsupported`";
        let Some(entries) = reader.map(node, WHAT, &["words", "reason"]) else {
            return;
        };
        let reason = reader.required(&entries, "reason", WHAT, node.span);
        let Some(reason) = reason.and_then(|node| reader.text(node, "a reason")) else {
            return;
        };
        let words = reader.required(&entries, "words", WHAT, node.span);
        if optional(&entries, "words").is_some_and(is_others) {
            self.others = Some(reason.to_owned());
            return;
        }
        for word in words
            .and_then(|node| reader.list(node, "words"))
            .unwrap_or_default()
        {
            let Some(text) = reader.text(word, "a word") else {
                continue;
            };
            match text.parse::<FactName>() {
                Ok(name) if !name.is_derived() => {
                    self.named.insert(name, (reason.to_owned(), word.span));
                }
                _ => {
                    let names: Vec<_> = FactName::all().map(|name| name.to_string()).collect();
                    let names: Vec<_> = names.iter().map(String::as_str).collect();
                    let message = format!("objectives have no `{text}`");
                    let help = suggestion(text, &names);
                    reader.error_with_help(word.span, message, "not known", help);
                }
            }
        }
    }
}

fn is_others(node: &Node) -> bool {
    matches!(&node.shape, pointsman_model::yaml::Shape::Scalar(text) if text == OTHERS)
}
