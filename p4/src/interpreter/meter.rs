//! Three-colour markers, colour-blind: two rates (RFC 2698) or a single one (RFC 2697).

use std::time::Duration;

use crate::dataplane::{Color, MeterConfig};

/// A meter and its two buckets.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    config: MeterConfig,
    committed: Bucket,
    /// The peak rate's, or with a single rate that for the excess.
    other: Bucket,
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
            other: full(match config.excess_burst {
                0 => config.peak_burst,
                excess => excess,
            }),
        }
    }

    /// Meters a packet of that many units.
    pub(super) fn mark(&mut self, units: u64, now: Duration) -> Color {
        match self.config.excess_burst {
            0 => self.mark_by_two_rates(units, now),
            excess => self.mark_by_one_rate(units, excess, now),
        }
    }

    fn mark_by_two_rates(&mut self, units: u64, now: Duration) -> Color {
        let config = self.config;
        self.committed
            .fill(config.committed_rate, config.committed_burst, now);
        self.other.fill(config.peak_rate, config.peak_burst, now);
        if !self.other.take(units) {
            return Color::Red;
        }
        if !self.committed.take(units) {
            return Color::Yellow;
        }
        Color::Green
    }

    /// What the committed bucket has no room for runs over into the other.
    fn mark_by_one_rate(&mut self, units: u64, excess: u64, now: Duration) -> Color {
        let config = self.config;
        let over = self
            .committed
            .fill(config.committed_rate, config.committed_burst, now);
        self.other.add(over, excess);
        if self.committed.take(units) {
            return Color::Green;
        }
        if self.other.take(units) {
            return Color::Yellow;
        }
        Color::Red
    }
}

impl Bucket {
    /// Adds what has come since the last time; returns what did not fit.
    fn fill(&mut self, rate: u64, burst: u64, now: Duration) -> u128 {
        let passed = now.saturating_sub(self.filled).as_nanos();
        self.filled = self.filled.max(now);
        self.add(passed.saturating_mul(u128::from(rate)), burst)
    }

    /// Adds tokens; returns what did not fit.
    fn add(&mut self, tokens: u128, burst: u64) -> u128 {
        let all = self.tokens.saturating_add(tokens);
        self.tokens = all.min(u128::from(burst) * NANO);
        all - self.tokens
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
            excess_burst: 0,
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

    /// Both buckets of a single rate are drained, and the first is filled before the second.
    #[test]
    fn with_a_single_rate_the_excess_is_what_the_committed_burst_left() {
        let config = MeterConfig {
            committed_rate: 10,
            committed_burst: 2,
            peak_rate: 10,
            peak_burst: 2,
            excess_burst: 3,
        };
        let mut meter = Meter::new(config, Duration::ZERO);
        let mut at = |units, millis| meter.mark(units, Duration::from_millis(millis));
        assert_eq!(at(2, 0), Color::Green);
        // Three are left, and a packet is not cut in two.
        assert_eq!([at(4, 0), at(3, 0)], [Color::Red, Color::Yellow]);
        assert_eq!(at(1, 0), Color::Red);
        assert_eq!([at(1, 100), at(1, 100)], [Color::Green, Color::Red]);
        // 0.3 s: two for the first, one for the second.
        assert_eq!(
            [at(2, 400), at(1, 400), at(1, 400)],
            [Color::Green, Color::Yellow, Color::Red]
        );
    }

    #[test]
    fn two_equal_rates_have_no_yellow() {
        let config = MeterConfig {
            committed_rate: 1,
            committed_burst: 5,
            peak_rate: 1,
            peak_burst: 5,
            excess_burst: 0,
        };
        let mut meter = Meter::new(config, Duration::ZERO);
        let colors = [3, 3, 2, 1].map(|units| meter.mark(units, Duration::ZERO));
        let expected = [Color::Green, Color::Red, Color::Green, Color::Red];
        assert_eq!(colors, expected);
    }
}
