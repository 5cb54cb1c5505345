//! Holds a P4Runtime server to the specification, requirement by requirement.
//!
//! It becomes primary of the default role and sets pipelines of its own: what the server held before
//! is lost.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use pointsman_bench::p4rt::chapters::CHAPTERS;
use pointsman_bench::p4rt::known::Known;
use pointsman_bench::p4rt::run::run;
use pointsman_bench::p4rt::test::Server;

/// Holds a P4Runtime server to the specification; what it held before is lost
#[derive(Parser)]
struct Args {
    /// Where the server listens
    #[arg(default_value = "127.0.0.1:9559", value_name = "ADDRESS:PORT")]
    address: String,
    /// The device
    #[arg(long, default_value_t = 1)]
    device_id: u64,
    /// A port that the device has
    #[arg(long, default_value_t = 1)]
    port: u32,
    /// Election ids are above this one [default: the time in microseconds]
    #[arg(long)]
    election_base: Option<u64>,
    /// Only requirements whose name contains this
    #[arg(long, default_value = "")]
    filter: String,
    /// Requirements that this server is known not to meet, one a line, with `# reason`
    #[arg(long, value_name = "FILE")]
    known_failing: Option<PathBuf>,
    /// Seconds to wait for what should come
    #[arg(long, default_value_t = 3.0)]
    patience: f64,
    /// Write the findings there, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the requirements and ask nobody
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        list();
        return ExitCode::SUCCESS;
    }
    match ask(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("p4rt_conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn list() {
    for chapter in CHAPTERS {
        for requirement in chapter.requirements {
            let (id, section) = (chapter.id(requirement), requirement.section);
            println!(
                "{id:<58} {:<7} {:<6} {}",
                section.number, requirement.level, requirement.statement
            );
        }
    }
}

fn ask(args: Args) -> Result<bool> {
    let known = match &args.known_failing {
        Some(path) => Known::read(path)?,
        None => Known::default(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let base = match args.election_base {
        Some(base) => base,
        None => u64::try_from(now.as_micros())?,
    };
    let server = Arc::new(Server {
        address: args.address,
        device_id: args.device_id,
        port: args.port,
        patience: Duration::from_secs_f64(args.patience),
        election_id: AtomicU64::new(base),
    });
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let report = runtime.block_on(run(server, &args.filter, &known));
    print!("{}", report.table());
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(report.is_clean())
}
