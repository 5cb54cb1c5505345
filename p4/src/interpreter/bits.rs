//! Strings of bits that need not begin or end at a byte.

use num_bigint::BigUint;
use num_traits::One;

/// `width` ones.
pub(super) fn ones(width: u32) -> BigUint {
    (BigUint::one() << width) - BigUint::one()
}

/// Reads `width` bits of `data`, from a bit offset; `None` if there are not that many.
pub(super) fn read(data: &[u8], offset: usize, width: u32) -> Option<BigUint> {
    let end = offset.checked_add(width as usize)?;
    let bytes = data.get(offset / 8..end.div_ceil(8))?;
    let number = BigUint::from_bytes_be(bytes) >> (end.next_multiple_of(8) - end);
    if offset.is_multiple_of(8) {
        return Some(number);
    }
    Some(number & ones(width))
}

/// Bits one after the other, the first in the top bit of the first byte.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken; 0 if the next bit begins a byte.
    taken: u32,
}

impl BitWriter {
    /// Appends the low `width` bits of a number.
    pub(super) fn push(&mut self, value: &BigUint, width: u32) {
        let digits = value.to_bytes_le();
        let byte = |i: u32| digits.get(i as usize).copied().unwrap_or_default();
        if self.taken == 0 && width.is_multiple_of(8) {
            self.bytes.extend((0..width / 8).rev().map(byte));
            return;
        }
        for index in (0..width).rev() {
            let bit = byte(index / 8) >> (index % 8) & 1;
            if self.taken == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (7 - self.taken);
            }
            self.taken = (self.taken + 1) % 8;
        }
    }

    /// Appends bytes, from the next byte on.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The bits, filled up with zeros to a whole byte.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in proptest::collection::vec((any::<u64>(), 1u32..=64), 1..8)) {
            let mut writer = BitWriter::default();
            for (value, width) in &parts {
                writer.push(&BigUint::from(*value), *width);
            }
            let bytes = writer.finish();
            let mut offset = 0;
            for (value, width) in &parts {
                let expected = BigUint::from(*value) & ones(*width);
                prop_assert_eq!(read(&bytes, offset, *width), Some(expected));
                offset += *width as usize;
            }
        }
    }
}
