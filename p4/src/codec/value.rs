//! Byte strings and numbers (P4Runtime specification, "Bytestrings").

use crate::dataplane::Bits;

use super::CodecError;

/// Reads a byte string as an unsigned number of `width` bits. Leading zeros do not matter.
///
/// # Errors
/// `OutOfRange` if the string is empty or the number does not fit; `Strings` if the width is 0.
pub fn decode(bytes: &[u8], width: u32) -> Result<Bits, CodecError> {
    if width == 0 {
        return Err(CodecError::Strings);
    }
    if bytes.is_empty() {
        return Err(CodecError::EmptyValue { width });
    }
    let bits = Bits::from_be_bytes(bytes);
    if bits.bit_length() > width {
        return Err(CodecError::TooWide {
            value: bits.to_string(),
            width,
        });
    }
    Ok(bits)
}

/// The canonical byte string of an unsigned number: the shortest, at least one byte.
pub fn encode(bits: &Bits) -> Vec<u8> {
    bits.to_p4runtime()
}

/// Reads a byte string as a two's complement number of `width` bits, which the answer holds in
/// its low `width` bits. Strings are sign-extended: only the bits above must repeat the sign.
///
/// # Errors
/// `OutOfRange` if the string is empty or the number does not fit.
pub fn decode_signed(bytes: &[u8], width: u32) -> Result<Bits, CodecError> {
    let Some(first) = bytes.first() else {
        return Err(CodecError::EmptyValue { width });
    };
    let negative = first & 0x80 != 0;
    let bit = |index: u32| -> bool {
        let byte = bytes.len().checked_sub(1 + (index / 8) as usize);
        byte.map_or(negative, |b| bytes[b] >> (index % 8) & 1 == 1)
    };
    let given = bytes.len() as u32 * 8;
    let sign_bit = width.saturating_sub(1);
    if (sign_bit..given.max(width)).any(|i| bit(i) != negative) {
        return Err(CodecError::TooWide {
            value: Bits::from_be_bytes(bytes).to_string(),
            width,
        });
    }
    let mut out = vec![0u8; width.div_ceil(8) as usize];
    let last = out.len().saturating_sub(1);
    for index in (0..width).filter(|i| bit(*i)) {
        out[last - (index / 8) as usize] |= 1 << (index % 8);
    }
    Ok(Bits::from_be_bytes(&out))
}

/// The canonical byte string of a two's complement number of `width` bits: the shortest that
/// sign-extends to it.
pub fn encode_signed(bits: &Bits, width: u32) -> Vec<u8> {
    let length = width.div_ceil(8).max(1) as usize;
    let mut bytes = vec![0u8; length];
    bits.and(&Bits::ones(width)).write_be(&mut bytes);
    let spare = length as u32 * 8 - width;
    let negative = width > 0 && bytes[0] << spare & 0x80 != 0;
    if negative && spare > 0 {
        bytes[0] |= 0xffu8 << (8 - spare);
    }
    let fill = if negative { 0xff } else { 0 };
    let redundant = bytes
        .windows(2)
        .take_while(|w| w[0] == fill && (w[1] & 0x80 != 0) == negative)
        .count();
    bytes.split_off(redundant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn any_length_that_fits_is_read() {
        assert_eq!(decode(&[0, 0, 1, 0xff], 9), Ok(Bits::from(0x1ff)));
        assert_eq!(decode(&[0], 9), Ok(Bits::zero()));
        assert_eq!(encode(&Bits::from(0x1ff)), [1, 0xff]);
    }

    #[test]
    fn a_type_that_is_translated_to_strings_is_refused_by_name() {
        assert_eq!(decode(b"port-1", 0), Err(CodecError::Strings));
    }

    #[test]
    fn empty_and_too_large_are_out_of_range() {
        assert!(decode(&[], 9).unwrap_err().is_out_of_range());
        assert!(decode(&[2, 0], 9).unwrap_err().is_out_of_range());
        assert!(decode_signed(&[0x80, 0], 9).unwrap_err().is_out_of_range());
    }

    #[test]
    fn signed_numbers_are_sign_extended() {
        assert_eq!(decode_signed(&[0xff], 16), Ok(Bits::from(0xffff)));
        assert_eq!(decode_signed(&[0xff, 0x80], 8), Ok(Bits::from(0x80)));
        assert_eq!(encode_signed(&Bits::from(0xffff), 16), [0xff]);
        assert_eq!(encode_signed(&Bits::from(0xff), 16), [0, 0xff]);
    }

    proptest! {
        #[test]
        fn canonical_strings_are_read_back(value: u64, width in 1u32..=64) {
            let bits = Bits::from(value).and(&Bits::ones(width));
            prop_assert_eq!(decode(&encode(&bits), width), Ok(bits.clone()));
            prop_assert_eq!(decode_signed(&encode_signed(&bits, width), width), Ok(bits));
        }
    }
}
