//! What was measured, in words.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Objectives in large requests.
#[derive(Debug, Clone, Copy)]
pub struct Batched {
    /// How many.
    pub objectives: usize,
    /// From the first request to the last acknowledgement.
    pub took: Duration,
}

impl Batched {
    /// How many a second.
    pub fn rate(&self) -> f64 {
        self.objectives as f64 / self.took.as_secs_f64()
    }
}

/// Objectives one by one.
#[derive(Debug, Clone)]
pub struct Single {
    /// Who was asked.
    pub at: &'static str,
    /// From each request to its acknowledgement, in microseconds.
    pub times: Histogram<u64>,
}

/// One cluster, measured once.
#[derive(Debug, Clone)]
pub struct Round {
    /// How many controllers it had.
    pub nodes: usize,
    /// In large requests.
    pub batched: Batched,
    /// One by one, for each place where a client may ask.
    pub singles: Vec<Single>,
}

/// All rounds.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order in which they were measured.
    pub rounds: Vec<Round>,
}

impl Report {
    /// The best of the rounds of clusters of so many nodes.
    pub fn best_rate(&self, nodes: usize) -> f64 {
        let rounds = self.rounds.iter().filter(|round| round.nodes == nodes);
        rounds.map(|round| round.batched.rate()).fold(0.0, f64::max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for round in &self.rounds {
            let nodes = round.nodes;
            let Batched { objectives, took } = round.batched;
            writeln!(
                f,
                "{nodes} controllers: {objectives} objectives acknowledged in {took:.2?}, {:.0}/s",
                round.batched.rate()
            )?;
            for Single { at, times } in &round.singles {
                let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
                writeln!(
                    f,
                    "{nodes} controllers: one at a time at {at}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms of {}",
                    ms(0.5),
                    ms(0.99),
                    ms(1.0),
                    times.len()
                )?;
            }
        }
        let many = self.rounds.iter().map(|round| round.nodes).max();
        let many = many.unwrap_or_default();
        let (alone, together) = (self.best_rate(1), self.best_rate(many));
        writeln!(
            f,
            "best of {} rounds: {alone:.0}/s alone, {together:.0}/s with {many} controllers, a ratio of {:.2}",
            self.rounds.len() / 2,
            together / alone
        )
    }
}
