//! Instructions under headings that say which part and which statement of the P4 program they are for.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_p4::ir::{Program, SourceInfo, print};

use super::Inspection;
use super::names::Names;
use crate::asm::{Code, Insn, Note, Operand, Part, PartKind};

/// A part of the program with its instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartListing {
    /// Which program of the chain it is in, from 0.
    pub program: usize,
    /// What it is.
    pub part: Part,
    /// Its instructions by step and statement, in their order.
    pub blocks: Vec<Block>,
}

/// The instructions of one step or statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The action that the statement is in.
    pub action: Option<String>,
    /// The statement as the IR has it, or what the step does; empty at the beginning of a part.
    pub text: String,
    /// What the compiler made of the statement first, if that is something else.
    pub became: Option<String>,
    /// Where it is in the P4 source.
    pub source: SourceInfo,
    /// How many instructions it has.
    pub instructions: usize,
    /// Labels and instructions.
    pub lines: Vec<String>,
}

impl Block {
    /// A block of no action, still without instructions.
    fn step(text: &str) -> Block {
        Block {
            action: None,
            text: text.to_owned(),
            became: None,
            source: SourceInfo::default(),
            instructions: 0,
            lines: Vec::new(),
        }
    }
}

/// Column at which comments begin, where the text leaves room.
const COMMENT_COLUMN: usize = 48;

pub(super) fn of(inspection: &Inspection<'_>) -> Vec<PartListing> {
    let names = Names::new(
        inspection.program,
        &inspection.plan,
        &inspection.layout,
        &inspection.maps,
    );
    let programs = inspection.programs.iter().enumerate();
    programs
        .flat_map(|(number, code)| of_program(inspection, &names, number, code))
        .collect()
}

fn of_program(
    inspection: &Inspection<'_>,
    names: &Names<'_>,
    program: usize,
    code: &Code,
) -> Vec<PartListing> {
    let labels = labels(code);
    let comments: BTreeMap<usize, &str> = code
        .comments
        .iter()
        .map(|(at, text)| (*at, text.as_str()))
        .collect();
    let mut parts: Vec<PartListing> = Vec::new();
    let mut notes = code.notes.iter().peekable();
    for (index, insn) in code.insns.iter().enumerate() {
        while let Some((_, note)) = notes.next_if(|(at, _)| *at <= index) {
            begin(inspection, program, &mut parts, note);
        }
        let block = last_block(program, &mut parts);
        block.instructions += 1;
        if let Some(label) = labels.get(&index) {
            block.lines.push(format!("{label}:"));
        }
        if is_second_half(code, index) {
            continue;
        }
        let high = code.insns.get(index + 1).map_or(0, |next| next.imm as u32);
        let operand = insn.operand();
        let name = match operand {
            Operand::Jump(distance) => target_name(&labels, index, distance),
            Operand::None if insn.is_wide() => {
                format!(
                    "{:#x} ll",
                    u64::from(high) << 32 | u64::from(insn.imm as u32)
                )
            }
            operand => names.operand(operand, high),
        };
        let comment = comments.get(&index).map(|text| (*text).to_owned());
        let comment = comment
            .or_else(|| insn.access().and_then(|access| names.accessed(access)))
            .or_else(|| names.pointed_at(operand, high));
        let text = format!("{index:6}: {}", insn.text(&name));
        block.lines.push(match comment {
            Some(comment) => format!("{text:COMMENT_COLUMN$} ; {comment}"),
            None => text,
        });
    }
    for part in &mut parts {
        part.blocks
            .retain(|block| block.instructions > 0 || block.action.is_some());
    }
    parts
}

/// Starts the part or the block that a note announces.
fn begin(inspection: &Inspection<'_>, number: usize, parts: &mut Vec<PartListing>, note: &Note) {
    let block = match note {
        Note::Part(part) => {
            parts.push(PartListing {
                program: number,
                part: part.clone(),
                blocks: vec![Block::step("")],
            });
            return;
        }
        Note::Step(text) => Block::step(text),
        Note::Statement {
            action,
            index,
            source,
            ..
        } => {
            let text = |program: &Program| {
                let action = &program.actions[action.index()];
                print::statement(program, action, &action.body[*index as usize].0)
            };
            let (written, compiled) = (text(inspection.program), text(&inspection.simplified));
            Block {
                action: Some(inspection.program.actions[action.index()].name.clone()),
                became: (compiled != written).then_some(compiled),
                source: source.clone(),
                ..Block::step(&written)
            }
        }
        Note::ParserOp { state, index } => {
            let program = &inspection.simplified;
            let (op, source) = &program.parser_states[state.index()].ops[*index as usize];
            Block {
                source: source.clone(),
                ..Block::step(&print::parser_statement(program, op))
            }
        }
    };
    last_part(number, parts).blocks.push(block);
}

/// Code begins with a note; this one stands for it where it does not.
fn last_part(program: usize, parts: &mut Vec<PartListing>) -> &mut PartListing {
    if parts.is_empty() {
        let part = Part {
            kind: PartKind::Stage,
            name: "start".to_owned(),
            source: SourceInfo::default(),
        };
        let blocks = Vec::new();
        parts.push(PartListing {
            program,
            part,
            blocks,
        });
    }
    parts.last_mut().expect("one was just pushed")
}

fn last_block(program: usize, parts: &mut Vec<PartListing>) -> &mut Block {
    let part = last_part(program, parts);
    if part.blocks.is_empty() {
        part.blocks.push(Block::step(""));
    }
    part.blocks.last_mut().expect("one was just pushed")
}

/// The second half of a wide instruction is data.
fn is_second_half(code: &Code, index: usize) -> bool {
    index
        .checked_sub(1)
        .is_some_and(|before| code.insns[before].is_wide())
}

fn target(index: usize, distance: i32) -> usize {
    (index as i64 + 1 + i64::from(distance)) as usize
}

fn target_name(labels: &BTreeMap<usize, String>, index: usize, distance: i32) -> String {
    let label = labels.get(&target(index, distance));
    label.cloned().unwrap_or_else(|| format!("{distance:+}"))
}

/// A name for everything that is jumped to: its own, or else a number within its part, so that a
/// change of one part leaves the text of others as it is.
fn labels(code: &Code) -> BTreeMap<usize, String> {
    let jumps = code.insns.iter().enumerate();
    let targets: BTreeSet<usize> = jumps
        .filter_map(|(index, insn): (usize, &Insn)| match insn.operand() {
            Operand::Jump(distance) => Some(target(index, distance)),
            _ => None,
        })
        .collect();
    let named: BTreeMap<usize, &str> = code
        .labels
        .iter()
        .map(|(at, name)| (*at, name.as_str()))
        .collect();
    let starts: Vec<usize> = code
        .notes
        .iter()
        .filter(|(_, note)| matches!(note, Note::Part(_)))
        .map(|(at, _)| *at)
        .collect();
    let (mut part, mut count) = (0, 0);
    let mut labels = BTreeMap::new();
    for target in targets {
        let its_part = starts.partition_point(|start| *start <= target);
        if its_part != part {
            (part, count) = (its_part, 0);
        }
        let name = match named.get(&target) {
            Some(name) => format!("<{name}>"),
            None => {
                count += 1;
                format!(".{count}")
            }
        };
        labels.insert(target, name);
    }
    labels
}
