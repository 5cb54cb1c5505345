//! `pointsman pipeline` as users run it: without privileges, a kernel's help or a server.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Command, Output};

/// The pipeline that agents start with.
fn leaf_spine() -> PathBuf {
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/../p4/programs");
    PathBuf::from(programs).join("leaf_spine/bmv2.json")
}

fn run(command: &str, file: &PathBuf, options: &[&str]) -> Output {
    let mut pointsman = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    pointsman
        .args(["pipeline", command])
        .arg(file)
        .args(options);
    pointsman.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A copy of the pipeline in which a text is replaced.
fn with(directory: &tempfile::TempDir, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(leaf_spine()).unwrap();
    assert!(text.contains(from), "the pipeline has {from}");
    let path = directory.path().join("changed.json");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    path
}

#[test]
fn a_statement_is_followed_from_its_line_of_p4_to_its_instructions() {
    let output = run(
        "compile",
        &leaf_spine(),
        &["--emit", "asm", "--line", "next.p4:36"],
    );
    let text = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(text.contains("P4  std.egress_spec = port;"), "{text}");
    assert!(
        text.contains("IR  standard_metadata.egress_spec = port"),
        "{text}"
    );
    assert!(text.contains("; argument port"), "{text}");
}

#[test]
fn every_stage_is_shown_and_the_p4info_fits() {
    let p4info = leaf_spine().with_file_name("p4info.txtpb");
    for stage in ["ir", "simplified", "asm", "stats"] {
        let options = ["--emit", stage, "--p4info", p4info.to_str().unwrap()];
        let output = run("compile", &leaf_spine(), &options);
        assert!(output.status.success(), "{stage}: {}", stderr(&output));
        assert!(
            stdout(&output).contains("LeafSpineIngress.acl.acl"),
            "{stage}"
        );
    }
}

#[test]
fn figures_are_one_json_document() {
    let output = run("compile", &leaf_spine(), &["-o", "json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(value["instructions"].as_u64().unwrap() > 0);
    let tables = value["tables"].as_array().unwrap();
    assert!(tables.iter().any(|table| table["structure"] == "trie"));
}

#[test]
fn the_exit_code_says_whether_the_target_takes_a_program() {
    let output = run("check", &leaf_spine(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let directory = tempfile::tempdir().unwrap();
    let too_big = with(
        &directory,
        "\"max_size\" : 16384",
        "\"max_size\" : 400000000",
    );
    let output = run("check", &too_big, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the xdp target does not take"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_damaged_program_is_refused_with_the_place_of_the_damage() {
    let directory = tempfile::tempdir().unwrap();
    let damaged = with(&directory, "\"op\" : \"assign\"", "\"op\" : \"levitate\"");
    let output = run("compile", &damaged, &["--emit", "ir"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("levitate"), "{message}");
    assert!(message.contains("actions["), "{message}");
    assert!(message.contains(".p4:"), "{message}");
}

#[test]
fn what_a_stage_cannot_show_is_a_mistake_in_the_command_line() {
    let output = run("compile", &leaf_spine(), &["--emit", "asm", "-o", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run("compile", &leaf_spine(), &["--line", "next.p4:36"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_chain_is_shown_program_by_program() {
    let options = ["--emit", "asm", "--chain", "1000"];
    let text = stdout(&run("compile", &leaf_spine(), &options));
    assert!(text.contains("in program 1 of the chain"), "{text}");
}

/// Instructions without the numbers that every change of the compiler moves.
fn without_numbers(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let is_instruction = line.trim_start().starts_with(|c: char| c.is_ascii_digit());
        let mut text = String::new();
        for c in line.chars() {
            match c {
                '0'..='9' if is_instruction && text.ends_with('#') => {}
                '0'..='9' if is_instruction => text.push('#'),
                ' ' if is_instruction && text.ends_with(' ') => {}
                c => text.push(c),
            }
        }
        text.trim().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_readme_shows_what_the_command_prints() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let prompt = "$ pointsman pipeline compile ";
    let shown = readme.split(prompt).skip(1);
    let mut count = 0;
    for (arguments, rest) in shown.filter_map(|text| text.split_once('\n')) {
        let expected = rest.split("```").next().unwrap();
        let mut pointsman = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        pointsman.current_dir(&root).args(["pipeline", "compile"]);
        let output = pointsman.args(arguments.split(' ')).output().unwrap();
        let text = stdout(&output);
        assert_eq!(
            without_numbers(text.trim()),
            without_numbers(expected.trim())
        );
        count += 1;
    }
    assert_eq!(count, 2, "the walk has two steps");
}
