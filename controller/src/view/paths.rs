//! The shortest paths through the fabric, over links that are up. Pure.
//!
//! Every link costs the same. Parallel links and devices side by side make several paths; all of the least length are
//! found, up to a limit. A host is where a fresh device says that it is; one with several places begins at any of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::graph::{FabricLink, LinkState};

/// Paths that are found at most, whoever asks for more.
pub const MOST_PATHS: usize = 1024;

/// Where a path begins or ends: at a device, or at a port of it that leads to a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Terminal {
    /// The device.
    pub device: String,
    /// The host's port.
    pub port: Option<u32>,
}

/// A device on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The device.
    pub device: String,
    /// Where a packet comes in; nothing where the path begins at the device.
    pub in_port: Option<u32>,
    /// Where it goes out; nothing where the path ends at the device.
    pub out_port: Option<u32>,
}

/// What was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// All of the same length, in the order of their devices and ports.
    pub paths: Vec<Vec<Hop>>,
    /// There are more.
    pub more: bool,
}

/// A link as seen from one end: our port, the other device, its port.
type Way<'a> = (u32, &'a str, u32);

/// The shortest paths from any of some places to any of others, so many at most.
pub fn shortest(links: &[FabricLink], from: &[Terminal], to: &[Terminal], limit: usize) -> Found {
    let ways = ways(links);
    let distances = distances(&ways, to);
    let starts: Vec<_> = from
        .iter()
        .filter_map(|start| Some((start, *distances.get(start.device.as_str())?)))
        .collect();
    let Some(least) = starts.iter().map(|(_, distance)| *distance).min() else {
        return Found::default();
    };
    let mut search = Search {
        ways: &ways,
        distances: &distances,
        to,
        limit: limit.min(MOST_PATHS),
        found: Found::default(),
        path: Vec::new(),
    };
    for (start, _) in starts.iter().filter(|(_, distance)| *distance == least) {
        search.walk(&start.device, start.port, least);
    }
    search.found
}

fn ways(links: &[FabricLink]) -> BTreeMap<&str, Vec<Way<'_>>> {
    let mut ways: BTreeMap<&str, Vec<Way<'_>>> = BTreeMap::new();
    for link in links {
        if link.state != LinkState::Up {
            continue;
        }
        let (Some(a), Some(b)) = (&link.a.device, &link.b.device) else {
            continue;
        };
        ways.entry(a)
            .or_default()
            .push((link.a.port, b, link.b.port));
        ways.entry(b)
            .or_default()
            .push((link.b.port, a, link.a.port));
    }
    for ways in ways.values_mut() {
        ways.sort_unstable_by(|x, y| (x.1, x.0, x.2).cmp(&(y.1, y.0, y.2)));
    }
    ways
}

/// How many links each device is from the nearest end.
fn distances<'a>(
    ways: &BTreeMap<&'a str, Vec<Way<'a>>>,
    to: &'a [Terminal],
) -> BTreeMap<&'a str, u32> {
    let ends: BTreeSet<&str> = to.iter().map(|end| end.device.as_str()).collect();
    let mut distances: BTreeMap<_, _> = ends.iter().map(|end| (*end, 0)).collect();
    let mut next: VecDeque<_> = ends.into_iter().collect();
    while let Some(device) = next.pop_front() {
        let distance = distances[device] + 1;
        for (_, other, _) in ways.get(device).into_iter().flatten() {
            if !distances.contains_key(other) {
                distances.insert(other, distance);
                next.push_back(other);
            }
        }
    }
    distances
}

struct Search<'a> {
    ways: &'a BTreeMap<&'a str, Vec<Way<'a>>>,
    distances: &'a BTreeMap<&'a str, u32>,
    to: &'a [Terminal],
    limit: usize,
    found: Found,
    path: Vec<Hop>,
}

impl Search<'_> {
    /// Goes on from a device that is `left` links from an end. As deep as the fabric is wide, which is a few devices.
    fn walk(&mut self, device: &str, in_port: Option<u32>, left: u32) {
        if self.found.more {
            return;
        }
        let hop = |out_port| Hop {
            device: device.to_owned(),
            in_port,
            out_port,
        };
        if left == 0 {
            for end in self.to.iter().filter(|end| end.device == device) {
                if self.found.paths.len() == self.limit {
                    self.found.more = true;
                    return;
                }
                let mut path = self.path.clone();
                path.push(hop(end.port));
                self.found.paths.push(path);
            }
            return;
        }
        for (out_port, other, its_port) in self.ways.get(device).into_iter().flatten() {
            if self.distances.get(other) == Some(&(left - 1)) {
                self.path.push(hop(Some(*out_port)));
                self.walk(other, Some(*its_port), left - 1);
                self.path.pop();
            }
        }
    }
}
