//! What came of it, as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::Fault;
use crate::closed_loop::Packets;

const LONGEST_US: u64 = 60_000_000;

/// Times without a master, and what was lost, which is nothing.
#[derive(Debug, Clone)]
pub struct Report {
    times: BTreeMap<(Fault, bool), Histogram<u64>>,
    /// Changes that were acknowledged to clients, all of which are there.
    pub acknowledged: u64,
    /// What simulated switches refused because a newer master had come.
    pub refused: u64,
    /// Batches that the real agent took.
    pub batches: u64,
    /// What became of packets through it.
    pub packets: Packets,
}

impl Report {
    pub(super) fn new() -> Result<Report> {
        let mut times = BTreeMap::new();
        for fault in Fault::ALL {
            for of_leader in [true, false] {
                let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3)?;
                times.insert((fault, of_leader), histogram);
            }
        }
        Ok(Report {
            times,
            acknowledged: 0,
            refused: 0,
            batches: 0,
            packets: Packets::default(),
        })
    }

    pub(super) fn record(&mut self, fault: Fault, of_leader: bool, time: Duration) -> Result<()> {
        let micros = (time.as_micros() as u64).clamp(1, LONGEST_US);
        let histogram = self.times.get_mut(&(fault, of_leader));
        histogram.expect("all are there").record(micros)?;
        Ok(())
    }

    /// The time that so many of a hundred switches were without a master that writes, at most.
    pub fn percentile(&self, fault: Fault, percent: f64) -> Duration {
        Duration::from_micros(self.of(fault).value_at_percentile(percent))
    }

    fn of(&self, fault: Fault) -> Histogram<u64> {
        let mut both = self.times[&(fault, true)].clone();
        both.add(&self.times[&(fault, false)])
            .expect("they have the same bounds");
        both
    }

    /// Was no packet lost? What is acknowledged and lost is an error before there is a report.
    pub fn is_clean(&self) -> bool {
        self.packets.lost == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "until a new master's first acknowledged write",
            "switches",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms"
        )?;
        for fault in Fault::ALL {
            let name = match fault {
                Fault::Killed => "killed",
                Fault::CutOff => "cut off",
                Fault::ShutDown => "shut down",
            };
            if self.of(fault).is_empty() {
                continue;
            }
            line(f, name, &self.of(fault))?;
            line(f, &format!("{name}, leader"), &self.times[&(fault, true)])?;
            line(
                f,
                &format!("{name}, not leader"),
                &self.times[&(fault, false)],
            )?;
        }
        writeln!(
            f,
            "changes   {} acknowledged, none lost; {} streams and batches of old masters refused",
            self.acknowledged, self.refused
        )?;
        writeln!(
            f,
            "agent     took {} batches, none of an older master after a newer one",
            self.batches
        )?;
        write!(
            f,
            "packets   {} sent, {} lost; longest pause {:.1} ms",
            self.packets.sent,
            self.packets.lost,
            self.packets.longest_pause.as_secs_f64() * 1e3
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, times: &Histogram<u64>) -> fmt::Result {
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    writeln!(
        f,
        "{name:<44} {:>8} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
        times.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        times.max() as f64 / 1e3
    )
}
