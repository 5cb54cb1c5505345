//! What is expected of a packet that leaves, and where a packet is not that.

use std::fmt;

use serde::Serialize;

use pointsman_p4::interpreter::Output;

/// Bytes shown on each side of the first that differs.
const AROUND: usize = 4;

/// A packet that should leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// By which port.
    pub port: u32,
    /// Its bytes; those that do not matter are 0.
    pub bytes: Vec<u8>,
    /// As many: the bits that matter.
    pub mask: Vec<u8>,
    /// Whether the packet ends there, or more may follow.
    pub ends: bool,
    /// How long the packet is, if that is known.
    pub length: Option<usize>,
}

/// The first way in which what left is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Difference {
    /// A packet did not leave.
    Missing {
        /// Where it should have left.
        port: u32,
        /// The packet, in hexadecimal.
        expected: String,
    },
    /// A packet left that should not have.
    Unexpected {
        /// Where.
        port: u32,
        /// The packet, in hexadecimal.
        found: String,
    },
    /// A packet left, and is another.
    Bytes {
        /// Where.
        port: u32,
        /// The first byte that differs, from 0.
        offset: usize,
        /// Bytes around it, the one that differs in brackets; `*` for digits that do not matter.
        expected: String,
        /// The same of the packet that left.
        found: String,
    },
    /// The target could not run the packet.
    NotRun {
        /// Why.
        error: String,
    },
}

impl Expected {
    /// Exactly this packet.
    pub fn exactly(output: &Output) -> Expected {
        Expected {
            port: output.port,
            mask: vec![0xff; output.bytes.len()],
            bytes: output.bytes.clone(),
            ends: true,
            length: Some(output.bytes.len()),
        }
    }

    /// The first byte in which a packet is another: beyond the end of the shorter one if only
    /// the lengths differ.
    fn first_difference(&self, found: &[u8]) -> Option<usize> {
        let pairs = self.bytes.iter().zip(&self.mask).zip(found);
        let differs = |((want, mask), have): ((&u8, &u8), &u8)| want & mask != have & mask;
        let shorter = self.bytes.len().min(found.len());
        pairs.map(differs).position(|differs| differs).or_else(|| {
            let too_short = found.len() < self.bytes.len();
            let too_long = self.ends && found.len() > self.bytes.len();
            (too_short || too_long).then_some(shorter)
        })
    }
}

/// Compares what left with what was expected, both sorted by port. Within a port the order does not
/// matter: a clone may leave before or after the packet that it was made of.
pub fn compare(expected: &[Expected], found: &[Output]) -> Option<Difference> {
    let found = &in_expected_order(expected, found);
    let (mut wanted, mut left) = (expected.iter().peekable(), found.iter().peekable());
    loop {
        match (wanted.peek(), left.peek()) {
            (None, None) => return None,
            (Some(want), have) if have.is_none_or(|have| want.port < have.port) => {
                return Some(Difference::Missing {
                    port: want.port,
                    expected: template(&want.bytes, &want.mask),
                });
            }
            (want, Some(have)) if want.is_none_or(|want| have.port < want.port) => {
                return Some(Difference::Unexpected {
                    port: have.port,
                    found: hex(&have.bytes),
                });
            }
            (Some(want), Some(have)) => {
                if let Some(offset) = want.first_difference(&have.bytes) {
                    return Some(Difference::Bytes {
                        port: have.port,
                        offset,
                        expected: around(&want.bytes, &want.mask, offset),
                        found: around(&have.bytes, &vec![0xff; have.bytes.len()], offset),
                    });
                }
                wanted.next();
                left.next();
            }
            _ => unreachable!("one of two ports is the lower, or they are the same"),
        }
    }
}

/// What left, each packet at the place of the first that it can be, if there is one for each.
fn in_expected_order(expected: &[Expected], found: &[Output]) -> Vec<Output> {
    let mut left = found.to_vec();
    let mut ordered = Vec::new();
    for want in expected {
        let is_it =
            |have: &Output| have.port == want.port && want.first_difference(&have.bytes).is_none();
        match left.iter().position(is_it) {
            Some(at) => ordered.push(left.remove(at)),
            None => return found.to_vec(),
        }
    }
    ordered.extend(left);
    ordered.sort_by_key(|output| output.port);
    ordered
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn template(bytes: &[u8], mask: &[u8]) -> String {
    let digit = |value: u8, matters: u8| match matters {
        0 => '*',
        _ => char::from_digit(u32::from(value & 0xf), 16).expect("four bits are a digit"),
    };
    let pairs = bytes.iter().zip(mask);
    pairs
        .flat_map(|(b, m)| [digit(b >> 4, m >> 4), digit(*b, m & 0xf)])
        .collect()
}

fn around(bytes: &[u8], mask: &[u8], offset: usize) -> String {
    let part = |from: usize, to: usize| {
        let (from, to) = (from.min(bytes.len()), to.min(bytes.len()));
        template(&bytes[from..to], &mask[from..to])
    };
    let start = offset.saturating_sub(AROUND);
    let end = offset + 1 + AROUND;
    let (before, after) = (part(start, offset), part(offset + 1, end));
    let dots = |more: bool| if more { "..." } else { "" };
    let byte = match part(offset, offset + 1) {
        byte if byte.is_empty() => "end".to_owned(),
        byte => byte,
    };
    format!(
        "{}{before}[{byte}]{after}{}",
        dots(start > 0),
        dots(end < bytes.len())
    )
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Missing { port, expected } => {
                write!(f, "port {port}: expected {expected}, found nothing")
            }
            Difference::Unexpected { port, found } => {
                write!(f, "port {port}: expected nothing, found {found}")
            }
            Difference::Bytes {
                port,
                offset,
                expected,
                found,
            } => write!(
                f,
                "port {port}, byte {offset}: expected {expected}, found {found}"
            ),
            Difference::NotRun { error } => f.write_str(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(port: u32, bytes: &[u8]) -> Output {
        Output {
            port,
            bytes: bytes.to_vec(),
        }
    }

    fn difference(expected: &[Expected], found: &[Output]) -> String {
        compare(expected, found).map_or_else(|| "none".to_owned(), |d| d.to_string())
    }

    #[test]
    fn the_first_byte_that_differs_is_shown_with_its_neighbours() {
        let expected = Expected::exactly(&output(2, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
        assert_eq!(
            difference(
                &[expected],
                &[output(2, &[0, 1, 2, 3, 4, 0x55, 6, 7, 8, 9, 10])]
            ),
            "port 2, byte 5: expected ...01020304[05]06070809..., found ...01020304[55]06070809..."
        );
    }

    #[test]
    fn bits_that_do_not_matter_are_not_compared() {
        let mut expected = Expected::exactly(&output(0, &[0x10, 0x20]));
        expected.mask = vec![0xf0, 0xff];
        assert_eq!(
            difference(&[expected.clone()], &[output(0, &[0x1f, 0x20])]),
            "none"
        );
        assert_eq!(
            difference(&[expected], &[output(0, &[0x1f, 0x21])]),
            "port 0, byte 1: expected 1*[20], found 1f[21]"
        );
    }

    #[test]
    fn a_length_counts_where_the_packet_must_end() {
        let mut expected = Expected::exactly(&output(0, &[1]));
        assert_eq!(
            difference(&[expected.clone()], &[output(0, &[1, 2])]),
            "port 0, byte 1: expected 01[end], found 01[02]"
        );
        expected.ends = false;
        assert_eq!(
            difference(&[expected.clone()], &[output(0, &[1, 2])]),
            "none"
        );
        assert_eq!(
            difference(&[expected], &[output(0, &[])]),
            "port 0, byte 0: expected [01], found [end]"
        );
    }

    #[test]
    fn packets_leave_a_port_in_any_order() {
        let expected = [1, 2, 2].map(|byte| Expected::exactly(&output(3, &[byte])));
        let found = |bytes: [u8; 3]| bytes.map(|byte| output(3, &[byte]));
        assert_eq!(difference(&expected, &found([2, 1, 2])), "none");
        assert_eq!(
            difference(&expected, &found([2, 1, 1])),
            "port 3, byte 0: expected [01], found [02]"
        );
    }

    #[test]
    fn a_packet_on_another_port_is_missing_or_unexpected() {
        let expected = Expected::exactly(&output(3, &[1]));
        assert_eq!(
            difference(std::slice::from_ref(&expected), &[output(4, &[1])]),
            "port 3: expected 01, found nothing"
        );
        assert_eq!(
            difference(&[expected], &[output(2, &[1]), output(3, &[1])]),
            "port 2: expected nothing, found 01"
        );
    }
}
