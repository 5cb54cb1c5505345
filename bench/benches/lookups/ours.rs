//! A table of leaf_spine, made as big as the routes ask for: writer and emitted reader.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_ebpf::asm::{Assembler, Reg, Size};
use pointsman_ebpf::plan::{Plan, TablePlan};
use pointsman_ebpf::sys::{Map, MapKind, has_may_goto};
use pointsman_ebpf::tables::arena::Memories;
use pointsman_ebpf::tables::grace::Grace;
use pointsman_ebpf::tables::reader::{Outcome, Reader};
use pointsman_ebpf::tables::table::{Content, TableWriter};
use pointsman_p4::dataplane::{Bits, EntryKey, Match};
use pointsman_p4::ir::{Program, TableId};

use crate::probe::{KEY_OFFSET, SPARE_OFFSET};
use crate::routes::{Route, Routes};

/// A table with its memory.
pub struct Ours {
    arena: Map,
    plan: TablePlan,
    pub bytes: u32,
    pub made_in: Duration,
    pub filled_in: Duration,
}

impl Ours {
    /// Makes a table and fills it.
    pub fn new(program: &Program, table: &str, routes: &Routes) -> Result<Ours, Box<dyn Error>> {
        let mut program = program.clone();
        let index = program.tables.iter().position(|t| t.name.ends_with(table));
        let index = index.ok_or("the table is in the program")?;
        program.tables[index].size = routes.all.len() as u32;
        let start = Instant::now();
        let plan = Plan::new(&program, 2).map_err(|refused| format!("{refused:?}"))?;
        let arena = Map::create(MapKind::Shared, "tables", plan.bytes, 1)?;
        let cells = Map::create(MapKind::Shared, "cells", plan.cell_bytes, 1)?;
        let memories = Memories {
            tables: Arc::new(arena.memory()?),
            cells: Arc::new(cells.memory()?),
        };
        let made_in = start.elapsed();

        let (shape, table) = (&program.tables[index], plan.tables[index].clone());
        let mut writer = TableWriter::new(shape, &table, &memories);
        let grace = Grace::new()?;
        let start = Instant::now();
        for route in &routes.all {
            let content = Content {
                what: 1,
                args: Some(&[Bits::from(u64::from(route.next_hop) + 1)].iter().collect()),
                widths: &[32],
            };
            writer.insert(&grace, &key(TableId(index as u32), routes, route), content)?;
        }
        Ok(Ours {
            filled_in: start.elapsed(),
            arena,
            plan: table,
            bytes: plan.bytes,
            made_in,
        })
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler) {
        let reader = Reader {
            may_goto: has_may_goto(),
            arena: self.arena.insn_fd(),
            key_offset: KEY_OFFSET,
            spare_offset: SPARE_OFFSET,
        };
        let (hit, miss) = (asm.label(), asm.label());
        let records = &self.plan.records;
        let outcome = Outcome { hit, miss };
        self.plan.structure.emit(asm, &reader, records, outcome);
        asm.place(hit);
        asm.load(Size::W, Reg::R0, Reg::R9, records.args_offset() as i32);
        asm.exit();
        asm.place(miss);
        asm.mov_imm(Reg::R0, 0);
    }
}

fn key(table: TableId, routes: &Routes, route: &Route) -> EntryKey {
    let address = route.address.to_be_bytes();
    let value = Bits::from_be_bytes(&address[..routes.family.bits() as usize / 8]);
    EntryKey {
        table,
        matches: vec![Match::Lpm {
            value,
            prefix_len: route.prefix_len,
        }]
        .into(),
        priority: 0,
    }
}
