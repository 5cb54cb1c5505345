//! How the parts of a table's key are packed into 64-bit words.
//!
//! Parts follow each other from the most significant bit of the first word, none crosses a
//! word unless it is longer than one. The compiled program packs a packet's fields
//! and the writer packs an entry's matches by the same layout.

use pointsman_p4::dataplane::Bits;
use smallvec::SmallVec;

/// The words of a packed key.
pub type KeyWords = SmallVec<[u64; 6]>;

/// Bits of one part of the key, placed in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Which part of the key.
    pub part: usize,
    /// The lowest bit of the part that is in this piece.
    pub low_bit: u32,
    /// How many bits.
    pub width: u32,
    /// Where its lowest bit is in the word.
    pub shift: u32,
}

/// The packing of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLayout {
    /// The pieces of each word, most significant first.
    pub words: Vec<Vec<Piece>>,
    widths: Vec<u32>,
    /// The pieces of each part, with the word that each is in.
    places: Vec<Vec<(usize, Piece)>>,
}

impl KeyLayout {
    /// Packs parts of these widths.
    pub fn new(widths: &[u32]) -> KeyLayout {
        let mut words: Vec<Vec<Piece>> = Vec::new();
        let mut room = 0;
        for (part, &width) in widths.iter().enumerate() {
            let mut left = width;
            while left > 0 {
                // A long part is cut so that its last piece is a whole word.
                let take = if left > 64 && left % 64 != 0 {
                    left % 64
                } else {
                    left.min(64)
                };
                if take > room {
                    words.push(Vec::new());
                    room = 64;
                }
                room -= take;
                left -= take;
                let word = words.last_mut().expect("a word was just added or has room");
                word.push(Piece {
                    part,
                    low_bit: left,
                    width: take,
                    shift: room,
                });
            }
        }
        let mut places = vec![Vec::new(); widths.len()];
        for (word, pieces) in words.iter().enumerate() {
            for piece in pieces {
                places[piece.part].push((word, *piece));
            }
        }
        KeyLayout {
            words,
            widths: widths.to_vec(),
            places,
        }
    }

    /// Packs one value for each part, given as a number or as the bytes of one.
    pub fn pack<B: AsRef<[u8]>>(&self, parts: impl IntoIterator<Item = B>) -> KeyWords {
        let mut words: KeyWords = SmallVec::from_elem(0, self.words.len());
        for (part, pieces) in parts.into_iter().zip(&self.places) {
            for (word, piece) in pieces {
                let bits = low_bits(part.as_ref(), piece.low_bit, piece.width);
                words[*word] |= bits << piece.shift;
            }
        }
        words
    }

    /// Which bytes of the packed key (most significant first) hold key bits.
    pub fn used_bytes(&self) -> Vec<usize> {
        let ones: Vec<Bits> = self.widths.iter().map(|w| Bits::ones(*w)).collect();
        let packed = self.pack(&ones);
        let bytes = packed.iter().flat_map(|word| word.to_be_bytes());
        bytes
            .enumerate()
            .filter(|(_, byte)| *byte != 0)
            .map(|(index, _)| index)
            .collect()
    }
}

/// `width` bits from `low_bit` of a big-endian number.
fn low_bits(number: &[u8], low_bit: u32, width: u32) -> u64 {
    let (chunk, shift) = (low_bit as usize / 64, low_bit % 64);
    let end = number.len().saturating_sub(8 * chunk);
    let bytes = &number[end.saturating_sub(8)..end];
    let word = bytes
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    let mask = if width == 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    };
    (word >> shift) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_from_the_top() {
        let layout = KeyLayout::new(&[9, 1, 12]);
        let words = layout.pack(&[Bits::from(0x1ff), Bits::from(0), Bits::from(0xabc)]);
        assert_eq!(words.as_slice(), [0x1ff << 55 | 0xabc << 42]);
        assert_eq!(layout.used_bytes(), [0, 1, 2]);
    }

    #[test]
    fn long_parts_span_words() {
        let layout = KeyLayout::new(&[128, 9]);
        let address = Bits::from_be_bytes(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        let words = layout.pack(&[address, Bits::from(1)]);
        assert_eq!(
            words.as_slice(),
            [0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10, 1 << 55]
        );
        let odd = KeyLayout::new(&[72]).pack(&[Bits::ones(72)]);
        assert_eq!(odd.as_slice(), [0xff << 56, u64::MAX]);
    }
}
