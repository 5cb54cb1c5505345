//! The interpreter gives BMv2's own outputs for every recorded packet.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_p4::bmv2;
use pointsman_p4::dataplane::Operation;
use pointsman_p4::interpreter::{Interpreter, Output, Packet};
use pointsman_p4::programs;
use pointsman_p4::vectors::{self, Case, Golden};
use proptest::prelude::*;

fn switch(case: &Case, operations: &[Operation]) -> Interpreter {
    let switch = Interpreter::new(case.pipeline.program.clone());
    for (index, operation) in operations.iter().enumerate() {
        if let Err(error) = operation.apply(&switch) {
            panic!("{}: operation {index}: {error}", case.name);
        }
    }
    switch
}

fn send(switch: &mut Interpreter, number: usize, port: u32, bytes: &[u8]) -> Vec<Output> {
    let packet = Packet {
        port,
        bytes: bytes.to_vec(),
    };
    let mut outputs = switch.process(&packet, Duration::from_millis(number as u64));
    outputs.sort_by_key(|o| o.port);
    outputs
}

/// The lines of a golden file whose packets differ.
fn failing_lines(case: &Case, golden: &Golden, operations: &[Operation]) -> Vec<usize> {
    let mut switch = switch(case, operations);
    let mut failing = Vec::new();
    for (number, exchange) in golden.exchanges.iter().enumerate() {
        let mut outputs = send(&mut switch, number, exchange.port, &exchange.packet);
        outputs.retain(|o| golden.is_recorded(o.port));
        let same = outputs.len() == exchange.outputs.len()
            && exchange
                .outputs
                .iter()
                .zip(&outputs)
                .all(|(want, have)| want.matches(have.port, &have.bytes));
        if !same {
            failing.push(exchange.line);
            if std::env::var_os("POINTSMAN_SHOW_DIFFERENCES").is_some() {
                println!(
                    "  line {}: in {} {:02x?}",
                    exchange.line, exchange.port, exchange.packet
                );
                for output in &exchange.outputs {
                    println!("    want {} {:02x?}", output.port, output.packet);
                }
                for output in &outputs {
                    println!("    have {} {:02x?}", output.port, output.bytes);
                }
            }
        }
    }
    failing
}

/// All golden files of a directory with what comes before their packets.
fn golden_files(case: &Case) -> Vec<(PathBuf, Golden, Vec<Operation>)> {
    let mut files = Vec::new();
    for name in ["golden.jsonl", "golden-entries.jsonl"] {
        let file = case.directory.join(name);
        if file.exists() {
            let golden = case.golden(&file).unwrap();
            let operations = golden.operations.clone();
            files.push((file, golden, operations));
        }
    }
    let sets = case.directory.join("golden");
    if sets.is_dir() {
        for set in vectors::directories(&sets).unwrap() {
            let file = set.join("golden.jsonl");
            let golden = case.golden(&file).unwrap();
            let operations = case.entries(&set.join("entries.txtpb")).unwrap();
            files.push((file, golden, operations));
        }
    }
    files
}

fn check_golden(root: &Path, parent: &str) {
    let mut packets = 0;
    let mut failures = Vec::new();
    for directory in vectors::directories(&root.join(parent)).unwrap() {
        let case = Case::read(&directory).unwrap();
        for (file, golden, operations) in golden_files(&case) {
            let name = file.strip_prefix(root).unwrap().display().to_string();
            packets += golden.exchanges.len();
            let failing = failing_lines(&case, &golden, &operations);
            if !failing.is_empty() {
                println!(
                    "{name}: {} of {} packets differ",
                    failing.len(),
                    golden.exchanges.len()
                );
                failures.push((name, failing));
            }
        }
    }
    println!("{parent}: {packets} packets");
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn packets_of_the_onos_pipelines_are_those_of_bmv2() {
    match vectors::directory() {
        Some(root) => check_golden(&root, "pipelines"),
        None => println!("skipped: no shared vectors"),
    }
}

#[test]
fn packets_of_the_stf_programs_are_those_of_bmv2() {
    match vectors::directory() {
        Some(root) => check_golden(&root, "vectors/stf"),
        None => println!("skipped: no shared vectors"),
    }
}

#[test]
fn packets_of_the_other_programs_are_those_of_bmv2() {
    match vectors::directory() {
        Some(root) => check_golden(&root, "vectors/load"),
        None => println!("skipped: no shared vectors"),
    }
}

#[test]
fn stf_expectations_hold() {
    let Some(root) = vectors::directory() else {
        println!("skipped: no shared vectors");
        return;
    };
    let mut failures = Vec::new();
    let mut programs = 0;
    for directory in vectors::directories(&root.join("vectors/stf")).unwrap() {
        let case = Case::read(&directory).unwrap();
        programs += 1;
        let lines = unmet_expectations(&case);
        if !lines.is_empty() {
            failures.push((case.name.clone(), lines));
        }
    }
    println!("{programs} STF files, {} failing", failures.len());
    assert!(failures.is_empty(), "{failures:?}");
}

/// The lines of an STF file whose expectation is not met, 0 for packets that nobody expects.
fn unmet_expectations(case: &Case) -> Vec<usize> {
    let stf = case.stf().unwrap();
    let mut switch = switch(case, &stf.operations);
    let mut outputs = Vec::new();
    for (number, packet) in stf.packets.iter().enumerate() {
        for operation in &packet.operations {
            operation.apply(&switch).unwrap();
        }
        outputs.extend(send(&mut switch, number, packet.port, &packet.packet));
    }
    let mut unmet = Vec::new();
    for expectation in &stf.expectations {
        let found = outputs.iter().position(|o| o.port == expectation.port);
        let output = found.map(|index| outputs.remove(index));
        let met = output.is_some_and(|output| {
            let pattern = expectation.pattern.as_ref();
            pattern.is_none_or(|p| p.matches(&output.bytes))
        });
        if !met {
            unmet.push(expectation.line);
        }
    }
    if outputs.iter().any(|o| stf.ports.contains(&o.port)) {
        unmet.push(0);
    }
    unmet
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_packet_breaks_leaf_spine(
        port in 0u32..512,
        mut bytes in proptest::collection::vec(any::<u8>(), 0..128),
        ether_type in prop_oneof![Just(0x0800u16), Just(0x86dd), Just(0x8100), any::<u16>()],
    ) {
        if let Some(place) = bytes.get_mut(12..14) {
            place.copy_from_slice(&ether_type.to_be_bytes());
        }
        let embedded = programs::embedded("leaf_spine").unwrap();
        let program = bmv2::read(embedded.bmv2_json).unwrap();
        let switch = Interpreter::new(program.into());
        // Nothing is configured: the only way out is a packet-out, straight to its port.
        let outputs = switch.process(&Packet { port, bytes }, Duration::ZERO);
        prop_assert!(outputs.is_empty() || port == 255);
    }
}
