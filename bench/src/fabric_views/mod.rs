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

mod report;
mod storm;
mod witness;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::freshness;
use pointsman_proto::pointsman::controller::v1::topology_client::TopologyClient;

use crate::controllers::{Cluster, Network};
use crate::switches::{ElectionId, Switch};
pub use report::{Memory, Report, Start, View};
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

/// Measures, in the network namespace that this process is in.
///
/// # Errors
/// If a controller fails, misses a change, or knows something else than the others at the end.
pub async fn run(options: &Options) -> Result<Report> {
    let started = Instant::now();
    let mut cluster =
        Cluster::start(&options.controller, options.controllers, Network::Loopback).await?;
    let served = started.elapsed();
    let switches = Switch::start_many(options.switches, options.ports).await?;
    let switches: Arc<[Switch]> = switches.into();
    storm::furnish(&switches, options.ports);

    let nobody = vec![ElectionId::default(); switches.len()];
    let started = Instant::now();
    let specs = switches.iter().map(Switch::spec);
    cluster.add_devices(specs).await?;
    let added = mastered_and_seen(&cluster, &switches, &nobody, started).await?;

    (0..cluster.len()).try_for_each(|index| cluster.kill(index))?;
    let before: Vec<_> = switches.iter().map(Switch::highest_election_id).collect();
    let started = Instant::now();
    cluster.start_all().await?;
    let restarted = mastered_and_seen(&cluster, &switches, &before, started).await?;

    let sent = Arc::new(Sent::new(&switches, options));
    let mut witnesses = Vec::new();
    for index in 0..cluster.len() {
        witnesses.push(witness::start(cluster.channel(index)?, sent.clone()).await?);
    }
    let storm = storm::run(switches.clone(), sent.clone(), options.clone());
    let took = tokio::spawn(storm).await?;
    wait_until_equal(&cluster, &switches).await?;
    let mut views = Vec::new();
    for (index, witness) in witnesses.into_iter().enumerate() {
        let seen = witness.all_of(sent.count()).await;
        views.push(View {
            controller: cluster.name(index).to_owned(),
            latency: seen.with_context(|| cluster.logs())?,
            memory: Memory::of(cluster.pid(index).context("it runs")?)?,
        });
    }
    Ok(Report {
        options: options.clone(),
        served,
        added,
        restarted,
        changes: sent.count(),
        took,
        views,
    })
}

/// Waits until each switch has a later master than before, and until each controller knows all that the switches have.
async fn mastered_and_seen(
    cluster: &Cluster,
    switches: &[Switch],
    before: &[ElectionId],
    started: Instant,
) -> Result<Start> {
    let deadline = Instant::now() + PATIENCE;
    let has_master =
        |(switch, before): (&Switch, &ElectionId)| switch.highest_election_id() > *before;
    while !switches.iter().zip(before).all(has_master) {
        ensure!(
            Instant::now() < deadline,
            "a switch has no master:\n{}",
            cluster.logs()
        );
        tokio::time::sleep(RETRY).await;
    }
    let mastered = started.elapsed();
    wait_until_equal(cluster, switches).await?;
    Ok(Start {
        mastered,
        seen: started.elapsed(),
    })
}

/// Waits until each controller knows all of what the switches have.
async fn wait_until_equal(cluster: &Cluster, switches: &[Switch]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for index in 0..cluster.len() {
        let mut client = TopologyClient::new(cluster.channel(index)?);
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
                cluster.name(index)
            );
            tokio::time::sleep(RETRY).await;
        }
    }
    Ok(())
}
