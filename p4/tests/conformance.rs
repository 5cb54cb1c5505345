//! The conformance programs give what BMv2 gave for the packets of their `test.stf`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_p4::interpreter::{Interpreter, Output, Packet};
use pointsman_p4::ir::Op;
use pointsman_p4::vectors::{Case, Stf, directories};
use sha2::{Digest, Sha256};

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs")
}

fn cases() -> Vec<Case> {
    let directories = directories(&programs()).unwrap();
    let cases = directories.iter().map(|d| Case::read(d).unwrap());
    cases.collect()
}

/// What leaves for each packet, sorted by port.
fn outputs(case: &Case, stf: &Stf) -> Vec<Output> {
    let switch = Interpreter::new(case.pipeline.program.clone());
    for operation in &stf.operations {
        operation.apply(&switch).unwrap();
    }
    let mut all = Vec::new();
    for packet in &stf.packets {
        for operation in &packet.operations {
            operation.apply(&switch).unwrap();
        }
        let packet = Packet {
            port: packet.port,
            bytes: packet.packet.clone(),
        };
        let mut outputs = switch.process(&packet, Duration::ZERO);
        outputs.sort_by_key(|output| output.port);
        all.extend(outputs);
    }
    all
}

#[test]
fn every_packet_leaves_as_it_leaves_bmv2() {
    for case in cases() {
        let stf = case.stf().unwrap();
        let outputs = outputs(&case, &stf);
        for (expectation, output) in stf.expectations.iter().zip(&outputs) {
            let place = format!("{}, line {}", case.name, expectation.line);
            let pattern = expectation.pattern.as_ref().unwrap();
            assert_eq!(output.port, expectation.port, "{place}");
            assert!(
                pattern.matches(&output.bytes),
                "{place}: {:02x?}",
                output.bytes
            );
        }
        assert_eq!(outputs.len(), stf.expectations.len(), "{}", case.name);
    }
}

#[test]
fn artefacts_are_those_of_the_source() {
    for case in cases() {
        let recorded = fs::read_to_string(case.directory.join("SOURCE.sha256")).unwrap();
        for line in recorded.lines() {
            let (hash, file) = line.split_once("  ").unwrap();
            let source = fs::read(programs().join(file)).unwrap();
            let digest = Sha256::digest(&source);
            let now: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                now, hash,
                "{file} has changed: run p4/tests/programs/compile.sh {}",
                case.name
            );
        }
    }
}

/// Each request to the traffic manager, and each kind of state, is in some program.
#[test]
fn the_programs_use_what_a_switch_can_be_asked_for() {
    let kind = |op: &Op| match op {
        Op::Clone { .. } => Some("clone"),
        Op::Resubmit { .. } => Some("resubmit"),
        Op::Recirculate { .. } => Some("recirculate"),
        Op::Digest { .. } => Some("digest"),
        Op::Truncate { .. } => Some("truncate"),
        Op::ExecuteMeter { .. } => Some("meter"),
        Op::RegisterRead { .. } => Some("register"),
        Op::Hash { .. } => Some("hash"),
        Op::LogMessage { .. } => Some("log_msg"),
        Op::Assert { .. } => Some("assert"),
        Op::Assume { .. } => Some("assume"),
        Op::Exit => Some("exit"),
        _ => None,
    };
    let mut used = BTreeSet::new();
    for case in cases() {
        let actions = &case.pipeline.program.actions;
        used.extend(
            actions
                .iter()
                .flat_map(|a| &a.body)
                .filter_map(|(op, _)| kind(op)),
        );
    }
    let expected = [
        "assert",
        "assume",
        "clone",
        "digest",
        "exit",
        "hash",
        "log_msg",
        "meter",
        "recirculate",
        "register",
        "resubmit",
        "truncate",
    ];
    assert_eq!(used, BTreeSet::from(expected));
}
