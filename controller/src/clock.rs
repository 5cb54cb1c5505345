//! The clock of the machine, for those that own one: services and sessions. Decisions are given the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn seconds_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// A little more or less than a delay, so that those who wait for the same do not all come at once. The nanoseconds of
/// the clock are random enough.
pub fn spread(delay: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = now.map_or(0, |now| now.subsec_nanos());
    delay.mul_f64(0.75 + 0.5 * f64::from(nanoseconds % 1000) / 1000.0)
}
