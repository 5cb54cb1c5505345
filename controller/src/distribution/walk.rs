//! Finds where what a switch holds differs from what is wanted of it, without either side telling the other all of it.
//!
//! The agent answers with the digest of each bucket of its objectives, and then with what is in the buckets whose digests
//! are not ours (`pointsman_model::holdings`). Pure: `session` asks, [`super::sync`] decides when.

use std::collections::{BTreeMap, VecDeque};

use pointsman_model::holdings::{self, Digests};

use crate::objective::{GroupKey, ObjectiveKey};
use crate::state::{DeviceState, Revision, Stored};

/// Buckets whose content is asked for at a time.
pub const MAX_BUCKETS_ASKED: usize = 1024;

/// An objective that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which one.
    pub key: ObjectiveKey,
    /// The revision that it has there.
    pub revision: Revision,
    /// The hash of what it says.
    pub content: u64,
}

/// What has to be done about an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// The agent has another one, or none.
    Put,
    /// The agent has it under another revision.
    Revise,
    /// It is not wanted.
    Delete,
}

/// An objective that an agent does not hold as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which one.
    pub key: ObjectiveKey,
    /// What has to be done.
    pub remedy: Remedy,
    /// The revision that it has to get.
    pub revision: Revision,
    /// With what it has to be applied.
    pub group: Option<GroupKey>,
}

/// Adds objectives that are wanted to digests. Returns the last of them.
pub fn add_wanted<'a>(
    digests: &mut Digests,
    wanted: impl Iterator<Item = (&'a ObjectiveKey, &'a Stored)>,
) -> Option<ObjectiveKey> {
    let mut last = None;
    for (key, stored) in wanted {
        digests.add(place(key), stored.revision.0, stored.objective.content());
        last = Some(key);
    }
    last.cloned()
}

/// What differs in these buckets, as of a revision: what has changed since comes with the tail after it.
pub fn differences(
    device: &DeviceState,
    at: Revision,
    bits: u32,
    buckets: &[u32],
    held: Vec<Held>,
) -> Vec<Difference> {
    let mut held: BTreeMap<_, _> = held
        .into_iter()
        .map(|held| (held.key, (held.revision, held.content)))
        .collect();
    let mut is_asked = vec![false; 1 << bits];
    for bucket in buckets {
        is_asked[*bucket as usize] = true;
    }
    let mut found = Vec::new();
    for (key, stored) in device.objectives() {
        if !is_asked[holdings::bucket_of(place(key), bits) as usize] {
            continue;
        }
        let theirs = held.remove(key);
        let remedy = match theirs {
            Some((revision, content)) if content == stored.objective.content() => {
                match revision == stored.revision {
                    true => continue,
                    false => Remedy::Revise,
                }
            }
            _ => Remedy::Put,
        };
        if stored.revision <= at {
            found.push(Difference {
                key: key.clone(),
                remedy,
                revision: stored.revision,
                group: stored.objective.group().cloned(),
            });
        }
    }
    let gone = held.into_keys().map(|key| Difference {
        revision: device.tombstones().get(&key).copied().unwrap_or(at),
        remedy: Remedy::Delete,
        group: None,
        key,
    });
    found.extend(gone);
    found
}

/// Sorts them as they have to be sent: first what is wanted, in order of revision and with the members of a group side
/// by side; then deletions, nexts last.
pub fn in_order(mut found: Vec<Difference>) -> VecDeque<Difference> {
    let mut firsts: BTreeMap<GroupKey, Revision> = BTreeMap::new();
    for difference in &found {
        if let Some(group) = &difference.group {
            let first = firsts.entry(group.clone()).or_insert(difference.revision);
            *first = difference.revision.min(*first);
        }
    }
    found.sort_by_cached_key(|difference| {
        let first = difference
            .group
            .as_ref()
            .and_then(|group| firsts.get(group));
        let first = first.copied().unwrap_or(difference.revision);
        match difference.remedy {
            Remedy::Put | Remedy::Revise => (None, first, difference.revision),
            Remedy::Delete => {
                let kind = Some(difference.key.kind);
                (kind, Revision::default(), Revision::default())
            }
        }
    });
    found.into()
}

/// Takes the next of them that may go together: at most so many, but never a part of a group.
pub fn take_batch(left: &mut VecDeque<Difference>, limit: usize) -> Vec<Difference> {
    let mut count = left.len().min(limit);
    while count > 0
        && let (Some(last), Some(next)) = (left.get(count - 1), left.get(count))
        && last.group.is_some()
        && last.group == next.group
    {
        count += 1;
    }
    left.drain(..count).collect()
}

fn place(key: &ObjectiveKey) -> u64 {
    holdings::place(key.kind.to_proto(), &key.name)
}
