//! Matches that a value meets, and meters that no clock decides.

use num_bigint::BigUint;
use num_traits::One;
use pointsman_p4::dataplane::{Bits, Match, MeterConfig};
use pointsman_p4::ir::MatchKind;

use super::pool::Pool;
use super::random::Random;

/// Bursts without a rate: what is spent does not come back.
pub fn config(random: &mut Random) -> Option<MeterConfig> {
    let burst = |random: &mut Random| match random.below(3) {
        0 => 0,
        1 => random.below(10) as u64,
        _ => random.below(4000) as u64,
    };
    (!random.one_in(3)).then(|| MeterConfig {
        committed_rate: 0,
        committed_burst: burst(random),
        peak_rate: 0,
        peak_burst: burst(random),
        excess_burst: 0,
    })
}

/// What a value matches.
pub fn around(
    pool: &mut Pool<'_>,
    random: &mut Random,
    kind: MatchKind,
    width: u32,
    value: Bits,
) -> Match {
    match kind {
        MatchKind::Exact => Match::Exact(value),
        MatchKind::Lpm => {
            let prefix_len = match random.below(3) {
                0 => width,
                1 => width.saturating_sub(random.below(9) as u32),
                _ => random.below(width as usize + 1) as u32,
            };
            Match::Lpm {
                value: value.and(&Bits::prefix_mask(prefix_len, width)),
                prefix_len,
            }
        }
        MatchKind::Ternary => {
            let mask = match random.below(5) {
                0 | 1 => Bits::ones(width),
                2 => pool.value(random, width),
                3 => Bits::prefix_mask(random.below(width as usize + 1) as u32, width),
                _ => Bits::zero(),
            };
            Match::Ternary {
                value: value.and(&mask),
                mask,
            }
        }
        MatchKind::Optional => Match::Optional((!random.one_in(3)).then_some(value)),
        MatchKind::Range => range(pool, random, value, width),
    }
}

/// A range around a value, or between two.
fn range(pool: &mut Pool<'_>, random: &mut Random, value: Bits, width: u32) -> Match {
    let other = match random.below(4) {
        0 => value.clone(),
        1 => {
            let all = (BigUint::one() << width) - BigUint::one();
            let above = BigUint::from(&value) + BigUint::from(random.below(300));
            Bits::from(&above.min(all))
        }
        2 if random.one_in(3) => Bits::zero(),
        _ => pool.value(random, width),
    };
    let (low, high) = if value < other {
        (value, other)
    } else {
        (other, value)
    };
    Match::Range { low, high }
}
