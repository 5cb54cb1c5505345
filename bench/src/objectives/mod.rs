//! How many objectives a cluster of controllers has acknowledged by switches, end to end, and how long one takes.
//!
//! ```text
//!   client ── Apply, and wait ──► controllers ── SyncObjectives ──► switches in memory
//!      ▲                             │    ▲                             │
//!      └────── acknowledged ─────────┘    └──────── acknowledged ───────┘
//! ```
//!
//! The same is asked of one controller, which replicates nothing, and of several, round after round in one run: what
//! replication costs is the ratio. Controllers are processes as operators run them; switches and clients are in this
//! process and share the machine with them. [`stages`] says what an objective costs the controller step by step.
//!
//! Called by the program of the same name and its test.

mod load;
mod made;
mod report;
pub mod stages;

pub use report::{Batched, Report, Round, Single};

use std::path::PathBuf;

use anyhow::Result;

use crate::controllers::{Cluster, Network};
use crate::switches::Switch;
use load::Load;

/// The program, and how much of what.
#[derive(Debug, Clone)]
pub struct Options {
    /// `pointsman-controller`.
    pub controller: PathBuf,
    /// How many controllers there are beside the one that is alone.
    pub nodes: usize,
    /// Switches.
    pub switches: u64,
    /// Objectives in a request.
    pub batch: usize,
    /// Requests that are on their way at a time.
    pub clients: usize,
    /// Objectives of a round.
    pub objectives: usize,
    /// Requests of one objective, one after the other.
    pub singles: usize,
    /// How often each cluster is measured.
    pub rounds: usize,
}

/// Measures, in the network namespace that this process is in.
///
/// # Errors
/// A controller that fails, or an objective that is not applied.
pub async fn run(options: &Options) -> Result<Report> {
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        for nodes in [1, options.nodes] {
            rounds.push(round(options, nodes).await?);
        }
    }
    Ok(Report { rounds })
}

async fn round(options: &Options, nodes: usize) -> Result<Round> {
    let switches = Switch::start_many(options.switches, 4).await?;
    let cluster = Cluster::start(&options.controller, nodes, Network::Loopback).await?;
    let measured = measure(options, &cluster, &switches).await;
    let logs = cluster.logs();
    drop(cluster);
    for switch in switches {
        switch.stop().await;
    }
    measured.map_err(|error| error.context(logs))
}

async fn measure(options: &Options, cluster: &Cluster, switches: &[Switch]) -> Result<Round> {
    cluster
        .add_devices(switches.iter().map(Switch::spec))
        .await?;
    let load = Load::new(cluster, switches).await?;
    load.prepare().await?;
    // Before there is much to hold, as in a fabric at rest.
    let mut singles = Vec::new();
    for at in load.places() {
        singles.push(load.one_by_one(at, options.singles).await?);
    }
    let batched = load
        .batched(options.objectives, options.batch, options.clients)
        .await?;
    Ok(Round {
        nodes: cluster.len(),
        batched,
        singles,
    })
}
