//! Spoiling packets: cut, longer, shorter, flipped, doubled.

use super::packet::Made;
use super::random::Random;

/// Longest packet that is made: a jumbo frame, which the kernel has in fragments.
const MAX_BYTES: usize = 9000;

/// Changes a packet a little. Most ways are near the boundaries of headers, where parsers decide.
pub fn mutate(made: Made, random: &mut Random) -> Vec<u8> {
    let Made {
        mut bytes,
        boundaries,
    } = made;
    for _ in 0..=random.below(3) {
        let near = random.pick(&boundaries).copied().unwrap_or(0);
        let near = (near + random.below(3)).saturating_sub(1).min(bytes.len());
        let anywhere = random.below(bytes.len() + 1);
        match random.below(9) {
            0 => bytes.truncate(near),
            1 => bytes.truncate(anywhere),
            2 => {
                if let Some(byte) = bytes.get_mut(anywhere) {
                    *byte ^= 1 << random.below(8);
                }
            }
            3 => {
                if let Some(byte) = bytes.get_mut(anywhere) {
                    *byte = [0, 0xff, 0x7f, 0x80][random.below(4)];
                }
            }
            4 => {
                let count = 1 + random.below(4);
                let more = random.bytes(count);
                bytes.splice(near..near, more);
            }
            5 => {
                let end = (near + 1 + random.below(4)).min(bytes.len());
                bytes.drain(near..end);
            }
            6 => {
                // A header twice.
                let at = random.below(boundaries.len());
                if let [from, to] = boundaries[at..].get(..2).unwrap_or(&[]) {
                    let header = bytes.get(*from..*to).unwrap_or(&[]).to_vec();
                    let at = (*to).min(bytes.len());
                    bytes.splice(at..at, header);
                }
            }
            7 => {
                let most = if random.one_in(8) { MAX_BYTES } else { 400 };
                let count = random.below(most);
                let more = random.bytes(count);
                bytes.extend(more);
            }
            _ => {
                let end = (anywhere + random.below(20)).min(bytes.len());
                bytes[anywhere..end].fill(0);
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}
