//! Changes ports, links and hosts of many switches, and says how soon each controller knows. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use pointsman_bench::fabric_views::{Options, run};
use pointsman_bench::program;

/// How soon, and with how much memory, controllers know what happens on a large fabric
#[derive(Debug, Parser)]
#[command(name = "fabric_views", version)]
struct Args {
    /// The controller's program [default: pointsman-controller beside this one]
    #[arg(long)]
    controller: Option<PathBuf>,

    /// How many controllers
    #[arg(long, default_value_t = 3)]
    controllers: usize,

    /// How many switches
    #[arg(long, default_value_t = 50)]
    switches: u64,

    /// How many ports each has
    #[arg(long, default_value_t = 100)]
    ports: u32,

    /// Changes a second, of all switches together
    #[arg(long, default_value_t = 1000)]
    rate: u32,

    /// For so many seconds
    #[arg(long, default_value_t = 30)]
    seconds: u32,

    /// This process is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.inside {
        true => measure(args),
        false => program::in_a_namespace("views"),
    }
}

#[tokio::main]
async fn measure(args: Args) -> Result<ExitCode> {
    let options = Options {
        controller: program::named("pointsman-controller", args.controller)?,
        controllers: args.controllers,
        switches: args.switches,
        ports: args.ports,
        rate: args.rate,
        seconds: args.seconds,
    };
    print!("{}", run(&options).await?);
    Ok(ExitCode::SUCCESS)
}
