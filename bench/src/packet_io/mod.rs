//! Packets between the data plane and those who decide about them: how many, how fast, and how many entries a second
//! come of them.
//!
//! * `local`: packets off the ring buffer to a consumer in the agent, beside an empty loop that drains the same buffer.
//! * `round_trip`: from a wire to a P4Runtime client and back to a wire.
//! * `set_up`: from the first packet of somebody to its entry and to where it goes, by a client that reacts and by the
//!   agent's own bridge.
//!
//! The first runs the agent in this process and has the kernel run packets through its program; the others run it as a
//! process of its own between two interfaces (`bed`, `wires`). Called by `src/bin/packet_io.rs`, in a network namespace
//! of its own. Needs root.

mod bed;
mod client;
mod local;
mod round_trip;
mod set_up;
mod wires;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

pub use local::Rates;
pub use set_up::SetUps;

use self::bed::Bed;

/// How long anything may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to measure on which agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent's program.
    pub agent: PathBuf,
    /// Pairs of phases, of the empty loop and of the consumer.
    pub rounds: u32,
    /// How long a phase is.
    pub phase: Duration,
    /// Packets that go to a client and back, one after the other.
    pub trips: u32,
    /// Entries that are made, of each kind.
    pub entries: u32,
}

/// What was measured.
#[derive(Debug)]
pub struct Report {
    /// Packets a second, of each round.
    pub rates: Vec<Rates>,
    /// Nanoseconds from wire to wire by the data plane alone.
    pub forwarded: Histogram<u64>,
    /// Nanoseconds from wire to wire by a client.
    pub answered: Histogram<u64>,
    /// By a client that reacts.
    pub by_client: SetUps,
    /// By the agent's own bridge.
    pub by_policy: SetUps,
}

impl Report {
    /// What the consumer gets of what the empty loop drains: the median of all rounds.
    pub fn share(&self) -> f64 {
        let mut shares: Vec<_> = self.rates.iter().map(Rates::share).collect();
        shares.sort_by(f64::total_cmp);
        shares.get(shares.len() / 2).copied().unwrap_or_default()
    }
}

/// Measures one after the other.
///
/// # Errors
/// If a bed cannot be made, or packets do not come.
pub fn run(options: &Options) -> Result<Report> {
    let rates = local::rates(options.rounds, options.phase)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (forwarded, answered, by_client) = runtime.block_on(async {
        let bed = Bed::new(&options.agent, bed::ROUTER)?;
        let measured = async {
            let mut client = bed.client().await?;
            client.route().await?;
            let trips = round_trip::measure(&mut client, bed.wires()?, options.trips).await?;
            let (forwarded, answered) = trips;
            let set_ups = set_up::by_client(&mut client, bed.wires()?, options.entries).await?;
            anyhow::Ok((forwarded, answered, set_ups))
        };
        measured.await.with_context(|| bed.log())
    })?;
    let by_policy = runtime.block_on(async {
        let bed = Bed::new(&options.agent, bed::BRIDGE)?;
        let measured = set_up::by_policy(&bed, options.entries).await;
        measured.with_context(|| bed.log())
    })?;
    Ok(Report {
        rates,
        forwarded,
        answered,
        by_client,
        by_policy,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "packets a second     {:>10} {:>10} {:>6} {:>13} {:>10}",
            "empty loop", "consumer", "share", "of full: loop", "consumer"
        )?;
        for rates in &self.rates {
            writeln!(
                f,
                "{:>31.0} {:>10.0} {:>6.2} {:>13.0} {:>10.0}",
                rates.empty,
                rates.consumer,
                rates.share(),
                rates.full_empty,
                rates.full_consumer
            )?;
        }
        writeln!(f, "{:>49.2} is the median share", self.share())?;
        let line = |f: &mut fmt::Formatter<'_>, name: &str, h: &Histogram<u64>| {
            let at = |quantile| h.value_at_quantile(quantile) as f64 / 1e3;
            let (p50, p90, p99) = (at(0.5), at(0.9), at(0.99));
            let max = h.max() as f64 / 1e3;
            writeln!(f, "{name:<44} {p50:>8.1} {p90:>8.1} {p99:>8.1} {max:>8.1}")
        };
        let trips = self.answered.len();
        writeln!(
            f,
            "{:<44} {:>8} {:>8} {:>8} {:>8}",
            format!("microseconds, {trips} round trips"),
            "p50",
            "p90",
            "p99",
            "max"
        )?;
        line(f, "wire, data plane, wire", &self.forwarded)?;
        line(f, "wire, P4Runtime client, wire", &self.answered)?;
        writeln!(f, "first packet, entry, packet out")?;
        writeln!(f, "  by a P4Runtime client  {}", self.by_client)?;
        writeln!(f, "  by the agent's bridge  {}", self.by_policy)
    }
}
