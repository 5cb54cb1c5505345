//! How long packets of an ECMP path or a failover next are lost after their port has gone down.
//!
//! A stream of numbered packets (`packets`) runs through an agent on XDP (`bed`) to a next of two buckets, hashed or
//! failover (`objectives`). The controller that wanted it has gone: nobody but the agent can repair
//! anything. In each trial the link of the port that the stream takes is cut, and what counts is from when netlink says so
//! (`events`) to when the last packet that is lost was sent, both by the kernel's monotonic clock. Then the link comes
//! back, and the stream has to return to it.
//!
//! Called by `src/bin/fast_repair.rs`, in a network namespace of its own. Needs root.

mod bed;
mod events;
mod objectives;
mod packets;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use pointsman_model::NextType;

use self::bed::Bed;
use self::events::Links;
use self::packets::Stream;

/// How long the stream runs on after a link was cut, and before the next one is.
const PAUSE: Duration = Duration::from_millis(25);
/// How long anything may take that has to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ports of the next, in the order of its buckets.
const MEMBERS: [u32; 2] = [2, 3];
/// Microseconds that a histogram tells apart at most.
const LONGEST_US: u64 = 60_000_000;

/// What to measure on which agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent's program.
    pub agent: PathBuf,
    /// How often a link is cut, for each type of next.
    pub trials: u64,
}

/// The types of nexts that find another way by themselves.
const TYPES: [NextType; 2] = [NextType::Hashed, NextType::Failover];

/// What was measured, in microseconds.
#[derive(Debug)]
pub struct Report {
    /// The type of the next.
    pub next_type: NextType,
    /// From netlink's event to the last packet that was lost; 0 if none was after it.
    pub repair: Histogram<u64>,
    /// From the first packet that was lost to the last one.
    pub outage: Histogram<u64>,
    /// Between two packets of the stream.
    pub interval: Histogram<u64>,
    /// Packets lost in all trials.
    pub lost: u64,
}

impl Report {
    fn new(next_type: NextType) -> Result<Report> {
        let histogram = || Histogram::new_with_bounds(1, LONGEST_US, 3);
        Ok(Report {
            next_type,
            repair: histogram()?,
            outage: histogram()?,
            interval: histogram()?,
            lost: 0,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, h: &Histogram<u64>| {
            let at = |quantile| h.value_at_quantile(quantile);
            writeln!(
                f,
                "{name:<44} {:>8} {:>8} {:>8} {:>8}",
                at(0.5),
                at(0.9),
                at(0.99),
                h.max()
            )
        };
        writeln!(
            f,
            "{:<44} {:>8} {:>8} {:>8} {:>8}",
            format!(
                "{} next, microseconds, {} trials",
                self.next_type.name(),
                self.repair.len()
            ),
            "p50",
            "p90",
            "p99",
            "max"
        )?;
        line(f, "netlink event to the last lost packet", &self.repair)?;
        line(f, "first to last lost packet", &self.outage)?;
        line(f, "between packets of the stream", &self.interval)?;
        writeln!(f, "{} packets lost in all", self.lost)?;
        for step in self.repair.iter_log(50, 2.0) {
            let (count, to) = (step.count_since_last_iteration(), step.value_iterated_to());
            if count > 0 {
                writeln!(
                    f,
                    "{to:>8} us {count:>5} {}",
                    "#".repeat(bar(count, self.repair.len()))
                )?;
            }
        }
        Ok(())
    }
}

fn bar(count: u64, of: u64) -> usize {
    (60 * count).div_ceil(of.max(1)) as usize
}

/// Cuts links until there were enough.
///
/// # Errors
/// If the bed cannot be made, the agent does not repair at all, or a stream does not return.
pub async fn run(options: &Options) -> Result<Vec<Report>> {
    let bed = Bed::new(&options.agent)?;
    let mut reports = Vec::new();
    for next_type in TYPES {
        let report = measure(&bed, next_type, options.trials).await;
        reports.push(report.with_context(|| bed.log())?);
    }
    Ok(reports)
}

async fn measure(bed: &Bed, next_type: NextType, trials: u64) -> Result<Report> {
    bed.give_way(next_type).await?;
    let mut links = Links::listen()?;
    let stream = Stream::start(&bed.host(1), &MEMBERS.map(|port| (port, bed.host(port))))?;
    let mut report = Report::new(next_type)?;
    for _ in 0..trials {
        trial(bed, &mut links, &stream, &mut report).await?;
    }
    let (sent, received) = stream.stop()?;
    for pair in sent.windows(2) {
        report
            .interval
            .record(micros(pair[1].saturating_sub(pair[0])))?;
    }
    report.lost = sent.len() as u64 - received;
    Ok(report)
}

async fn trial(bed: &Bed, links: &mut Links, stream: &Stream, report: &mut Report) -> Result<()> {
    let (port, _) = steady(stream).await?;
    let before = stream.sent();
    bed.set_host(port, false)?;
    let seen = links.next(&bed.port(port), false, PATIENCE).await?;
    let until = steady_where(stream, |other| other != port)
        .await
        .with_context(|| format!("port {port} is down"))?;
    let lost: Vec<Duration> = stream.lost(before..until);
    // Between two packets there is time for a repair of which nobody has noticed anything.
    let (first, last) = match (lost.first(), lost.last()) {
        (Some(first), Some(last)) => (*first, *last),
        _ => (seen, seen),
    };
    report.repair.record(micros(last.saturating_sub(seen)))?;
    report.outage.record(micros(last.saturating_sub(first)))?;
    bed.set_host(port, true)?;
    links.next(&bed.port(port), true, PATIENCE).await?;
    let returned = steady_where(stream, |other| other == port).await;
    returned.with_context(|| format!("port {port} is up again"))?;
    Ok(())
}

/// Waits until all packets arrive by a wanted port; says how many were sent before.
async fn steady_where(stream: &Stream, wanted: impl Fn(u32) -> bool) -> Result<usize> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (port, before) = steady(stream).await?;
        if wanted(port) {
            return Ok(before);
        }
        ensure!(Instant::now() < deadline, "packets go by port {port} still");
    }
}

/// The port that packets take, once they all arrive, and how many were sent before.
async fn steady(stream: &Stream) -> Result<(u32, usize)> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let from = stream.sent();
        tokio::time::sleep(PAUSE).await;
        let to = stream.sent();
        tokio::time::sleep(PAUSE).await;
        if let Some(port) = stream.port_of(to)
            && to > from
            && stream.lost(from..to).is_empty()
        {
            return Ok((port, from));
        }
    }
    bail!("packets do not arrive")
}

fn micros(duration: Duration) -> u64 {
    (duration.as_micros() as u64).min(LONGEST_US)
}
