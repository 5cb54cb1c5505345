//! What a run took: time by step, and memory of the servers.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// One step and how long it took.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done.
    pub what: &'static str,
    /// In how much time.
    pub took: Duration,
}

impl Step {
    pub(super) fn timed(what: &'static str, started: Instant) -> Step {
        Step::between(what, started, Instant::now())
    }

    pub(super) fn between(what: &'static str, from: Instant, to: Instant) -> Step {
        let took = to.saturating_duration_since(from);
        Step { what, took }
    }
}

/// Resident memory of a server.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Which server.
    pub server: &'static str,
    /// KiB while it holds all objectives.
    pub now_kib: u64,
    /// KiB at most.
    pub peak_kib: u64,
}

impl Memory {
    pub(super) fn of(server: &'static str, process: u32) -> Result<Memory> {
        let path = format!("/proc/{process}/status");
        let status = std::fs::read_to_string(&path).context(path)?;
        let line = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            number.with_context(|| format!("{key} of the {server}"))
        };
        Ok(Memory {
            server,
            now_kib: line("VmRSS:")?,
            peak_kib: line("VmHWM:")?,
        })
    }
}

/// All of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// How many objectives there were.
    pub objectives: usize,
    /// In the order in which they were done.
    pub steps: Vec<Step>,
    /// Of agent and controller, after the first apply.
    pub memory: Vec<Memory>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} objectives in one apply", self.objectives)?;
        for Step { what, took } in &self.steps {
            writeln!(f, "  {what:<42} {:>8.2} s", took.as_secs_f64())?;
        }
        for memory in &self.memory {
            let mib = |kib: u64| kib / 1024;
            let (now, peak) = (mib(memory.now_kib), mib(memory.peak_kib));
            let what = format!("memory of the {}", memory.server);
            writeln!(f, "  {what:<42} {now:>5} MiB, {peak} at most")?;
        }
        Ok(())
    }
}
