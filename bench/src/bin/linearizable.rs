//! Makes trouble for controllers, and holds what their clients saw to what is promised. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use pointsman_bench::linearizable::{Options, run};
use pointsman_bench::{controllers, program};

/// Linearizability of the key-value store and of mastership under kills, partitions and clocks that jump
#[derive(Debug, Parser)]
#[command(name = "linearizable", version)]
struct Args {
    /// pointsman-controller [default: beside this program]
    #[arg(long, value_name = "PROGRAM")]
    controller: Option<PathBuf>,

    /// Controllers
    #[arg(long, default_value_t = 3)]
    nodes: usize,

    /// Switches to be master of
    #[arg(long, default_value_t = 6)]
    switches: u64,

    /// How long there is trouble
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,

    /// What operations and trouble are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// This process is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.inside {
        true => trouble(args),
        false => program::in_a_namespace("linearizable"),
    }
}

#[tokio::main]
async fn trouble(args: Args) -> Result<ExitCode> {
    let options = Options {
        controller: program::named("pointsman-controller", args.controller)?,
        nodes: args.nodes,
        switches: args.switches,
        duration: Duration::from_secs_f64(args.minutes * 60.0),
        seed: args.seed,
    };
    if controllers::clock_library().is_none() {
        println!("clocks cannot be set: there is no libfaketime");
    }
    let report = run(&options).await?;
    println!("{report}\nseed      {}", args.seed);
    Ok(match report.violations().is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
