//! One item of `entries:` or `each_bucket:`, looked up in the pipeline.

use pointsman_model::reader::{Reader, optional, suggestion};
use pointsman_model::yaml::{Entry, Node, Shape};
use pointsman_p4::dataplane::Bits;
use pointsman_p4::ir::MatchKind;

use super::{Context, expression, when};
use crate::manifest::{
    ActionTemplate, Argument, Body, Choice, Expression, KeyTemplate, TableTemplate, Template, Term,
    When,
};
use pointsman_p4::schema::{Scope, TableSchema};

const TABLE_FIELDS: &[&str] = &[
    "when", "table", "match", "priority", "meter", "counter", "action", "args", "choose", "select",
];
const GROUP_FIELDS: &[&str] = &["when", "multicast_group", "replicas"];
const SESSION_FIELDS: &[&str] = &["when", "clone_session", "port"];
const CHOICE_FIELDS: &[&str] = &["when", "action", "args"];

/// The one value of `counter`.
const COUNTER: &str = "$count?";

/// Widths of what is not in p4info.
const GROUP_WIDTH: u32 = 32;
const PORT_WIDTH: u32 = 32;
const PRIORITY_WIDTH: u32 = 31;

/// Reads an entry; `None` when a mistake was reported.
pub(super) fn read(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    node: &Node,
) -> Option<Template> {
    let when = node
        .get("when")
        .map_or_else(When::default, |node| when::read(reader, context, node));
    let body = if node.entry("multicast_group").is_some() {
        let (id, port) = read_pair(reader, context, node, GROUP_FIELDS)?;
        Body::MulticastGroup { id, port }
    } else if node.entry("clone_session").is_some() {
        let (id, port) = read_pair(reader, context, node, SESSION_FIELDS)?;
        Body::CloneSession { id, port }
    } else {
        Body::Table(read_table(reader, context, node)?)
    };
    Some(Template { when, body })
}

/// A group or session, whose fields are `when`, its id and its port.
fn read_pair(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    node: &Node,
    fields: &[&str],
) -> Option<(Expression, Expression)> {
    let entries = reader.map(node, "an entry", fields)?;
    let id = optional(&entries, fields[1])
        .and_then(|node| expression::read(reader, context, node, GROUP_WIDTH));
    let port = reader.required(&entries, fields[2], "the entry", node.span);
    let port = port.and_then(|node| expression::read(reader, context, node, PORT_WIDTH));
    Some((id?, port?))
}

fn read_table(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    node: &Node,
) -> Option<TableTemplate> {
    let entries = reader.map(node, "an entry", TABLE_FIELDS)?;
    let name_node = reader.required(&entries, "table", "an entry", node.span)?;
    let name = reader.text(name_node, "table")?;
    let Some(table) = context.schema.table_named(name) else {
        let names: Vec<_> = context
            .schema
            .tables
            .iter()
            .map(|table| table.alias.as_str())
            .collect();
        let message = format!("the pipeline has no table `{name}`");
        reader.error_with_help(
            name_node.span,
            message,
            "no such table",
            suggestion(name, &names),
        );
        return None;
    };
    let keys = read_keys(reader, context, table, &entries, node);
    let priority = read_priority(reader, context, table, &entries, node);
    let meter = optional(&entries, "meter").and_then(|node| {
        if table.direct_meter.is_none() {
            reader.error(
                node.span,
                format!("table {name} has no direct meter"),
                "not here",
            );
        }
        expression::read(reader, context, node, u32::MAX)
    });
    let counts = optional(&entries, "counter").map(|node| read_counter(reader, table, node));
    let action = read_action(reader, context, table, &entries, node);
    Some(TableTemplate {
        table: table.table,
        name: table.alias.clone(),
        keys: keys?,
        priority: priority?,
        meter,
        counts: counts.unwrap_or(false),
        action: action?,
    })
}

/// `counter: $count?`: the entry's direct counter counts what objectives want counted.
fn read_counter(reader: &mut Reader<'_>, table: &TableSchema, node: &Node) -> bool {
    if table.direct_counter.is_none() {
        let message = format!("table {} has no direct counter", table.alias);
        reader.error(node.span, message, "not here");
    }
    let text = reader.text(node, "counter");
    if text.is_some_and(|text| text != COUNTER) {
        let label = format!("write {COUNTER}");
        reader.error(node.span, "a counter counts what `count` asks for", label);
    }
    true
}

fn read_keys(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    table: &TableSchema,
    entries: &[&Entry],
    node: &Node,
) -> Option<Vec<KeyTemplate>> {
    let names: Vec<_> = table
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    let what = format!("the key of {}", table.alias);
    let given = match optional(entries, "match") {
        Some(node) => reader.map(node, &what, &names)?,
        None => Vec::new(),
    };
    let mut fields: Vec<_> = table.fields.iter().collect();
    fields.sort_by_key(|field| field.position);
    let before = reader.count();
    let mut keys = Vec::with_capacity(fields.len());
    for field in fields {
        let value = optional(&given, &field.name);
        if value.is_none() && field.kind == MatchKind::Exact {
            let message = format!(
                "{} of table {} is exact and must have a value",
                field.name, table.alias
            );
            reader.error(node.span, message, "in this entry");
        }
        let (value, untagged) = match value {
            Some(node) => read_key_value(reader, node, field.width),
            None => (None, None),
        };
        let expression = value
            .and_then(|node| Some((node, expression::read(reader, context, node, field.width)?)));
        if let Some((node, expression)) = &expression
            && field.kind == MatchKind::Exact
            && expression
                .iter()
                .all(|term| matches!(term, Term::Fact { optional: true, .. }))
        {
            let message = format!(
                "{} of table {} is exact and cannot be left out",
                field.name, table.alias
            );
            reader.error(node.span, message, "take the `?` away");
        }
        keys.push(KeyTemplate {
            name: field.name.clone(),
            kind: field.kind,
            width: field.width,
            value: expression.map(|(_, expression)| expression),
            untagged,
        });
    }
    (reader.count() == before).then_some(keys)
}

/// A value, or `{ of: VALUE, untagged: NUMBER }`: the number that stands for no tag.
fn read_key_value<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    width: u32,
) -> (Option<&'n Node>, Option<Bits>) {
    const WHAT: &str = "a value with `untagged`";
    if !matches!(node.shape, Shape::Map(_)) {
        return (Some(node), None);
    }
    let Some(entries) = reader.map(node, WHAT, &["of", "untagged"]) else {
        return (None, None);
    };
    let of = reader.required(&entries, "of", WHAT, node.span);
    let untagged = reader.required(&entries, "untagged", WHAT, node.span);
    let untagged = untagged.and_then(|node| {
        let number = reader.number(node, "untagged", 0..=u64::MAX >> (64 - width.min(64)))?;
        Some(Bits::from(number))
    });
    (of, untagged)
}

fn read_priority(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    table: &TableSchema,
    entries: &[&Entry],
    node: &Node,
) -> Option<Option<Expression>> {
    match (optional(entries, "priority"), table.has_priority()) {
        (Some(node), true) => expression::read(reader, context, node, PRIORITY_WIDTH).map(Some),
        (None, false) => Some(None),
        (Some(node), false) => {
            let message = format!("the entries of table {} have no priority", table.alias);
            reader.error(node.span, message, "leave it out");
            None
        }
        (None, true) => {
            let message = format!("the entries of table {} need a priority", table.alias);
            reader.error(node.span, message, "add `priority: $priority` or a number");
            None
        }
    }
}

fn read_action(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    table: &TableSchema,
    entries: &[&Entry],
    node: &Node,
) -> Option<ActionTemplate> {
    let (choose, select) = (optional(entries, "choose"), optional(entries, "select"));
    let action = entries.iter().any(|entry| entry.key == "action");
    if usize::from(action) + usize::from(choose.is_some()) + usize::from(select.is_some()) != 1 {
        let label = "give it one of `action`, `choose` and `select`";
        reader.error(node.span, "what does the entry do?", label);
        return None;
    }
    let mut choices = |list: &Node| -> Option<Vec<Choice>> {
        let items = reader.list(list, "the actions to choose from")?;
        items
            .iter()
            .map(|item| read_choice(reader, context, table, item))
            .collect()
    };
    let Some(select) = select else {
        let choices = match choose {
            Some(list) => choices(list),
            None => read_call(reader, context, table, entries, node).map(|choice| vec![choice]),
        };
        if table.profile.is_some() {
            let message = format!(
                "the actions of table {} are in an action profile",
                table.alias
            );
            reader.error(node.span, message, "use `select`");
        }
        return choices.map(ActionTemplate::Choose);
    };
    let choices = choices(select);
    let profile = table
        .profile
        .filter(|_| table.with_selector && context.nexts);
    let Some(profile) = profile.and_then(|profile| context.schema.profile_of(profile)) else {
        let message = format!(
            "`select` makes a group for the buckets of a next, and table {} takes none",
            table.alias
        );
        reader.error(select.span, message, "use `action` or `choose`");
        return None;
    };
    Some(ActionTemplate::Select {
        choices: choices?,
        max_group_size: profile.max_group_size,
        counts_members: profile.counts_members,
    })
}

fn read_choice(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    table: &TableSchema,
    node: &Node,
) -> Option<Choice> {
    let entries = reader.map(node, "a choice", CHOICE_FIELDS)?;
    let mut choice = read_call(reader, context, table, &entries, node)?;
    if let Some(node) = optional(&entries, "when") {
        choice.when = when::read(reader, context, node);
    }
    Some(choice)
}

/// An `action` with its `args`, without conditions.
fn read_call(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    table: &TableSchema,
    entries: &[&Entry],
    node: &Node,
) -> Option<Choice> {
    let name_node = reader.required(entries, "action", "a choice", node.span)?;
    let name = reader.text(name_node, "action")?;
    let usable = table
        .actions
        .iter()
        .filter(|action| action.scope != Scope::DefaultOnly);
    let actions: Vec<_> = usable
        .filter_map(|usable| Some((usable.action, context.schema.action(usable.id)?)))
        .collect();
    let found = actions
        .iter()
        .find(|(_, action)| action.name == name || action.alias == name);
    let Some((id, action)) = found else {
        let names: Vec<_> = actions
            .iter()
            .map(|(_, action)| action.alias.as_str())
            .collect();
        let message = format!(
            "the entries of table {} have no action `{name}`",
            table.alias
        );
        reader.error_with_help(
            name_node.span,
            message,
            "no such action",
            suggestion(name, &names),
        );
        return None;
    };
    let names: Vec<_> = action
        .params
        .iter()
        .map(|param| param.name.as_str())
        .collect();
    let what = format!("the arguments of {name}");
    let given = match optional(entries, "args") {
        Some(node) => reader.map(node, &what, &names)?,
        None => Vec::new(),
    };
    let mut arguments = Vec::with_capacity(action.params.len());
    for param in &action.params {
        let value = reader.required(&given, &param.name, &what, name_node.span)?;
        let value = expression::read(reader, context, value, param.width)?;
        arguments.push(Argument {
            name: param.name.clone(),
            width: param.width,
            value,
        });
    }
    Some(Choice {
        when: When::default(),
        action: *id,
        arguments,
    })
}
