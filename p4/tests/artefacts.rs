//! The compiled programs beside the P4 sources are those of these sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointsman_p4::bmv2;
use pointsman_p4::p4info::{Pipeline, parse_p4info};
use pointsman_p4::programs::{EMBEDDED, embedded};
use sha2::{Digest, Sha256};

fn programs_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names of the files of a directory below `programs/`, or of `programs/` itself.
fn files(directory: &str) -> Vec<String> {
    fs::read_dir(programs_dir().join(directory))
        .expect("the directory is there")
        .map(|file| {
            file.expect("a readable entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect()
}

/// The P4 files of a program, relative to `programs/`: `NAME.p4` and what is in `NAME/`.
fn sources(name: &str) -> BTreeSet<String> {
    let included = files(name)
        .into_iter()
        .filter(|file| file.ends_with(".p4"))
        .map(|file| format!("{name}/{file}"));
    included.chain([format!("{name}.p4")]).collect()
}

#[test]
fn artefacts_are_those_of_the_source() {
    for program in EMBEDDED {
        let name = program.name;
        let recorded = fs::read_to_string(programs_dir().join(name).join("SOURCE.sha256")).unwrap();
        let mut seen = BTreeSet::new();
        for line in recorded.lines() {
            let (hash, file) = line.split_once("  ").unwrap();
            let source = fs::read(programs_dir().join(file)).unwrap();
            assert_eq!(
                hex(&Sha256::digest(&source)),
                hash,
                "{file} has changed since {name} was compiled: run p4/programs/compile.sh {name}.p4"
            );
            seen.insert(file.to_owned());
        }
        assert_eq!(
            seen,
            sources(name),
            "the P4 files of {name} have changed: run p4/programs/compile.sh"
        );
    }
}

/// Each in a directory of its own, with its compile.sh.
#[test]
fn programs_of_the_tests_of_the_agent_are_those_of_their_sources() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/programs");
    for program in fs::read_dir(programs).expect("the directory is there") {
        let directory = program.expect("a readable entry").path();
        let recorded = fs::read_to_string(directory.join("SOURCE.sha256")).unwrap();
        for line in recorded.lines() {
            let (hash, file) = line.split_once("  ").unwrap();
            let path = directory.join(file);
            let source = fs::read(&path).unwrap();
            let path = path.display();
            assert_eq!(
                hex(&Sha256::digest(&source)),
                hash,
                "{path} has changed: run compile.sh"
            );
        }
    }
}

#[test]
fn every_program_is_embedded_under_its_own_name() {
    let on_disk: BTreeSet<String> = files("")
        .iter()
        .filter_map(|file| file.strip_suffix(".p4"))
        .map(str::to_owned)
        .collect();
    let names: BTreeSet<String> = EMBEDDED
        .iter()
        .map(|program| program.name.to_owned())
        .collect();
    assert_eq!(names, on_disk);

    for program in EMBEDDED {
        let json: serde_json::Value = serde_json::from_str(program.bmv2_json).unwrap();
        assert_eq!(json["program"], format!("{}.p4", program.name));
        assert!(
            program
                .p4info
                .contains(&format!("  name: \"{}\"\n", program.name))
        );
        assert_eq!(embedded(program.name), Some(program));
    }
    assert_eq!(embedded("no_such_program"), None);
}

#[test]
fn every_program_and_its_p4info_agree() {
    for program in EMBEDDED {
        let ir = bmv2::read(program.bmv2_json)
            .unwrap_or_else(|error| panic!("{}: {error}", program.name));
        let info = parse_p4info(program.p4info).unwrap();
        let pipeline = Pipeline::new(Arc::new(ir), &info).unwrap();
        assert!(pipeline.packet_header("packet_in").is_some());
        assert!(pipeline.packet_header("packet_out").is_some());
    }
}
