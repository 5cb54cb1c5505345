//! What the measuring programs need of the machine: the agent, and a network namespace of their own.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

/// The agent's program: the one that is given, or the one beside this program.
///
/// # Errors
/// If there is none.
pub fn agent(given: Option<PathBuf>) -> Result<PathBuf> {
    named("pointsman-agent", given)
}

/// A program of that name: the one that is given, or the one beside this program.
///
/// # Errors
/// If there is none.
pub fn named(name: &str, given: Option<PathBuf>) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name(name);
    let program = given.unwrap_or(beside);
    program
        .canonicalize()
        .with_context(|| format!("{}: build {name} first", program.display()))
}

/// Runs this program again, with `--inside`, in a new network namespace, which goes with all that is in it.
///
/// # Errors
/// If there can be no namespace.
pub fn in_a_namespace(prefix: &str) -> Result<ExitCode> {
    let namespace = format!("{prefix}-{}", std::process::id());
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
