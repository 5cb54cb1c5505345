//! How much of everything a compiled program has.

use std::collections::BTreeMap;

use pointsman_p4::ir::{Key, MatchKind, Program};

use super::Inspection;
use super::listing::PartListing;
use crate::asm::{Code, Operand, PartKind};
use crate::compile::Refusal;
use crate::plan::Plan;
use crate::tables::arena::Region;

/// The figures of a compiled program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Instructions of each program of the chain, as the kernel counts them; mostly there is one.
    pub programs: Vec<usize>,
    /// Instructions of the longest way through, loops taken once.
    pub longest_path: usize,
    /// Bytes of the packet header vector, for each CPU.
    pub phv_bytes: u32,
    /// Bytes of the PHV that are zeroed for each packet.
    pub zeroed_bytes: u32,
    /// Bytes of all tables, counters, meters and registers.
    pub table_bytes: u32,
    /// Instructions by part of the program, in their order.
    pub parts: Vec<PartStats>,
    /// Instructions by action, all its copies together; by name.
    pub actions: Vec<(String, usize)>,
    /// Tables that have a key, in the program's order.
    pub tables: Vec<TableStats>,
    /// What takes the slow path, in the order of the source.
    pub slow: Vec<Refusal>,
}

impl Stats {
    /// Instructions of all programs.
    pub fn instructions(&self) -> usize {
        self.programs.iter().sum()
    }
}

/// The code of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartStats {
    /// What it is.
    pub kind: PartKind,
    /// Its name.
    pub name: String,
    /// Its instructions, those of its actions included.
    pub instructions: usize,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStats {
    /// Its name in P4.
    pub name: String,
    /// Its key: match kinds with bits, in order, such as `exact 9, ternary 48+48`.
    pub key: String,
    /// What holds its entries.
    pub structure: &'static str,
    /// Entries that fit.
    pub capacity: u32,
    /// Room for records, those in flight included.
    pub records: u32,
    /// Bytes of all of it, counters and meters included.
    pub bytes: u32,
    /// Instructions, those of its actions included.
    pub instructions: usize,
}

pub(super) fn of(inspection: &Inspection<'_>) -> Stats {
    let Inspection {
        program,
        plan,
        layout,
        programs,
        slow_constructs,
        ..
    } = inspection;
    let listing = inspection.listing();
    let parts = parts(&listing);
    Stats {
        programs: programs.iter().map(|code| code.insns.len()).collect(),
        // A packet meets each program once.
        longest_path: programs.iter().map(longest_path).sum(),
        phv_bytes: layout.bytes,
        zeroed_bytes: 8 * layout.zeroed.len() as u32,
        table_bytes: plan.bytes + plan.cell_bytes,
        actions: actions(&listing),
        tables: tables(program, inspection, &parts),
        slow: slow_constructs.clone(),
        parts,
    }
}

/// A part that is in several programs, or in several pieces, counts once.
fn parts(listing: &[PartListing]) -> Vec<PartStats> {
    let mut parts: Vec<PartStats> = Vec::new();
    for PartListing { part, blocks, .. } in listing {
        let instructions = blocks.iter().map(|block| block.instructions).sum();
        let known = parts
            .iter_mut()
            .find(|known| known.kind == part.kind && known.name == part.name);
        match known {
            Some(known) => known.instructions += instructions,
            None => parts.push(PartStats {
                kind: part.kind,
                name: part.name.clone(),
                instructions,
            }),
        }
    }
    parts
}

fn actions(listing: &[PartListing]) -> Vec<(String, usize)> {
    let mut actions = BTreeMap::new();
    for block in listing.iter().flat_map(|part| &part.blocks) {
        if let Some(action) = &block.action {
            *actions.entry(action.clone()).or_default() += block.instructions;
        }
    }
    actions.into_iter().collect()
}

fn tables(program: &Program, inspection: &Inspection<'_>, parts: &[PartStats]) -> Vec<TableStats> {
    let tables = program.tables.iter().zip(&inspection.plan.tables);
    let keyed = tables.filter(|(table, _)| !table.key.is_empty());
    let stats = keyed.map(|(table, plan)| TableStats {
        name: table.name.clone(),
        key: key(&table.key),
        structure: plan.structure.name(),
        capacity: plan.capacity,
        records: plan.records.slots,
        bytes: bytes_of(&inspection.plan, &format!("table {}", table.name)),
        instructions: parts
            .iter()
            .find(|part| part.kind == PartKind::Table && part.name == table.name)
            .map_or(0, |part| part.instructions),
    });
    stats.collect()
}

/// `exact 9, ternary 48+48`: parts of one kind together.
fn key(parts: &[Key]) -> String {
    let mut text = String::new();
    let mut before = None;
    for part in parts {
        let kind = match part.kind {
            MatchKind::Exact => "exact",
            MatchKind::Lpm => "lpm",
            MatchKind::Ternary => "ternary",
            MatchKind::Optional => "optional",
            MatchKind::Range => "range",
        };
        text += &match before {
            Some(before) if before == part.kind => format!("+{}", part.width),
            Some(_) => format!(", {kind} {}", part.width),
            None => format!("{kind} {}", part.width),
        };
        before = Some(part.kind);
    }
    text
}

/// Bytes of something of the program, in both memories.
fn bytes_of(plan: &Plan, name: &str) -> u32 {
    let in_tables = region_bytes(&plan.regions, plan.bytes, name);
    in_tables + region_bytes(&plan.cell_regions, plan.cell_bytes, name)
}

fn region_bytes(regions: &[Region], end: u32, name: &str) -> u32 {
    let Some(index) = regions.iter().position(|region| region.name == name) else {
        return 0;
    };
    let next = regions.get(index + 1);
    next.map_or(end, |region| region.offset) - regions[index].offset
}

/// The most instructions that one packet can meet, a loop counting as one round.
fn longest_path(code: &Code) -> usize {
    #[derive(Clone, Copy, PartialEq)]
    enum Length {
        Unknown,
        /// On the way that is being measured: whatever leads here is a loop.
        Open,
        Known(usize),
    }
    let count = code.insns.len();
    let next = |at: usize| -> [Option<usize>; 2] {
        let insn = &code.insns[at];
        let target = match insn.operand() {
            Operand::Jump(distance) => usize::try_from(at as i64 + 1 + i64::from(distance)).ok(),
            _ => None,
        };
        let fallen = insn
            .falls_through()
            .then_some(at + 1 + usize::from(insn.is_wide()));
        [fallen, target].map(|to| to.filter(|to| *to < count))
    };
    let mut lengths = vec![Length::Unknown; count];
    let mut stack = vec![0];
    while let Some(&at) = stack.last() {
        if at >= count {
            return 0;
        }
        match lengths[at] {
            Length::Known(_) => {
                stack.pop();
            }
            Length::Unknown => {
                lengths[at] = Length::Open;
                let todo = next(at).into_iter().flatten();
                stack.extend(todo.filter(|to| lengths[*to] == Length::Unknown));
            }
            Length::Open => {
                let after = next(at).into_iter().flatten();
                let longest = after
                    .filter_map(|to| match lengths[to] {
                        Length::Known(length) => Some(length),
                        Length::Unknown | Length::Open => None,
                    })
                    .max();
                lengths[at] = Length::Known(1 + longest.unwrap_or(0));
                stack.pop();
            }
        }
    }
    match lengths.first() {
        Some(Length::Known(length)) => *length,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asm::{Assembler, Cond, Reg};

    #[test]
    fn the_longest_way_takes_the_longer_branch_and_a_loop_once() {
        let mut asm = Assembler::new();
        let (again, short, end) = (asm.label(), asm.label(), asm.label());
        asm.jump_if_imm(Cond::Eq, Reg::R1, 0, short);
        asm.place(again);
        asm.mov_imm(Reg::R0, u64::MAX / 2);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 1, again);
        asm.jump(end);
        asm.place(short);
        asm.mov_imm(Reg::R0, 1);
        asm.place(end);
        asm.exit();
        let code = asm.finish().expect("short");
        // The branch, a load in two halves that runs as one, the loop's branch, the jump, the exit.
        assert_eq!(longest_path(&code), 5);
    }
}
