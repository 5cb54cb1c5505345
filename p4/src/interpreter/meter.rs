//! A two-rate three-colour marker (RFC 2698), colour-blind.

use std::time::Duration;

use crate::dataplane::MeterConfig;

/// The colour of a packet, as programs see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Within the committed rate.
    Green = 0,
    /// Within the peak rate only.
    Yellow = 1,
    /// Beyond both.
    Red = 2,
}

/// A meter and its two buckets.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    config: MeterConfig,
    committed: Bucket,
    peak: Bucket,
}

/// Tokens, in billionths of a unit so that slow rates add up over nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: u128,
    filled: Duration,
}

const NANO: u128 = 1_000_000_000;

impl Meter {
    /// A meter with full buckets.
    pub(super) fn new(config: MeterConfig, now: Duration) -> Meter {
        let full = |burst: u64| Bucket {
            tokens: u128::from(burst) * NANO,
            filled: now,
        };
        Meter {
            config,
            committed: full(config.committed_burst),
            peak: full(config.peak_burst),
        }
    }

    /// Meters a packet of that many units.
    pub(super) fn mark(&mut self, units: u64, now: Duration) -> Color {
        let MeterConfig {
            committed_rate,
            committed_burst,
            peak_rate,
            peak_burst,
        } = self.config;
        self.committed.fill(committed_rate, committed_burst, now);
        self.peak.fill(peak_rate, peak_burst, now);
        if !self.peak.take(units) {
            return Color::Red;
        }
        if !self.committed.take(units) {
            return Color::Yellow;
        }
        Color::Green
    }
}

impl Bucket {
    fn fill(&mut self, rate: u64, burst: u64, now: Duration) {
        let passed = now.saturating_sub(self.filled).as_nanos();
        self.filled = self.filled.max(now);
        let gained = passed.saturating_mul(u128::from(rate));
        self.tokens = self
            .tokens
            .saturating_add(gained)
            .min(u128::from(burst) * NANO);
    }

    fn take(&mut self, units: u64) -> bool {
        let cost = u128::from(units) * NANO;
        let enough = self.tokens >= cost;
        if enough {
            self.tokens -= cost;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_marked_and_time_refills() {
        let config = MeterConfig {
            committed_rate: 10,
            committed_burst: 1,
            peak_rate: 20,
            peak_burst: 2,
        };
        let mut meter = Meter::new(config, Duration::ZERO);
        let mut at = |millis| meter.mark(1, Duration::from_millis(millis));
        assert_eq!(
            [at(0), at(0), at(0)],
            [Color::Green, Color::Yellow, Color::Red]
        );
        assert_eq!(at(50), Color::Yellow);
        assert_eq!(at(100), Color::Green);
    }
}
