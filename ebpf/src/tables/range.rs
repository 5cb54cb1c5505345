//! Ranges as values under masks.

/// The fewest prefixes of a `width`-bit number (at most 64) that together are exactly
/// `low..=high`, as (value, mask).
pub fn prefixes(low: u64, high: u64, width: u32) -> Vec<(u64, u64)> {
    let ones = if width == 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    };
    let mut found = Vec::new();
    let mut from = low;
    loop {
        // The largest block that begins here and does not go beyond the end.
        let aligned = from.trailing_zeros().min(width);
        let free = (0..=aligned).rev().find(|bits| {
            let last = if *bits == 64 {
                u64::MAX
            } else {
                from | ((1u64 << bits) - 1)
            };
            last <= high
        });
        let bits = free.unwrap_or(0);
        let block = if bits == 64 {
            u64::MAX
        } else {
            (1u64 << bits) - 1
        };
        found.push((from, ones & !block));
        match (from | block).checked_add(1) {
            Some(next) if next <= high => from = next,
            _ => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_exactly_the_range() {
        for (low, high) in [
            (0, 255),
            (1, 254),
            (7, 7),
            (0, 0),
            (255, 255),
            (3, 200),
            (128, 129),
        ] {
            let found = prefixes(low, high, 8);
            for value in 0..=255u64 {
                let hits = found.iter().filter(|(v, m)| value & m == *v).count();
                assert_eq!(
                    hits,
                    usize::from((low..=high).contains(&value)),
                    "{value} in {low}..={high}"
                );
            }
        }
        assert_eq!(prefixes(0, u64::MAX, 64), [(0, 0)]);
    }
}
