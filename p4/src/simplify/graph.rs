//! Ways around tables and branches that do nothing.

use crate::ir::{Control, Expr, Implementation, Node, Program, TableNext};

/// Leads every edge of the controls to the next node that does something.
pub(super) fn lead_around(program: &mut Program) {
    let before = program.clone();
    let target = |node: &mut Option<Node>| *node = next_that_acts(&before, *node);
    for branch in &mut program.conditionals {
        target(&mut branch.then);
        target(&mut branch.otherwise);
    }
    for table in &mut program.tables {
        match &mut table.next {
            TableNext::HitMiss { hit, miss } => {
                target(hit);
                target(miss);
            }
            TableNext::Action { actions, otherwise } => {
                actions.iter_mut().for_each(|(_, node)| target(node));
                target(otherwise);
            }
        }
    }
    let Program {
        ingress, egress, ..
    } = program;
    for Control { start, .. } in [ingress, egress] {
        target(start);
    }
}

/// The first node on the way from here that a packet can tell from nothing.
fn next_that_acts(program: &Program, from: Option<Node>) -> Option<Node> {
    let mut at = from;
    // The nodes form no cycle.
    while let Some(node) = at {
        match after_nothing(program, node) {
            Some(next) => at = next,
            None => return Some(node),
        }
    }
    None
}

/// Where a node leads that does nothing; `None` if it does something.
fn after_nothing(program: &Program, node: Node) -> Option<Option<Node>> {
    match node {
        Node::Conditional(id) => {
            let branch = &program.conditionals[id.index()];
            match branch.condition {
                Expr::Bool(true) => Some(branch.then),
                Expr::Bool(false) => Some(branch.otherwise),
                _ => (branch.then == branch.otherwise).then_some(branch.then),
            }
        }
        Node::Table(id) => {
            let table = &program.tables[id.index()];
            let default = table.default.as_ref().filter(|default| default.is_const)?;
            let action = default.call.action;
            let body = &program.actions[action.index()].body;
            let does_nothing = table.key.is_empty()
                && table.implementation == Implementation::Direct
                && table.counter.is_none()
                && table.meter.is_none()
                && body.iter().all(|(op, _)| super::dead::is_nothing(op));
            does_nothing.then(|| table.next.after(false, Some(action)))
        }
    }
}
