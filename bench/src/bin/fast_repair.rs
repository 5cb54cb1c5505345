//! Cuts links of an ECMP path and of a failover next again and again, and says how long packets were lost. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use pointsman_bench::fast_repair::{Options, run};
use pointsman_bench::program;

/// From the event of a port that goes down to the last packet that is lost, with no controller alive
#[derive(Debug, Parser)]
#[command(name = "fast_repair", version)]
struct Args {
    /// The agent's program [default: pointsman-agent beside this one]
    #[arg(long)]
    agent: Option<PathBuf>,

    /// How often a link is cut, for each type of next
    #[arg(long, default_value_t = 200)]
    trials: u64,

    /// What the 99th percentile may be, in microseconds
    #[arg(long, default_value_t = 1000)]
    limit: u64,

    /// This process is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.inside {
        true => measure(args),
        false => program::in_a_namespace("repair"),
    }
}

#[tokio::main]
async fn measure(args: Args) -> Result<ExitCode> {
    let agent = program::agent(args.agent)?;
    let options = Options {
        agent,
        trials: args.trials,
    };
    let mut is_fast = true;
    for report in run(&options).await? {
        print!("{report}");
        let slowest = report.repair.value_at_quantile(0.99);
        let limit = Duration::from_micros(args.limit);
        println!("p99 {slowest} us, of {limit:?} at most\n");
        is_fast &= slowest <= args.limit;
    }
    Ok(match is_fast {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
