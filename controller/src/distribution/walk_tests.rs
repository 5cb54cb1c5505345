//! After a walk an agent holds what is wanted, and was sent what differs and no more.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_model::holdings::{self, Digests};
use pointsman_proto::pointsman::objective::v1 as pb;
use proptest::prelude::*;

use super::walk::{Difference, Held, Remedy, add_wanted, differences, in_order, take_batch};
use crate::objective::{Objective, ObjectiveKey};
use crate::state::{DeviceSpec, DeviceState, Revision};

/// A next that says something else for each `what`.
fn next(name: &str, what: u32, group: &str) -> Objective {
    let kind = pb::objective::Kind::Next(pb::Next {
        r#type: pb::NextType::Simple.into(),
        buckets: vec![pb::Bucket {
            weight: 1 + what,
            ..pb::Bucket::default()
        }],
        ..pb::Next::default()
    });
    Objective::from_proto(pb::Objective {
        name: name.into(),
        group: group.into(),
        kind: Some(kind),
        ..pb::Objective::default()
    })
    .unwrap()
}

/// What is held or wanted: by name what it says, and its revision.
type Content = BTreeMap<String, (u32, u64)>;

const LATEST: Revision = Revision(100);

fn device(wanted: &Content) -> DeviceState {
    let spec = DeviceSpec {
        name: "leaf1".into(),
        address: "127.0.0.1:1".into(),
        device_id: 1,
    };
    let mut device = DeviceState::new(spec, Revision(0));
    for (name, (what, revision)) in wanted {
        device.put_for_test(next(name, *what, ""), Revision(*revision));
    }
    device
}

fn place(name: &str) -> u64 {
    holdings::place(pb::Kind::Next, name)
}

/// What the agent answers when it is asked for buckets.
fn list(held: &Content, bits: u32, buckets: &[u32]) -> Vec<Held> {
    let asked = held
        .iter()
        .filter(|(name, _)| buckets.contains(&holdings::bucket_of(place(name), bits)));
    let held = asked.map(|(name, (what, revision))| Held {
        key: ObjectiveKey::next(name),
        revision: Revision(*revision),
        content: next(name, *what, "").content(),
    });
    held.collect()
}

/// Walks, and does to the agent what comes of it. Returns what was sent.
fn walk(wanted: &Content, held: &mut Content, bits: u32) -> Vec<Difference> {
    let device = device(wanted);
    let mut ours = Digests::new(bits);
    add_wanted(&mut ours, device.objectives().iter());
    let mut theirs = Digests::new(bits);
    for (name, (what, revision)) in held.iter() {
        theirs.add(place(name), *revision, next(name, *what, "").content());
    }
    let buckets = ours.differing(&theirs);
    let found = differences(&device, LATEST, bits, &buckets, list(held, bits, &buckets));
    for Difference {
        key,
        remedy,
        revision,
        ..
    } in &found
    {
        match remedy {
            Remedy::Put => drop(held.insert(key.name.clone(), (wanted[&key.name].0, revision.0))),
            Remedy::Revise => held.get_mut(&key.name).unwrap().1 = revision.0,
            Remedy::Delete => drop(held.remove(&key.name)),
        }
    }
    found
}

fn content() -> impl Strategy<Value = Content> {
    // A revision is one objective's only.
    proptest::collection::btree_map("[a-d]{1,2}", 0..3_u32, 0..12).prop_map(|names| {
        let numbered = names.into_iter().zip(1..);
        numbered
            .map(|((name, what), revision)| (name, (what, revision)))
            .collect()
    })
}

proptest! {
    #[test]
    fn a_walk_brings_any_agent_to_what_is_wanted_and_sends_only_what_differs(
        wanted in content(), held in content(), bits in 0..=4_u32
    ) {
        let before = held.clone();
        let mut held = held;
        let sent = walk(&wanted, &mut held, bits);
        prop_assert_eq!(&held, &wanted);
        let differing: BTreeSet<_> = before
            .keys()
            .chain(wanted.keys())
            .filter(|name| before.get(*name) != wanted.get(*name))
            .collect();
        let names: BTreeSet<_> = sent.iter().map(|difference| &difference.key.name).collect();
        prop_assert_eq!(names, differing);
        for difference in &sent {
            let theirs = before.get(&difference.key.name).map(|(what, _)| what);
            let ours = wanted.get(&difference.key.name).map(|(what, _)| what);
            let expected = match (theirs, ours) {
                (_, None) => Remedy::Delete,
                (Some(theirs), Some(ours)) if theirs == ours => Remedy::Revise,
                _ => Remedy::Put,
            };
            prop_assert_eq!(difference.remedy, expected);
        }
        prop_assert_eq!(walk(&wanted, &mut held, bits), vec![]);
    }
}

#[test]
fn what_has_changed_since_is_left_to_the_tail() {
    let wanted = Content::from([("a".into(), (0, 5)), ("b".into(), (0, 6))]);
    let found = differences(&device(&wanted), Revision(5), 0, &[0], vec![]);
    let names: Vec<_> = found.iter().map(|found| &found.key.name).collect();
    assert_eq!(names, ["a"]);
}

fn difference(name: &str, remedy: Remedy, revision: u64, group: Option<&str>) -> Difference {
    let group = group.and_then(|group| next(name, 0, group).group().cloned());
    Difference {
        key: ObjectiveKey::next(name),
        remedy,
        revision: Revision(revision),
        group,
    }
}

#[test]
fn a_group_is_never_sent_in_two_batches_and_deletions_are_last() {
    let mut left = in_order(vec![
        difference("gone", Remedy::Delete, 1, None),
        difference("d", Remedy::Put, 9, Some("g")),
        difference("c", Remedy::Put, 4, None),
        difference("b", Remedy::Put, 3, Some("g")),
        difference("a", Remedy::Revise, 2, None),
    ]);
    let mut batches = Vec::new();
    while !left.is_empty() {
        let batch = take_batch(&mut left, 2);
        let names = batch.into_iter().map(|difference| difference.key.name);
        batches.push(names.collect::<Vec<_>>().join(" "));
    }
    assert_eq!(batches, ["a b d", "c gone"]);
}

#[test]
fn an_objective_has_the_same_content_for_both_sides() {
    let objective = pb::Objective {
        name: "spines".into(),
        priority: 7,
        kind: Some(pb::objective::Kind::Next(pb::Next {
            r#type: pb::NextType::Hashed.into(),
            buckets: vec![
                pb::Bucket {
                    weight: 3,
                    next: "inner".into(),
                    ..pb::Bucket::default()
                },
                pb::Bucket {
                    weight: 1,
                    ..pb::Bucket::default()
                },
            ],
            ..pb::Next::default()
        })),
        ..pb::Objective::default()
    };
    let ours = Objective::from_proto(objective.clone()).unwrap();
    assert_eq!(ours.content(), holdings::content(&objective));
}
