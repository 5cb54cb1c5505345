//! Kills an agent again and again, under traffic and writes, and says what was lost: nothing. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use pointsman_bench::program;
use pointsman_bench::warm_restart::{Options, run};

/// Random `kill -9` of an agent on XDP, under traffic and writes
#[derive(Debug, Parser)]
#[command(name = "warm_restart", version)]
struct Args {
    /// The agent's program [default: pointsman-agent beside this one]
    #[arg(long)]
    agent: Option<PathBuf>,

    /// How often it is killed
    #[arg(long, default_value_t = 200)]
    kills: u64,

    /// How long it lives at most, from its start or from when it serves, in milliseconds
    #[arg(long, default_value_t = 400)]
    longest_life: u64,

    /// What times and entries are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let agent = program::agent(args.agent)?;
    let options = Options {
        agent,
        kills: args.kills,
        longest_life: Duration::from_millis(args.longest_life),
        seed: args.seed,
    };
    let report = tokio::select! {
        report = run(&options) => report?,
        // What was made for the run is taken down.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    println!("{report}");
    Ok(match report.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
