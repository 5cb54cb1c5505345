//! Kills, cuts off and shuts down controllers, and says how long switches were without one. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use pointsman_bench::fail_over::{Fault, Options, run};
use pointsman_bench::program;

/// From the end of a master to the first acknowledged write of the next, under a stream of applies and of packets
#[derive(Debug, Parser)]
#[command(name = "fail_over", version)]
struct Args {
    /// Where pointsman-agent and pointsman-controller are [default: beside this program]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,

    /// Controllers
    #[arg(long, default_value_t = 3)]
    nodes: usize,

    /// Switches without data plane, beside one with XDP
    #[arg(long, default_value_t = 6)]
    switches: u64,

    /// How often a master is killed, how often cut off, and how often shut down
    #[arg(long, default_value_t = 50)]
    trials: usize,

    /// What is done to masters [default: one after the other]
    #[arg(long = "fault", value_enum, value_name = "FAULT")]
    faults: Vec<Fault>,

    /// This process is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.inside {
        true => measure(args),
        false => program::in_a_namespace("fail-over"),
    }
}

#[tokio::main]
async fn measure(args: Args) -> Result<ExitCode> {
    let beside = |name: &str| {
        let given = args.programs.as_ref().map(|programs| programs.join(name));
        program::named(name, given)
    };
    let options = Options {
        controller: beside("pointsman-controller")?,
        agent: beside("pointsman-agent")?,
        nodes: args.nodes,
        switches: args.switches,
        trials: args.trials,
        faults: match args.faults.is_empty() {
            true => Fault::ALL.to_vec(),
            false => args.faults,
        },
    };
    let report = run(&options).await?;
    println!("{report}");
    Ok(match report.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
