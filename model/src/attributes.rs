//! What an objective says of itself rather than of packets: whose it is, with what it is
//! applied, and for how long.

use std::fmt;
use std::str::FromStr;

use crate::objective::Name;

/// The most objectives that a group has on a device.
pub const MAX_GROUP: usize = 500;

/// The attributes of an objective; by default it is nobody's, on its own, and permanent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// The application that it belongs to.
    pub owner: Option<Name>,
    /// What changes of one owner and group is applied wholly or not at all.
    pub group: Option<Name>,
    /// When it goes by itself.
    pub timeout: Timeout,
}

/// When an objective goes by itself; by default never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timeout {
    /// After no packet has met it for so long.
    pub idle: Option<Period>,
    /// So long after it was first applied.
    pub hard: Option<Period>,
}

impl Timeout {
    /// Whether it never goes.
    pub fn is_never(&self) -> bool {
        self.idle.is_none() && self.hard.is_none()
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part =
            |name: &str, period: Option<Period>| period.map(|period| format!("{name}: {period}"));
        let parts = [part("idle", self.idle), part("hard", self.hard)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        write!(f, "{{ {} }}", parts.join(", "))
    }
}

/// A length of time from 100 ms to 365 days, in milliseconds. Written with its unit: `500ms`,
/// `30s`, `5m`, `2h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period(u64);

/// The units, the longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

impl Period {
    /// The shortest: what the agent looks at less often could not be told from it.
    pub const MIN: Period = Period(100);
    /// The longest.
    pub const MAX: Period = Period(365 * 86_400_000);

    /// So many milliseconds, if that is not too short or too long.
    pub fn from_milliseconds(milliseconds: u64) -> Option<Period> {
        let accepted = Self::MIN.0..=Self::MAX.0;
        accepted
            .contains(&milliseconds)
            .then_some(Self(milliseconds))
    }

    /// In milliseconds.
    pub fn milliseconds(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, length): &&(&str, u64)| self.0.is_multiple_of(*length);
        let (unit, length) = UNITS.iter().find(fits).expect("a millisecond always fits");
        write!(f, "{}{unit}", self.0 / length)
    }
}

/// Why a text is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a length of time; write a whole number and its unit, from 100ms to 365d: 500ms, 30s, 5m, 2h, 7d"
)]
pub struct PeriodError(String);

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let error = || PeriodError(text.to_owned());
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let (_, length) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(error)?;
        let number: u64 = number.parse().map_err(|_| error())?;
        let milliseconds = number.checked_mul(*length).ok_or_else(error)?;
        Period::from_milliseconds(milliseconds).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_their_unit_and_printed_with_the_longest_that_fits() {
        let printed = |text: &str| text.parse::<Period>().map(|period| period.to_string());
        for (text, expected) in [
            ("500ms", "500ms"),
            ("90s", "90s"),
            ("120s", "2m"),
            ("24h", "1d"),
            ("365d", "365d"),
        ] {
            assert_eq!(printed(text).as_deref(), Ok(expected));
        }
        for bad in ["30", "s", "5 m", "1.5h", "-1s", "99ms", "366d", "0s", "1w"] {
            assert!(printed(bad).is_err(), "{bad}");
        }
    }
}
