//! Lookups of random destinations among a million routes, beside the kernel's own longest prefix
//! match trie (`BPF_MAP_TYPE_LPM_TRIE`) holding the same routes.
//!
//! Both readers run in the kernel as XDP programs (`BPF_PROG_TEST_RUN`) on the same destinations, in
//! turns, and both look at what the route says; a program that only reads the destinations is
//! measured beside them and taken off. Answers are compared first. Needs root:
//! `cargo bench -p pointsman-bench --bench lookups`.

mod kernel;
mod ours;
mod probe;
mod routes;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use pointsman_ebpf::sys::{Map, MapKind};
use pointsman_p4::ir::Program;
use pointsman_p4::vectors::Case;

use kernel::Kernel;
use ours::Ours;
use probe::{Destinations, Probe};
use routes::{Family, Routes};

/// Lookups of one measurement, and how many measurements there are of each.
const BATCH: u32 = 1 << 20;
const ROUNDS: usize = 7;
/// Answers that are compared first.
const COMPARED: usize = 20_000;
/// Different next hops.
const NEXT_HOPS: u32 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let program = leaf_spine()?;
    if let Err(error) = Map::create(MapKind::Shared, "probe", 64, 1) {
        println!("skipped: {error}");
        return Ok(());
    }
    for (family, count, table) in [
        (Family::V4, 1_000_000, "routing_v4"),
        (Family::V6, 200_000, "routing_v6"),
    ] {
        compare(&program, family, count, table)?;
    }
    Ok(())
}

fn leaf_spine() -> Result<Program, Box<dyn Error>> {
    let case =
        Case::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/programs/leaf_spine"))?;
    Ok(Program::clone(&case.pipeline.program))
}

/// Fills both tries with the same routes, and prints how they compare.
fn compare(
    program: &Program,
    family: Family,
    count: usize,
    table: &str,
) -> Result<(), Box<dyn Error>> {
    let routes = Routes::random(family, count, NEXT_HOPS);
    let ours = Ours::new(program, table, &routes)?;
    let kernel = Kernel::new(family, &routes)?;
    println!(
        "{family}, {count} routes\n  inserts a second: {:.2} M, kernel {:.2} M; {} MiB of tables made in {:?}",
        rate(count, ours.filled_in),
        rate(count, kernel.filled_in),
        ours.bytes >> 20,
        ours.made_in,
    );
    for (what, words) in [
        ("within routes", routes.destinations_within()),
        ("anywhere", routes.destinations_anywhere()),
    ] {
        let destinations = Destinations::new(&words, family.words())?;
        let probes = [
            Probe::new(&destinations, |_| ())?,
            Probe::new(&destinations, |asm| ours.emit(asm))?,
            Probe::new(&destinations, |asm| kernel.emit(asm))?,
        ];
        probe::agree([&probes[1], &probes[2]], COMPARED)?;
        let [empty, ours, kernel] = probe::medians(&probes, BATCH, ROUNDS)?;
        let (ours, kernel) = (ours - empty, kernel - empty);
        println!(
            "  {what}: {ours:.1} ns a lookup, kernel {kernel:.1} ns: {:.1} times as fast",
            kernel / ours
        );
    }
    Ok(())
}

/// Millions a second.
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64() / 1e6
}
