//! Runs recorded packets through a data plane and says where it differs from BMv2.
//!
//! ```text
//! cargo run -p pointsman-bench --bin stf -- ../shared/vectors --target xdp
//! ```
//! Exits with 0 only if nothing failed. The XDP target needs root, the interpreter nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use pointsman_bench::conformance::{Report, Target, find, run};

/// Run STF files and golden packets of P4 programs, and compare with what BMv2 sends.
#[derive(Debug, Parser)]
#[command(name = "stf")]
struct Arguments {
    /// Directories with bmv2.json, p4info.txtpb and test.stf or golden*.jsonl, or of such directories.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The data plane.
    #[arg(long, value_enum, default_value_t = Target::Xdp)]
    target: Target,
    /// Write the report to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show every failure and every reason for a refusal, and whole packets.
    #[arg(long, short)]
    verbose: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    arguments.target.check()?;
    let mut files = Vec::new();
    for directory in &arguments.directories {
        let directory = directory
            .canonicalize()
            .with_context(|| format!("cannot find {}", directory.display()))?;
        for suite in find(&directory)? {
            files.extend(run(&suite, arguments.target));
        }
    }
    let report = Report::new(arguments.target, files);
    print!("{}", report.table(arguments.verbose));
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
