//! From the typed IR to eBPF instructions.
//!
//! Straight code generation: the parser, ingress, egress for a unicast packet, the checksums and the
//! deparser become one XDP program, or several that lead to each other (see [`chain`]). R6 is the context and R7 the
//! PHV throughout; values that outlive an expression are in the PHV, so that the verifier's states
//! merge and its work stays linear in the length of the program.
//!
//! What cannot be done in the kernel takes the slow path: where a packet meets it, it is handed to the
//! reference interpreter in the agent, which goes on from there ([`handoff`]). Which constructs those
//! are is known when the pipeline is set. What not even that helps is refused, by name and source line.

mod access;
mod action;
mod cells;
pub mod chain;
mod changes;
mod control;
pub mod crc;
mod deparser;
pub mod event;
mod expr;
pub mod handoff;
pub mod hash;
mod header;
mod interval;
pub mod layout;
mod liveness;
mod order;
pub mod output;
mod parser;
mod reads;
mod select;
mod stack;
mod states;
mod varbit;
mod wide;

use std::collections::HashSet;
use std::fmt;

use pointsman_p4::interpreter::Resume;
use pointsman_p4::ir::{FieldRef, Program, SourceInfo};

use crate::asm::{Assembler, Label, Reg};
use crate::plan::Plan;
use crate::sys::{FrameFlags, MapFd};
use crate::tables::reader::Reader;
use crate::tables::records::arg_words;

use self::chain::Compiled;
use self::changes::Changes;
use self::handoff::Point;
use self::layout::{Control, Layout, SCRATCH};
pub use self::reads::fields_read;

/// A construct that the kernel cannot do: it takes the slow path or, where not even that helps, the
/// program is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What, with its name.
    pub construct: String,
    /// Where it is in the P4 source.
    pub source: SourceInfo,
    /// What would be accepted.
    pub accepted: String,
}

impl Refusal {
    /// In words, if it takes the slow path.
    pub fn slow_path_notice(&self) -> String {
        format!(
            "{}: {} takes the slow path; in the kernel: {}",
            self.source, self.construct, self.accepted
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} is not supported by the xdp target; accepted: {}",
            self.source, self.construct, self.accepted
        )
    }
}

/// The maps that a program refers to.
#[derive(Debug, Clone, Copy)]
pub struct Maps {
    /// What programs read, see [`crate::tables::arena`].
    pub tables: MapFd,
    /// What programs write.
    pub cells: MapFd,
    /// The PHV.
    pub phv: MapFd,
    /// The switch's ports, see [`crate::switch`].
    pub ports: MapFd,
    /// Where frames leave.
    pub devmap: MapFd,
    /// Where events go.
    pub events: MapFd,
}

impl Maps {
    /// Stands for the maps of a program that is not going to be loaded.
    pub const UNLOADED: Maps = Maps {
        tables: MapFd(1),
        cells: MapFd(2),
        phv: MapFd(3),
        ports: MapFd(4),
        devmap: MapFd(5),
        events: MapFd(6),
    };

    /// Stands for the array of the programs of a chain that is not going to be loaded.
    pub const UNLOADED_CHAIN: MapFd = MapFd(7);

    /// What a map is called in listings.
    pub fn name(&self, fd: MapFd) -> Option<&'static str> {
        let names = [
            (self.tables, "tables"),
            (self.cells, "cells"),
            (self.phv, "phv"),
            (self.ports, "ports"),
            (self.devmap, "devmap"),
            (self.events, "events"),
            (Maps::UNLOADED_CHAIN, "chain"),
        ];
        let named = names.into_iter().find(|(map, _)| *map == fd);
        named.map(|(_, name)| name)
    }
}

/// What does not depend on the program.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The port that stands for the control plane.
    pub cpu_port: u32,
    /// Makes a program a chain of programs with about that many instructions; `None` does only if
    /// the kernel does not take it whole.
    pub program_instructions: Option<usize>,
    /// Whether it is written down where a packet went.
    pub trail: Trail,
    /// Whether programs may have loops that the verifier does not go through, see
    /// [`crate::asm::Assembler::may_goto`]. A pipeline that is loaded has none if the kernel cannot.
    pub may_goto: bool,
    /// Where it says whether a frame has fragments, if that can be read.
    pub frame_flags: Option<FrameFlags>,
}

impl Options {
    /// What a switch runs with.
    pub fn new(cpu_port: u32) -> Options {
        Options {
            cpu_port,
            program_instructions: None,
            trail: Trail::Cold,
            may_goto: true,
            frame_flags: crate::sys::frame_flags(),
        }
    }

    /// Without what the oldest kernel lacks that programs run on, even if this one has it.
    pub fn for_oldest_kernel(self) -> Options {
        Options {
            may_goto: false,
            frame_flags: None,
            ..self
        }
    }
}

/// A redirect does not tell where to: whoever runs single packets has it written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trail {
    /// Nothing is written: forwarding does not pay for what nobody reads.
    Cold,
    /// The last port that a packet left by is in the ports' memory, for all CPUs together.
    LastPort,
}

/// Compiles a program, or names all constructs that are not supported. The PHV map must have the bytes
/// of the [layout](layout_of); `pipeline` is the number that its events bear.
pub fn compile(
    program: &Program,
    plan: &Plan,
    layout: Layout,
    maps: Maps,
    options: Options,
    pipeline: u32,
) -> Result<Compiled, Vec<Refusal>> {
    let mut emitter = Emitter::new(program, plan, layout, maps, options, pipeline);
    emitter.program();
    if !emitter.refused.is_empty() {
        return Err(emitter.refused);
    }
    Ok(Compiled {
        draft: emitter.asm.draft().shortened(),
        phv: maps.phv,
        points: emitter.points,
        layout: emitter.layout,
    })
}

/// Bytes of the PHV of a program.
pub fn phv_bytes(program: &Program) -> u32 {
    layout_of(program).bytes
}

/// The PHV of a program.
pub fn layout_of(program: &Program) -> Layout {
    Layout::new(program, scratch_bytes(program))
}

/// The longest of: a packed key, the input of a hash, what a parser looks ahead at, the arguments
/// of an action on their way to the interpreter.
fn scratch_bytes(program: &Program) -> u32 {
    let keys = program.tables.iter().map(|t| {
        // A part never begins in a word that it does not fit, so each may cost one more word.
        t.key.iter().map(|k| k.width.div_ceil(64) * 8).sum::<u32>()
    });
    let hashes = program
        .calculations
        .iter()
        .map(|c| hash::input_bytes(program, c));
    let args = program.actions.iter().map(|a| {
        let words = a.params.iter().map(|p| arg_words(p.width));
        8 * words.sum::<u32>()
    });
    keys.chain(hashes)
        .chain(args)
        .max()
        .unwrap_or(0)
        .max(parser::MAX_LOOKAHEAD)
        + 16
}

/// What code is being generated for.
struct Emitter<'a> {
    program: &'a Program,
    plan: &'a Plan,
    maps: Maps,
    options: Options,
    /// The number that events bear.
    pipeline: u32,
    layout: Layout,
    asm: Assembler,
    refused: Vec<Refusal>,
    points: Vec<Point>,
    /// Fields that some expression, key or hash reads.
    read: HashSet<FieldRef>,
    changes: Changes,
    /// The construct being compiled.
    source: SourceInfo,
    ends: Ends,
    params: action::Params,
    /// Bytes of stack in use, for values that do not fit into registers.
    stack: i32,
}

/// Places that code everywhere jumps to.
#[derive(Debug, Clone, Copy)]
struct Ends {
    /// Hand the packet to the interpreter, `Control::POINT` says where it goes on.
    hand_over: Label,
    /// Hand it over as it came: it does not fit the limits of the parser.
    out_of_bounds: Label,
    /// Drop it.
    drop: Label,
}

impl<'a> Emitter<'a> {
    fn new(
        program: &'a Program,
        plan: &'a Plan,
        layout: Layout,
        maps: Maps,
        options: Options,
        pipeline: u32,
    ) -> Emitter<'a> {
        let mut asm = Assembler::new();
        let ends = Ends {
            hand_over: asm.named_label("hand over"),
            out_of_bounds: asm.named_label("out of bounds"),
            drop: asm.named_label("drop"),
        };
        Emitter {
            program,
            plan,
            maps,
            options,
            pipeline,
            changes: Changes::new(program, &layout),
            layout,
            asm,
            refused: Vec::new(),
            points: handoff::common_points(),
            read: reads::fields_read(program),
            source: SourceInfo::default(),
            ends,
            params: action::Params::default(),
            stack: parser::STACK_RESERVED,
        }
    }

    fn program(&mut self) {
        self.prologue();
        if let Err(constructs) = self.attempt(Self::parser) {
            self.hand_over(Resume::Parser, constructs);
        }
        self.asm.section();
        self.verify_checksums();
        let ingress_end = self.asm.named_label("end of ingress");
        let egress_end = self.asm.named_label("end of egress");
        self.control(&self.program.ingress, ingress_end);
        self.asm.section();
        self.asm.place(ingress_end);
        self.end_of_ingress();
        self.control(&self.program.egress, egress_end);
        self.asm.section();
        self.asm.place(egress_end);
        self.end_of_egress();
        self.update_checksums();
        self.asm.section();
        self.deparser();
        self.asm.section();
        self.transmit();
    }

    /// Says that something cannot be compiled; the code goes on so that all is found. See
    /// [`attempt`](Emitter::attempt).
    fn refuse(&mut self, construct: impl Into<String>, accepted: &str) {
        let refusal = Refusal {
            construct: construct.into(),
            source: self.source.clone(),
            accepted: accepted.to_owned(),
        };
        if !self.refused.contains(&refusal) {
            self.refused.push(refusal);
        }
    }

    fn reader(&self) -> Reader {
        Reader {
            arena: self.maps.tables,
            key_offset: SCRATCH,
            may_goto: self.options.may_goto,
            spare_offset: Control::KEY_PARTS,
        }
    }

    /// `dst` = the packed address of byte `offset` of the tables.
    fn tables(&mut self, dst: Reg, offset: u32) {
        self.asm.map_value(dst, self.maps.tables, offset);
    }

    /// `dst` = the packed address of byte `offset` of the cells.
    fn cells(&mut self, dst: Reg, offset: u32) {
        self.asm.map_value(dst, self.maps.cells, offset);
    }
}
