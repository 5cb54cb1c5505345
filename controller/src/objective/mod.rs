//! A flow objective as the controller sees it: an identity, the nexts it refers
//! to, and a body it never looks into.
//!
//! The controller compiles nothing, so a new criterion or instruction needs no
//! new controller. The one thing it opens is the bucket list of a next, because
//! buckets are added and removed one by one. Generated types come in and go out
//! through [`Objective::from_proto`] and [`Objective::to_proto`] alone; in between
//! an objective stays the encoded message that it came as, in memory, in the log
//! (`kept`), and on its way to agents (`crate::encoded`).

mod kept;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use pointsman_model::holdings;
use pointsman_proto::pointsman::objective::v1 as pb;
use prost::Message;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest name of an objective or device, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// The priority that an objective without one gets.
const DEFAULT_PRIORITY: u32 = 32768;

/// The three kinds of objective. A name is unique within a device and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Which packets may enter, and what happens to them on the way in.
    Filter,
    /// Where matching packets go.
    Forward,
    /// A destination that forwards share.
    Next,
}

impl Kind {
    /// The word operators use for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Filter => "filter",
            Kind::Forward => "forward",
            Kind::Next => "next",
        }
    }

    /// The kind that a message calls it, if it names one.
    pub fn from_proto(kind: pb::Kind) -> Option<Self> {
        match kind {
            pb::Kind::Unspecified => None,
            pb::Kind::Filter => Some(Kind::Filter),
            pb::Kind::Forward => Some(Kind::Forward),
            pb::Kind::Next => Some(Kind::Next),
        }
    }

    /// The kind as messages carry it.
    pub fn to_proto(self) -> pb::Kind {
        match self {
            Kind::Filter => pb::Kind::Filter,
            Kind::Forward => pb::Kind::Forward,
            Kind::Next => pb::Kind::Next,
        }
    }
}

/// What identifies an objective within its device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectiveKey {
    /// Its kind.
    pub kind: Kind,
    /// Its name, unique within the kind.
    pub name: String,
}

impl ObjectiveKey {
    /// The key of a next.
    pub fn next(name: impl Into<String>) -> Self {
        Self {
            kind: Kind::Next,
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// One bucket of a next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The encoded bucket.
    message: Bytes,
    next: Option<String>,
}

impl Bucket {
    /// Takes a bucket over; a weight of zero becomes the default, 1.
    pub fn from_proto(mut bucket: pb::Bucket) -> Self {
        if bucket.weight == 0 {
            bucket.weight = 1;
        }
        let next = Some(bucket.next.clone()).filter(|name| !name.is_empty());
        Self {
            message: bucket.encode_to_vec().into(),
            next,
        }
    }

    fn to_proto(&self) -> pb::Bucket {
        decoded(&self.message)
    }

    /// The next it sends packets to, if not to a port.
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Does it lead out by the same port, or to the same next?
    pub fn same_exit(&self, other: &Bucket) -> bool {
        let exit = |bucket: &Bucket| {
            let mut steps = bucket.to_proto().treatment.into_iter();
            let output = steps.find_map(|step| match step.instruction {
                Some(pb::instruction::Instruction::Output(port)) => Some(port),
                _ => None,
            });
            (bucket.next.clone(), output)
        };
        exit(self) == exit(other)
    }

    /// Is it the same destination, whatever its weight?
    pub fn same_destination(&self, other: &Bucket) -> bool {
        let [mut a, mut b] = [self.to_proto(), other.to_proto()];
        (a.weight, b.weight) = (1, 1);
        a == b
    }
}

/// An objective: equal to another if and only if they ask for the same. Clones share it.
#[derive(Clone)]
pub struct Objective(Arc<Parts>);

struct Parts {
    key: ObjectiveKey,
    /// The next a forward sends packets to.
    target: Option<String>,
    /// The whole objective, encoded.
    message: Bytes,
    buckets: Vec<Bucket>,
    /// The application that it belongs to; empty for none.
    owner: String,
    /// With what it is applied.
    group: Option<GroupKey>,
}

impl PartialEq for Objective {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.message == other.0.message
    }
}

impl Eq for Objective {}

impl fmt::Debug for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { key, message, .. } = &*self.0;
        write!(f, "Objective({key}, {} bytes)", message.len())
    }
}

/// What makes a group the one it is on a device: two applications may use one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupKey {
    /// The application; empty for none.
    pub owner: String,
    /// The group's name.
    pub name: String,
}

impl GroupKey {
    fn of(owner: &str, name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Why a message is not an objective.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ObjectiveError {
    /// There is no objective in the change.
    #[error("the change has no objective; give one with a name and a kind")]
    Missing,
    /// It has no name.
    #[error("a {} has no name; give it one that is unique on its device", kind.as_str())]
    NoName {
        /// What it is.
        kind: Kind,
    },
    /// Its name cannot be used.
    #[error(
        "the name {name:?} is not usable: names have 1 to {MAX_NAME_BYTES} bytes, without control characters or surrounding blanks"
    )]
    BadName {
        /// The name that was given.
        name: String,
    },
    /// It says neither filter nor forward nor next.
    #[error("objective {name:?} is neither a filter nor a forward nor a next")]
    NoKind {
        /// Its name.
        name: String,
    },
    /// Its priority is out of range.
    #[error("{key} has priority {priority}; priorities are 1 to 65535")]
    BadPriority {
        /// Which objective.
        key: ObjectiveKey,
        /// The priority that was given.
        priority: u32,
    },
}

/// Is this a usable name of a device or objective?
pub fn is_usable_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

impl Objective {
    /// Takes an objective over from a message, with its defaults filled in.
    ///
    /// # Errors
    /// When it has no usable name, no kind, or a priority out of range.
    pub fn from_proto(mut objective: pb::Objective) -> Result<Self, ObjectiveError> {
        let key = Self::key_of(&objective)?;
        if objective.priority > 65535 {
            return Err(ObjectiveError::BadPriority {
                key,
                priority: objective.priority,
            });
        }
        if objective.priority == 0 {
            objective.priority = DEFAULT_PRIORITY;
        }
        if let Some(pb::objective::Kind::Next(next)) = &mut objective.kind {
            let unset = next.buckets.iter_mut().filter(|bucket| bucket.weight == 0);
            unset.for_each(|bucket| bucket.weight = 1);
        }
        Ok(Self::of(key, &objective))
    }

    /// The objective of a message that has its defaults.
    fn of(key: ObjectiveKey, objective: &pb::Objective) -> Self {
        let mut target = None;
        let mut buckets = Vec::new();
        match &objective.kind {
            Some(pb::objective::Kind::Forward(forward)) if !forward.next.is_empty() => {
                target = Some(forward.next.clone());
            }
            Some(pb::objective::Kind::Next(next)) => {
                let all = next.buckets.iter().cloned();
                buckets = all.map(Bucket::from_proto).collect();
            }
            _ => {}
        }
        let (owner, group) = (&objective.owner, &objective.group);
        Self(Arc::new(Parts {
            key,
            target,
            group: GroupKey::of(owner, group),
            owner: owner.clone(),
            message: objective.encode_to_vec().into(),
            buckets,
        }))
    }

    /// The identity that a message names, whatever else it holds.
    ///
    /// # Errors
    /// When it has no usable name or no kind.
    pub fn key_of(objective: &pb::Objective) -> Result<ObjectiveKey, ObjectiveError> {
        let name = objective.name.clone();
        let kind = match &objective.kind {
            Some(pb::objective::Kind::Filter(_)) => Kind::Filter,
            Some(pb::objective::Kind::Forward(_)) => Kind::Forward,
            Some(pb::objective::Kind::Next(_)) => Kind::Next,
            None => return Err(ObjectiveError::NoKind { name }),
        };
        if name.is_empty() {
            return Err(ObjectiveError::NoName { kind });
        }
        if !is_usable_name(&name) {
            return Err(ObjectiveError::BadName { name });
        }
        Ok(ObjectiveKey { kind, name })
    }

    /// An objective that carries a key and nothing else, as a deletion does.
    pub fn bare_proto(key: &ObjectiveKey) -> pb::Objective {
        let kind = match key.kind {
            Kind::Filter => pb::objective::Kind::Filter(pb::Filter::default()),
            Kind::Forward => pb::objective::Kind::Forward(pb::Forward::default()),
            Kind::Next => pb::objective::Kind::Next(pb::Next::default()),
        };
        pb::Objective {
            name: key.name.clone(),
            priority: 0,
            kind: Some(kind),
            ..pb::Objective::default()
        }
    }

    /// The whole objective as a message.
    pub fn to_proto(&self) -> pb::Objective {
        decoded(&self.0.message)
    }

    /// The same, encoded.
    pub fn message(&self) -> &Bytes {
        &self.0.message
    }

    /// The hash of what it says, see [`holdings::content`].
    pub fn content(&self) -> u64 {
        holdings::content_of(&self.0.message)
    }

    /// Its identity.
    pub fn key(&self) -> &ObjectiveKey {
        &self.0.key
    }

    /// The application that it belongs to; empty for none.
    pub fn owner(&self) -> &str {
        &self.0.owner
    }

    /// The group that it is applied with.
    pub fn group(&self) -> Option<&GroupKey> {
        self.0.group.as_ref()
    }

    /// The names of the nexts it sends packets to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let buckets = self.0.buckets.iter().filter_map(Bucket::next);
        self.0.target.as_deref().into_iter().chain(buckets)
    }

    /// The buckets, if it is a next.
    pub fn buckets(&self) -> &[Bucket] {
        &self.0.buckets
    }

    /// The same next with other buckets.
    pub fn with_buckets(&self, buckets: &[Bucket]) -> Self {
        let mut objective = self.to_proto();
        if let Some(pb::objective::Kind::Next(next)) = &mut objective.kind {
            next.buckets = buckets.iter().map(Bucket::to_proto).collect();
        }
        Self::of(self.key().clone(), &objective)
    }
}

fn decoded<M: Message + Default>(message: &Bytes) -> M {
    M::decode(message.clone()).expect("only what was encoded, or decoded before, is kept")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(buckets: Vec<pb::Bucket>) -> pb::Objective {
        pb::Objective {
            name: "spines".into(),
            priority: 0,
            kind: Some(pb::objective::Kind::Next(pb::Next {
                r#type: pb::NextType::Hashed.into(),
                buckets,
                meta: vec![],
            })),
            ..pb::Objective::default()
        }
    }

    #[test]
    fn an_objective_survives_the_way_through_the_store_with_its_defaults_filled_in() {
        let bucket = pb::Bucket {
            weight: 0,
            treatment: vec![],
            next: "inner".into(),
        };
        let objective = Objective::from_proto(hashed(vec![bucket])).expect("valid");
        let mut cbor = Vec::new();
        ciborium::into_writer(&objective, &mut cbor).expect("encodes");
        let back: Objective = ciborium::from_reader(cbor.as_slice()).expect("decodes");
        assert_eq!(back, objective);
        let proto = back.to_proto();
        assert_eq!(proto.priority, DEFAULT_PRIORITY);
        let Some(pb::objective::Kind::Next(next)) = proto.kind else {
            panic!("a next")
        };
        assert_eq!(next.buckets[0].weight, 1);
        assert_eq!(objective.references().collect::<Vec<_>>(), ["inner"]);
    }

    #[test]
    fn a_bucket_is_found_again_whatever_its_weight() {
        let light = Bucket::from_proto(pb::Bucket {
            weight: 1,
            treatment: vec![],
            next: "a".into(),
        });
        let heavy = Bucket::from_proto(pb::Bucket {
            weight: 9,
            treatment: vec![],
            next: "a".into(),
        });
        let other = Bucket::from_proto(pb::Bucket {
            weight: 1,
            treatment: vec![],
            next: "b".into(),
        });
        assert!(light.same_destination(&heavy));
        assert!(!light.same_destination(&other));
    }

    #[test]
    fn an_objective_without_kind_or_with_an_unusable_name_is_refused() {
        let nameless = pb::Objective {
            name: String::new(),
            ..hashed(vec![])
        };
        assert_eq!(
            Objective::from_proto(nameless),
            Err(ObjectiveError::NoName { kind: Kind::Next })
        );
        let padded = pb::Objective {
            name: " x".into(),
            ..hashed(vec![])
        };
        assert!(matches!(
            Objective::from_proto(padded),
            Err(ObjectiveError::BadName { .. })
        ));
        let kindless = pb::Objective {
            name: "x".into(),
            priority: 0,
            kind: None,
            ..pb::Objective::default()
        };
        assert!(matches!(
            Objective::from_proto(kindless),
            Err(ObjectiveError::NoKind { .. })
        ));
    }
}
