//! Measures packets to and from those who decide about them. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use pointsman_bench::packet_io::{Options, run};
use pointsman_bench::program;

/// Packets to a consumer in the agent, round trips by a client, and entries for first packets
#[derive(Debug, Parser)]
#[command(name = "packet_io", version)]
struct Args {
    /// The agent's program [default: pointsman-agent beside this one]
    #[arg(long)]
    agent: Option<PathBuf>,

    /// Pairs of phases of an empty loop and of a consumer
    #[arg(long, default_value_t = 10)]
    rounds: u32,

    /// How long a phase is, in milliseconds
    #[arg(long, default_value_t = 500)]
    phase: u64,

    /// Packets that go to a client and back
    #[arg(long, default_value_t = 20_000)]
    trips: u32,

    /// Entries that are made for first packets
    #[arg(long, default_value_t = 8000)]
    entries: u32,

    /// What the consumer has to get of what the empty loop drains
    #[arg(long, default_value_t = 0.5)]
    share: f64,

    /// This process is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.inside {
        true => measure(args),
        false => program::in_a_namespace("packets"),
    }
}

fn measure(args: Args) -> Result<ExitCode> {
    let agent = program::agent(args.agent)?;
    let report = run(&Options {
        agent,
        rounds: args.rounds,
        phase: Duration::from_millis(args.phase),
        trips: args.trips,
        entries: args.entries,
    })?;
    print!("{report}");
    let (share, least) = (report.share(), args.share);
    println!("the consumer gets {share:.2} of what the empty loop drains, of {least} at least");
    Ok(match share >= least {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
