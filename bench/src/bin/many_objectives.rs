//! Applies a hundred thousand objectives at once and says how long each step took. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use pointsman_bench::many_objectives::{Options, run};
use pointsman_bench::program;

/// From a file of very many objectives to a switch that has acknowledged them, and what changes cost after that
#[derive(Debug, Parser)]
#[command(name = "many_objectives", version)]
struct Args {
    /// Where pointsman-agent, pointsman-controller and pointsman are [default: beside this program]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,

    /// What the agent forwards with: xdp or interpreter
    #[arg(long, default_value = "xdp")]
    target: String,

    /// How many routes there are
    #[arg(long, default_value_t = 100_000)]
    routes: usize,

    /// This process is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.inside {
        true => measure(args),
        false => program::in_a_namespace("many"),
    }
}

#[tokio::main]
async fn measure(args: Args) -> Result<ExitCode> {
    let beside = |name: &str| {
        let given = args.programs.as_ref().map(|programs| programs.join(name));
        program::named(name, given)
    };
    let options = Options {
        agent: beside("pointsman-agent")?,
        controller: beside("pointsman-controller")?,
        command: beside("pointsman")?,
        target: args.target.clone(),
        routes: args.routes,
    };
    print!("{}", run(&options).await?);
    Ok(ExitCode::SUCCESS)
}
