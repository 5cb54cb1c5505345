//! Tables, and the graphs of ingress and egress, as text.

use std::collections::HashSet;

use super::expr::{Scope, unsigned};
use super::{Line, Section, SectionKind};
use crate::ir::{
    ActionCall, ConstEntry, ConstKey, Control, ControlKind, Implementation, Key, KeySource,
    MatchKind, Node, Program, SourceInfo, Table, TableNext,
};

pub(super) fn tables(program: &Program) -> Vec<Section> {
    let tables = program.tables.iter();
    tables.map(|table| section(program, table)).collect()
}

fn section(program: &Program, table: &Table) -> Section {
    let mut lines = vec![Line::from(
        format!("table {} {{", table.name),
        &table.source,
    )];
    if !table.key.is_empty() {
        lines.push(Line::plain("    key = {"));
        lines.extend(table.key.iter().map(|part| key(program, part)));
        lines.push(Line::plain("    }"));
    }
    let actions = table.actions.iter();
    let actions = actions.map(|id| program.actions[id.index()].name.as_str());
    let actions: Vec<&str> = actions.collect();
    lines.push(Line::plain(format!(
        "    actions = {{ {} }}",
        actions.join("; ")
    )));
    if let Some(default) = &table.default {
        let is_const = if default.is_const { "const " } else { "" };
        let call = call(program, &default.call);
        lines.push(Line::plain(format!(
            "    {is_const}default_action = {call};"
        )));
    }
    if !table.key.is_empty() {
        lines.push(Line::plain(format!("    size = {};", table.size)));
    }
    lines.extend(properties(program, table).map(Line::plain));
    if !table.entries.is_empty() {
        lines.push(Line::plain("    const entries = {"));
        lines.extend(table.entries.iter().map(|e| entry(program, e)));
        lines.push(Line::plain("    }"));
    }
    lines.extend(next(program, &table.next).map(|text| Line::plain(format!("    {text};"))));
    lines.push(Line::plain("}"));
    Section {
        kind: SectionKind::Table,
        name: table.name.clone(),
        source: table.source.clone(),
        lines,
    }
}

fn key(program: &Program, key: &Key) -> Line {
    let scope = Scope::global(program);
    let source = match &key.source {
        KeySource::Field(place) => scope.place(place),
        KeySource::Valid(header) => format!("{}.isValid()", scope.header(header)),
        KeySource::UnionValid(union) => format!("{}.isValid()", scope.union(*union)),
    };
    let mask = key
        .mask
        .as_ref()
        .map(|mask| format!(" & {}", unsigned(mask)));
    let kind = match key.kind {
        MatchKind::Exact => "exact",
        MatchKind::Lpm => "lpm",
        MatchKind::Ternary => "ternary",
        MatchKind::Optional => "optional",
        MatchKind::Range => "range",
    };
    let part = format!("{source}{}: {kind};", mask.unwrap_or_default());
    Line::plain(format!(
        "        {part:40} // {}, {} bits",
        key.name, key.width
    ))
}

fn properties(program: &Program, table: &Table) -> impl Iterator<Item = String> {
    let implementation = match table.implementation {
        Implementation::Direct => None,
        Implementation::Profile(id) => {
            let profile = &program.action_profiles[id.index()];
            Some(match profile.selector {
                None => format!("action profile {}", profile.name),
                Some(selector) => {
                    let hash = &program.calculations[selector.calculation.index()].name;
                    format!("action selector {} by {hash}", profile.name)
                }
            })
        }
    };
    let implementation = implementation.map(|text| format!("    implementation = {text};"));
    let counter = table.counter.map(|id| {
        let name = &program.counters[id.index()].name;
        format!("    direct counter = {name};")
    });
    let meter = table.meter.map(|id| {
        let name = &program.meters[id.index()].name;
        format!("    direct meter = {name};")
    });
    let ages = table
        .idle_timeout
        .then(|| "    support_timeout = true;".to_owned());
    [implementation, counter, meter, ages].into_iter().flatten()
}

fn call(program: &Program, call: &ActionCall) -> String {
    let args: Vec<String> = call.args.iter().map(unsigned).collect();
    let name = &program.actions[call.action.index()].name;
    format!("{name}({})", args.join(", "))
}

fn entry(program: &Program, entry: &ConstEntry) -> Line {
    let key = entry.key.iter().map(|part| match part {
        ConstKey::Exact(value) => unsigned(value),
        ConstKey::Lpm { value, prefix_len } => format!("{}/{prefix_len}", unsigned(value)),
        ConstKey::Ternary { value, mask } => format!("{} &&& {}", unsigned(value), unsigned(mask)),
        ConstKey::Range { low, high } => format!("{}..{}", unsigned(low), unsigned(high)),
    });
    let key: Vec<String> = key.collect();
    let priority = match entry.priority {
        0 => String::new(),
        priority => format!("priority {priority} "),
    };
    let action = call(program, &entry.call);
    let text = format!("        {priority}({}): {action};", key.join(", "));
    Line::from(text, &entry.source)
}

/// Where a table leads: one line for each way, those that lead to one place together.
fn next<'a>(program: &'a Program, next: &'a TableNext) -> Box<dyn Iterator<Item = String> + 'a> {
    match next {
        TableNext::HitMiss { hit, miss } if hit == miss => Box::new(std::iter::once(format!(
            "then {}",
            node_name(program, *hit)
        ))),
        TableNext::HitMiss { hit, miss } => Box::new(
            [("hit", hit), ("miss", miss)]
                .into_iter()
                .map(|(when, node)| format!("on {when} {}", node_name(program, *node))),
        ),
        TableNext::Action { actions, otherwise } => {
            let mut ways: Vec<(Option<Node>, Vec<&str>)> = Vec::new();
            for (action, node) in actions {
                let name = program.actions[action.index()].name.as_str();
                match ways.iter_mut().find(|(to, _)| to == node) {
                    Some((_, names)) => names.push(name),
                    None => ways.push((*node, vec![name])),
                }
            }
            if let [(to, _)] = ways.as_slice()
                && to == otherwise
            {
                return Box::new(std::iter::once(format!("then {}", node_name(program, *to))));
            }
            let ways = ways.into_iter().map(|(node, names)| {
                format!("on {} {}", names.join(", "), node_name(program, node))
            });
            let otherwise = format!("else {}", node_name(program, *otherwise));
            Box::new(ways.chain(std::iter::once(otherwise)))
        }
    }
}

fn node_name(program: &Program, node: Option<Node>) -> String {
    match node {
        None => "end".to_owned(),
        Some(Node::Table(id)) => format!("table {}", program.tables[id.index()].name),
        Some(Node::Conditional(id)) => program.conditionals[id.index()].name.clone(),
    }
}

pub(super) fn graphs(program: &Program) -> Vec<Section> {
    [&program.ingress, &program.egress]
        .into_iter()
        .map(|control| graph(program, control))
        .collect()
}

/// The nodes of a control in the order in which a walk from its start meets them.
fn graph(program: &Program, control: &Control) -> Section {
    let name = match control.kind {
        ControlKind::Ingress => "ingress",
        ControlKind::Egress => "egress",
    };
    let mut lines = vec![
        Line::plain(format!("control {name} {{")),
        Line::plain(format!("    start {};", node_name(program, control.start))),
    ];
    let mut seen = HashSet::new();
    let mut todo: Vec<Node> = control.start.into_iter().collect();
    while let Some(node) = todo.pop() {
        if !seen.insert(node) {
            continue;
        }
        let after = match node {
            Node::Conditional(id) => {
                let branch = &program.conditionals[id.index()];
                let condition = Scope::global(program).expr(&branch.condition);
                let head = format!("    {}: if ({condition})", branch.name);
                lines.push(Line::from(head, &branch.source));
                for (when, node) in [("then", branch.then), ("else", branch.otherwise)] {
                    let text = format!("        {when} {};", node_name(program, node));
                    lines.push(Line::plain(text));
                }
                vec![branch.then, branch.otherwise]
            }
            Node::Table(id) => {
                let table = &program.tables[id.index()];
                lines.push(Line::from(
                    format!("    table {}", table.name),
                    &table.source,
                ));
                let ways = next(program, &table.next);
                lines.extend(ways.map(|text| Line::plain(format!("        {text};"))));
                match &table.next {
                    TableNext::HitMiss { hit, miss } => vec![*hit, *miss],
                    TableNext::Action { actions, otherwise } => {
                        let to = actions.iter().map(|(_, node)| *node);
                        to.chain([*otherwise]).collect()
                    }
                }
            }
        };
        todo.extend(after.into_iter().flatten().rev());
    }
    lines.push(Line::plain("}"));
    Section {
        kind: SectionKind::Control,
        name: name.to_owned(),
        source: SourceInfo::default(),
        lines,
    }
}
