//! Actions and their statements as text.

use std::collections::BTreeSet;

use super::expr::Scope;
use super::{Line, Section, SectionKind};
use crate::ir::{Action, CloneSource, FieldListId, Op, Program};

/// Every action once: p4c copies an action for each table that uses it.
pub(super) fn sections(program: &Program) -> Vec<Section> {
    let mut seen: Vec<&Action> = Vec::new();
    let mut sections = Vec::new();
    for action in &program.actions {
        if seen.contains(&action) {
            continue;
        }
        seen.push(action);
        sections.push(section(program, action));
    }
    sections
}

fn section(program: &Program, action: &Action) -> Section {
    let params = action.params.iter();
    let params = params.map(|p| format!("bit<{}> {}", p.width, p.name));
    let params: Vec<String> = params.collect();
    let head = format!("action {}({}) {{", action.name, params.join(", "));
    let mut lines = vec![Line::from(head, &action.source)];
    let targets: BTreeSet<u32> = action
        .body
        .iter()
        .filter_map(|(op, _)| match op {
            Op::Jump { to } | Op::JumpIfZero { to, .. } => Some(*to),
            _ => None,
        })
        .collect();
    for (index, (op, source)) in action.body.iter().enumerate() {
        if targets.contains(&(index as u32)) {
            lines.push(Line::plain(format!("  to{index}:")));
        }
        let text = format!("    {};", statement(program, action, op));
        lines.push(Line::from(text, source));
    }
    if targets.contains(&(action.body.len() as u32)) {
        lines.push(Line::plain(format!("  to{}:", action.body.len())));
    }
    lines.push(Line::plain("}"));
    Section {
        kind: SectionKind::Action,
        name: action.name.clone(),
        source: action.source.clone(),
        lines,
    }
}

/// One statement of an action, without its semicolon. Jumps name positions in the body.
pub fn statement(program: &Program, action: &Action, op: &Op) -> String {
    let scope = Scope {
        program,
        params: &action.params,
    };
    op_text(&scope, op)
}

pub(super) fn op_text(scope: &Scope<'_>, op: &Op) -> String {
    let program = scope.program;
    match op {
        Op::Assign { target, value } => {
            format!("{} = {}", scope.place(target), scope.expr(value))
        }
        Op::AssignVarbit { target, source } => {
            format!("{} = {}", scope.place(target), scope.place(source))
        }
        Op::AssignHeader { target, source } => {
            format!("{} = {}", scope.header(target), scope.header(source))
        }
        Op::AssignStack { target, source } => {
            format!("{} = {}", scope.stack(*target), scope.stack(*source))
        }
        Op::AssignUnion { target, source } => {
            format!("{} = {}", scope.union(*target), scope.union(*source))
        }
        Op::AssignUnionStack { target, source } => {
            let name = |id: &crate::ir::UnionStackId| &program.union_stacks[id.index()].name;
            format!("{} = {}", name(target), name(source))
        }
        Op::SetValid(header) => format!("{}.setValid()", scope.header(header)),
        Op::SetInvalid(header) => format!("{}.setInvalid()", scope.header(header)),
        Op::InvalidateUnion(union) => format!("{}.setInvalid()", scope.union(*union)),
        Op::Push { stack, count } => format!("{}.push_front({count})", scope.stack(*stack)),
        Op::Pop { stack, count } => format!("{}.pop_front({count})", scope.stack(*stack)),
        Op::MarkToDrop => "mark_to_drop()".to_owned(),
        Op::Exit => "exit".to_owned(),
        Op::Jump { to } => format!("goto to{to}"),
        Op::JumpIfZero { condition, to } => {
            format!("if not ({}) goto to{to}", scope.expr(condition))
        }
        Op::Count { counter, index } => {
            let counter = &program.counters[counter.index()];
            match counter.table {
                Some(_) => format!("{}.count()", counter.name),
                None => format!("{}.count({})", counter.name, scope.expr(index)),
            }
        }
        Op::ExecuteMeter {
            meter,
            index,
            target,
        } => {
            let (meter, target) = (&program.meters[meter.index()], scope.place(target));
            match meter.table {
                Some(_) => format!("{target} = {}.read()", meter.name),
                None => format!("{target} = {}.execute({})", meter.name, scope.expr(index)),
            }
        }
        Op::RegisterRead {
            target,
            register,
            index,
        } => {
            let name = &program.registers[register.index()].name;
            format!(
                "{} = {name}.read({})",
                scope.place(target),
                scope.expr(index)
            )
        }
        Op::RegisterWrite {
            register,
            index,
            value,
        } => {
            let name = &program.registers[register.index()].name;
            format!("{name}.write({}, {})", scope.expr(index), scope.expr(value))
        }
        Op::Hash {
            target,
            base,
            calculation,
            max,
        } => {
            let name = &program.calculations[calculation.index()].name;
            format!(
                "{} = {} + {name}() % {}",
                scope.place(target),
                scope.expr(base),
                scope.expr(max)
            )
        }
        Op::Random { target, low, high } => format!(
            "{} = random({}, {})",
            scope.place(target),
            scope.expr(low),
            scope.expr(high)
        ),
        Op::Clone {
            source,
            session,
            fields,
        } => {
            let from = match source {
                CloneSource::Ingress => "I2E",
                CloneSource::Egress => "E2E",
            };
            let fields = field_list(program, *fields);
            format!("clone({from}, {}{fields})", scope.expr(session))
        }
        Op::Resubmit { fields } => {
            format!(
                "resubmit({})",
                field_list(program, *fields).trim_start_matches(", ")
            )
        }
        Op::Recirculate { fields } => {
            format!(
                "recirculate({})",
                field_list(program, *fields).trim_start_matches(", ")
            )
        }
        Op::Digest { list } => format!("digest({})", program.learn_lists[list.index()].name),
        Op::Truncate { length } => format!("truncate({})", scope.expr(length)),
        Op::LogMessage { format, args } => {
            let args = args.iter().map(|arg| format!(", {}", scope.expr(arg)));
            format!("log_msg({format:?}{})", args.collect::<String>())
        }
        Op::Assert { condition } => format!("assert({})", scope.expr(condition)),
        Op::Assume { condition } => format!("assume({})", scope.expr(condition)),
    }
}

/// The fields that are kept, as a further argument.
fn field_list(program: &Program, list: Option<FieldListId>) -> String {
    match list {
        Some(list) => format!(", {}", program.field_lists[list.index()].name),
        None => String::new(),
    }
}
