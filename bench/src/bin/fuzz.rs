//! Random entries and packets through programs in the kernel and the reference interpreter, until they differ.
//!
//! ```text
//! cargo run --release -p pointsman-bench --bin fuzz -- ../shared/vectors ../shared/pipelines p4/programs --minutes 60
//! ```
//! Prints the seed of every round; a difference is made small, printed as a case and, with `--cases`, written
//! down. Exits with 0 only if nothing differed. Needs root.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use pointsman_bench::conformance::{Target, find};
use pointsman_bench::fuzz::damage::{damage, survive};
use pointsman_bench::fuzz::{CaseFile, Options, Outcome, Pair, Random, Report, Subject, run};
use pointsman_p4::bmv2;

/// Fuzz programs in the kernel against the reference interpreter.
#[derive(Debug, Parser)]
#[command(name = "fuzz")]
struct Arguments {
    /// Directories with bmv2.json and p4info.txtpb, or of such directories.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The seed of the first round; the next rounds count up from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// When to stop.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// The most rounds of a program.
    #[arg(long, default_value_t = u64::MAX)]
    rounds: u64,
    /// Packets of a round.
    #[arg(long, default_value_t = 250)]
    packets: usize,
    /// Only programs whose path contains this.
    #[arg(long)]
    program: Option<String>,
    /// How long a difference may be made smaller.
    #[arg(long, default_value_t = 60)]
    shrink_seconds: u64,
    /// Write a file for each difference into this directory.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Do the steps of this file on the one program instead, and print them with what leaves the interpreter.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Damage the programs instead: reading, compiling and running them must give an error or nothing.
    #[arg(long)]
    damaged: bool,
    /// Write the report to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.damaged {
        // What panics is said with its seed.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
        return damaged(&arguments);
    }
    Target::Xdp.check()?;
    let subjects = subjects(&arguments)?;
    anyhow::ensure!(!subjects.is_empty(), "there is no such program");
    if let Some(path) = &arguments.replay {
        return replay(&subjects, path);
    }
    let options = Options {
        seed: arguments.seed,
        time: Duration::from_secs_f64(arguments.minutes * 60.0),
        rounds: arguments.rounds,
        packets: arguments.packets,
        shrink: Duration::from_secs(arguments.shrink_seconds),
    };
    // Panics are differences; their place is worth a line, their backtrace is not.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let report = run(&subjects, options, &mut |line| eprintln!("{line}"));
    print!("{}", report.table());
    if let Some(directory) = &arguments.cases {
        write_cases(&report, directory)?;
    }
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

fn replay(subjects: &[Subject], path: &Path) -> anyhow::Result<ExitCode> {
    let [subject] = subjects else {
        anyhow::bail!("a case belongs to one program; choose it with --program");
    };
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let case: CaseFile = serde_json::from_slice(&text)?;
    let script = case.script(&subject.program)?;
    let recorded = CaseFile::record(case.about, &subject.program, &script);
    print!("{}", recorded.to_json());
    match Pair::run(&subject.program, &script) {
        Ok(_) => {
            println!("{}: agreed", subject.name);
            Ok(ExitCode::SUCCESS)
        }
        Err(difference) => {
            println!("{}: {difference}", subject.name);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Each program once, though it may have several directories of packets.
fn programs(arguments: &Arguments) -> anyhow::Result<Vec<PathBuf>> {
    let mut programs = BTreeSet::new();
    for directory in &arguments.directories {
        let directory = directory
            .canonicalize()
            .with_context(|| format!("cannot find {}", directory.display()))?;
        programs.extend(find(&directory)?.into_iter().map(|suite| suite.program));
    }
    let is_wanted = |path: &PathBuf| {
        let path = path.display().to_string();
        arguments.program.as_ref().is_none_or(|p| path.contains(p))
    };
    Ok(programs.into_iter().filter(is_wanted).collect())
}

fn subjects(arguments: &Arguments) -> anyhow::Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for path in programs(arguments)? {
        match bmv2::read(text(&path, "bmv2.json")?) {
            Ok(program) => subjects.push(Subject {
                name: short(&path),
                program: program.into(),
            }),
            Err(error) => println!("{}: not read: {error}", short(&path)),
        }
    }
    Ok(subjects)
}

fn text(program: &Path, file: &str) -> anyhow::Result<String> {
    let path = program.join(file);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Damages one program after the other until the time is up.
fn damaged(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (start, mut seed, mut failed) = (Instant::now(), arguments.seed, 0);
    let mut fates = [0; 3];
    let programs = programs(arguments)?;
    let mut texts = Vec::new();
    for path in &programs {
        texts.push((text(path, "bmv2.json")?, text(path, "p4info.txtpb")?));
    }
    'time: for round in 0..arguments.rounds {
        seed = arguments.seed.wrapping_add(round);
        for (path, (json, p4info)) in programs.iter().zip(&texts) {
            if start.elapsed().as_secs_f64() > arguments.minutes * 60.0 {
                break 'time;
            }
            let mut random = Random::named(seed, &short(path));
            let (json, p4info) = damage(json, p4info, &mut random);
            match survive(&json, &p4info, &mut random) {
                Ok(fate) => fates[fate as usize] += 1,
                Err(error) => {
                    failed += 1;
                    println!("{}, seed {seed}: {error}", short(path));
                    if let Some(directory) = &arguments.cases {
                        std::fs::create_dir_all(directory)?;
                        let name = short(path).replace('/', "_");
                        std::fs::write(directory.join(format!("{name}-{seed}.json")), &json)?;
                    }
                }
            }
        }
    }
    let [not_read, refused, compiled] = fates;
    println!(
        "seeds {} to {seed}: {not_read} not read, {refused} read and refused, {compiled} compiled, {failed} failed",
        arguments.seed
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The last two parts of a path.
fn short(path: &Path) -> String {
    let parts: Vec<_> = path.components().rev().take(2).collect();
    let parts: PathBuf = parts.into_iter().rev().collect();
    parts.display().to_string()
}

fn write_cases(report: &Report, directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    for program in &report.programs {
        if let Outcome::Differed(found) = &program.outcome {
            let name = program.program.replace('/', "_");
            let path = directory.join(format!("{name}-{}.json", found.seed));
            std::fs::write(&path, &found.case)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}
