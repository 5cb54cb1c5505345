//! Does random things to objectives, switches and clients, and holds what is there to a model. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Parser;
use pointsman_bench::program;
use pointsman_bench::sequences::{Options, run};

/// Random sequences of changes, restarts, port flaps and foreign writes, against a model
#[derive(Debug, Parser)]
#[command(name = "sequences", version)]
struct Args {
    /// The agent's program [default: pointsman-agent beside this one]
    #[arg(long)]
    agent: Option<PathBuf>,

    /// xdp or interpreter
    #[arg(long, default_value = "xdp")]
    target: String,

    /// How long
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,

    /// What everything is drawn from [default: the time]
    #[arg(long)]
    seed: Option<u64>,

    /// Say each step
    #[arg(long)]
    verbose: bool,

    /// This process is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.inside {
        true => measure(args),
        false => program::in_a_namespace("sequences"),
    }
}

fn measure(args: Args) -> Result<ExitCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = args.seed.unwrap_or(now.map_or(1, |now| now.as_secs()));
    println!("--target {} --seed {seed}", args.target);
    let options = Options {
        agent: program::agent(args.agent)?,
        target: args.target,
        time: Duration::from_secs_f64(args.minutes * 60.0),
        seed,
        verbose: args.verbose,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(run(&options))?;
    println!("{report}");
    Ok(ExitCode::SUCCESS)
}
