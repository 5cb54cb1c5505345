//! The nodes of a control in an order in which each is behind all that lead to it.

use std::collections::HashSet;

use pointsman_p4::ir::{Node, Program, TableNext};

/// The nodes that can be reached. What a branch leads to if it holds comes right behind it.
pub(super) fn nodes(program: &Program, start: Option<Node>) -> Vec<Node> {
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    // A node is left when everything behind it has been.
    let mut todo: Vec<(Node, bool)> = start.map(|node| (node, false)).into_iter().collect();
    while let Some((node, is_left)) = todo.pop() {
        if is_left {
            order.push(node);
        } else if seen.insert(node) {
            todo.push((node, true));
            let next = next_nodes(program, node).into_iter().rev();
            todo.extend(next.map(|next| (next, false)));
        }
    }
    order.reverse();
    order
}

/// Where a node leads; what should follow it in the program comes last.
fn next_nodes(program: &Program, node: Node) -> Vec<Node> {
    let next = match node {
        Node::Conditional(id) => {
            let conditional = &program.conditionals[id.index()];
            vec![conditional.otherwise, conditional.then]
        }
        Node::Table(id) => match &program.tables[id.index()].next {
            TableNext::HitMiss { hit, miss } => vec![*miss, *hit],
            TableNext::Action { actions, otherwise } => {
                let actions = actions.iter().map(|(_, next)| *next);
                actions.chain([*otherwise]).collect()
            }
        },
    };
    next.into_iter().flatten().collect()
}
