//! Controllers that are killed, cut off and shut down under a stream of applies.
//!
//! ```text
//!   writers, one a switch ── apply ──► any node ──► its master ──► switches without data plane   when a new master writes
//!                                                             └──► one agent with XDP            who wrote, by its audit log
//!   closed loop of packets ──────────────────────────────────────► through that agent            what is lost
//! ```
//!
//! [`run`] disturbs the master of switches again and again, half of the time one that leads the cluster as well, and
//! measures for each switch of its how long it takes until the first write of the new master is acknowledged to the
//! client. At the end everything that was acknowledged has to be there, no switch may have taken a write of an older master
//! after one of a newer, and no packet may be lost. Called by the program of the same name and its test. Needs root.

mod agent;
mod report;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pointsman_proto::pointsman::controller::v1::BalanceRequest;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::closed_loop::Stream;
use crate::controllers::{BRIDGE_ADDRESS, Cluster, Network};
use crate::switches::{ElectionId, Switch};

use agent::Agent;
pub use report::Report;
use writer::{Journal, Writer};

/// How long a cluster may take to be as it was.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);
/// How long the writers go on before a master is disturbed.
const UNDISTURBED: Duration = Duration::from_millis(300);

/// What is done to a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Fault {
    /// `kill -9`.
    Killed,
    /// Its network namespace is cut off; the process goes on.
    CutOff,
    /// SIGTERM, as an operator stops it.
    ShutDown,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 3] = [Fault::Killed, Fault::CutOff, Fault::ShutDown];
}

/// What is run, and how often it is disturbed.
#[derive(Debug, Clone)]
pub struct Options {
    /// `pointsman-controller`.
    pub controller: PathBuf,
    /// `pointsman-agent`.
    pub agent: PathBuf,
    /// Controllers.
    pub nodes: usize,
    /// Switches without data plane.
    pub switches: u64,
    /// How often each thing is done.
    pub trials: usize,
    /// What is done.
    pub faults: Vec<Fault>,
}

/// Disturbs masters until there were enough, in the network namespace that this process is in.
///
/// # Errors
/// If the bed cannot be made, a cluster does not become whole again, or something that was acknowledged is lost.
pub async fn run(options: &Options) -> Result<Report> {
    let mut bed = Bed::start(options).await?;
    let mut report = Report::new()?;
    for &fault in &options.faults {
        for trial in 0..options.trials {
            let of_leader = trial % 2 == 0;
            let times = bed.trial(fault, of_leader).await;
            let times = times.with_context(|| {
                format!("{fault:?}, trial {}:\n{}", trial + 1, bed.cluster.logs())
            })?;
            for time in times {
                report.record(fault, of_leader, time)?;
            }
        }
    }
    bed.finish(&mut report).await?;
    Ok(report)
}

struct Bed {
    cluster: Cluster,
    switches: Vec<Switch>,
    agent: Agent,
    packets: Stream,
    enough: CancellationToken,
    writing: JoinSet<Result<()>>,
    /// By name of the switch.
    journals: BTreeMap<String, Arc<Journal>>,
}

impl Bed {
    async fn start(options: &Options) -> Result<Bed> {
        let network = Network::bridge();
        let cluster = Cluster::start(&options.controller, options.nodes, network).await?;
        let agent = Agent::start(&options.agent).await?;
        let mut switches = Vec::new();
        for device_id in 1..=options.switches {
            let listen = (BRIDGE_ADDRESS, 0).into();
            switches.push(Switch::start(listen, device_id, 4).await?);
        }
        let mut specs: Vec<_> = switches.iter().map(Switch::spec).collect();
        specs.push(agent.spec());
        cluster.add_devices(specs.clone()).await?;
        agent.give_way(&cluster).await?;
        let packets = Stream::start(&agent.hosts())?;

        let enough = CancellationToken::new();
        let mut writing = JoinSet::new();
        let mut journals = BTreeMap::new();
        for spec in specs {
            let writer = Writer::new(&cluster, spec.name.clone())?;
            journals.insert(spec.name, writer.journal());
            writing.spawn(writer.run(enough.clone()));
        }
        Ok(Bed {
            cluster,
            switches,
            agent,
            packets,
            enough,
            writing,
            journals,
        })
    }

    /// Disturbs a master, and says how long each switch of its was without one.
    async fn trial(&mut self, fault: Fault, of_leader: bool) -> Result<Vec<Duration>> {
        let (victim, switches) = self.balanced(of_leader).await?;
        tokio::time::sleep(UNDISTURBED).await;
        let before = switches.iter().map(|index| self.newest(*index));
        let before: Vec<ElectionId> = before.collect();
        let started = Instant::now();
        match fault {
            Fault::Killed => self.cluster.kill(victim)?,
            Fault::CutOff => self.cluster.cut(victim)?,
            Fault::ShutDown => self.cluster.ask_to_stop(victim)?,
        }
        let mut times = Vec::new();
        for (index, before) in switches.into_iter().zip(before) {
            let acknowledged = self.first_by_another(index, before).await?;
            times.push(acknowledged.saturating_duration_since(started));
        }
        match fault {
            Fault::Killed => self.cluster.restart(victim).await?,
            Fault::CutOff => self.cluster.mend(victim)?,
            Fault::ShutDown => {
                self.cluster.shut_down(victim).await?;
                self.cluster.restart(victim).await?;
            }
        }
        Ok(times)
    }

    /// Waits until every node is master of a simulated switch again; then a node that leads, or one that does not, and the
    /// switches that it is master of.
    async fn balanced(&self, of_leader: bool) -> Result<(usize, Vec<usize>)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = self.cluster.leader().await?;
            let devices = self.cluster.devices(leader).await.unwrap_or_default();
            let of = |node: usize| -> Vec<usize> {
                let name = self.cluster.name(node);
                let mastered = devices
                    .iter()
                    .filter(|device| device.reachable && device.master == name);
                let names: Vec<_> = mastered
                    .filter_map(|device| Some(&device.spec.as_ref()?.name))
                    .collect();
                let switches = self.switches.iter().enumerate();
                let switches = switches.filter(|(_, switch)| names.contains(&&switch.name()));
                switches.map(|(index, _)| index).collect()
            };
            if (0..self.cluster.len()).all(|node| !of(node).is_empty()) {
                let others = (0..self.cluster.len()).find(|node| *node != leader);
                let victim = if of_leader {
                    leader
                } else {
                    others.unwrap_or(leader)
                };
                return Ok((victim, of(victim)));
            }
            ensure!(
                Instant::now() < deadline,
                "no balance; leader {}, masters {:?}",
                self.cluster.name(leader),
                devices.iter().map(|d| &d.master).collect::<Vec<_>>()
            );
            self.cluster
                .cluster_client(leader)?
                .balance(BalanceRequest {})
                .await?;
            tokio::time::sleep(20 * PAUSE).await;
        }
    }

    /// The election id of the last batch that a switch took.
    fn newest(&self, index: usize) -> ElectionId {
        let mut memory = self.switches[index].memory();
        let newest = memory.written().last();
        let newest = newest.map(|written| written.election_id);
        memory.forget_written();
        newest.unwrap_or_default()
    }

    /// When a write of another master than before was first acknowledged to the client.
    async fn first_by_another(&self, index: usize, before: ElectionId) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        let switch = &self.switches[index];
        let journal = &self.journals[&switch.name()];
        while Instant::now() < deadline {
            let taken = {
                let memory = switch.memory();
                let mut written = memory.written().iter();
                let first = written.find(|w| w.election_id > before && w.changes > 0);
                first.map(|written| written.at)
            };
            if let Some(acknowledged) = taken.and_then(|taken| journal.first_after(taken)) {
                return Ok(acknowledged);
            }
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::bail!("{} has no new master that writes", switch.name())
    }

    /// Stops the writers and compares what is there with what was acknowledged.
    async fn finish(mut self, report: &mut Report) -> Result<()> {
        self.enough.cancel();
        while let Some(writer) = self.writing.join_next().await {
            writer??;
        }
        let leader = self.cluster.leader().await?;
        for (device, journal) in &self.journals {
            let missing = journal.missing(&self.cluster, leader, device).await?;
            ensure!(
                missing.is_empty(),
                "{device}: acknowledged and lost: {missing:?}"
            );
            report.acknowledged += journal.count();
        }
        for switch in &self.switches {
            let memory = switch.memory();
            let journal = &self.journals[&switch.name()];
            let missing = journal.missing_of(memory.objectives());
            ensure!(
                missing.is_empty(),
                "{}: acknowledged and not there: {missing:?}",
                switch.name()
            );
            report.refused += memory.refused();
        }
        report.batches = self.agent.expect_no_older_master()?;
        report.packets = self.packets.stop()?;
        Ok(())
    }
}
