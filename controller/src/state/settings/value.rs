//! The types that a setting can have, and how they are written.

use std::ops::RangeInclusive;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

/// What can be a setting.
pub trait Value: Clone + Send + Sync + 'static {
    /// What is accepted of it.
    type Bounds: Send + Sync + 'static;

    /// Reads what a user has written, or what is kept.
    fn parse(text: &str, bounds: &Self::Bounds) -> Option<Self>;

    /// How it is kept and shown.
    fn write(&self) -> String;

    /// What is accepted, in words after "give".
    fn accepts(bounds: &Self::Bounds) -> String;
}

impl Value for u64 {
    type Bounds = RangeInclusive<u64>;

    fn parse(text: &str, bounds: &Self::Bounds) -> Option<Self> {
        let number = text.trim().parse().ok()?;
        bounds.contains(&number).then_some(number)
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn accepts(bounds: &Self::Bounds) -> String {
        format!("{} to {}", bounds.start(), bounds.end())
    }
}

const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000)];

/// In milliseconds where no unit is said.
impl Value for Duration {
    type Bounds = RangeInclusive<Duration>;

    fn parse(text: &str, bounds: &Self::Bounds) -> Option<Self> {
        let time = Duration::from_millis(with_unit(text, &TIMES)?);
        bounds.contains(&time).then_some(time)
    }

    fn write(&self) -> String {
        let milliseconds = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        in_unit(milliseconds, &TIMES)
    }

    fn accepts(bounds: &Self::Bounds) -> String {
        let (least, most) = (bounds.start().write(), bounds.end().write());
        format!("a time from {least} to {most}, for example 1500 ms or 2 s")
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

const SIZES: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Value for ByteCount {
    type Bounds = RangeInclusive<ByteCount>;

    fn parse(text: &str, bounds: &Self::Bounds) -> Option<Self> {
        let count = ByteCount(with_unit(text, &SIZES)?);
        bounds.contains(&count).then_some(count)
    }

    fn write(&self) -> String {
        in_unit(self.0, &SIZES)
    }

    fn accepts(bounds: &Self::Bounds) -> String {
        let (least, most) = (bounds.start().write(), bounds.end().write());
        format!("{least} to {most}, in bytes or as in 64 MiB")
    }
}

impl Value for bool {
    type Bounds = ();

    fn parse(text: &str, (): &()) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn accepts((): &()) -> String {
        "true or false".to_owned()
    }
}

/// What is logged; empty if each node's own configuration says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(pub String);

impl Value for LogFilter {
    type Bounds = ();

    fn parse(text: &str, (): &()) -> Option<Self> {
        let text = text.trim();
        let is_usable = text.is_empty() || EnvFilter::try_new(text).is_ok();
        is_usable.then(|| Self(text.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }

    fn accepts((): &()) -> String {
        "a filter such as info or pointsman_controller=debug; empty: each node's own".to_owned()
    }
}

/// A number and a unit, in the first of the units.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor = match unit.trim() {
        "" => 1,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// In the largest unit that leaves no fraction.
fn in_unit(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| number != 0 && number.is_multiple_of(*factor);
    let (unit, factor) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{} {unit}", number / factor)
}
