//! A few bytes, inline.
//!
//! They are copied more often than anything else of an entry. A copy of those that are inline is one of a fixed
//! size, however many they are: a few instructions in place of a loop.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// Bytes that need no allocation: two addresses, or two MAC addresses, a port and a VLAN.
const INLINE: usize = 30;

/// See above.
#[derive(Clone)]
pub(super) enum Bytes {
    Few(u8, [u8; INLINE]),
    Many(Vec<u8>),
}

impl Bytes {
    pub fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }

    pub fn extend_from_slice(&mut self, more: &[u8]) {
        match self {
            Bytes::Few(count, bytes) => {
                let (start, end) = (usize::from(*count), usize::from(*count) + more.len());
                match bytes.get_mut(start..end) {
                    Some(room) => {
                        room.copy_from_slice(more);
                        *count = end as u8;
                    }
                    None => *self = Bytes::Many([&bytes[..start], more].concat()),
                }
            }
            Bytes::Many(bytes) => bytes.extend_from_slice(more),
        }
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes::Few(0, [0; INLINE])
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Few(count, bytes) => &bytes[..usize::from(*count)],
            Bytes::Many(bytes) => bytes,
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Bytes) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Bytes) -> Ordering {
        (**self).cmp(&**other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_take_no_more_than_four_words() {
        assert_eq!(size_of::<Bytes>(), 32);
    }

    #[test]
    fn they_are_what_was_added_few_or_many() {
        let mut bytes = Bytes::default();
        let mut expected = Vec::new();
        for number in 0..100 {
            bytes.push(number);
            bytes.extend_from_slice(&[number, 1]);
            expected.extend([number, number, 1]);
            assert_eq!(*bytes, *expected);
            assert!(bytes.clone() == bytes);
        }
    }
}
