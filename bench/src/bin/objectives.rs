//! Measures objectives from a client to switches that have acknowledged them. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use pointsman_bench::objectives::{Options, run, stages};
use pointsman_bench::program;

/// Objectives acknowledged end to end a second, and the latency of one, with several controllers and with one
#[derive(Debug, Parser)]
#[command(name = "objectives", version)]
struct Args {
    /// Where pointsman-controller is [default: beside this program]
    #[arg(long, value_name = "FILE")]
    controller: Option<PathBuf>,

    /// Controllers that replicate
    #[arg(long, default_value_t = 3)]
    nodes: usize,

    /// Switches
    #[arg(long, default_value_t = 8)]
    switches: u64,

    /// Objectives in a request
    #[arg(long, default_value_t = 5000)]
    batch: usize,

    /// Requests at a time
    #[arg(long, default_value_t = 4)]
    clients: usize,

    /// Objectives of a round
    #[arg(long, default_value_t = 200_000)]
    objectives: usize,

    /// Requests of one objective
    #[arg(long, default_value_t = 1000)]
    singles: usize,

    /// Rounds with one controller and with several
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Only say what the steps of the way cost
    #[arg(long)]
    stages: bool,

    /// This process is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.stages {
        print!("{}", stages::run(50_000)?);
        return Ok(ExitCode::SUCCESS);
    }
    match args.inside {
        true => measure(args),
        false => program::in_a_namespace("objectives"),
    }
}

#[tokio::main]
async fn measure(args: Args) -> Result<ExitCode> {
    let options = Options {
        controller: program::named("pointsman-controller", args.controller)?,
        nodes: args.nodes,
        switches: args.switches,
        batch: args.batch,
        clients: args.clients,
        objectives: args.objectives,
        singles: args.singles,
        rounds: args.rounds,
    };
    print!("{}", run(&options).await?);
    Ok(ExitCode::SUCCESS)
}
