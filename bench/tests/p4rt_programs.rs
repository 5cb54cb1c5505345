//! The programs of the P4Runtime conformance suite are what p4c made of their sources.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use pointsman_bench::p4rt::probe::op;
use sha2::{Digest, Sha256};

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/p4"))
}

#[test]
fn artefacts_belong_to_their_sources() {
    for name in ["entities", "translation", "constraints"] {
        let sums = fs::read_to_string(directory().join(name).join("SOURCE.sha256")).unwrap();
        for line in sums.lines() {
            let (sum, source) = line.split_once("  ").unwrap();
            let seen = Sha256::digest(fs::read(directory().join(source)).unwrap());
            let seen: String = seen.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(seen, sum, "{source} has changed: run bench/p4/compile.sh");
        }
    }
}

#[test]
fn operations_have_the_numbers_that_the_program_gives_them() {
    let source = fs::read_to_string(directory().join("entities.p4")).unwrap();
    for (name, number) in [
        ("ECHO", op::ECHO),
        ("EXACT", op::EXACT),
        ("KEYLESS", op::KEYLESS),
        ("SCOPED", op::SCOPED),
        ("IDLE", op::IDLE),
        ("PAIR", op::PAIR),
        ("COUNT", op::COUNT),
        ("DIGEST", op::DIGEST),
    ] {
        let line = format!("const bit<8> OP_{name} = {number};");
        assert!(source.contains(&line), "no line {line}");
    }
}
