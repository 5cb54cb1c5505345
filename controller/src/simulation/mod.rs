//! A simulation of whole clusters under faults, in one thread and in simulated time: the same seed gives the same run.
//!
//! What is real: the replicated state, the liveness, the decisions about sessions, the synchronisation with a device and
//! the handing on of devices, all of them pure. What is simulated: the log that Raft would give (`consensus`), the
//! network, the switches with their fencing (`agent`), and what the shells around the cores do (`process`). `faults`
//! kills, cuts, pauses and moves clocks; `checks` says what must hold.
//!
//! A run that fails prints its seed. `SIMULATION_SEED=7 cargo test -p pointsman-controller simulation` runs one again;
//! `SIMULATION_SEEDS=1000` runs more of them than usual.

mod agent;
mod checks;
mod consensus;
mod faults;
mod network;
mod process;
mod rng;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use world::World;

/// How many seeds are tried.
const SEEDS: u64 = 40;
/// How long things break.
const FAULTS: Duration = Duration::from_secs(12);
/// How long a cluster in which nothing breaks any more may take until all is well. Retries are up to four seconds apart.
const RECOVERY: Duration = Duration::from_secs(20);

/// Runs a cluster of the seed through its faults, and until all is well.
fn run(seed: u64) -> World {
    let nodes = [3, 3, 5, 1, 4][(seed % 5) as usize];
    let mut world = World::new(seed, nodes, 4 + (seed % 3) as usize, FAULTS);
    while !world.time_with_faults().is_zero() {
        world.step();
    }
    let deadline = world.now + RECOVERY;
    let mut look_at = world.now + Duration::from_secs(1);
    loop {
        world.step();
        if world.now < look_at {
            continue;
        }
        let Some(unsettled) = world.unsettled() else {
            return world;
        };
        assert!(world.now < deadline, "in the end, {unsettled}");
        look_at = world.now + Duration::from_millis(100);
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("a seed or their count is a number"))
}

#[test]
fn whatever_breaks_no_two_are_master_and_in_the_end_switches_hold_what_was_acknowledged() {
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_SEEDS").unwrap_or(SEEDS),
    };
    let mut assignments = 0;
    for seed in seeds.clone() {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(world) => assignments += world.checks.assignments,
            Err(panic) => {
                eprintln!("the run of SIMULATION_SEED={seed} failed");
                resume_unwind(panic);
            }
        }
    }
    let runs = (seeds.end - seeds.start) as usize;
    assert!(
        assignments > runs * 10,
        "only {assignments} assignments in {runs} runs"
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let [one, other] = [run(3), run(3)];
    assert_eq!(one.now, other.now);
    assert_eq!(one.consensus.entries, other.consensus.entries);
}
