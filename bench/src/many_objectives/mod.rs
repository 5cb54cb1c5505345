//! A hundred thousand objectives in one apply, as an operator sees it: one controller, one agent, the `pointsman` command.
//!
//! ```text
//!   YAML file ── pointsman apply ──► controller ── SyncObjectives ──► agent ──► data plane
//!                                       ▲                               ▲
//!                                       └──────── a watcher asks both ──┘  when committed, when acknowledged, what was written
//! ```
//!
//! [`run`] applies the file, applies it again, changes one line, and deletes everything, and holds each step to what it
//! may write. It knows the servers by their addresses only. Called by the program of the same name and its test.

mod bed;
mod file;
mod report;
mod watch;

pub use report::{Memory, Report, Step};

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};

use bed::Bed;
use watch::Written;

/// The programs, and how much of what.
#[derive(Debug, Clone)]
pub struct Options {
    /// `pointsman-agent`.
    pub agent: PathBuf,
    /// `pointsman-controller`.
    pub controller: PathBuf,
    /// `pointsman`.
    pub command: PathBuf,
    /// What the agent forwards with.
    pub target: String,
    /// How many routes; nexts come on top.
    pub routes: usize,
}

/// Measures, in the network namespace that this process is in.
///
/// # Errors
/// A program that fails, an objective that is not applied, or a step that writes more than it may.
pub async fn run(options: &Options) -> Result<Report> {
    let bed = Bed::new(options).await?;
    let all = file::NEXTS + options.routes;
    let path = bed.write(&file::text(options.routes, None))?;
    let mut steps = Vec::new();

    let started = Instant::now();
    bed.pointsman(&["check", "--file", &path, "--pipeline", "leaf_spine"])?;
    steps.push(Step::timed(
        "checked against the pipeline, no server",
        started,
    ));

    let before = bed.written().await?;
    let started = Instant::now();
    bed.pointsman(&["apply", "--dry-run", "--file", &path])?;
    steps.push(Step::timed("checked by controller and switch", started));
    expect_written(
        before,
        bed.written().await?,
        &Written::default(),
        "a dry run",
    )?;

    steps.extend(bed.apply_watched(&path, all).await?);
    let after = bed.written().await?;
    ensure!(
        after.updates - before.updates >= all as u64,
        "{all} objectives made {} updates",
        after.updates - before.updates
    );
    let memory = bed.memory()?;

    let started = Instant::now();
    bed.apply(&path)?;
    steps.push(Step::timed("applied again, nothing to do", started));
    let again = bed.written().await?;
    expect_written(after, again, &Written::default(), "the same file again")?;

    let path = bed.write(&file::text(options.routes, Some(options.routes / 2)))?;
    let started = Instant::now();
    bed.apply(&path)?;
    steps.push(Step::timed("applied with one line changed", started));
    let one = Written {
        updates: 1,
        revisions: 1,
        // The change, and that the switch has acknowledged it.
        log_entries: 2,
    };
    expect_written(again, bed.written().await?, &one, "one changed line")?;

    let started = Instant::now();
    bed.pointsman(&["delete", "--wait", "600", "--file", &path])?;
    steps.push(Step::timed("deleted, and acknowledged", started));
    Ok(Report {
        objectives: all,
        steps,
        memory,
    })
}

fn expect_written(before: Written, after: Written, expected: &Written, what: &str) -> Result<()> {
    let written = after.since(&before);
    ensure!(
        written == *expected,
        "{what} wrote {written:?}, and may write {expected:?}"
    );
    Ok(())
}
