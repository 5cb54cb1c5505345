//! Numbers of any width as canonical byte strings.

use std::fmt;

use num_bigint::BigUint;
use smallvec::SmallVec;

/// A non-negative number, big-endian, without leading zero bytes; zero has no bytes.
///
/// Two `Bits` are equal exactly if the numbers are: P4Runtime's canonical form, but for zero,
/// which P4Runtime writes as one zero byte (see [`Bits::to_p4runtime`]). Up to 16 bytes live inline.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Bits(SmallVec<[u8; 16]>);

impl Bits {
    /// Zero.
    pub fn zero() -> Bits {
        Bits::default()
    }

    /// From a big-endian byte string with any number of leading zeros.
    pub fn from_be_bytes(bytes: &[u8]) -> Bits {
        let first = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
        Bits(SmallVec::from_slice(&bytes[first..]))
    }

    /// `width` ones.
    pub fn ones(width: u32) -> Bits {
        let mut bytes: SmallVec<[u8; 16]> = SmallVec::from_elem(0xff, width.div_ceil(8) as usize);
        if let (Some(first), 1..) = (bytes.first_mut(), width % 8) {
            *first = 0xff >> (8 - width % 8);
        }
        Bits(bytes)
    }

    /// The canonical bytes; none for zero.
    pub fn as_be_bytes(&self) -> &[u8] {
        &self.0
    }

    /// P4Runtime's canonical form: at least one byte.
    pub fn to_p4runtime(&self) -> Vec<u8> {
        if self.0.is_empty() {
            vec![0]
        } else {
            self.0.to_vec()
        }
    }

    /// How many bits the number needs; 0 for zero.
    pub fn bit_length(&self) -> u32 {
        self.0
            .first()
            .map_or(0, |first| self.0.len() as u32 * 8 - first.leading_zeros())
    }

    /// Whether the number is zero.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number, if it fits.
    pub fn to_u64(&self) -> Option<u64> {
        (self.0.len() <= 8).then(|| self.0.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// Writes the number right-aligned into `out`, big-endian, and the rest of `out` as 0.
    ///
    /// # Panics
    /// If it does not fit.
    pub fn write_be(&self, out: &mut [u8]) {
        let start = out
            .len()
            .checked_sub(self.0.len())
            .expect("the number fits the buffer");
        out[..start].fill(0);
        out[start..].copy_from_slice(&self.0);
    }

    /// The number under a mask.
    pub fn and(&self, mask: &Bits) -> Bits {
        let skip = self.0.len().saturating_sub(mask.0.len());
        let mask_skip = mask.0.len().saturating_sub(self.0.len());
        let bytes: SmallVec<[u8; 16]> = self.0[skip..]
            .iter()
            .zip(&mask.0[mask_skip..])
            .map(|(a, b)| a & b)
            .collect();
        Bits::from_be_bytes(&bytes)
    }

    /// The first `prefix_len` of `width` bits as ones, the rest as zeros.
    pub fn prefix_mask(prefix_len: u32, width: u32) -> Bits {
        let mut bytes: SmallVec<[u8; 16]> = SmallVec::from_elem(0, width.div_ceil(8) as usize);
        let pad = bytes.len() as u32 * 8 - width;
        for bit in pad..pad + prefix_len.min(width) {
            bytes[(bit / 8) as usize] |= 0x80 >> (bit % 8);
        }
        Bits::from_be_bytes(&bytes)
    }
}

/// The canonical bytes.
impl AsRef<[u8]> for Bits {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialOrd for Bits {
    fn partial_cmp(&self, other: &Bits) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By value.
impl Ord for Bits {
    fn cmp(&self, other: &Bits) -> std::cmp::Ordering {
        self.0
            .len()
            .cmp(&other.0.len())
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl From<u64> for Bits {
    fn from(value: u64) -> Bits {
        Bits::from_be_bytes(&value.to_be_bytes())
    }
}

impl From<&BigUint> for Bits {
    fn from(value: &BigUint) -> Bits {
        Bits::from_be_bytes(&value.to_bytes_be())
    }
}

impl From<&Bits> for BigUint {
    fn from(value: &Bits) -> BigUint {
        BigUint::from_bytes_be(&value.0)
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", BigUint::from(self))
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_do_not_count() {
        assert_eq!(Bits::from_be_bytes(&[0, 0, 1, 0]), Bits::from(256));
        assert_eq!(Bits::from_be_bytes(&[0]).to_p4runtime(), [0]);
        assert_eq!(Bits::from(0x1ff).bit_length(), 9);
    }

    #[test]
    fn order_is_by_value() {
        assert!(Bits::from(0xff) < Bits::from(0x100));
        assert!(Bits::from(0x101) > Bits::from(0x100));
    }

    #[test]
    fn masks_of_odd_widths() {
        assert_eq!(Bits::ones(9), Bits::from(0x1ff));
        assert_eq!(Bits::ones(0), Bits::zero());
        assert_eq!(Bits::prefix_mask(3, 9), Bits::from(0x1c0));
        assert_eq!(Bits::from(0x1234).and(&Bits::from(0xff)), Bits::from(0x34));
        assert_eq!(Bits::from(0x34).and(&Bits::from(0xff00)), Bits::zero());
    }
}
