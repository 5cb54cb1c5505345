//! The entries that a program declares, as the control plane would have written them.

use crate::ir::{ConstEntry, ConstKey, MatchKind, Program, Table, TableId};

use super::{Bits, Call, EntryAction, EntryKey, Match, TableEntry};

/// All entries that a program declares: what its tables hold at the start.
pub fn declared_entries(program: &Program) -> Vec<TableEntry> {
    let tables = (0..).map(TableId).zip(&program.tables);
    tables
        .flat_map(|(id, table)| {
            table
                .entries
                .iter()
                .map(move |e| declared_entry(id, table, e))
        })
        .collect()
}

fn declared_entry(id: TableId, table: &Table, entry: &ConstEntry) -> TableEntry {
    let matches = entry.key.iter().zip(&table.key).map(|(part, key)| {
        let ternary = |value: Bits, mask: Bits| match key.kind {
            MatchKind::Optional if mask.is_zero() => Match::Optional(None),
            MatchKind::Optional => Match::Optional(Some(value)),
            _ => Match::Ternary {
                value: value.and(&mask),
                mask,
            },
        };
        match part {
            ConstKey::Exact(value) => Match::Exact(Bits::from(value)),
            ConstKey::Lpm { value, prefix_len } => Match::Lpm {
                value: Bits::from(value).and(&Bits::prefix_mask(*prefix_len, key.width)),
                prefix_len: *prefix_len,
            },
            ConstKey::Ternary { value, mask } => ternary(Bits::from(value), Bits::from(mask)),
            ConstKey::Range { low, high } => Match::Range {
                low: Bits::from(low),
                high: Bits::from(high),
            },
        }
    });
    TableEntry {
        key: EntryKey {
            table: id,
            matches: matches.collect(),
            priority: entry.priority,
        },
        action: EntryAction::Call(Call {
            action: entry.call.action,
            args: entry.call.args.iter().map(Bits::from).collect(),
        }),
    }
}
