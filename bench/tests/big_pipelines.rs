//! Pipelines far bigger than any that comes with Pointsman: they compile and load quickly, and forward like
//! the interpreter.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_bench::conformance::Target;
use pointsman_bench::fuzz::{self, Subject};
use pointsman_bench::synthetic::{Size, bmv2_json};
use pointsman_ebpf::compile::Options;
use pointsman_ebpf::pipeline::{Pipeline, Stats};
use pointsman_ebpf::switch::Shared;
use pointsman_p4::bmv2;
use pointsman_p4::ir::Program;

/// What the kernel follows before it gives up.
const VERIFIER_LIMIT: u64 = 1_000_000;

/// An unoptimized build takes ten times as long, and the machine may be busy.
const MOST_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });

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

fn program(size: Size) -> Arc<Program> {
    Arc::new(bmv2::read(bmv2_json(size)).unwrap())
}

/// Sets a pipeline as an agent would, from JSON to the loaded program.
fn set(size: Size) -> (Duration, Stats) {
    let json = bmv2_json(size);
    let start = Instant::now();
    let program = Arc::new(bmv2::read(json).unwrap());
    let shared = Arc::new(Shared::new().unwrap());
    let pipeline =
        Pipeline::new(program, shared, Options::new(511)).unwrap_or_else(|e| panic!("{e}"));
    (start.elapsed(), pipeline.stats())
}

#[test]
fn many_tables_are_set_in_well_under_a_second() {
    if !privileged() {
        return;
    }
    for (tables, is_chain) in [(60, false), (120, false), (240, true)] {
        let (time, stats) = set(Size::of(tables));
        println!("{tables} tables: {time:?}, {stats:?}");
        assert_eq!(stats.programs > 1, is_chain, "{tables} tables: {stats:?}");
        assert!(
            stats.verified < VERIFIER_LIMIT / 4,
            "{tables} tables: {stats:?}"
        );
        assert!(time < MOST_TIME, "{tables} tables: {time:?}");
    }
}

#[test]
fn parsers_of_many_states_are_cut_like_tables() {
    if !privileged() {
        return;
    }
    let many_headers = Size {
        headers: 800,
        ..Size::of(8)
    };
    let (time, stats) = set(many_headers);
    println!("{time:?}, {stats:?}");
    assert!(stats.programs > 1, "{stats:?}");
}

#[test]
fn big_pipelines_forward_like_the_interpreter() {
    if !privileged() {
        return;
    }
    let subjects = [30, 120, 240].map(|tables| Subject {
        name: format!("synthetic pipeline of {tables} tables"),
        program: program(Size::of(tables)),
    });
    let options = fuzz::Options {
        seed: 1,
        time: Duration::from_secs(120),
        rounds: 2,
        packets: 100,
        shrink: Duration::from_secs(20),
    };
    let report = fuzz::run(&subjects, options, &mut |line| println!("{line}"));
    print!("{}", report.table());
    assert!(report.is_clean(), "{}", report.table());
}
