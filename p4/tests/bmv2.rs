//! Every program of the shared collection is read, or refused by name and place.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use pointsman_p4::bmv2::{self, ReadError};
use pointsman_p4::interpreter::{Interpreter, Packet};
use pointsman_p4::vectors;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A program that uses most of the format.
fn small() -> Value {
    let text = include_str!("bmv2/small.json");
    serde_json::from_str(text).unwrap()
}

fn message(program: &Value) -> String {
    match bmv2::read(program.to_string()) {
        Ok(_) => panic!("it was accepted"),
        Err(error) => error.to_string(),
    }
}

/// The `bmv2.json` files beside the project, if they are there.
fn shared_programs() -> Vec<PathBuf> {
    let Some(root) = vectors::directory() else {
        return Vec::new();
    };
    ["vectors/stf", "vectors/load", "pipelines"]
        .iter()
        .flat_map(|parent| vectors::directories(&root.join(parent)).unwrap())
        .map(|directory| directory.join("bmv2.json"))
        .collect()
}

#[test]
fn every_shared_program_is_read() {
    let files = shared_programs();
    if files.is_empty() {
        println!("skipped: no shared vectors");
        return;
    }
    let mut refused = Vec::new();
    for file in &files {
        let json = std::fs::read_to_string(file).unwrap();
        if let Err(error) = bmv2::read(&json) {
            refused.push(format!("{}: {error}", file.display()));
        }
    }
    println!(
        "{} read, {} refused",
        files.len() - refused.len(),
        refused.len()
    );
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_program_without_declared_objects_is_read() {
    let program = bmv2::read(small().to_string()).unwrap();
    assert_eq!(program.headers.len(), 3);
    assert!(program.table_by_name("ingress.route").is_some());
}

#[test]
fn const_entries_get_priorities_of_p4runtime() {
    let program = bmv2::read(small().to_string()).unwrap();
    let table = &program.tables[program.table_by_name("ingress.route").unwrap().index()];
    let priorities: Vec<i32> = table.entries.iter().map(|e| e.priority).collect();
    assert_eq!(priorities, [2, 1]);
}

#[test]
fn gaps_between_the_parts_of_a_transition_key_are_closed() {
    let program = bmv2::read(small().to_string()).unwrap();
    let transition = &program.parser_states[0].transitions[0];
    let pointsman_p4::ir::TransitionMatch::Value { value, .. } = &transition.when else {
        panic!("{transition:?}");
    };
    // 9 bits of 0x1ff, then 16 of 0x0800.
    assert_eq!(*value, 0x1ff_0800u32.into());
}

#[test]
fn an_unknown_field_is_named_with_its_place() {
    let mut program = small();
    program["actions"][0]["primitives"][0]["parameters"][0]["value"][1] = json!("egress_sepc");
    assert_eq!(
        message(&program),
        "there is no field \"standard_metadata.egress_sepc\"; \
         at actions[0].primitives[0].parameters[0].value in \"ingress.forward\", from small.p4:11:9"
    );
}

#[test]
fn an_unsupported_primitive_is_named_with_its_line() {
    let mut program = small();
    program["actions"][0]["primitives"][0]["op"] = json!("teleport");
    assert_eq!(
        message(&program),
        "the primitive \"teleport\" is not supported; \
         at actions[0].primitives[0] in \"ingress.forward\", from small.p4:11:9"
    );
}

#[test]
fn an_extern_is_named_with_its_line() {
    let mut program = small();
    program["extern_instances"] = json!([{
        "name": "ipsec", "id": 0, "type": "ipsec_crypt",
        "source_info": {"filename": "small.p4", "line": 3, "column": 1, "source_fragment": "x"}
    }]);
    assert_eq!(
        message(&program),
        "an extern of type \"ipsec_crypt\" is not supported; \
         at extern_instances[0] in \"ipsec\", from small.p4:3:2"
    );
}

#[test]
fn a_table_of_an_old_compiler_names_its_actions_and_holds_its_profile() {
    let mut program = small();
    let expected = bmv2::read(program.to_string()).unwrap();
    let names: Vec<Value> = expected.tables[0]
        .actions
        .iter()
        .map(|id| json!(expected.actions[id.index()].name))
        .collect();
    let table = program["pipelines"][0]["tables"][0]
        .as_object_mut()
        .unwrap();
    table.remove("action_ids");
    table.remove("default_entry");
    table.remove("entries");
    table.insert("actions".to_owned(), json!(names));
    table.insert("type".to_owned(), json!("indirect_ws"));
    table.insert("act_prof_name".to_owned(), json!("paths"));
    table.insert("selector".to_owned(), json!({"algo": "crc16", "input": []}));
    let read = bmv2::read(program.to_string()).unwrap();
    assert_eq!(read.tables[0].actions, expected.tables[0].actions);
    assert_eq!(read.action_profiles[0].name, "paths");
    assert!(read.action_profiles[0].selector.is_some());
}

#[test]
fn a_deparser_may_log_and_assert() {
    let mut program = small();
    let statement = |op: &str| json!({"op": op, "parameters": []});
    program["deparsers"][0]["primitives"] = json!([statement("log_msg"), statement("assert")]);
    bmv2::read(program.to_string()).unwrap();
    program["deparsers"][0]["primitives"] = json!([statement("exit")]);
    assert!(message(&program).contains("\"exit\" in the deparser is not supported"));
}

#[test]
fn a_control_that_loops_is_refused() {
    let mut program = small();
    program["pipelines"][0]["tables"][0]["next_tables"]["ingress.forward"] = json!("ingress.route");
    assert!(message(&program).contains("leads back to itself"));
}

#[test]
fn text_that_is_not_json_is_refused_with_its_line() {
    let error = bmv2::read("{\n  \"headers\": [}\n").unwrap_err();
    assert!(
        matches!(error, ReadError::NotJson { line: 2, .. }),
        "{error}"
    );
}

/// Replaces the value at the end of a random walk.
fn damage(value: &mut Value, walk: &[usize], with: &Value) {
    let Some((step, rest)) = walk.split_first() else {
        *value = with.clone();
        return;
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            let index = step % items.len();
            damage(&mut items[index], rest, with);
        }
        Value::Object(members) if !members.is_empty() => {
            let index = step % members.len();
            let member = members.values_mut().nth(index).expect("index is in range");
            damage(member, rest, with);
        }
        other => *other = with.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_programs_never_panic(
        walk in proptest::collection::vec(0usize..64, 0..12),
        with in prop_oneof![
            Just(json!(null)), Just(json!(-1)), Just(json!(4294967295u64)), Just(json!("")),
            Just(json!("0xffffffffffffffffff")), Just(json!([])), Just(json!({})), Just(json!(true)),
            Just(json!("standard_metadata")), Just(json!("ingress.route")), Just(json!(1)),
        ],
    ) {
        let mut program = small();
        damage(&mut program, &walk, &with);
        if let Ok(program) = bmv2::read(program.to_string()) {
            let switch = Interpreter::new(program.into());
            for length in [0, 14, 15, 60] {
                let packet = Packet { port: 511, bytes: vec![8; length] };
                switch.process(&packet, Duration::ZERO);
            }
        }
    }
}
