//! What a switch holds, and the log of who wrote it.
//!
//! Invariant: no batch is taken under an election id below one that was seen before, so the ids in `written` never fall.
//! That is the switch's half of mastership; whoever measures looks at `written` to see what controllers tried.

use std::collections::BTreeMap;
use std::time::Instant;

use pointsman_model::holdings::{self, Digests};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::objective::v1::{self as objective, objective::Kind};

/// An election id as it is compared.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElectionId {
    /// The upper 64 bits.
    pub high: u64,
    /// The lower 64 bits.
    pub low: u64,
}

impl From<pb::ElectionId> for ElectionId {
    fn from(id: pb::ElectionId) -> Self {
        let pb::ElectionId { high, low } = id;
        Self { high, low }
    }
}

/// A batch that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Of the stream that it came on.
    pub election_id: ElectionId,
    /// The revision after it.
    pub revision: u64,
    /// How many changes it had.
    pub changes: usize,
    /// It was all that is wanted.
    pub is_snapshot: bool,
    /// When it was taken.
    pub at: Instant,
}

type Key = (i32, String);

/// What one switch holds.
#[derive(Debug, Default)]
pub struct Memory {
    cluster_id: String,
    revision: u64,
    objectives: BTreeMap<Key, (objective::Objective, u64)>,
    highest: ElectionId,
    written: Vec<Written>,
    refused: u64,
}

impl Memory {
    /// Its objectives by kind and name, each with its revision.
    pub fn objectives(&self) -> &BTreeMap<Key, (objective::Objective, u64)> {
        &self.objectives
    }

    /// Does it hold a next of this name?
    pub fn has_next(&self, name: &str) -> bool {
        let kind = objective::Kind::Next.into();
        self.objectives.contains_key(&(kind, name.to_owned()))
    }

    /// The revision up to which it has taken changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Each batch that it took, in order.
    pub fn written(&self) -> &[Written] {
        &self.written
    }

    /// Forgets who wrote what, not what was written.
    pub fn forget_written(&mut self) {
        self.written.clear();
    }

    /// Streams and batches of masters that no longer were.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// A stream opens under an election id. Not if a higher one, or another stream with the same, was there before.
    pub(super) fn open(&mut self, election_id: ElectionId) -> Result<(), ElectionId> {
        if election_id <= self.highest {
            self.refused += 1;
            return Err(self.highest);
        }
        self.highest = election_id;
        Ok(())
    }

    /// The answer to a hello. What it has taken is applied, so that there are no statuses to tell.
    pub(super) fn hello(&self, boot_id: &str, cluster_id: &str) -> pb::AgentHello {
        let is_ours = self.cluster_id == cluster_id;
        pb::AgentHello {
            boot_id: boot_id.to_owned(),
            revision: if is_ours { self.revision } else { 0 },
            cluster_id: self.cluster_id.clone(),
            statuses: Vec::new(),
            answers_queries: true,
        }
    }

    /// The answer to a query; none if it names buckets that there cannot be.
    pub(super) fn holdings(&self, query: pb::HoldingsQuery) -> Option<pb::Holdings> {
        let pb::HoldingsQuery { bits, buckets } = query;
        if bits > holdings::MAX_BITS {
            return None;
        }
        let mut digests = Digests::new(bits);
        let mut found = Vec::new();
        for ((kind, name), (objective, revision)) in &self.objectives {
            let place = holdings::place(objective::Kind::try_from(*kind).ok()?, name);
            let content = holdings::content(objective);
            digests.add(place, *revision, content);
            if buckets.contains(&holdings::bucket_of(place, bits)) {
                found.push(pb::Holding {
                    kind: *kind,
                    name: name.clone(),
                    revision: *revision,
                    content,
                });
            }
        }
        Some(pb::Holdings {
            bits,
            revision: self.revision,
            digests: if buckets.is_empty() {
                digests.into_sums()
            } else {
                Vec::new()
            },
            buckets,
            objectives: found,
        })
    }

    /// A batch comes on a stream. Its acknowledgement; none if the stream is not the master's any more.
    pub(super) fn take(
        &mut self,
        election_id: ElectionId,
        cluster_id: &str,
        batch: pb::ChangeBatch,
        at: Instant,
    ) -> Option<pb::AckBatch> {
        if election_id < self.highest {
            self.refused += 1;
            return None;
        }
        let pb::ChangeBatch {
            changes,
            snapshot,
            revision,
            difference: _,
        } = batch;
        self.written.push(Written {
            election_id,
            revision,
            changes: changes.len(),
            is_snapshot: snapshot,
            at,
        });
        if snapshot {
            self.objectives.clear();
        }
        for change in changes {
            self.change(change);
        }
        cluster_id.clone_into(&mut self.cluster_id);
        self.revision = revision;
        Some(pb::AckBatch {
            revision,
            ..pb::AckBatch::default()
        })
    }

    fn change(&mut self, revised: pb::RevisedChange) -> Option<()> {
        let change = revised.change?;
        let deletes = change.operation() == objective::Operation::Delete;
        let objective = change.objective?;
        let kind = match objective.kind.as_ref()? {
            Kind::Filter(_) => objective::Kind::Filter,
            Kind::Forward(_) => objective::Kind::Forward,
            Kind::Next(_) => objective::Kind::Next,
        };
        let key = (i32::from(kind), objective.name.clone());
        if deletes {
            self.objectives.remove(&key);
        } else if revised.revision_only {
            self.objectives.get_mut(&key)?.1 = revised.revision;
        } else {
            self.objectives.insert(key, (objective, revised.revision));
        }
        Some(())
    }
}
