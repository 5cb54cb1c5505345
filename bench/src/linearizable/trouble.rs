//! What happens to nodes while others use them.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Options;
use crate::controllers::Cluster;
use crate::fuzz::Random;

/// How often what was done.
#[derive(Debug, Clone, Default)]
pub struct Troubles {
    /// Processes killed.
    pub killed: usize,
    /// Nodes cut off.
    pub cut_off: usize,
    /// How often so many nodes were that there was no majority.
    pub no_majority: usize,
    /// Clocks set.
    pub clocks: usize,
}

impl fmt::Display for Troubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Troubles {
            killed,
            cut_off,
            no_majority,
            clocks,
        } = self;
        write!(
            f,
            "{killed} nodes killed, {cut_off} cut off, {no_majority} times no majority, {clocks} clocks set"
        )
    }
}

/// Troubles nodes until the time is over, and leaves them whole.
pub(super) async fn make(cluster: &mut Cluster, options: &Options) -> Result<Troubles> {
    let mut random = Random::named(options.seed, "trouble");
    let mut troubles = Troubles::default();
    let started = Instant::now();
    while started.elapsed() < options.duration {
        let pause = Duration::from_millis(100 + random.below(900) as u64);
        tokio::time::sleep(pause).await;
        // Every second time who leads, if anybody does.
        let victim = match random.one_in(2) {
            true => cluster.leader().await?,
            false => random.below(cluster.len()),
        };
        let length = Duration::from_millis(random.below(1500) as u64);
        match random.below(7) {
            0..3 => {
                cluster.kill(victim)?;
                troubles.killed += 1;
                tokio::time::sleep(length).await;
                let restarted = cluster.restart(victim).await;
                restarted.with_context(|| cluster.logs())?;
            }
            3..5 => {
                cluster.cut(victim)?;
                troubles.cut_off += 1;
                tokio::time::sleep(length).await;
                cluster.mend(victim)?;
            }
            5 => {
                let all = 0..cluster.len();
                let few = all.filter(|node| *node != victim).collect::<Vec<_>>();
                few.iter().try_for_each(|node| cluster.cut(*node))?;
                troubles.no_majority += 1;
                tokio::time::sleep(length).await;
                few.iter().try_for_each(|node| cluster.mend(*node))?;
            }
            _ => {
                let seconds = random.below(7200) as i64 - 3600;
                cluster.set_clock(victim, seconds)?;
                troubles.clocks += 1;
            }
        }
    }
    cluster.leader().await?;
    Ok(troubles)
}
