//! The typed IR as text.

use std::collections::BTreeSet;

use pointsman_p4::ir::Program;
use pointsman_p4::ir::print::{Section, SectionKind};

use super::selection::Selection;

/// The sections that are asked for. With a table come the actions that it can run; of a line of the
/// source, what came from it stands below the head of its section.
pub fn text(program: &Program, sections: &[Section], selection: &Selection) -> String {
    let actions = actions_of_tables(program, selection);
    let shown = sections.iter().filter(|section| match section.kind {
        _ if selection.is_all() => true,
        SectionKind::Table if selection.names_table() => selection.has_table(&section.name),
        SectionKind::Action if selection.names_action() => selection.has_action(&section.name),
        SectionKind::Action if selection.names_table() => actions.contains(section.name.as_str()),
        _ => !selection.names_table() && !selection.names_action(),
    });
    let texts: Vec<String> = shown
        .filter_map(|section| section_text(section, selection))
        .collect();
    texts.join("\n")
}

fn actions_of_tables<'p>(program: &'p Program, selection: &Selection) -> BTreeSet<&'p str> {
    let tables = program.tables.iter();
    let tables = tables.filter(|table| selection.names_table() && selection.has_table(&table.name));
    tables
        .flat_map(|table| &table.actions)
        .map(|id| program.actions[id.index()].name.as_str())
        .collect()
}

fn section_text(section: &Section, selection: &Selection) -> Option<String> {
    let (head, rest) = section.lines.split_first()?;
    // What is declared in the line is shown as a whole.
    if !selection.names_line() || selection.has_source(&head.source) {
        return Some(section.to_string());
    }
    let lines: Vec<_> = rest
        .iter()
        .filter(|line| selection.has_source(&line.source))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let lines = lines.iter().map(|line| format!("{line}\n"));
    Some(format!("{head}\n{}", lines.collect::<String>()))
}
