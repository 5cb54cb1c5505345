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
    table: &'static str,
    name: &'static str,
    start: Instant,
    entries: usize,
    latencies_ns: Histogram<u64>,
}

impl Phase {
    /// Its clock runs from now on, so the rate counts the client's own work too.
    pub fn begin(table: &'static str, name: &'static str) -> Phase {
        Phase {
            table,
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

    /// So many entries were done without a look at the clock.
    pub fn count(&mut self, entries: usize) {
        self.entries += entries;
    }

    /// What came of it. `server` is the process whose memory is looked at.
    pub fn end(self, server: Option<u32>) -> Figures {
        let seconds = self.start.elapsed().as_secs_f64();
        let at = |quantile| self.latencies_ns.value_at_quantile(quantile) as f64 / 1e3;
        Figures {
            table: self.table,
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
            server_memory: server.and_then(Memory::of),
        }
    }
}

/// A phase that is over.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Of which table.
    pub table: &'static str,
    /// What was done.
    pub phase: &'static str,
    entries: usize,
    requests: u64,
    seconds: f64,
    /// The client's own work in between is part of the time.
    pub entries_per_second: f64,
    latency_us: Latency,
    /// At the end of the phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_memory: Option<Memory>,
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
    /// Of each table.
    pub entries: u32,
    /// Entries a request.
    pub batch: u32,
    /// Requests that wait for their answer at the same time.
    pub in_flight: usize,
    /// In the order in which they ran.
    pub phases: Vec<Figures>,
}

impl Report {
    /// How many times faster a phase was than the same for a map of the kernel, by a plain loop of updates:
    /// the fastest of both, where the loop was measured.
    fn against_map(&self, table: &str, phase: &str, map_phase: &str) -> Option<f64> {
        let fastest = |phase: &str| {
            let these = self.phases.iter();
            let these = these.filter(|f| f.table == table && f.phase == phase);
            these.map(|f| f.entries_per_second).reduce(f64::max)
        };
        Some(fastest(phase)? / fastest(map_phase)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            address,
            device_id,
            entries,
            batch,
            in_flight,
            ..
        } = self;
        writeln!(
            f,
            "{entries} entries in batches of {batch}, {in_flight} in flight, device {device_id} at {address}"
        )?;
        writeln!(
            f,
            "{:<12}{:<13}{:>10}{:>10}{:>12}{:>11}{:>11}{:>11}{:>10}{:>10}",
            "table",
            "phase",
            "entries",
            "requests",
            "entries/s",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "heap MiB",
            "RSS MiB"
        )?;
        let mut tables = Vec::new();
        for phase in &self.phases {
            let Latency {
                p50, p99, p99_9, ..
            } = phase.latency_us;
            write!(
                f,
                "{:<12}{:<13}{:>10}{:>10}{:>12.0}{p50:>11.0}{p99:>11.0}{p99_9:>11.0}",
                phase.table, phase.phase, phase.entries, phase.requests, phase.entries_per_second
            )?;
            match phase.server_memory {
                Some(Memory { heap_kib, rss_kib }) => {
                    writeln!(f, "{:>10}{:>10}", heap_kib / 1024, rss_kib / 1024)?;
                }
                None => writeln!(f)?,
            }
            if !tables.contains(&phase.table) {
                tables.push(phase.table);
            }
        }
        for table in tables {
            let inserted = self.against_map(table, "insert", "map update");
            let modified = self.against_map(table, "modify", "map modify");
            if let (Some(inserted), Some(modified)) = (inserted, modified) {
                writeln!(
                    f,
                    "{table}: inserted at {inserted:.2}, modified at {modified:.2} times the rate of a plain map update loop"
                )?;
            }
        }
        Ok(())
    }
}

/// Memory of the server, where it is a process of this machine.
#[derive(Debug, Clone, Copy, Serialize)]
struct Memory {
    /// What is its own (`RssAnon`).
    heap_kib: u64,
    /// All of it, tables shared with the kernel too (`VmRSS`).
    rss_kib: u64,
}

impl Memory {
    fn of(process: u32) -> Option<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line?.trim().strip_suffix(" kB")?.parse().ok()
        };
        Some(Memory {
            heap_kib: kib("RssAnon:")?,
            rss_kib: kib("VmRSS:")?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_phase_counts_entries_and_requests() {
        let mut phase = Phase::begin("routes", "insert");
        let a_second_ago = Instant::now() - Duration::from_secs(1);
        phase.record(100, a_second_ago);
        phase.record(50, a_second_ago);
        let figures = phase.end(None);
        assert_eq!((figures.entries, figures.requests), (150, 2));
        assert!((1e6..2e6).contains(&figures.latency_us.p50), "{figures:?}");
    }
}
