//! An agent that is killed again and again, under traffic and writes.
//!
//! Packets run in a closed loop from one port to another (`closed_loop`), a client writes random entries and keeps
//! a model of what was acknowledged (`writes`), and the agent is killed (SIGKILL) at random times and started
//! again (`bed`): while it serves, while it takes over what it finds, or halfway through a write. At the end no
//! packet may be lost, no acknowledged write be missing, and the entry that all packets hit must have
//! counted each of them.
//!
//! Called by `src/bin/warm_restart.rs`. Needs root.

mod bed;
mod writes;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::closed_loop::{Packets, Stream};
use crate::fuzz::Random;

use self::bed::Bed;
use self::writes::{Writer, Writes};

/// How long an agent may take to serve.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long packets run before anybody is killed.
const UNDISTURBED: Duration = Duration::from_secs(1);

/// What to do to which agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent's program.
    pub agent: PathBuf,
    /// How often it is killed.
    pub kills: u64,
    /// How long it lives at most, from its start or from when it serves.
    pub longest_life: Duration,
    /// What times and entries are drawn from.
    pub seed: u64,
}

/// What happened.
#[derive(Debug, Clone)]
pub struct Report {
    /// How often the agent was killed,
    pub kills: u64,
    /// and how often of these before it served.
    pub before_serving: u64,
    /// What became of packets.
    pub packets: Packets,
    /// The longest pause of as many packets as went in a second without kills.
    pub undisturbed_pause: Duration,
    /// Packets that the entry on their way has counted.
    pub counted: u64,
    /// What became of writes.
    pub writes: Writes,
}

impl Report {
    /// Whether nothing was lost. What an agent holds is compared whenever one serves; it is an error if that
    /// is not the model.
    pub fn is_clean(&self) -> bool {
        self.packets.lost == 0 && self.counted == self.packets.sent
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            kills,
            before_serving,
            packets,
            undisturbed_pause,
            counted,
            writes,
        } = self;
        writeln!(
            f,
            "agent    killed {kills} times, {before_serving} of them before it served"
        )?;
        writeln!(
            f,
            "packets  {} sent, {} lost, {counted} counted by the entry that they hit; longest pause {:.1} ms, \
             {:.1} ms in a second before",
            packets.sent,
            packets.lost,
            packets.longest_pause.as_secs_f64() * 1e3,
            undisturbed_pause.as_secs_f64() * 1e3
        )?;
        write!(
            f,
            "writes   {} acknowledged, of {} entries; {} cut short by a kill, {} of which were done; state equal \
             to the model {} times, at last with {} entries",
            writes.acknowledged,
            writes.updates,
            writes.cut_short,
            writes.done_unacknowledged,
            writes.compared,
            writes.entries,
        )
    }
}

/// Waits until one more agent has served.
async fn until_served(
    served: &AtomicU64,
    before: u64,
    writing: &JoinHandle<impl Sized>,
) -> Result<()> {
    let waiting = async {
        while served.load(Relaxed) == before && !writing.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.context("an agent that is left alone does not come to serve")
}

/// Kills agents until there were enough.
///
/// # Errors
/// If the bed cannot be made, the agent does not come up, or what it holds is not what was acknowledged.
pub async fn run(options: &Options) -> Result<Report> {
    let mut bed = Bed::new(options.agent.clone())?;
    bed.start_agent()?;
    let served = Arc::new(AtomicU64::new(0));
    let mut writer = Writer::new(bed.address(), options.seed, Arc::clone(&served));
    let prepared = writer.prepare().await;
    prepared.with_context(|| format!("the first agent:\n{}", bed.log()))?;
    let undisturbed = Stream::start(&bed.hosts())?;
    tokio::time::sleep(UNDISTURBED).await;
    let before = undisturbed.stop()?;
    let stream = Stream::start(&bed.hosts())?;
    let enough = CancellationToken::new();
    let writing = tokio::spawn({
        let enough = enough.clone();
        async move { writer.run(enough).await.map(|writes| (writer, writes)) }
    });
    let killing = async {
        let mut random = Random::named(options.seed, "kills");
        let mut before_serving = 0;
        let mut served_before = 0;
        for _ in 0..options.kills {
            let longest = options.longest_life.as_micros() as usize;
            let life = Duration::from_micros(random.below(longest) as u64);
            // Half of them live to serve, however slow the machine is.
            if random.one_in(2) {
                until_served(&served, served_before, &writing).await?;
            }
            tokio::time::sleep(life).await;
            bed.kill_agent()?;
            before_serving += u64::from(served.load(Relaxed) == served_before);
            served_before = served.load(Relaxed);
            if writing.is_finished() {
                break;
            }
            bed.start_agent()?;
        }
        anyhow::Ok(before_serving)
    };
    let before_serving = killing.await?;
    enough.cancel();
    let (mut writer, writes) = writing
        .await?
        .with_context(|| format!("seed {}; the agent:\n{}", options.seed, bed.log()))?;
    let packets = stream.stop()?;
    ensure!(packets.sent > 0, "there was no traffic");
    ensure!(before.lost == 0, "packets are lost when nobody is killed");
    let counted = writer.packets_on_the_way().await? - before.sent;
    Ok(Report {
        kills: options.kills,
        before_serving,
        packets,
        undisturbed_pause: before.longest_pause,
        counted,
        writes,
    })
}
