//! `pipeline.yaml` into a [`Manifest`]: every mistake at its line and column, and every table,
//! key, action and parameter looked up in the pipeline.

mod entry;
mod expression;
mod unsupported;
mod when;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use pointsman_model::reader::{Reader, optional};
use pointsman_model::yaml::{self, Entry, Node, Span};
use pointsman_model::{NextType, Problems, Source};
use pointsman_p4::dataplane::Bits;

use super::manifest::{Manifest, Role, Rule, Template, When};
use pointsman_p4::schema::Schema;

const MANIFEST_FIELDS: &[&str] = &[
    "format",
    "pipeline",
    "constants",
    "ids",
    "unsupported",
    "filters",
    "forwards",
    "nexts",
];
const RULE_FIELDS: &[&str] = &["rule", "also", "refuse", "when", "entries", "each_bucket"];

/// The only format there is.
const FORMAT: u64 = 1;

/// What the readers of the parts need to know.
struct Context<'a> {
    schema: &'a Schema,
    constants: BTreeMap<String, Bits>,
    /// The types that the objectives of this list have.
    types: &'static [&'static str],
    /// Whether these are rules for nexts, which have ids and buckets.
    nexts: bool,
}

/// Reads a manifest. `file` is what messages call it.
pub(super) fn read(file: &str, text: &str, schema: &Schema) -> Result<Manifest, Problems> {
    let source = Source::new(file, text);
    let mut reader = Reader::new(&source);
    let manifest = match yaml::parse(text) {
        Ok(documents) => match documents.as_slice() {
            [document] => read_manifest(&mut reader, document, schema),
            _ => {
                reader.error(
                    Span::default(),
                    "a manifest is one YAML document",
                    "in this file",
                );
                None
            }
        },
        Err(error) => {
            reader.error(
                error.span,
                format!("this is not YAML: {}", error.message),
                "here",
            );
            None
        }
    };
    reader.finish()?;
    Ok(manifest.expect("a manifest that could not be read has problems"))
}

fn read_manifest(reader: &mut Reader<'_>, node: &Node, schema: &Schema) -> Option<Manifest> {
    let entries = reader.map(node, "the manifest", MANIFEST_FIELDS)?;
    let format = reader.required(&entries, "format", "the manifest", node.span);
    format.and_then(|node| reader.number(node, "format", FORMAT..=FORMAT));
    let pipeline = reader.required(&entries, "pipeline", "the manifest", node.span);
    let pipeline = pipeline
        .and_then(|node| reader.text(node, "pipeline"))
        .map(str::to_owned);
    let ids = reader.required(&entries, "ids", "the manifest", node.span);
    let ids = ids.and_then(|node| read_ids(reader, node));
    let mut context = Context {
        schema,
        constants: read_constants(reader, optional(&entries, "constants")),
        types: &["permit", "deny"],
        nexts: false,
    };
    let filters = read_rules(reader, &context, &entries, "filters");
    context.types = &["specific", "versatile", "egress"];
    let forwards = read_rules(reader, &context, &entries, "forwards");
    context.types = NextType::WORDS;
    context.nexts = true;
    let nexts = read_rules(reader, &context, &entries, "nexts");
    let rules = [&filters, &forwards, &nexts];
    let rules = rules.into_iter().flatten();
    let unsupported = unsupported::read(reader, node, optional(&entries, "unsupported"), rules);
    let (next_ids, group_ids) = ids?;
    Some(Manifest {
        pipeline: pipeline?,
        next_ids,
        group_ids,
        unsupported,
        filters,
        forwards,
        nexts,
    })
}

fn read_constants(reader: &mut Reader<'_>, node: Option<&Node>) -> BTreeMap<String, Bits> {
    let mut constants = BTreeMap::new();
    for entry in node
        .and_then(|node| reader.entries(node, "constants"))
        .unwrap_or_default()
    {
        let Some(text) = reader.text(&entry.value, "a constant") else {
            continue;
        };
        if let Some(value) = reader.checked(&entry.value, "constants", expression::literal(text)) {
            constants.insert(entry.key.clone(), value);
        }
    }
    constants
}

fn read_ids(
    reader: &mut Reader<'_>,
    node: &Node,
) -> Option<(RangeInclusive<u32>, RangeInclusive<u32>)> {
    let entries = reader.map(node, "ids", &["next", "group"])?;
    let mut range = |key| {
        let node = reader.required(&entries, key, "ids", node.span)?;
        let bounds = reader.map(node, "a range of ids", &["from", "to"])?;
        let mut bound = |key| {
            let node = reader.required(&bounds, key, "a range of ids", node.span)?;
            let bound = reader.number(node, key, 1..=u32::MAX.into())?;
            u32::try_from(bound).ok()
        };
        let (from, to) = (bound("from"), bound("to"));
        Some(from?..=to?)
    };
    let (next, group) = (range("next"), range("group"));
    Some((next?, group?))
}

fn read_rules(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    entries: &[&Entry],
    key: &str,
) -> Vec<Rule> {
    let nodes = optional(entries, key)
        .and_then(|node| reader.list(node, key))
        .unwrap_or_default();
    nodes
        .iter()
        .filter_map(|node| read_rule(reader, context, node))
        .collect()
}

fn read_rule(reader: &mut Reader<'_>, context: &Context<'_>, node: &Node) -> Option<Rule> {
    let entries = reader.map(node, "a rule", RULE_FIELDS)?;
    let roles = [
        ("rule", Role::Rule),
        ("also", Role::Also),
        ("refuse", Role::Refuse),
    ];
    let named: Vec<_> = roles
        .iter()
        .filter_map(|(key, role)| Some((*role, optional(&entries, key)?)))
        .collect();
    let [(role, name)] = named.as_slice() else {
        let label = "give it one of `rule: NAME`, `also: NAME`, `refuse: REASON`";
        reader.error(
            node.span,
            "an item is a rule, an addition or a refusal",
            label,
        );
        return None;
    };
    let name = reader.text(name, "the name of a rule")?.to_owned();
    let rule_when = match reader.required(&entries, "when", "the rule", node.span) {
        Some(node) => when::read(reader, context, node),
        None => When::default(),
    };
    let mut templates = |key| {
        let nodes = optional(&entries, key)
            .and_then(|node| reader.list(node, key))
            .unwrap_or_default();
        nodes
            .iter()
            .filter_map(|node| entry::read(reader, context, node))
            .collect::<Vec<_>>()
    };
    let (once, each_bucket) = (templates("entries"), templates("each_bucket"));
    if let Some(node) = optional(&entries, "each_bucket").filter(|_| !context.nexts) {
        reader.error(
            node.span,
            "only nexts have buckets",
            "move this to `entries`",
        );
    }
    if let Some(when) = optional(&entries, "when").filter(|_| *role == Role::Rule)
        && rule_when.names_failover()
        && !once.iter().any(Template::selects)
    {
        reader.error(
            when.span,
            "a failover next is an action selector's: nothing else knows which ports are up",
            "give the rule an entry with `select`",
        );
    }
    let empty = once.is_empty() && each_bucket.is_empty();
    if reader.count() == 0 && empty != (*role == Role::Refuse) {
        let message = if empty {
            "the rule makes no entries"
        } else {
            "a refusal makes no entries"
        };
        reader.error(node.span, message, "here");
    }
    Some(Rule {
        role: *role,
        name,
        when: rule_when,
        entries: once,
        each_bucket,
    })
}
