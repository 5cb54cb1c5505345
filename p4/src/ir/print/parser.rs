//! Parser states and the deparser as text.

use super::action::op_text;
use super::expr::{Scope, unsigned};
use super::{Line, Section, SectionKind};
use crate::ir::{
    ParserOp, ParserState, ParserStateId, Program, SourceInfo, Transition, TransitionMatch,
};

pub(super) fn sections(program: &Program) -> Vec<Section> {
    let states = program.parser_states.iter();
    states.map(|state| section(program, state)).collect()
}

fn section(program: &Program, state: &ParserState) -> Section {
    let mut lines = vec![Line::from(
        format!("state {} {{", state.name),
        &state.source,
    )];
    for (op, source) in &state.ops {
        let text = format!("    {};", parser_statement(program, op));
        lines.push(Line::from(text, source));
    }
    lines.extend(transitions(program, state));
    lines.push(Line::plain("}"));
    Section {
        kind: SectionKind::ParserState,
        name: state.name.clone(),
        source: state.source.clone(),
        lines,
    }
}

/// One operation of a parser state, without its semicolon.
pub fn parser_statement(program: &Program, op: &ParserOp) -> String {
    let scope = Scope::global(program);
    let next = |stack: &crate::ir::UnionStackId, member: &u32| {
        format!("{}.next.{member}", program.union_stacks[stack.index()].name)
    };
    match op {
        ParserOp::Extract(header) => format!("extract({})", scope.header(header)),
        ParserOp::ExtractVarbit { header, length } => {
            format!("extract({}, {})", scope.header(header), scope.expr(length))
        }
        ParserOp::ExtractUnionNext { stack, member } => format!("extract({})", next(stack, member)),
        ParserOp::ExtractUnionNextVarbit {
            stack,
            member,
            length,
        } => format!("extract({}, {})", next(stack, member), scope.expr(length)),
        ParserOp::Set { target, value } => {
            format!("{} = {}", scope.place(target), scope.expr(value))
        }
        ParserOp::Verify { condition, error } => {
            format!(
                "verify({}, error {})",
                scope.expr(condition),
                scope.expr(error)
            )
        }
        ParserOp::Advance { length } => format!("advance({})", scope.expr(length)),
        ParserOp::Shift { bytes } => format!("advance({})", bytes * 8),
        ParserOp::Primitive(op) => op_text(&scope, op),
    }
}

fn transitions(program: &Program, state: &ParserState) -> Vec<Line> {
    if let [
        Transition {
            when: TransitionMatch::Default,
            next,
        },
    ] = state.transitions.as_slice()
    {
        let next = state_name(program, *next);
        return vec![Line::plain(format!("    transition {next};"))];
    }
    let scope = Scope::global(program);
    let key = state.key.iter().map(|part| scope.expr(&part.value));
    let key: Vec<String> = key.collect();
    let head = format!("    transition select({}) {{", key.join(", "));
    let mut lines = vec![Line::plain(head)];
    for transition in &state.transitions {
        let when = match &transition.when {
            TransitionMatch::Default => "default".to_owned(),
            TransitionMatch::Value { value, mask: None } => unsigned(value),
            TransitionMatch::Value {
                value,
                mask: Some(mask),
            } => format!("{} &&& {}", unsigned(value), unsigned(mask)),
            TransitionMatch::ValueSet { set, mask } => {
                let name = &program.value_sets[set.index()].name;
                let mask = mask.as_ref().map(|m| format!(" &&& {}", unsigned(m)));
                format!("in {name}{}", mask.unwrap_or_default())
            }
        };
        let next = state_name(program, transition.next);
        lines.push(Line::plain(format!("        {when}: {next};")));
    }
    lines.push(Line::plain("    }"));
    lines
}

fn state_name(program: &Program, state: Option<ParserStateId>) -> &str {
    state.map_or("accept", |id| {
        program.parser_states[id.index()].name.as_str()
    })
}

pub(super) fn deparser(program: &Program) -> Section {
    let mut lines = vec![Line::plain("deparser {")];
    for header in &program.deparser.order {
        let name = &program.headers[header.index()].name;
        lines.push(Line::plain(format!("    emit({name});")));
    }
    lines.push(Line::plain("}"));
    Section {
        kind: SectionKind::Deparser,
        name: "deparser".to_owned(),
        source: SourceInfo::default(),
        lines,
    }
}
