//! Our agent meets every requirement of the conformance suite, on both of its own data planes and in front of
//! another agent.
//!
//! The agent and the suite are the programs themselves, in a network namespace of their own: root, or
//! the tests say aloud that they were skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use serde::Deserialize;

use switch::{ADDRESS, Switch, privileged};

/// What the specification leaves to a server and ours does not offer: it answers UNIMPLEMENTED.
const NOT_OFFERED: [&str; 3] = [
    "one_shot.group_action",
    "one_shot.other_mode",
    "one_shot.other_size",
];

/// The part of a finding that counts here.
#[derive(Deserialize)]
struct Finding {
    id: String,
    result: String,
}

#[derive(Deserialize)]
struct Report {
    findings: Vec<Finding>,
}

/// Asks a switch everything, and holds it to the answers.
fn conforms(mut switch: Switch) {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("findings.json");
    let mut suite = switch.command(env!("CARGO_BIN_EXE_p4rt_conformance"));
    suite
        .args([ADDRESS, "--port", "1", "--patience", "10"])
        .arg("--json")
        .arg(&json);
    let output = switch.succeeds(&mut suite);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let report: Report = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let left_out = report.findings.iter().filter(|f| f.result == "not_offered");
    let left_out: Vec<_> = left_out.map(|f| f.id.as_str()).collect();
    assert_eq!(left_out, NOT_OFFERED, "what we say we do not offer");
}

#[test]
fn the_interpreter_meets_every_requirement() {
    if privileged() {
        conforms(Switch::start("p4rt-conformance", "interpreter", 2));
    }
}

#[test]
fn xdp_meets_every_requirement() {
    if privileged() {
        conforms(Switch::start("p4rt-conformance", "xdp", 2));
    }
}

#[test]
fn an_agent_in_front_of_an_agent_meets_every_requirement() {
    if privileged() {
        conforms(Switch::behind_a_proxy("p4rt-conformance", 2));
    }
}
