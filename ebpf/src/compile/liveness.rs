//! What of the PHV matters: fields that are read at all, fields that may be read before they are
//! written (and must then be 0), headers that may be valid.
//!
//! The second is a walk along every way that a packet can take, parser, ingress, egress, which keeps
//! the set of fields written on all ways so far. A header that is valid has been written as a
//! whole: by its extraction, by `setValid`, or by a copy of one that was. So a test of validity counts as
//! a write in the branch it leads to. Table keys need none: an invalid header's fields match as 0.
//!
//! The interpreter goes on from any point with the same PHV, and along the same ways. Pure; called by
//! [`super::layout`].

mod walk;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use pointsman_p4::ir::{FieldRef, HeaderId, Op, ParserOp, Program};

use super::reads;

use self::walk::Walk;

/// What of a program's fields and headers matters.
#[derive(Debug)]
pub(super) struct Liveness {
    read: HashSet<FieldRef>,
    unset: HashSet<FieldRef>,
    mentioned: HashSet<HeaderId>,
}

impl Liveness {
    pub(super) fn new(program: &Program) -> Liveness {
        let mut read = reads::fields_read(program);
        let standard = &program.standard;
        // What the switch itself looks at.
        read.extend([
            standard.ingress_port,
            standard.egress_spec,
            standard.egress_port,
        ]);
        read.extend(standard.mcast_grp);
        let mut walk = Walk::new(program);
        walk.program();
        let mut unset = walk.unset;
        // Elements change places.
        for stack in &program.stacks {
            let elements = stack.elements.iter();
            let fields: Vec<FieldRef> = elements
                .flat_map(|element| reads::all_fields(program, *element))
                .collect();
            if fields.iter().any(|field| unset.contains(field)) {
                unset.extend(fields);
            }
        }
        let mut mentioned = headers_that_may_be_valid(program);
        mentioned.extend(read.iter().map(|field| field.header));
        Liveness {
            read,
            unset,
            mentioned,
        }
    }

    /// Whether anybody reads a field.
    pub(super) fn is_read(&self, field: FieldRef) -> bool {
        self.read.contains(&field)
    }

    /// Whether a field may be read before it is written.
    pub(super) fn is_read_unset(&self, field: FieldRef) -> bool {
        self.unset.contains(&field)
    }

    /// Whether a header may be valid, or one of its fields is read all the same.
    pub(super) fn is_used(&self, header: HeaderId) -> bool {
        self.mentioned.contains(&header)
    }
}

/// Headers that something extracts, makes valid, copies or chooses at run time.
fn headers_that_may_be_valid(program: &Program) -> HashSet<HeaderId> {
    let stacks = program.stacks.iter().flat_map(|s| &s.elements);
    let unions = program.unions.iter().flat_map(|u| &u.members);
    let mut found: HashSet<HeaderId> = stacks.chain(unions).copied().collect();
    let mut op = |op: &Op| match op {
        Op::SetValid(header) => found.extend(reads::candidates(program, header)),
        Op::AssignHeader { target, source } => {
            found.extend(reads::candidates(program, target));
            found.extend(reads::candidates(program, source));
        }
        _ => {}
    };
    let actions = program.actions.iter().flat_map(|a| &a.body);
    actions.for_each(|(primitive, _)| op(primitive));
    let states = program.parser_states.iter().flat_map(|s| &s.ops);
    for (parser_op, _) in states.clone() {
        if let ParserOp::Primitive(primitive) = parser_op {
            op(primitive);
        }
    }
    for (parser_op, _) in states {
        if let ParserOp::Extract(header) | ParserOp::ExtractVarbit { header, .. } = parser_op {
            found.extend(reads::candidates(program, header));
        }
    }
    found
}
