//! Figures of a compiled pipeline.

use pointsman_ebpf::asm::PartKind;
use pointsman_ebpf::compile::Refusal;
use pointsman_ebpf::inspect::{PartStats, Stats, TableStats};
use serde::Serialize;

use super::selection::Selection;
use crate::table::{Cell, Table};
use crate::words;

/// Everything that is known of a compiled pipeline in numbers.
#[derive(Debug, Serialize)]
pub struct StatsView {
    instructions: usize,
    programs: Vec<usize>,
    longest_path: usize,
    phv_bytes: u32,
    zeroed_bytes: u32,
    table_bytes: u32,
    parts: Vec<PartView>,
    actions: Vec<ActionView>,
    tables: Vec<TableView>,
    slow_path: Vec<SlowView>,
}

/// A construct for which packets leave the kernel.
#[derive(Debug, Serialize)]
struct SlowView {
    construct: String,
    source: String,
    fast: String,
}

#[derive(Debug, Serialize)]
struct PartView {
    kind: &'static str,
    name: String,
    instructions: usize,
}

#[derive(Debug, Serialize)]
struct ActionView {
    name: String,
    instructions: usize,
}

#[derive(Debug, Serialize)]
struct TableView {
    name: String,
    key: String,
    structure: &'static str,
    capacity: u32,
    records: u32,
    bytes: u32,
    instructions: usize,
}

impl StatsView {
    /// The figures; of tables and actions those that are asked for.
    pub fn new(stats: Stats, selection: &Selection) -> StatsView {
        let instructions = stats.instructions();
        let parts = stats.parts.into_iter();
        let tables = stats.tables.into_iter();
        let actions = stats.actions.into_iter();
        StatsView {
            instructions,
            programs: stats.programs,
            longest_path: stats.longest_path,
            phv_bytes: stats.phv_bytes,
            zeroed_bytes: stats.zeroed_bytes,
            table_bytes: stats.table_bytes,
            parts: parts
                .filter(|part| match part.kind {
                    PartKind::Table => selection.has_table(&part.name),
                    _ => !selection.names_table(),
                })
                .map(PartView::from)
                .collect(),
            actions: actions
                .filter(|(name, _)| selection.has_action(name))
                .map(|(name, instructions)| ActionView { name, instructions })
                .collect(),
            tables: tables
                .filter(|table| selection.has_table(&table.name))
                .map(TableView::from)
                .collect(),
            slow_path: stats.slow.iter().map(SlowView::from).collect(),
        }
    }

    /// In a line.
    pub fn summary(&self) -> String {
        let slow = match self.slow_path.len() {
            0 => "all of it runs in the kernel".to_owned(),
            some => format!("{} slow", words::count(some, "construct")),
        };
        format!(
            "the xdp target takes it, with {} instructions and {} bytes of tables; {slow}",
            self.instructions, self.table_bytes
        )
    }

    /// Every construct that takes the slow path, a line each.
    pub fn slow_path(&self) -> String {
        let lines = self.slow_path.iter();
        let lines = lines.map(|slow| {
            let SlowView {
                source,
                construct,
                fast,
            } = slow;
            format!("{source}: {construct} takes the slow path; in the kernel: {fast}\n")
        });
        lines.collect()
    }

    /// The same as tables for people.
    pub fn text(&self, is_coloured: bool) -> String {
        let mut text = format!(
            "{} instructions in {}, {} on the longest way through\n\
             {} bytes of PHV for each CPU, {} of them zeroed for each packet\n\
             {} bytes of tables, counters, meters and registers\n",
            self.instructions,
            words::count(self.programs.len(), "program"),
            self.longest_path,
            self.phv_bytes,
            self.zeroed_bytes,
            self.table_bytes
        );
        let mut tables = Table::new([
            "TABLE",
            "KEY",
            "STRUCTURE",
            "CAPACITY",
            "RECORDS",
            "BYTES",
            "INSTRUCTIONS",
        ]);
        for table in &self.tables {
            tables.row([
                Cell::from(table.name.as_str()),
                Cell::from(table.key.as_str()),
                Cell::from(table.structure),
                Cell::number(table.capacity),
                Cell::number(table.records),
                Cell::number(table.bytes),
                Cell::number(table.instructions),
            ]);
        }
        let mut parts = Table::new(["PART", "NAME", "INSTRUCTIONS"]);
        for part in &self.parts {
            parts.row([
                Cell::from(part.kind),
                Cell::from(part.name.as_str()),
                Cell::number(part.instructions),
            ]);
        }
        let mut actions = Table::new(["ACTION", "INSTRUCTIONS"]);
        for action in &self.actions {
            let instructions = Cell::number(action.instructions);
            actions.row([Cell::from(action.name.as_str()), instructions]);
        }
        for table in [tables, parts, actions] {
            if !table.is_empty() {
                text += "\n";
                text += &table.render(is_coloured);
            }
        }
        if !self.slow_path.is_empty() {
            text += "\n";
            text += &self.slow_path();
        }
        text
    }
}

impl From<&Refusal> for SlowView {
    fn from(refusal: &Refusal) -> SlowView {
        SlowView {
            construct: refusal.construct.clone(),
            source: refusal.source.to_string(),
            fast: refusal.accepted.clone(),
        }
    }
}

impl From<PartStats> for PartView {
    fn from(part: PartStats) -> PartView {
        PartView {
            kind: part.kind.word(),
            name: part.name,
            instructions: part.instructions,
        }
    }
}

impl From<TableStats> for TableView {
    fn from(table: TableStats) -> TableView {
        TableView {
            name: table.name,
            key: table.key,
            structure: table.structure,
            capacity: table.capacity,
            records: table.records,
            bytes: table.bytes,
            instructions: table.instructions,
        }
    }
}
