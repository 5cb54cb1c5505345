//! The hash algorithms of BMv2, over bytes.

use std::collections::HashMap;

use crate::ir::HashAlgorithm;

/// Computes hashes, and remembers what round robin has to remember.
#[derive(Debug, Clone, Default)]
pub(super) struct Hasher {
    round_robin: HashMap<u32, u64>,
    round_robin_consistent: HashMap<u32, HashMap<Vec<u8>, u64>>,
}

/// The most inputs that one consistent round robin remembers; then it starts over.
const MAX_REMEMBERED: usize = 1 << 16;

impl Hasher {
    /// The hash of an input. `calculation` tells round robins apart.
    pub(super) fn hash(&mut self, algorithm: HashAlgorithm, calculation: u32, input: &[u8]) -> u64 {
        match algorithm {
            HashAlgorithm::Crc16 | HashAlgorithm::Crc16Custom => crc_reflected(input, 0xa001, 0),
            HashAlgorithm::Crc32 | HashAlgorithm::Crc32Custom => {
                crc_reflected(input, 0xedb8_8320, 0xffff_ffff) ^ 0xffff_ffff
            }
            HashAlgorithm::Csum16 => u64::from(internet_checksum(input)),
            HashAlgorithm::Xor16 => xor_words(input),
            HashAlgorithm::Identity => {
                let first = &input[..input.len().min(8)];
                first.iter().fold(0, |n, b| n << 8 | u64::from(*b))
            }
            HashAlgorithm::Xxh64 => xxh64(input),
            HashAlgorithm::RoundRobin => {
                let next = self.round_robin.entry(calculation).or_default();
                *next += 1;
                *next - 1
            }
            HashAlgorithm::RoundRobinConsistent => {
                let seen = self.round_robin_consistent.entry(calculation).or_default();
                if seen.len() >= MAX_REMEMBERED {
                    seen.clear();
                }
                let next = seen.len() as u64;
                *seen.entry(input.to_vec()).or_insert(next)
            }
            // BMv2's key is zero until the control plane sets one, which P4Runtime cannot.
            HashAlgorithm::Toeplitz => 0,
        }
    }
}

fn crc_reflected(input: &[u8], polynomial: u64, initial: u64) -> u64 {
    input.iter().fold(initial, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ polynomial
            } else {
                crc >> 1
            }
        })
    })
}

/// 16-bit words of the input, the last one filled up with zeros.
fn words(input: &[u8]) -> impl Iterator<Item = u64> + '_ {
    input
        .chunks(2)
        .map(|w| u64::from(w[0]) << 8 | u64::from(w.get(1).copied().unwrap_or_default()))
}

/// RFC 1071.
fn internet_checksum(input: &[u8]) -> u16 {
    let mut sum: u64 = words(input).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn xor_words(input: &[u8]) -> u64 {
    words(input).fold(0, |a, b| a ^ b)
}

const PRIME: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

/// XXH64 with seed 0.
fn xxh64(input: &[u8]) -> u64 {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let round = |lane: u64, value: u64| {
        lane.wrapping_add(value.wrapping_mul(PRIME[1]))
            .rotate_left(31)
            .wrapping_mul(PRIME[0])
    };
    let stripes = input.chunks_exact(32);
    let mut rest = stripes.remainder();
    let mut hash = if input.len() >= 32 {
        let mut lanes = [
            PRIME[0].wrapping_add(PRIME[1]),
            PRIME[1],
            0,
            0u64.wrapping_sub(PRIME[0]),
        ];
        for stripe in stripes {
            for (lane, bytes) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
                *lane = round(*lane, word(bytes));
            }
        }
        let mixed = [1, 7, 12, 18]
            .iter()
            .zip(lanes)
            .fold(0u64, |sum, (by, lane)| {
                sum.wrapping_add(lane.rotate_left(*by))
            });
        lanes.iter().fold(mixed, |hash, lane| {
            (hash ^ round(0, *lane))
                .wrapping_mul(PRIME[0])
                .wrapping_add(PRIME[3])
        })
    } else {
        PRIME[4]
    };
    hash = hash.wrapping_add(input.len() as u64);
    while let Some((bytes, after)) = rest.split_at_checked(8) {
        hash = (hash ^ round(0, word(bytes)))
            .rotate_left(27)
            .wrapping_mul(PRIME[0])
            .wrapping_add(PRIME[3]);
        rest = after;
    }
    if let Some((bytes, after)) = rest.split_at_checked(4) {
        hash = (hash ^ word(bytes).wrapping_mul(PRIME[0]))
            .rotate_left(23)
            .wrapping_mul(PRIME[1])
            .wrapping_add(PRIME[2]);
        rest = after;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIME[4]))
            .rotate_left(11)
            .wrapping_mul(PRIME[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIME[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIME[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(algorithm: HashAlgorithm, input: &[u8]) -> u64 {
        Hasher::default().hash(algorithm, 0, input)
    }

    #[test]
    fn check_values_of_the_algorithms() {
        let check = b"123456789";
        assert_eq!(hash(HashAlgorithm::Crc16, check), 0xbb3d);
        assert_eq!(hash(HashAlgorithm::Crc32, check), 0xcbf4_3926);
        assert_eq!(hash(HashAlgorithm::Xxh64, b""), 0xef46_db37_51d8_e999);
        assert_eq!(hash(HashAlgorithm::Xxh64, b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(
            hash(
                HashAlgorithm::Xxh64,
                b"Nobody inspects the spammish repetition"
            ),
            0xfbce_a83c_8a37_8bf1
        );
        assert_eq!(hash(HashAlgorithm::Identity, &[1, 2]), 0x102);
        assert_eq!(hash(HashAlgorithm::Xor16, &[1, 2, 3]), 0x0202);
    }

    #[test]
    fn the_checksum_of_a_summed_header_is_zero() {
        let mut header = [
            0x45, 0, 0, 0x54, 0, 0, 0x40, 0, 0x40, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        let sum = internet_checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(internet_checksum(&header), 0);
    }

    #[test]
    fn consistent_round_robin_remembers_its_inputs() {
        let mut hasher = Hasher::default();
        let mut next = |input: &[u8]| hasher.hash(HashAlgorithm::RoundRobinConsistent, 0, input);
        assert_eq!((next(b"a"), next(b"b"), next(b"a")), (0, 1, 0));
    }
}
