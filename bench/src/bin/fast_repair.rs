//! Cuts links of an ECMP path and of a failover next again and again, and says how long packets were lost. Needs root.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use pointsman_bench::fast_repair::{Options, run};

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
        false => in_a_namespace(),
    }
}

/// Runs itself in a new network namespace, which goes with all that is in it.
fn in_a_namespace() -> Result<ExitCode> {
    let namespace = format!("repair-{}", std::process::id());
    let netns = |arguments: &[&str]| {
        let made = Command::new("ip").arg("netns").args(arguments).output();
        let made = made.context("ip netns")?;
        let error = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "ip netns {arguments:?}: {error}");
        Ok(String::from_utf8_lossy(&made.stdout).into_owned())
    };
    netns(&["add", &namespace])?;
    let measured = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .status();
    // An agent that was left behind by a measurement that was interrupted.
    for process in netns(&["pids", &namespace])?.split_whitespace() {
        drop(Command::new("kill").arg(process).status());
    }
    netns(&["del", &namespace])?;
    Ok(match measured.context("nsenter")?.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

#[tokio::main]
async fn measure(args: Args) -> Result<ExitCode> {
    let beside = std::env::current_exe()?.with_file_name("pointsman-agent");
    let agent = args.agent.unwrap_or(beside);
    let agent = agent
        .canonicalize()
        .with_context(|| format!("{}: build the agent first", agent.display()))?;
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
