//! What three controllers know of a large fabric, and how soon: simulated switches, real controllers, one machine.
//!
//! ```text
//!   storm ── changes ports, links, hosts ──► switches ── WatchInventory ──► each controller's view
//!     └─ notes when, by (device, sequence)                                       │ Watch
//!                                                          one witness each ◄────┘ notes when it came
//! ```
//!
//! A change is timed from before it is put into the switch's inventory until a client of the controller has read it, by one
//! clock; so a figure holds the way from the controller's view to its client, too. At the end the inventories of all
//! controllers have to be those of the switches, by position and digest. Called by the program of the same name and its
//! test; wants a network namespace for itself.

mod bed;
mod report;
mod storm;
mod witness;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::freshness;

use crate::switches::Switch;
use bed::Bed;
pub use report::{Report, View};
use storm::Sent;

/// How long anything may take that has to come.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(5);

/// How large, how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// `pointsman-controller`.
    pub controller: PathBuf,
    /// How many controllers.
    pub controllers: usize,
    /// How many switches.
    pub switches: u64,
    /// How many ports each has.
    pub ports: u32,
    /// Changes a second, of all switches together.
    pub rate: u32,
    /// For so long.
    pub seconds: u32,
}

/// Measures.
///
/// # Errors
/// If a controller fails, misses a change, or knows something else than the others at the end.
pub async fn run(options: &Options) -> Result<Report> {
    bed::prepare()?;
    let switches = Switch::start_many(options.switches, options.ports).await?;
    let switches: Arc<[Switch]> = switches.into();
    storm::furnish(&switches, options.ports);

    let started = Instant::now();
    let mut bed = Bed::start(&options.controller, options.controllers).await?;
    let served = started.elapsed();
    let started = Instant::now();
    bed.add_devices(switches.iter().map(Switch::spec)).await?;
    wait_until_mastered(&bed, &switches).await?;
    let mastered = started.elapsed();
    wait_until_equal(&bed, &switches).await?;
    let seen = started.elapsed();

    bed.stop(&switches).await?;
    let started = Instant::now();
    bed.start_again(options.controllers).await?;
    wait_until_mastered(&bed, &switches).await?;
    let mastered_again = started.elapsed();
    wait_until_equal(&bed, &switches).await?;
    let seen_again = started.elapsed();

    let sent = Arc::new(Sent::new(&switches, options));
    let mut witnesses = Vec::new();
    for index in 0..options.controllers {
        witnesses.push(witness::start(bed.channel(index)?, sent.clone()).await?);
    }
    let storm = storm::run(switches.clone(), sent.clone(), options.clone());
    let took = tokio::spawn(storm).await?;
    wait_until_equal(&bed, &switches).await?;
    let mut views = Vec::new();
    for (index, witness) in witnesses.into_iter().enumerate() {
        let seen = witness.all_of(sent.count()).await;
        let seen = seen.with_context(|| format!("{}:\n{}", bed.name(index), bed.log(index)))?;
        views.push(View {
            controller: bed.name(index),
            latency: seen,
            memory: bed.memory(index)?,
        });
    }
    Ok(Report {
        options: options.clone(),
        served,
        mastered,
        seen,
        mastered_again,
        seen_again,
        changes: sent.count(),
        took,
        views,
    })
}

/// Waits until each switch is written to by a controller that is its master.
async fn wait_until_mastered(bed: &Bed, switches: &[Switch]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let missing = bed.without_master(switches).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let names = missing.join(", ");
        ensure!(Instant::now() < deadline, "no master for {names}");
        tokio::time::sleep(RETRY).await;
    }
}

/// Waits until each controller knows all of what the switches have.
async fn wait_until_equal(bed: &Bed, switches: &[Switch]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for index in 0..bed.len() {
        let mut client = bed.topology(index)?;
        loop {
            let request = pb::GetInventoryRequest {
                summary: true,
                ..Default::default()
            };
            let answer = client.get_inventory(request).await?.into_inner();
            let known = answer.devices.iter().map(|device| {
                let is_fresh = device
                    .freshness
                    .as_ref()
                    .is_some_and(|one| one.state() == freshness::State::Fresh);
                let position = (device.device_id, device.sequence, device.digest);
                is_fresh.then_some(position)
            });
            let mut known: Vec<_> = known.collect();
            known.sort_unstable();
            let there = switches.iter().map(|switch| Some(storm::position(switch)));
            if known == there.collect::<Vec<_>>() {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "{} does not know what the switches have",
                bed.name(index)
            );
            tokio::time::sleep(RETRY).await;
        }
    }
    Ok(())
}
