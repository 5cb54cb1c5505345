//! Objectives in the log and in rows: the encoded message, and nothing beside it. What the controller has to know of it is
//! read from the message again, without the parts that nobody here looks into.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Bucket, GroupKey, Kind, Objective, ObjectiveKey, Parts};

/// `pointsman.objective.v1.Objective` as far as it is looked into.
#[derive(Clone, PartialEq, prost::Message)]
struct Outline {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", optional, tag = "3")]
    filter: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    forward: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    next: Option<Bytes>,
    #[prost(string, tag = "10")]
    owner: String,
    #[prost(string, tag = "11")]
    group: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ForwardOutline {
    #[prost(string, tag = "3")]
    next: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NextOutline {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    buckets: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BucketOutline {
    #[prost(string, tag = "3")]
    next: String,
}

fn unless_empty(name: String) -> Option<String> {
    Some(name).filter(|name| !name.is_empty())
}

fn bucket(message: Bytes) -> Result<Bucket, prost::DecodeError> {
    let BucketOutline { next } = BucketOutline::decode(message.clone())?;
    let next = unless_empty(next);
    Ok(Bucket { message, next })
}

/// The objective of an encoded message that was made here, or on another node.
fn read(message: Bytes) -> Result<Objective, prost::DecodeError> {
    let Outline {
        name,
        filter: _,
        forward,
        next,
        owner,
        group,
    } = Outline::decode(message.clone())?;
    let (mut target, mut buckets) = (None, Vec::new());
    let kind = match (forward, next) {
        (Some(forward), _) => {
            target = unless_empty(ForwardOutline::decode(forward)?.next);
            Kind::Forward
        }
        (None, Some(next)) => {
            let all = NextOutline::decode(next)?.buckets.into_iter();
            buckets = all.map(bucket).collect::<Result<_, _>>()?;
            Kind::Next
        }
        (None, None) => Kind::Filter,
    };
    Ok(Objective(std::sync::Arc::new(Parts {
        key: ObjectiveKey { kind, name },
        target,
        group: GroupKey::of(&owner, &group),
        owner,
        message,
        buckets,
    })))
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.message())
    }
}

impl<'de> Deserialize<'de> for Objective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Objective;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an objective")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Objective, E> {
                read(Bytes::copy_from_slice(bytes)).map_err(E::custom)
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Objective, E> {
                read(bytes.into()).map_err(E::custom)
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

impl Serialize for Bucket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.message)
    }
}

impl<'de> Deserialize<'de> for Bucket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bucket;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a bucket")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bucket, E> {
                bucket(Bytes::copy_from_slice(bytes)).map_err(E::custom)
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bucket, E> {
                bucket(bytes.into()).map_err(E::custom)
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use pointsman_proto::pointsman::objective::v1 as pb;

    use super::*;

    fn next() -> pb::Objective {
        let bucket = pb::Bucket {
            weight: 3,
            next: "inner".into(),
            ..pb::Bucket::default()
        };
        pb::Objective {
            name: "spines".into(),
            priority: 5,
            owner: "routes".into(),
            group: "g".into(),
            kind: Some(pb::objective::Kind::Next(pb::Next {
                r#type: pb::NextType::Hashed.into(),
                buckets: vec![bucket],
                meta: vec![],
            })),
            ..pb::Objective::default()
        }
    }

    fn forward() -> pb::Objective {
        pb::Objective {
            name: "route".into(),
            priority: 5,
            kind: Some(pb::objective::Kind::Forward(pb::Forward {
                next: "spines".into(),
                ..pb::Forward::default()
            })),
            ..pb::Objective::default()
        }
    }

    fn filter() -> pb::Objective {
        pb::Objective {
            name: "port".into(),
            priority: 5,
            kind: Some(pb::objective::Kind::Filter(pb::Filter::default())),
            ..pb::Objective::default()
        }
    }

    #[test]
    fn what_is_read_back_is_what_was_kept_in_all_its_parts() {
        for message in [next(), forward(), filter()] {
            let kept = Objective::from_proto(message).unwrap();
            let mut cbor = Vec::new();
            ciborium::into_writer(&kept, &mut cbor).unwrap();
            let back: Objective = ciborium::from_reader(cbor.as_slice()).unwrap();
            assert_eq!(back, kept);
            assert_eq!(back.key(), kept.key());
            assert_eq!(back.owner(), kept.owner());
            assert_eq!(back.group(), kept.group());
            assert_eq!(back.buckets(), kept.buckets());
            assert!(back.references().eq(kept.references()));
        }
    }

    #[test]
    fn what_is_no_objective_is_an_error() {
        let mut cbor = Vec::new();
        ciborium::into_writer(&"text", &mut cbor).unwrap();
        assert!(ciborium::from_reader::<Objective, _>(cbor.as_slice()).is_err());
        assert!(read(Bytes::from_static(&[0x0a, 0xff])).is_err());
    }
}
