//! What was measured: rates and latencies by phase, as text or JSON.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies are kept with three significant digits, up to an hour.
const DIGITS: u8 = 3;
const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// A phase that goes on.
pub struct Phase {
    name: &'static str,
    start: Instant,
    entries: usize,
    latencies_ns: Histogram<u64>,
}

impl Phase {
    /// Its clock runs from now on, so the rate counts the client's own work too.
    pub fn begin(name: &'static str) -> Phase {
        Phase {
            name,
            start: Instant::now(),
            entries: 0,
            latencies_ns: Histogram::new_with_bounds(1, MAX_LATENCY_NS, DIGITS)
                .expect("the bounds are in order"),
        }
    }

    /// A request for so many entries has been answered.
    pub fn record(&mut self, entries: usize, start: Instant) {
        let elapsed = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.entries += entries;
        self.latencies_ns.saturating_record(elapsed);
    }

    /// What came of it.
    pub fn end(self) -> Figures {
        let seconds = self.start.elapsed().as_secs_f64();
        let at = |quantile| self.latencies_ns.value_at_quantile(quantile) as f64 / 1e3;
        Figures {
            phase: self.name,
            entries: self.entries,
            requests: self.latencies_ns.len(),
            seconds,
            entries_per_second: self.entries as f64 / seconds,
            latency_us: Latency {
                p50: at(0.5),
                p99: at(0.99),
                p99_9: at(0.999),
                max: self.latencies_ns.max() as f64 / 1e3,
            },
        }
    }
}

/// A phase that is over.
#[derive(Debug, Serialize)]
pub struct Figures {
    phase: &'static str,
    entries: usize,
    requests: u64,
    seconds: f64,
    entries_per_second: f64,
    latency_us: Latency,
}

/// Of one request, in microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

/// A run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where the server is.
    pub address: SocketAddr,
    /// Which device was written.
    pub device_id: u64,
    /// Routes.
    pub entries: u32,
    /// Routes a request.
    pub batch: u32,
    /// In the order in which they ran.
    pub phases: Vec<Figures>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            address,
            device_id,
            entries,
            batch,
            ..
        } = self;
        writeln!(
            f,
            "{entries} routes in batches of {batch}, device {device_id} at {address}"
        )?;
        writeln!(
            f,
            "{:<13}{:>10}{:>10}{:>12}{:>12}{:>12}{:>12}",
            "phase", "entries", "requests", "entries/s", "p50 us", "p99 us", "p99.9 us"
        )?;
        for phase in &self.phases {
            let Latency {
                p50, p99, p99_9, ..
            } = phase.latency_us;
            writeln!(
                f,
                "{:<13}{:>10}{:>10}{:>12.0}{p50:>12.0}{p99:>12.0}{p99_9:>12.0}",
                phase.phase, phase.entries, phase.requests, phase.entries_per_second
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_phase_counts_entries_and_requests() {
        let mut phase = Phase::begin("insert");
        let a_second_ago = Instant::now() - Duration::from_secs(1);
        phase.record(100, a_second_ago);
        phase.record(50, a_second_ago);
        let figures = phase.end();
        assert_eq!((figures.entries, figures.requests), (150, 2));
        assert!((1e6..2e6).contains(&figures.latency_us.p50), "{figures:?}");
    }
}
