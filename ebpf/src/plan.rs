//! Which structure holds which table, and where in the memory everything is.
//!
//! Made once for a program, before its code: the compiler and the writers both follow it.

use std::collections::HashMap;

use pointsman_p4::dataplane::declared_entries;
use pointsman_p4::ir::{
    ActionId, ActionProfileId, CounterId, Implementation, MatchKind, MeterId, Program, RegisterId,
    SourceInfo, TableId,
};

use crate::asm::Assembler;
use crate::compile::Refusal;
use crate::compile::crc::{CRC16_BYTES, CRC32_BYTES};
use crate::limits::too_large;
use crate::pipeline::FINGERPRINT_BYTES;
use crate::tables::arena::{Arena, Arenas, Region};
use crate::tables::bitvec::{self, BitVectorPlan, Patterns};
use crate::tables::cells::{CounterPlan, MeterPlan};
use crate::tables::declared::DeclaredPlan;
use crate::tables::direct::{self, DirectPlan};
use crate::tables::hash::HashPlan;
use crate::tables::hits::HitPlan;
use crate::tables::key::KeyLayout;
use crate::tables::owners::OwnerPlan;
use crate::tables::reader::{Outcome, Reader};
use crate::tables::records::{RecordPlan, arg_words};
use crate::tables::selector::ProfilePlan;
use crate::tables::shape::{Form, Shape, Shaped};
use crate::tables::trie::{self, TriePlan};
use crate::tables::tuples::TuplePlan;
use crate::tables::value_set::ValueSetPlan;

/// Fewer nodes than this a trie is not given: tables that leave less room are refused.
const MIN_TRIE_NODES: u32 = 1 << 12;

/// The structure that holds the entries of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Structure {
    /// No key: there is only the default action.
    Keyless,
    /// See [`crate::tables::direct`].
    Direct(DirectPlan),
    /// See [`crate::tables::hash`].
    Hash(HashPlan),
    /// See [`crate::tables::trie`].
    Trie(TriePlan),
    /// See [`crate::tables::bitvec`].
    BitVectors(BitVectorPlan),
    /// See [`crate::tables::tuples`].
    Tuples(TuplePlan),
    /// See [`crate::tables::declared`].
    Declared(DeclaredPlan),
}

impl Structure {
    /// What operators see.
    pub fn name(&self) -> &'static str {
        match self {
            Structure::Keyless => "none",
            Structure::Direct(_) => "direct index",
            Structure::Hash(_) => "hash",
            Structure::Trie(_) => "trie",
            Structure::BitVectors(_) => "bit vectors",
            Structure::Tuples(_) => "tuple space",
            Structure::Declared(_) => "code",
        }
    }

    /// The shape of its keys.
    pub fn form(&self) -> Form {
        match self {
            Structure::Keyless => Form::Keyless,
            Structure::Direct(_) | Structure::Hash(_) => Form::Words,
            Structure::Trie(_) => Form::Prefix,
            Structure::BitVectors(_) | Structure::Tuples(_) | Structure::Declared(_) => {
                Form::Patterns
            }
        }
    }

    /// Emits the lookup of the packed key.
    pub fn emit(&self, asm: &mut Assembler, reader: &Reader, records: &RecordPlan, to: Outcome) {
        match self {
            Structure::Keyless => asm.jump(to.miss),
            Structure::Direct(plan) => plan.emit(asm, reader, records, to),
            Structure::Hash(plan) => plan.emit(asm, reader, records, to),
            Structure::Trie(plan) => plan.emit(asm, reader, records, to),
            Structure::BitVectors(plan) => plan.emit(asm, reader, records, to),
            Structure::Tuples(plan) => plan.emit(asm, reader, records, to),
            Structure::Declared(plan) => plan.emit(asm, reader, records, to),
        }
    }
}

/// A table.
#[derive(Debug, Clone)]
pub struct TablePlan {
    /// How its key is packed.
    pub layout: KeyLayout,
    /// What holds its entries.
    pub structure: Structure,
    /// The records of its entries and of its default action.
    pub records: RecordPlan,
    /// Offset of a `u32`: the slot of the default action's record, 0 for none.
    pub default_at: u32,
    /// Offset of a `u32`: 0 while there are no entries, and readers need not look.
    pub populated_at: u32,
    /// Entries that fit.
    pub capacity: u32,
    /// Its direct counter.
    pub counter: Option<CounterPlan>,
    /// Its direct meter.
    pub meter: Option<MeterPlan>,
    /// When its entries were last hit, if they have idle timeouts.
    pub hits: Option<HitPlan>,
    /// Whose the cells of all these are, if there are any.
    pub owners: Option<OwnerPlan>,
}

impl TablePlan {
    /// Whether its entries, the default one too, count or meter packets.
    pub fn has_direct(&self) -> bool {
        self.counter.is_some() || self.meter.is_some()
    }
}

/// Everything of a program.
#[derive(Debug)]
pub struct Plan {
    /// By `TableId`.
    pub tables: Vec<TablePlan>,
    /// By `ActionProfileId`.
    pub profiles: Vec<ProfilePlan>,
    /// Indirect counters.
    pub counters: HashMap<CounterId, CounterPlan>,
    /// Indirect meters.
    pub meters: HashMap<MeterId, MeterPlan>,
    /// By `ValueSetId`.
    pub value_sets: Vec<ValueSetPlan>,
    /// Offset of each register's cells, eight bytes each, and their number.
    pub registers: HashMap<RegisterId, (u32, u32)>,
    /// Offset of a `u32`: the version of the tables, see [`crate::pipeline`].
    pub version: u32,
    /// Offset among the cells of what says whose they are, see [`crate::pipeline`].
    pub fingerprint: u32,
    /// 64 bytes, see [`bitvec::write_bit_numbers`].
    pub bit_numbers: u32,
    /// See [`crate::compile::crc`].
    pub crc16: u32,
    /// See [`crate::compile::crc`].
    pub crc32: u32,
    /// Bytes of the tables.
    pub bytes: u32,
    /// Bytes of the cells.
    pub cell_bytes: u32,
    /// What is where among the tables, for listings.
    pub regions: Vec<Region>,
    /// What is where among the cells, for listings.
    pub cell_regions: Vec<Region>,
    /// CPUs, rounded up to a power of two.
    pub cpus: u32,
}

impl Plan {
    /// Plans for a program. What cannot be held is refused by name and line.
    ///
    /// What tries may need at worst is far more than what real routes take. Programs with several
    /// big ones get less for each, down to what leaves room for all tables.
    pub fn new(program: &Program, cpus: u32) -> Result<Plan, Vec<Refusal>> {
        let refused = too_large(program);
        if !refused.is_empty() {
            return Err(refused);
        }
        let mut trie_nodes = trie::MAX_NODES;
        loop {
            match Plan::with_tries(program, cpus, trie_nodes) {
                Err(_) if trie_nodes > MIN_TRIE_NODES => trie_nodes /= 2,
                planned => return planned,
            }
        }
    }

    /// Plans with at most that many nodes for each trie.
    fn with_tries(program: &Program, cpus: u32, trie_nodes: u32) -> Result<Plan, Vec<Refusal>> {
        let mut arenas = Arenas::default();
        let cpus = cpus.next_power_of_two();
        arenas.begin("constants");
        let common = Common {
            cpus,
            trie_nodes,
            bit_numbers: arenas.tables.reserve(64),
            heads: arenas.tables.reserve(8 * program.tables.len() as u64),
        };
        let fingerprint = arenas.cells.reserve(FINGERPRINT_BYTES);
        let version = arenas.tables.reserve(4);
        let crc16 = arenas.tables.reserve(CRC16_BYTES);
        let crc32 = arenas.tables.reserve(CRC32_BYTES);
        let tables = (0..program.tables.len())
            .map(|i| {
                arenas.begin(format!("table {}", program.tables[i].name));
                let id = TableId(i as u32);
                plan_table(program, id, &mut arenas, common)
            })
            .collect();
        let profiles = (0..program.action_profiles.len())
            .map(|i| {
                arenas.begin(format!("profile {}", program.action_profiles[i].name));
                plan_profile(program, ActionProfileId(i as u32), &mut arenas.tables)
            })
            .collect();
        let counters = program
            .counters
            .iter()
            .enumerate()
            .filter(|(_, c)| c.table.is_none());
        let counters = counters
            .map(|(i, c)| {
                arenas.begin(format!("counter {}", c.name));
                (
                    CounterId(i as u32),
                    CounterPlan::new(&mut arenas.cells, c.size, cpus),
                )
            })
            .collect();
        let meters = program
            .meters
            .iter()
            .enumerate()
            .filter(|(_, m)| m.table.is_none());
        let meters = meters
            .map(|(i, m)| {
                arenas.begin(format!("meter {}", m.name));
                (
                    MeterId(i as u32),
                    MeterPlan::new(&mut arenas.cells, m.size, cpus),
                )
            })
            .collect();
        let registers = program.registers.iter().enumerate().map(|(i, r)| {
            let cells = r.size.max(1).next_power_of_two();
            arenas.begin(format!("register {}", r.name));
            (
                RegisterId(i as u32),
                (arenas.cells.reserve(u64::from(cells) * 8), cells),
            )
        });
        let registers = registers.collect();
        let value_sets = program
            .value_sets
            .iter()
            .map(|s| {
                arenas.begin(format!("value set {}", s.name));
                ValueSetPlan::new(&mut arenas.tables, s.size)
            })
            .collect();
        if !arenas.fit() {
            return Err(vec![Refusal {
                construct: format!(
                    "the tables of {} (together more than 512 MiB)",
                    program.name
                ),
                source: SourceInfo::default(),
                accepted: "smaller `size` properties".to_owned(),
            }]);
        }
        Ok(Plan {
            tables,
            profiles,
            counters,
            meters,
            value_sets,
            registers,
            version,
            fingerprint,
            bit_numbers: common.bit_numbers,
            crc16,
            crc32,
            bytes: arenas.tables.bytes(),
            cell_bytes: arenas.cells.bytes(),
            regions: arenas.tables.into_regions(),
            cell_regions: arenas.cells.into_regions(),
            cpus,
        })
    }
}

/// What tables have in common.
#[derive(Debug, Clone, Copy)]
struct Common {
    cpus: u32,
    /// The most nodes of a trie.
    trie_nodes: u32,
    bit_numbers: u32,
    /// Two `u32` for each table, many to a cache line.
    heads: u32,
}

fn plan_table(program: &Program, id: TableId, arenas: &mut Arenas, common: Common) -> TablePlan {
    let Common {
        cpus,
        trie_nodes,
        bit_numbers,
        heads,
    } = common;
    let table = &program.tables[id.index()];
    let widths: Vec<u32> = table.key.iter().map(|k| k.width).collect();
    let layout = KeyLayout::new(&widths);
    let bits: u32 = widths.iter().sum();
    let key_words = layout.words.len() as u32;
    let size = table.size.max(table.entries.len() as u32).max(1);
    let all_exact = table.key.iter().all(|k| k.kind == MatchKind::Exact);
    let lone_lpm = table.key.len() == 1 && table.key[0].kind == MatchKind::Lpm;
    let Arenas {
        tables: arena,
        cells,
    } = arenas;
    let structure = if table.key.is_empty() {
        Structure::Keyless
    } else if all_exact && bits <= direct::MAX_KEY_BITS && key_words == 1 {
        Structure::Direct(DirectPlan::new(arena, bits))
    } else if let Some(keys) = only_declared(program, id, &layout)
        && DeclaredPlan::holds(bits, &keys)
    {
        Structure::Declared(DeclaredPlan::new(arena, bits, keys))
    } else if all_exact {
        Structure::Hash(HashPlan::new(arena, size, key_words))
    } else if lone_lpm && TriePlan::holds(bits) {
        Structure::Trie(TriePlan::new(arena, size, bits, trie_nodes))
    } else if size > bitvec::MAX_ENTRIES {
        Structure::Tuples(TuplePlan::new(arena, size, key_words))
    } else {
        let bytes = layout.used_bytes();
        Structure::BitVectors(BitVectorPlan::new(arena, size, bytes, bit_numbers))
    };
    let args = match table.implementation {
        Implementation::Direct => action_args(program, &table.actions),
        // The default action may still have arguments of its own.
        Implementation::Profile(_) => action_args(program, &table.actions),
    };
    let stored_key = if matches!(structure, Structure::Hash(_)) {
        key_words
    } else {
        0
    };
    let capacity = match &structure {
        Structure::Keyless => 0,
        Structure::Direct(_) => size.min(1 << bits),
        _ => size,
    };
    let has_cells = table.counter.is_some() || table.meter.is_some() || table.idle_timeout;
    TablePlan {
        records: RecordPlan::new(arena, capacity + 1, stored_key, args),
        default_at: heads + 8 * id.0,
        populated_at: heads + 8 * id.0 + 4,
        counter: table
            .counter
            .map(|_| CounterPlan::new(cells, capacity + 1, cpus)),
        meter: table
            .meter
            .map(|_| MeterPlan::new(cells, capacity + 1, cpus)),
        hits: table
            .idle_timeout
            .then(|| HitPlan::new(cells, capacity + 1)),
        owners: has_cells.then(|| OwnerPlan::new(cells, capacity + 1)),
        layout,
        structure,
        capacity,
    }
}

/// What the entries of a table match, if the program declares as many as the table has room for.
fn only_declared(
    program: &Program,
    id: TableId,
    layout: &KeyLayout,
) -> Option<Vec<(Patterns, i32)>> {
    let table = &program.tables[id.index()];
    if table.entries.is_empty() || table.size as usize > table.entries.len() {
        return None;
    }
    let shape = Shape::new(table, layout, Form::Patterns);
    let declared = declared_entries(program).into_iter();
    let declared = declared.filter(|entry| entry.key.table == id);
    declared
        .map(|entry| match shape.key(&entry.key) {
            Ok(Shaped::Patterns(patterns, priority)) => Some((patterns, priority)),
            _ => None,
        })
        .collect()
}

fn plan_profile(program: &Program, id: ActionProfileId, arena: &mut Arena) -> ProfilePlan {
    let profile = &program.action_profiles[id.index()];
    let users = program
        .tables
        .iter()
        .filter(|t| t.implementation == Implementation::Profile(id));
    let args = users
        .map(|t| action_args(program, &t.actions))
        .max()
        .unwrap_or(0);
    ProfilePlan::new(arena, profile.size, profile.selector.is_some(), args)
}

fn action_args(program: &Program, actions: &[ActionId]) -> u32 {
    let words = |a: &ActionId| {
        program.actions[a.index()]
            .params
            .iter()
            .map(|p| arg_words(p.width))
            .sum::<u32>()
    };
    actions.iter().map(words).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use pointsman_p4::{bmv2, programs};

    use super::*;

    #[test]
    fn several_big_tries_share_what_room_there_is() {
        let leaf_spine = programs::embedded("leaf_spine").unwrap();
        let mut program = bmv2::read(leaf_spine.bmv2_json).unwrap();
        let routes = program
            .tables
            .iter_mut()
            .filter(|t| matches!(t.key.as_slice(), [key] if key.kind == MatchKind::Lpm));
        let mut tries = 0;
        for table in routes {
            table.size = 1 << 20;
            tries += 1;
        }
        assert!(tries > 1);
        assert!(Plan::new(&program, 2).is_ok());
    }
}
