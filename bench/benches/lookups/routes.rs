//! Random routes whose prefix lengths are those of the Internet's default-free zone, and
//! destinations for them. The same ones in every run.

use std::collections::HashSet;
use std::fmt;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// Prefix lengths, and how many of a thousand routes have them.
const V4_LENGTHS: &[(u32, u32)] = &[
    (24, 590),
    (23, 100),
    (22, 110),
    (21, 50),
    (20, 48),
    (19, 28),
    (18, 14),
    (17, 8),
    (16, 14),
    (14, 4),
    (12, 2),
    (8, 1),
    (25, 3),
    (28, 6),
    (30, 8),
    (32, 14),
];
const V6_LENGTHS: &[(u32, u32)] = &[
    (48, 480),
    (44, 80),
    (40, 90),
    (36, 50),
    (32, 180),
    (29, 30),
    (28, 10),
    (46, 30),
    (47, 20),
    (56, 10),
    (64, 18),
    (128, 2),
];

impl Family {
    /// Words of an address.
    pub fn words(self) -> usize {
        match self {
            Family::V4 => 1,
            Family::V6 => 2,
        }
    }

    /// Bits of an address.
    pub fn bits(self) -> u32 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    fn lengths(self) -> &'static [(u32, u32)] {
        match self {
            Family::V4 => V4_LENGTHS,
            Family::V6 => V6_LENGTHS,
        }
    }

    /// An address where routes may be, left-aligned in 128 bits.
    fn address(self, random: &mut Random) -> u128 {
        let bits = u128::from(random.next()) << 64 | u128::from(random.next());
        match self {
            // 1.0.0.0 to 223.255.255.255
            Family::V4 => {
                let first = 1 + random.below(223) as u128;
                first << 120 | bits >> 8
            }
            // Fifty thousand /32 of the six /12 that registries give addresses from.
            Family::V6 => {
                const REGISTRIES: [u128; 6] = [0x200, 0x240, 0x260, 0x280, 0x2a0, 0x2c0];
                let site = random.below(50_000);
                let registry = REGISTRIES[site as usize % REGISTRIES.len()];
                let block = u128::from(Random(site).next() & 0xf_ffff);
                registry << 116 | block << 96 | bits >> 32
            }
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// A route: its address left-aligned in 128 bits.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub address: u128,
    pub prefix_len: u32,
    pub next_hop: u32,
}

/// Different routes in random order.
pub struct Routes {
    pub family: Family,
    pub all: Vec<Route>,
}

/// Destinations drawn; a power of two.
pub const DRAWS: usize = 1 << 20;

impl Routes {
    /// Draws routes.
    pub fn random(family: Family, count: usize, next_hops: u32) -> Routes {
        let mut random = Random(1);
        let mut seen = HashSet::new();
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let prefix_len = length(family, &mut random);
            let mask = !u128::MAX.checked_shr(prefix_len).unwrap_or(0);
            let address = family.address(&mut random) & mask;
            if seen.insert((address, prefix_len)) {
                let next_hop = random.below(u64::from(next_hops)) as u32;
                all.push(Route {
                    address,
                    prefix_len,
                    next_hop,
                });
            }
        }
        Routes { family, all }
    }

    /// Addresses inside routes that are drawn at random, packed as keys are.
    pub fn destinations_within(&self) -> Vec<u64> {
        let mut random = Random(2);
        self.pack(|| {
            let route = self.all[random.below(self.all.len() as u64) as usize];
            let host = u128::from(random.next()) << 64 | u128::from(random.next());
            route.address | host.checked_shr(route.prefix_len).unwrap_or(0)
        })
    }

    /// Addresses from wherever routes may be.
    pub fn destinations_anywhere(&self) -> Vec<u64> {
        let mut random = Random(3);
        self.pack(|| self.family.address(&mut random))
    }

    fn pack(&self, mut address: impl FnMut() -> u128) -> Vec<u64> {
        let word = |address: u128, index: usize| (address >> (64 - 64 * index)) as u64;
        (0..DRAWS)
            .flat_map(|_| {
                let address = address();
                (0..self.family.words()).map(move |index| match self.family {
                    Family::V4 => word(address, 0) >> 32 << 32,
                    Family::V6 => word(address, index),
                })
            })
            .collect()
    }
}

fn length(family: Family, random: &mut Random) -> u32 {
    let lengths = family.lengths();
    let total: u32 = lengths.iter().map(|(_, weight)| weight).sum();
    let mut drawn = random.below(u64::from(total)) as u32;
    for (length, weight) in lengths {
        if drawn < *weight {
            return *length;
        }
        drawn -= weight;
    }
    unreachable!("the weights add up to the total")
}

/// SplitMix64: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
