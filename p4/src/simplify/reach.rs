//! What a packet can come by: parser states, nodes of the controls, actions.

use std::collections::HashSet;

use crate::ir::{ActionId, ConditionalId, Node, ParserStateId, Program, TableId, TableNext};

/// Everything that can be reached.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) states: HashSet<ParserStateId>,
    pub(super) tables: HashSet<TableId>,
    pub(super) conditionals: HashSet<ConditionalId>,
    pub(super) actions: HashSet<ActionId>,
}

impl Reach {
    pub(super) fn of(program: &Program) -> Reach {
        let mut reach = Reach::default();
        let mut states: Vec<ParserStateId> = program.parser_start.into_iter().collect();
        while let Some(id) = states.pop() {
            if reach.states.insert(id) {
                let transitions = &program.parser_states[id.index()].transitions;
                states.extend(transitions.iter().filter_map(|t| t.next));
            }
        }
        let starts = [program.ingress.start, program.egress.start];
        let mut nodes: Vec<Node> = starts.into_iter().flatten().collect();
        while let Some(node) = nodes.pop() {
            match node {
                Node::Conditional(id) => {
                    if reach.conditionals.insert(id) {
                        let branch = &program.conditionals[id.index()];
                        nodes.extend([branch.then, branch.otherwise].into_iter().flatten());
                    }
                }
                Node::Table(id) => {
                    if reach.tables.insert(id) {
                        nodes.extend(successors(&program.tables[id.index()].next));
                    }
                }
            }
        }
        for id in &reach.tables {
            let table = &program.tables[id.index()];
            let default = table.default.as_ref().map(|d| d.call.action);
            reach
                .actions
                .extend(table.actions.iter().copied().chain(default));
        }
        reach
    }
}

fn successors(next: &TableNext) -> Vec<Node> {
    match next {
        TableNext::HitMiss { hit, miss } => [*hit, *miss].into_iter().flatten().collect(),
        TableNext::Action { actions, otherwise } => {
            let to = actions.iter().map(|(_, node)| *node);
            to.chain([*otherwise]).flatten().collect()
        }
    }
}
