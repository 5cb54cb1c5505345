//! Random entries and packets through the program in the kernel and the reference interpreter, for a bounded time, and
//! every case that such a run has found before; and damaged programs, which must be refused in order.
//!
//! `POINTSMAN_SEED=7 cargo test -p pointsman-bench --test fuzz` tries another seed. The `fuzz` command runs for longer.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_bench::conformance::{Target, find};
use pointsman_bench::fuzz::damage::{damage, survive};
use pointsman_bench::fuzz::replay::replay_all;
use pointsman_bench::fuzz::{Options, Random, Subject, run};
use pointsman_p4::{bmv2, vectors};

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

fn agree(directories: &[PathBuf], rounds: u64, packets: usize) {
    if !privileged() {
        return;
    }
    let suites = directories.iter().flat_map(|d| find(d).unwrap());
    let mut programs: Vec<PathBuf> = suites.map(|suite| suite.program).collect();
    programs.dedup();
    let subjects: Vec<Subject> = programs
        .iter()
        .map(|path| Subject {
            name: path.display().to_string(),
            program: bmv2::read(std::fs::read(path.join("bmv2.json")).unwrap())
                .unwrap()
                .into(),
        })
        .collect();
    let seed = std::env::var("POINTSMAN_SEED").ok();
    let options = Options {
        seed: seed.map_or(1, |seed| seed.parse().unwrap()),
        time: Duration::from_secs(300),
        rounds,
        packets,
        shrink: Duration::from_secs(20),
    };
    let report = run(&subjects, options, &mut |line| println!("{line}"));
    print!("{}", report.table());
    assert!(report.is_clean(), "{}", report.table());
    // Meters that are configured can only be assumed.
    assert!(
        report.total.foretold * 2 > report.total.packets,
        "{:?}",
        report.total
    );
}

#[test]
fn the_kernel_and_the_interpreter_agree_on_leaf_spine() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/programs/leaf_spine");
    agree(&[programs], 6, 150);
}

#[test]
fn the_kernel_and_the_interpreter_agree_on_small_programs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let programs = ["tests/clients/tour", "p4/tests/programs"];
    agree(&programs.map(|name| root.join(name)), 2, 60);
}

#[test]
fn the_kernel_and_the_interpreter_agree_on_every_program() {
    let Some(root) = vectors::directory() else {
        println!("skipped: there are no programs beside the project");
        return;
    };
    agree(&SHARED.map(|name| root.join(name)), 1, 60);
}

#[test]
fn what_was_found_stays_found() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let count = replay_all(&cases, privileged()).unwrap_or_else(|e| panic!("{e}"));
    assert!(count > 0);
}

#[test]
fn a_damaged_program_is_an_error_and_never_a_panic() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/programs/leaf_spine");
    let shared = vectors::directory().into_iter();
    let shared = shared.flat_map(|root| SHARED.map(|name| root.join(name)));
    for directory in shared.chain([own]) {
        for suite in find(&directory).unwrap() {
            let text = |name| std::fs::read_to_string(suite.program.join(name)).unwrap();
            let (json, p4info) = (text("bmv2.json"), text("p4info.txtpb"));
            for seed in 1..=3 {
                let mut random = Random::named(seed, &suite.name);
                let (json, p4info) = damage(&json, &p4info, &mut random);
                if let Err(error) = survive(&json, &p4info, &mut random) {
                    panic!("{}, seed {seed}: {error}", suite.name);
                }
            }
        }
    }
}
