//! Holds a cluster of controllers to what it promises of its key-value store, of leases and of mastership, while nodes
//! are killed, cut off, and have their clocks set.
//!
//! ```text
//!   keys       clients read, write and swap values       every key's history has to be linearizable (`checker`)
//!   locks      holders keep leases and ask for locks      tokens rise; what is kept is not lost early
//!   masters    observers read who is master, and set it   one master a term; terms rise in real time
//!   trouble    kills, cuts off, sets clocks               at most a minority at a time, but for short moments
//! ```
//!
//! [`run`] does all of it at once for a while and looks at the histories afterwards. Called by the program of the same
//! name and its test. Needs root, for network namespaces.

mod checker;
mod history;
mod keys;
mod locks;
mod masters;
mod trouble;

pub use checker::{Verdict, check};
pub use history::{Action, Operation, Value};
pub use keys::Keys;
pub use locks::Locks;
pub use masters::Masters;
pub use trouble::Troubles;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::controllers::{BRIDGE_ADDRESS, Cluster, Network};
use crate::switches::Switch;

/// How long an operation may take before its client gives it up and does not know.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is run, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// `pointsman-controller`.
    pub controller: PathBuf,
    /// Controllers.
    pub nodes: usize,
    /// Switches to be master of.
    pub switches: u64,
    /// How long there is trouble.
    pub duration: Duration,
    /// What operations and trouble are drawn from.
    pub seed: u64,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was done to nodes.
    pub troubles: Troubles,
    /// Of the key-value store.
    pub keys: Keys,
    /// Of leases and locks.
    pub locks: Locks,
    /// Of mastership.
    pub masters: Masters,
}

impl Report {
    /// What is not as promised, for people. Empty if all is.
    pub fn violations(&self) -> Vec<String> {
        let all = [
            &self.keys.violations,
            &self.locks.violations,
            &self.masters.violations,
        ];
        all.into_iter().flatten().cloned().collect()
    }
}

/// The moments of a history: since it began.
#[derive(Debug, Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Duration {
        self.0.elapsed()
    }
}

/// What became of a request.
enum Answer<T> {
    /// It was answered.
    Given(T),
    /// It was refused, and has changed nothing.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// Waits for an answer.
async fn ask<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Answer<T> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => Answer::Given(answer.into_inner()),
        Ok(Err(status)) => match status.code() {
            Code::Aborted | Code::NotFound | Code::FailedPrecondition | Code::InvalidArgument => {
                Answer::Refused
            }
            _ => Answer::Unknown,
        },
        Err(_) => Answer::Unknown,
    }
}

/// Makes trouble for a while, in the network namespace that this process is in.
///
/// # Errors
/// If the cluster does not start, or does not become whole again. What is not as promised is in the report.
pub async fn run(options: &Options) -> Result<Report> {
    let mut cluster = Cluster::start(&options.controller, options.nodes, Network::bridge()).await?;
    let mut switches = Vec::new();
    for device_id in 1..=options.switches {
        switches.push(Switch::start((BRIDGE_ADDRESS, 0).into(), device_id, 1).await?);
    }
    cluster
        .add_devices(switches.iter().map(Switch::spec))
        .await?;

    let clock = Clock(Instant::now());
    let enough = CancellationToken::new();
    let keys = keys::start(&cluster, options.seed, clock, &enough)?;
    let locks = locks::start(&cluster, options.seed, clock, &enough)?;
    let masters = masters::start(&cluster, &switches, options.seed, clock, &enough)?;
    let troubles = trouble::make(&mut cluster, options).await;
    enough.cancel();
    let troubles = troubles.with_context(|| cluster.logs())?;
    let (keys, locks, masters) = (all(keys).await?, all(locks).await?, all(masters).await?);
    Ok(Report {
        troubles,
        keys: keys::judge(keys),
        locks: locks::judge(locks),
        masters: masters::judge(masters, &switches),
    })
}

/// What each of these tasks has seen.
async fn all<T: 'static>(mut tasks: JoinSet<Vec<T>>) -> Result<Vec<T>> {
    let mut seen = Vec::new();
    while let Some(task) = tasks.join_next().await {
        seen.extend(task?);
    }
    Ok(seen)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "trouble   {}", self.troubles)?;
        writeln!(f, "keys      {}", self.keys)?;
        writeln!(f, "locks     {}", self.locks)?;
        write!(f, "masters   {}", self.masters)?;
        for violation in self.violations() {
            write!(f, "\nVIOLATED  {violation}")?;
        }
        Ok(())
    }
}
