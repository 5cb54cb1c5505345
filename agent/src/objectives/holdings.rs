//! What is held, for a controller that does not know: digests of buckets, and what is in some of them.
//!
//! Held is what a controller has asked for and has not taken back, whether the data plane has it or not. So what goes
//! as soon as nothing refers to it is not held any more, and what is the switch's own never is. Called by
//! `service::sync`, some objectives at a time.

use std::ops::Bound;

use pointsman_model::ObjectiveId;
use pointsman_model::holdings::{self, Digests};
use pointsman_proto::pointsman::agent::v1::Holding;
use pointsman_proto::pointsman::objective::v1 as pb;

use super::{Objectives, Wanted};

/// An answer that is being put together.
#[derive(Debug)]
pub enum Inquiry {
    /// The digest of each bucket.
    Digests(Digests),
    /// What is in some buckets.
    Holdings {
        /// How many bits the number of a bucket has.
        bits: u32,
        /// Whether a bucket was asked for, by its number.
        is_asked: Vec<bool>,
        /// What was found.
        found: Vec<Holding>,
    },
}

impl Inquiry {
    /// Asks for digests, or for what is in buckets if there are any; `None` if there are no such buckets.
    pub fn new(bits: u32, buckets: &[u32]) -> Option<Inquiry> {
        if bits > holdings::MAX_BITS {
            return None;
        }
        if buckets.is_empty() {
            return Some(Inquiry::Digests(Digests::new(bits)));
        }
        let mut is_asked = vec![false; 1 << bits];
        for bucket in buckets {
            *is_asked.get_mut(usize::try_from(*bucket).ok()?)? = true;
        }
        Some(Inquiry::Holdings {
            bits,
            is_asked,
            found: Vec::new(),
        })
    }

    fn look(&mut self, id: &ObjectiveId, wanted: &Wanted) {
        let kind = pb::Kind::from(id.kind);
        let place = holdings::place(kind, id.name.as_str());
        let revision = wanted.status.revision;
        let content = || holdings::content(&pb::Objective::from(&wanted.objective));
        match self {
            Inquiry::Digests(digests) => digests.add(place, revision, content()),
            Inquiry::Holdings {
                bits,
                is_asked,
                found,
            } => {
                let bucket = holdings::bucket_of(place, *bits);
                if is_asked[bucket as usize] {
                    found.push(Holding {
                        kind: kind.into(),
                        name: id.name.to_string(),
                        revision,
                        content: content(),
                    });
                }
            }
        }
    }
}

impl Objectives {
    /// Looks at the objectives that follow one, at most so many. Returns the last of them; `None` if there are no more.
    pub fn inquire(
        &self,
        inquiry: &mut Inquiry,
        after: Option<&ObjectiveId>,
        limit: usize,
    ) -> Option<ObjectiveId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        for (id, wanted) in self
            .wanted
            .range::<ObjectiveId, _>((from, Bound::Unbounded))
            .take(limit)
        {
            if !wanted.leaving && !id.name.is_local() {
                inquiry.look(id, wanted);
            }
            last = Some(id);
        }
        last.cloned()
    }

    /// What is held is what its controller knows under another revision.
    pub fn revise(&mut self, id: &ObjectiveId, revision: u64) {
        let Some(wanted) = self.wanted.get_mut(id) else {
            return;
        };
        let status = &mut wanted.status;
        if status.applied_revision == status.revision {
            status.applied_revision = revision;
        }
        status.revision = revision;
        self.changed.insert(id.clone());
    }
}
