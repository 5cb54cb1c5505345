//! Parameters of actions that the compiler removed.
//!
//! p4c drops a parameter that nothing reads from the program, and keeps it in the p4info, where
//! controllers see it. The program gets it back here, unread and after its others, so that an
//! entry's arguments can be stored and read as they were written.

use num_bigint::BigUint;
use pointsman_proto::p4::config::v1 as proto;

use super::types::STRING_BITS;
use crate::ir::{ActionCall, Param, Program};

/// Adds to the actions of a program the parameters that only its p4info has.
pub fn restore_parameters(program: &mut Program, info: &proto::P4Info) {
    for described in &info.actions {
        let name = described.preamble.as_ref().map(|p| p.name.as_str());
        let actions = program.actions.iter_mut();
        for action in actions.filter(|a| Some(a.name.as_str()) == name) {
            for param in &described.params {
                let known = action.params.iter().any(|p| p.name == param.name);
                if !known && described.params.len() > action.params.len() {
                    action.params.push(Param {
                        name: param.name.clone(),
                        // P4Runtime has no width for what it translates to strings.
                        width: match param.bitwidth.unsigned_abs() {
                            0 => STRING_BITS,
                            width => width,
                        },
                    });
                }
            }
        }
    }
    let actions = &program.actions;
    let complete = |call: &mut ActionCall| {
        let params = actions[call.action.index()].params.len();
        call.args.resize(params, BigUint::ZERO);
    };
    for table in &mut program.tables {
        let defaults = table.default.iter_mut().map(|default| &mut default.call);
        let entries = table.entries.iter_mut().map(|entry| &mut entry.call);
        defaults.chain(entries).for_each(complete);
    }
}

/// Sorts what a p4info says of an action's parameters as the program has them.
pub fn in_program_order<T>(
    program: &Program,
    action: &str,
    params: &mut [T],
    name: fn(&T) -> &str,
) {
    if let Some(action) = program.actions.iter().find(|a| a.name == action) {
        let position = |param: &T| action.params.iter().position(|p| p.name == name(param));
        params.sort_by_key(|param| position(param).unwrap_or(usize::MAX));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::bmv2;
    use crate::p4info::parse_p4info;
    use crate::programs;

    use super::*;

    #[test]
    fn a_parameter_that_the_compiler_removed_comes_last_and_is_zero_in_the_program() {
        let embedded = programs::embedded("leaf_spine").unwrap();
        let mut program = bmv2::read(embedded.bmv2_json).unwrap();
        let mut info = parse_p4info(embedded.p4info).unwrap();
        let described = info
            .actions
            .iter_mut()
            .find(|a| !a.params.is_empty())
            .unwrap();
        let name = described.preamble.as_ref().unwrap().name.clone();
        let unread = proto::action::Param {
            id: 99,
            name: "unread".to_owned(),
            bitwidth: 7,
            ..Default::default()
        };
        described.params.insert(0, unread);
        let mut names: Vec<String> = described.params.iter().map(|p| p.name.clone()).collect();
        let before = program
            .actions
            .iter()
            .find(|a| a.name == name)
            .unwrap()
            .params
            .len();
        restore_parameters(&mut program, &info);
        let action = program.actions.iter().find(|a| a.name == name).unwrap();
        assert_eq!(action.params[before].name, "unread");
        assert_eq!(action.params[before].width, 7);
        in_program_order(&program, &name, &mut names, |name| name);
        assert_eq!(names.last().unwrap(), "unread");
    }
}
