//! What a switch holds, in digests: how a controller and an agent find out where they differ without telling each
//! other everything.
//!
//! Each objective has a *place*, the hash of its kind and name; a *content*, the hash of what it says; and the revision
//! that its controller gave it. Objectives are in 2^bits buckets by the upper bits of their place, and the digest of a
//! bucket is the sum of the [leaves](leaf) in it. Whoever has other digests lists what is in those buckets alone.
//!
//! Hashes are FNV-1a of 64 bits, finished with the mixer of splitmix64: a few lines in any language, and equal for
//! objectives that differ about once in 2^64. They are held against accidents, not against forgers: who can choose
//! objectives has no need to.
//!
//! Pure. Called by the agent (`objectives::holdings`), by the controller (`distribution::walk`), and by simulated
//! switches.

use pointsman_proto::pointsman::objective::v1 as pb;
use prost::Message;

/// The most bits that a bucket's number may have.
pub const MAX_BITS: u32 = 16;

/// A hash of parts, each with its length, so that nothing moves from one to the next unseen.
#[derive(Debug, Clone)]
pub struct Hasher(u64);

impl Default for Hasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher {
    /// Adds a part.
    pub fn part(&mut self, bytes: &[u8]) {
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash of all parts.
    pub fn finish(&self) -> u64 {
        mix(self.0)
    }
}

fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Where an objective is.
pub fn place(kind: pb::Kind, name: &str) -> u64 {
    let mut hasher = Hasher::default();
    hasher.part(&i32::from(kind).to_le_bytes());
    hasher.part(name.as_bytes());
    hasher.finish()
}

/// What an objective says: the hash of its message.
pub fn content(objective: &pb::Objective) -> u64 {
    content_of(&objective.encode_to_vec())
}

/// The same of a message that is encoded.
pub fn content_of(message: &[u8]) -> u64 {
    let mut hasher = Hasher::default();
    hasher.part(message);
    hasher.finish()
}

/// What an objective adds to the digest of its bucket.
pub fn leaf(place: u64, revision: u64, content: u64) -> u64 {
    mix(mix(place ^ mix(revision)) ^ content)
}

/// The number of the bucket of a place.
pub fn bucket_of(place: u64, bits: u32) -> u32 {
    let number = place
        .checked_shr(u64::BITS - bits.min(MAX_BITS))
        .unwrap_or(0);
    u32::try_from(number).expect("a bucket's number has 16 bits at most")
}

/// The digests of all buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    bits: u32,
    sums: Vec<u64>,
}

impl Digests {
    /// Of nothing, in 2^bits buckets; bits beyond [`MAX_BITS`] are not made.
    pub fn new(bits: u32) -> Self {
        let bits = bits.min(MAX_BITS);
        Self {
            bits,
            sums: vec![0; 1 << bits],
        }
    }

    /// As many buckets as suit so many objectives: some dozens in each.
    pub fn for_objectives(count: usize) -> Self {
        const PER_BUCKET: usize = 32;
        let buckets = (count / PER_BUCKET).max(1).next_power_of_two();
        Self::new(buckets.trailing_zeros())
    }

    /// What another party says its digests are; `None` if those are not 2^bits.
    pub fn from_parts(bits: u32, sums: Vec<u64>) -> Option<Self> {
        (bits <= MAX_BITS && sums.len() == 1 << bits).then_some(Self { bits, sums })
    }

    /// Adds an objective.
    pub fn add(&mut self, place: u64, revision: u64, content: u64) {
        let sum = &mut self.sums[bucket_of(place, self.bits) as usize];
        *sum = sum.wrapping_add(leaf(place, revision, content));
    }

    /// How many bits the number of a bucket has.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The digest of each bucket.
    pub fn into_sums(self) -> Vec<u64> {
        self.sums
    }

    /// The buckets that are not the same in the other; all, if it has more or fewer of them.
    pub fn differing(&self, other: &Self) -> Vec<u32> {
        let buckets = 0..1_u32 << self.bits;
        if self.bits != other.bits {
            return buckets.collect();
        }
        buckets
            .filter(|bucket| self.sums[*bucket as usize] != other.sums[*bucket as usize])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Held = BTreeMap<String, (u64, u64)>;

    fn digests(held: &Held, bits: u32) -> Digests {
        let mut digests = Digests::new(bits);
        for (name, (revision, content)) in held {
            digests.add(place(pb::Kind::Next, name), *revision, *content);
        }
        digests
    }

    fn held() -> impl Strategy<Value = Held> {
        proptest::collection::btree_map("[a-c]{1,3}", (0..3_u64, 0..3_u64), 0..20)
    }

    proptest! {
        #[test]
        fn buckets_differ_exactly_where_something_in_them_does(
            one in held(), other in held(), bits in 0..=6_u32
        ) {
            let found = digests(&one, bits).differing(&digests(&other, bits));
            let names = one.keys().chain(other.keys());
            let mut expected: Vec<_> = names
                .filter(|name| one.get(*name) != other.get(*name))
                .map(|name| bucket_of(place(pb::Kind::Next, name), bits))
                .collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_digest_of_many_buckets_is_found_in_that_of_fewer(held in held()) {
            let all = digests(&held, 0).into_sums();
            let some = digests(&held, 5).into_sums();
            prop_assert_eq!(all[0], some.into_iter().fold(0, u64::wrapping_add));
        }
    }

    #[test]
    fn hashes_are_those_that_other_implementations_were_written_for() {
        assert_eq!(place(pb::Kind::Next, "spines"), 6_474_784_865_597_941_871);
        assert_eq!(leaf(1, 2, 3), 12_383_924_945_387_014_869);
    }

    #[test]
    fn digests_that_are_not_as_many_as_buckets_are_none() {
        assert_eq!(Digests::from_parts(2, vec![0; 3]), None);
        assert_eq!(Digests::from_parts(64, vec![]), None);
        assert!(Digests::from_parts(2, vec![0; 4]).is_some());
    }
}
