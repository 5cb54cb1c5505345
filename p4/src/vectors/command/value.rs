//! Values as STF files write them: `10`, `0x0a`, `0b1010`, `0o12`, `0x0a**`.

use num_bigint::BigUint;
use num_traits::{Num, One};

use super::Parsed;

/// A value of that width and the mask of the digits that matter.
pub(super) fn masked(text: &str, width: u32) -> Parsed<(BigUint, BigUint)> {
    let all = (BigUint::one() << width) - BigUint::one();
    let (digits, radix, bits) = match text.get(..2) {
        Some("0x" | "0X") => (&text[2..], 16, 4),
        Some("0b" | "0B") => (&text[2..], 2, 1),
        Some("0o" | "0O") => (&text[2..], 8, 3),
        _ => {
            let value = BigUint::from_str_radix(text, 10).map_err(|e| format!("{text:?}: {e}"))?;
            return Ok((value & &all, all));
        }
    };
    let zero: String = digits.replace('*', "0");
    let value = BigUint::from_str_radix(&zero, radix).map_err(|e| format!("{text:?}: {e}"))?;
    if !digits.contains('*') {
        return Ok((value & &all, all));
    }
    let mut mask = BigUint::ZERO;
    for digit in digits.chars() {
        mask <<= bits;
        if digit != '*' {
            mask |= (BigUint::one() << bits) - BigUint::one();
        }
    }
    Ok((value & &all, mask & all))
}

/// A number that fits 32 bits.
pub(super) fn number(text: &str) -> Parsed<u32> {
    let (value, _) = masked(text, 64)?;
    u32::try_from(value).map_err(|e| format!("{text:?}: {e}"))
}

/// Numbers with white space between them.
pub(super) fn numbers(text: &str) -> Parsed<Vec<u32>> {
    text.split_whitespace().map(number).collect()
}
