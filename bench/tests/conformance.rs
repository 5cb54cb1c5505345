//! Every recorded packet through the program in the kernel, and which programs it refuses.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use expect_test::expect_file;
use pointsman_bench::conformance::{Outcome, Report, Target, find, run};
use pointsman_p4::vectors;

/// The recorded packets beside the project.
const SHARED: [&str; 2] = ["vectors", "pipelines"];

/// Whether this machine lets us load programs; `REQUIRE_NETNS` makes it an error if not.
fn privileged() -> bool {
    match Target::Xdp.check() {
        Ok(()) => true,
        Err(error) if std::env::var_os("REQUIRE_NETNS").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

/// All packets below some directories through a target; nothing may fail.
fn run_all(root: &Path, directories: &[&str], target: Target) -> Report {
    let suites = directories
        .iter()
        .flat_map(|directory| find(&root.join(directory)).unwrap());
    let report = Report::new(target, suites.flat_map(|s| run(&s, target)).collect());
    assert!(report.is_clean(), "{}", report.table(false));
    report
}

/// How many passed, and each program that is refused with its reasons.
fn summary(report: &Report) -> String {
    let totals = &report.totals;
    let mut text = format!(
        "{} STF files and {} golden packets passed\n",
        totals.stf_files.passed, totals.golden_packets.passed
    );
    let mut refused = BTreeMap::new();
    for file in &report.files {
        if let Outcome::Refused(reasons) = &file.outcome {
            refused.insert(&file.program, reasons);
        }
    }
    for (program, reasons) in refused {
        writeln!(text, "{program}").unwrap();
        for reason in reasons {
            writeln!(text, "    {reason}").unwrap();
        }
    }
    text
}

/// Each program of which something takes the slow path, with what that is.
fn slow_constructs(report: &Report) -> String {
    let mut slow: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in &report.files {
        if let Outcome::Ran(score) = &file.outcome {
            let uses = score.slow.iter().map(|slow| slow.what.as_str());
            slow.entry(&file.program).or_default().extend(uses);
        }
    }
    let mut text = String::new();
    for (program, uses) in slow.iter().filter(|(_, uses)| !uses.is_empty()) {
        writeln!(text, "{program}").unwrap();
        for what in uses {
            writeln!(text, "    {what}").unwrap();
        }
    }
    text
}

#[test]
fn the_kernel_runs_the_packets_of_the_projects_own_programs() {
    if privileged() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4");
        let totals = run_all(&root, &["programs", "tests/programs"], Target::Xdp).totals;
        assert!(totals.stf_files.passed > 0);
        assert_eq!(totals.stf_files.refused, 0);
    }
}

/// `UPDATE_EXPECT=1` writes the list anew after a change to the compiler.
#[test]
fn the_kernel_gives_bmv2s_packets_and_refuses_only_what_is_listed() {
    let Some(root) = vectors::directory() else {
        println!("skipped: there are no recorded packets beside the project");
        return;
    };
    if privileged() {
        let report = run_all(&root, &SHARED, Target::Xdp);
        expect_file!["refused_by_xdp.txt"].assert_eq(&summary(&report));
        expect_file!["slow_on_xdp.txt"].assert_eq(&slow_constructs(&report));
    }
}

#[test]
fn a_chain_of_programs_gives_the_packets_of_one() {
    let Some(root) = vectors::directory() else {
        println!("skipped: there are no recorded packets beside the project");
        return;
    };
    if privileged() {
        let chain = summary(&run_all(&root, &SHARED, Target::XdpChain));
        expect_file!["refused_by_xdp.txt"].assert_eq(&chain);
    }
}

#[test]
fn older_kernels_give_the_packets_of_new_ones() {
    let Some(root) = vectors::directory() else {
        println!("skipped: there are no recorded packets beside the project");
        return;
    };
    if privileged() {
        let totals = run_all(&root, &["vectors/stf", "pipelines"], Target::XdpFloor).totals;
        assert!(totals.stf_files.passed > 0);
        assert_eq!(totals.stf_files.refused, 0);
    }
}

#[test]
fn the_interpreter_gives_bmv2s_packets_and_refuses_nothing() {
    let Some(root) = vectors::directory() else {
        println!("skipped: there are no recorded packets beside the project");
        return;
    };
    let totals = run_all(&root, &SHARED, Target::Interpreter).totals;
    let refused = [totals.stf_files, totals.golden_packets, totals.programs].map(|c| c.refused);
    assert_eq!(refused, [0, 0, 0]);
}
