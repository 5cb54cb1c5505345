//! A table with nothing around it: its writer, and a program that looks one key up.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use num_bigint::BigUint;
use pointsman_ebpf::asm::{Alu, Assembler, Cond, Reg, Size};
use pointsman_ebpf::plan::{Plan, Structure, TablePlan};
use pointsman_ebpf::sys::{Map, MapFd, MapKind, Program, ProgramKind, SharedMemory, has_may_goto};
use pointsman_ebpf::tables::arena::Memories;
use pointsman_ebpf::tables::grace::Grace;
use pointsman_ebpf::tables::key::KeyLayout;
use pointsman_ebpf::tables::reader::{Outcome, Reader};
use pointsman_ebpf::tables::table::{Content, TableWriter};
use pointsman_p4::dataplane::{Bits, DataPlaneError, EntryKey, Match};
use pointsman_p4::ir::{
    self, ActionCall, ActionId, ConstEntry, ConstKey, Implementation, Key, MatchKind, SourceInfo,
    TableId, TableNext,
};
use pointsman_p4::vectors::Case;

/// The parts of a key: how each is matched, and its bits.
pub type Parts = &'static [(MatchKind, u32)];

/// The shortest frame that the kernel runs a program on.
pub const FRAME: [u8; 14] = [0; 14];

// The program's memory, from R7.
const MISSES: i32 = 0;
const TORN: i32 = 8;
const SPARE: i32 = 64;
const KEY: i32 = 128;
const HITS: i32 = 256;
/// Takes some tens of nanoseconds, whatever the machine.
const HELPER_KTIME: u32 = 5;
/// Rounds of a reader that is slow, each such a call.
const DWELL: u32 = 2000;
/// How many times fewer lookups a slow reader does.
const SLOWER: u32 = 400;
/// Answers that are counted each, modulo this.
pub const ANSWERS: usize = 64;

/// A table under test: the side that writes.
pub struct Bed {
    writer: TableWriter,
    grace: Grace,
    parts: Parts,
    /// What holds its entries.
    pub structure: Structure,
}

/// The side that reads.
pub struct Probe {
    programs: Vec<Program>,
    /// Stays at a record that it found for longer than a writer takes to write another.
    slow: Program,
    memory: SharedMemory,
    layout: KeyLayout,
    _arena: Map,
}

/// What many lookups found.
#[derive(Debug)]
pub struct Tally {
    /// No entry.
    pub misses: u64,
    /// Records of which one half did not fit the other.
    pub torn: u64,
    /// How often each answer came.
    pub hits: Vec<u64>,
}

impl Bed {
    /// An empty table that declares a size.
    pub fn new(parts: Parts, size: u32) -> (Bed, Probe) {
        Bed::with_declared(parts, size, &[])
    }

    /// An empty table for which the program declares entries, by match and priority.
    pub fn with_declared(parts: Parts, size: u32, declared: &[(Vec<Match>, i32)]) -> (Bed, Probe) {
        let mut program = any_program().clone();
        let mut table = program
            .tables
            .iter()
            .find(|t| !t.key.is_empty())
            .unwrap()
            .clone();
        let key = |(kind, width): &(MatchKind, u32)| Key {
            kind: *kind,
            width: *width,
            ..table.key[0].clone()
        };
        table.key = parts.iter().map(key).collect();
        table.actions = (0..).take(program.actions.len()).map(ActionId).collect();
        table.implementation = Implementation::Direct;
        table.next = TableNext::HitMiss {
            hit: None,
            miss: None,
        };
        (table.counter, table.meter, table.size) = (None, None, size);
        table.entries = declared.iter().map(const_entry).collect();
        program.tables = vec![table];
        program.ingress.start = Some(ir::Node::Table(TableId(0)));
        program.egress.start = None;

        let mut plan = Plan::new(&program, 2).unwrap();
        let arena = Map::create(MapKind::Shared, "tables", plan.bytes, 1).unwrap();
        let cells = Map::create(MapKind::Shared, "cells", plan.cell_bytes, 1).unwrap();
        let memories = Memories {
            tables: Arc::new(arena.memory().unwrap()),
            cells: Arc::new(cells.memory().unwrap()),
        };
        pointsman_ebpf::tables::bitvec::write_bit_numbers(&memories.tables, plan.bit_numbers);
        let plan = plan.tables.remove(0);
        let phv = Map::create(
            MapKind::Shared,
            "probe",
            HITS as u32 + 8 * ANSWERS as u32,
            1,
        )
        .unwrap();

        // Programs loop in one way or the other, as the kernel allows: both, where it does both.
        let mut ways = vec![false, has_may_goto()];
        ways.dedup();
        let reader = Reader {
            may_goto: false,
            arena: arena.insn_fd(),
            key_offset: KEY,
            spare_offset: SPARE,
        };
        let load = |may_goto, dwell| {
            let reader = Reader { may_goto, ..reader };
            lookup(&plan, &reader, phv.insn_fd(), dwell)
        };
        let probe = Probe {
            programs: ways.iter().map(|way| load(*way, 0)).collect(),
            slow: load(false, DWELL),
            memory: phv.memory().unwrap(),
            layout: plan.layout.clone(),
            _arena: arena,
        };
        let bed = Bed {
            writer: TableWriter::new(&program.tables[0], &plan, &memories),
            grace: Grace::new().unwrap(),
            parts,
            structure: plan.structure,
        };
        (bed, probe)
    }

    /// Writes an entry that is not there; a lookup answers `answer`, which is not 0.
    pub fn insert(
        &mut self,
        matches: &[Match],
        priority: i32,
        answer: u32,
    ) -> Result<(), DataPlaneError> {
        let key = key(matches, priority);
        with_content(answer, |content| {
            self.writer.insert(&self.grace, &key, content)
        })
    }

    /// Changes the answer of an entry that is there.
    pub fn modify(
        &mut self,
        matches: &[Match],
        priority: i32,
        answer: u32,
    ) -> Result<(), DataPlaneError> {
        let key = key(matches, priority);
        with_content(answer, |content| {
            self.writer.modify(&self.grace, &key, content)
        })
    }

    /// Removes an entry that is there.
    pub fn delete(&mut self, matches: &[Match], priority: i32) -> Result<(), DataPlaneError> {
        self.writer.delete(&key(matches, priority))
    }

    /// How its key is matched.
    pub fn parts(&self) -> Parts {
        self.parts
    }
}

fn const_entry((matches, priority): &(Vec<Match>, i32)) -> ConstEntry {
    let number = |bits: &Bits| BigUint::from(bits);
    let key = matches.iter().map(|part| match part {
        Match::Exact(value) => ConstKey::Exact(number(value)),
        Match::Lpm { value, prefix_len } => ConstKey::Lpm {
            value: number(value),
            prefix_len: *prefix_len,
        },
        Match::Ternary { value, mask } => ConstKey::Ternary {
            value: number(value),
            mask: number(mask),
        },
        Match::Optional(value) => ConstKey::Ternary {
            value: value.as_ref().map(number).unwrap_or_default(),
            mask: number(&Bits::from(u64::from(value.is_some()))),
        },
        Match::Range { low, high } => ConstKey::Range {
            low: number(low),
            high: number(high),
        },
    });
    ConstEntry {
        key: key.collect(),
        priority: *priority,
        call: ActionCall {
            action: ActionId(0),
            args: Vec::new(),
        },
        source: SourceInfo::default(),
    }
}

/// A program to put a table into.
fn any_program() -> &'static ir::Program {
    static PROGRAM: OnceLock<Arc<ir::Program>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let case = Case::read(&root.join("../p4/programs/leaf_spine"));
        case.unwrap().pipeline.program
    })
}

/// Looks the key up, counts what it finds, and returns it. Between the two halves of a record it
/// goes round so often.
fn lookup(plan: &TablePlan, reader: &Reader, phv: MapFd, dwell: u32) -> Program {
    let mut asm = Assembler::new();
    let (hit, miss, torn) = (asm.label(), asm.label(), asm.label());
    asm.map_value(Reg::R7, phv, 0);
    let outcome = Outcome { hit, miss };
    plan.structure
        .emit(&mut asm, reader, &plan.records, outcome);
    asm.place(hit);
    let args = plan.records.args_offset() as i32;
    asm.load(Size::DW, Reg::R0, Reg::R9, args);
    if dwell > 0 {
        let again = asm.label();
        asm.mov(Reg::R8, Reg::R0);
        asm.mov_imm(Reg::R6, 0);
        asm.place(again);
        asm.call(HELPER_KTIME);
        asm.alu_imm(Alu::Add, Reg::R6, 1);
        asm.jump_if_imm(Cond::Lt, Reg::R6, dwell as i32, again);
        asm.mov(Reg::R0, Reg::R8);
    }
    asm.load(Size::DW, Reg::R1, Reg::R9, args + 8);
    asm.alu(Alu::Xor, Reg::R1, Reg::R0);
    asm.jump_if_imm(Cond::Ne, Reg::R1, -1, torn);
    asm.mov(Reg::R2, Reg::R0);
    asm.alu_imm(Alu::And, Reg::R2, ANSWERS as i32 - 1);
    asm.alu_imm(Alu::Lsh, Reg::R2, 3);
    asm.mov(Reg::R3, Reg::R7);
    asm.alu(Alu::Add, Reg::R3, Reg::R2);
    count(&mut asm, Reg::R3, HITS);
    asm.exit();
    asm.place(miss);
    count(&mut asm, Reg::R7, MISSES);
    asm.mov_imm(Reg::R0, 0);
    asm.exit();
    asm.place(torn);
    count(&mut asm, Reg::R7, TORN);
    asm.mov_imm(Reg::R0, u64::from(u32::MAX));
    asm.exit();
    Program::load(ProgramKind::Xdp, "probe", &asm.finish().unwrap()).unwrap()
}

fn key(matches: &[Match], priority: i32) -> EntryKey {
    EntryKey {
        table: TableId(0),
        matches: matches.iter().cloned().collect(),
        priority,
    }
}

/// A record says its answer twice, once upside down.
fn with_content<T>(answer: u32, write: impl FnOnce(Content<'_>) -> T) -> T {
    let answer = u64::from(answer);
    write(Content {
        what: 1,
        args: Some(&[Bits::from(answer), Bits::from(!answer)].iter().collect()),
        widths: &[64, 64],
    })
}

fn count(asm: &mut Assembler, base: Reg, offset: i32) {
    asm.load(Size::DW, Reg::R4, base, offset);
    asm.alu_imm(Alu::Add, Reg::R4, 1);
    asm.store(Size::DW, base, offset, Reg::R4);
}

impl Probe {
    /// The answer for a key, 0 for none.
    pub fn answer(&self, key: &[Bits]) -> u32 {
        self.aim(key);
        let run = |program: &Program| program.test_run(&FRAME, 1).unwrap().verdict;
        let mut answers: Vec<u32> = self.programs.iter().map(run).collect();
        answers.dedup();
        assert_eq!(
            answers.len(),
            1,
            "all ways to loop answer alike: {answers:?}"
        );
        answers[0]
    }

    /// Lets the next lookups be for this key.
    pub fn aim(&self, key: &[Bits]) {
        for (index, word) in self.layout.pack(key).iter().enumerate() {
            self.memory
                .u64(KEY as usize + 8 * index)
                .store(*word, Relaxed);
        }
    }

    /// Looks the same key up so often.
    pub fn repeat(&self, times: u32) {
        for program in &self.programs {
            program.test_run(&FRAME, times).unwrap();
        }
        self.slow.test_run(&FRAME, times / SLOWER).unwrap();
    }

    /// What all lookups so far found.
    pub fn tally(&self) -> Tally {
        let word = |at: usize| self.memory.u64(at).load(Relaxed);
        Tally {
            misses: word(MISSES as usize),
            torn: word(TORN as usize),
            hits: (0..ANSWERS).map(|a| word(HITS as usize + 8 * a)).collect(),
        }
    }
}
