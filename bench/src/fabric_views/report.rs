//! What a run took, as a table.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use super::Options;

/// From a change to a controller's client, at the 99th percentile.
const BUDGET_US: u64 = 5_000;

/// Resident memory of a process, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// At the end.
    pub now_kib: u64,
    /// At most.
    pub peak_kib: u64,
}

impl Memory {
    pub(super) fn of(process: u32) -> Result<Memory> {
        let path = format!("/proc/{process}/status");
        let status = std::fs::read_to_string(&path).context(path)?;
        let line = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            number.with_context(|| key.to_owned())
        };
        Ok(Memory {
            now_kib: line("VmRSS:")?,
            peak_kib: line("VmHWM:")?,
        })
    }
}

/// What one controller knew, and when.
#[derive(Debug)]
pub struct View {
    /// Which one.
    pub controller: String,
    /// How old changes were when its client had read them, in microseconds.
    pub latency: Histogram<u64>,
    /// What it needed.
    pub memory: Memory,
}

/// How long it took until all was there.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Until each switch has a master that has a session with it.
    pub mastered: Duration,
    /// Until each controller knows all that the switches have.
    pub seen: Duration,
}

/// All of a run. That it exists says that all views were equal at the end, and that no change was missing or told twice.
#[derive(Debug)]
pub struct Report {
    /// What was asked for.
    pub options: Options,
    /// From nothing until all controllers have joined and serve, one after the other.
    pub served: Duration,
    /// From the request that adds the switches.
    pub added: Start,
    /// After all controllers were killed, from when they were started again.
    pub restarted: Start,
    /// Changes of the storm.
    pub changes: u64,
    /// How long it took to make them.
    pub took: Duration,
    /// Of each controller.
    pub views: Vec<View>,
}

impl Report {
    /// Is every controller within the budget?
    pub fn is_in_time(&self) -> bool {
        let mut views = self.views.iter();
        views.all(|view| view.latency.value_at_quantile(0.99) <= BUDGET_US)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options {
            controllers,
            switches,
            ports,
            ..
        } = self.options;
        writeln!(
            f,
            "{switches} switches of {ports} ports, {controllers} controllers"
        )?;
        let step = |f: &mut fmt::Formatter<'_>, what: &str, took: Duration| {
            writeln!(f, "  {what:<52} {:>8.3} s", took.as_secs_f64())
        };
        step(
            f,
            "controllers made, joined and serving, one by one",
            self.served,
        )?;
        step(
            f,
            "switches added, each with its master",
            self.added.mastered,
        )?;
        step(
            f,
            "switches added, seen by each controller",
            self.added.seen,
        )?;
        step(
            f,
            "all killed and started again, mastered",
            self.restarted.mastered,
        )?;
        step(f, "all killed and started again, seen", self.restarted.seen)?;
        let rate = self.changes as f64 / self.took.as_secs_f64();
        writeln!(
            f,
            "\n{} changes at {rate:.0}/s, from the switch to a client of each controller; all views equal at the end",
            self.changes
        )?;
        writeln!(
            f,
            "  {:<10} {:>10} {:>10} {:>10} {:>12} {:>12}",
            "controller", "p50 ms", "p99 ms", "max ms", "memory MiB", "at most MiB"
        )?;
        for view in &self.views {
            let ms = |us: u64| us as f64 / 1000.0;
            let mib = |kib: u64| kib as f64 / 1024.0;
            writeln!(
                f,
                "  {:<10} {:>10.2} {:>10.2} {:>10.2} {:>12.1} {:>12.1}",
                view.controller,
                ms(view.latency.value_at_quantile(0.5)),
                ms(view.latency.value_at_quantile(0.99)),
                ms(view.latency.max()),
                mib(view.memory.now_kib),
                mib(view.memory.peak_kib),
            )?;
        }
        let budget = BUDGET_US as f64 / 1000.0;
        let verdict = if self.is_in_time() { "kept" } else { "missed" };
        writeln!(f, "  budget: {budget} ms at the 99th percentile: {verdict}")
    }
}
