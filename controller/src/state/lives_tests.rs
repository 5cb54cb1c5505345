//! Whose objectives are, what goes together, and what goes by itself.
#![allow(clippy::unwrap_used)]

use pointsman_model::MAX_GROUP;
use pointsman_proto::pointsman::objective::v1 as pb;

use super::tests::{applied, forward, next, on_leaf1, puts, rejected, state_with, with_priority};
use super::*;
use crate::objective::{Objective, ObjectiveKey};
use crate::status::Reason;

fn with(objective: &Objective, change: impl FnOnce(&mut pb::Objective)) -> Objective {
    let mut objective = objective.to_proto();
    change(&mut objective);
    Objective::from_proto(objective).unwrap()
}

fn of(owner: &str, objective: &Objective) -> Objective {
    with(objective, |objective| objective.owner = owner.into())
}

fn in_group(group: &str, objective: &Objective) -> Objective {
    with(objective, |objective| objective.group = group.into())
}

/// Puts of an application.
fn puts_of(owner: &str, objectives: impl IntoIterator<Item = Objective>) -> ChangeSet {
    let owned = objectives
        .into_iter()
        .map(|objective| of(owner, &objective));
    let mut changes = puts(owned);
    for change in &mut changes.objectives {
        change.owner = owner.into();
    }
    changes
}

fn key(forward: &str) -> ObjectiveKey {
    ObjectiveKey {
        kind: crate::objective::Kind::Forward,
        name: forward.into(),
    }
}

fn names(state: &State) -> Vec<&str> {
    let objectives = state.device("leaf1").unwrap().objectives();
    objectives.keys().map(|key| key.name.as_str()).collect()
}

fn expire(state: &mut State, expired: &[(&str, Revision)]) -> Effect {
    let expired = expired
        .iter()
        .map(|(name, revision)| (key(name), *revision));
    state.apply(Command::Expire {
        device: "leaf1".into(),
        expired: expired.collect(),
        time: 1_800_000_000,
    })
}

#[test]
fn an_objective_of_another_application_is_not_changed_but_by_taking_it_over() {
    let mut state = state_with([next("spine")]);
    applied(&mut state, puts_of("web", [forward("a", "spine")]));
    let message = |state: &mut State, changes| {
        let rejections = rejected(state, changes);
        assert_eq!(rejections[0].reason, Reason::OwnedByAnother);
        rejections[0].message.clone()
    };
    let put = || puts_of("monitor", [with_priority(&forward("a", "spine"), 7)]);
    let refusal = message(&mut state, put());
    for part in [
        "forward/a of leaf1",
        "application web",
        "monitor",
        "--take-over",
    ] {
        assert!(refusal.contains(part), "{refusal}");
    }
    // Neither nobody's nor somebody's is anybody's.
    let refusal = message(&mut state, puts([forward("a", "spine")]));
    assert!(refusal.contains("of no application"), "{refusal}");
    message(&mut state, puts_of("web", [next("spine")]));
    message(&mut state, on_leaf1([Operation::Delete(key("a"))]));
    let taken = ChangeSet {
        take_over: true,
        ..put()
    };
    assert_eq!(applied(&mut state, taken).changed, 1);
    assert_eq!(applied(&mut state, put()).unchanged, 1);
    message(&mut state, puts_of("web", [forward("a", "spine")]));
}

#[test]
fn pruning_leaves_what_belongs_to_other_applications() {
    let mut state = state_with([next("spine"), forward("old", "spine")]);
    applied(
        &mut state,
        puts_of("web", [forward("a", "spine"), forward("b", "spine")]),
    );
    applied(&mut state, puts_of("monitor", [forward("m", "spine")]));
    let prune = |owner: &str| {
        vec![Scope {
            device: "leaf1".into(),
            owner: owner.into(),
        }]
    };
    let pruned = ChangeSet {
        prune: prune("web"),
        ..puts_of("web", [forward("a", "spine")])
    };
    assert_eq!(applied(&mut state, pruned).deleted, 1);
    assert_eq!(names(&state), ["a", "m", "old", "spine"]);
    let pruned = ChangeSet {
        prune: prune(""),
        ..puts([next("spine")])
    };
    assert_eq!(applied(&mut state, pruned).deleted, 1);
    assert_eq!(names(&state), ["a", "m", "spine"]);
}

#[test]
fn what_has_expired_is_forgotten_once_and_the_history_says_so() {
    let mut state = state_with([next("spine"), forward("a", "spine"), forward("b", "spine")]);
    let version = state.revision_of("leaf1", &key("a"));
    let before = state.revision();
    assert!(
        !expire(&mut state, &[("a", version), ("gone", version)])
            .touched
            .is_empty()
    );
    assert_eq!(names(&state), ["b", "spine"]);
    let (revision, past) = state.history().iter().next_back().unwrap();
    assert_eq!((revision, past.before), (state.revision(), before));
    assert_eq!(
        (past.note.reason.as_str(), past.summary.deleted),
        ("expired", 1)
    );
    let did = state.differences(revision).unwrap().objectives;
    assert_eq!(
        (did.len(), did[0].key.clone(), did[0].after.clone()),
        (1, key("a"), None)
    );
    // The switch is told, and says it again meanwhile.
    let device = state.device("leaf1").unwrap();
    let tail = device.tail_after(before, 10).changes;
    assert!(matches!(&tail[..], [Change::Delete { key: deleted, .. }] if *deleted == key("a")));
    assert!(expire(&mut state, &[("a", version)]).touched.is_empty());
    // What is put again is another version.
    applied(&mut state, puts([forward("a", "spine")]));
    assert!(expire(&mut state, &[("a", version)]).touched.is_empty());
    assert_eq!(names(&state), ["a", "b", "spine"]);
    state.device("leaf1").unwrap().validate();
}

#[test]
fn no_way_back_brings_back_what_has_expired() {
    let mut state = state_with([next("spine"), forward("a", "spine")]);
    let good = state.revision();
    let version = state.revision_of("leaf1", &key("a"));
    let trial = ChangeSet {
        try_until: Some(1_800_000_060),
        ..puts([with_priority(&next("spine"), 7)])
    };
    applied(&mut state, trial);
    expire(&mut state, &[("a", version)]);
    let back = state.take_back(state.trial().unwrap()).unwrap();
    applied(&mut state, back);
    assert_eq!((names(&state), state.trial()), (vec!["spine"], None));
    // But what was deleted by somebody comes back.
    applied(&mut state, puts([forward("a", "spine")]));
    let later = state.revision();
    applied(&mut state, on_leaf1([Operation::Delete(key("a"))]));
    let changes = state.back_to(later, Note::default()).unwrap();
    applied(&mut state, changes);
    assert_eq!(names(&state), ["a", "spine"]);
    let changes = state.back_to(good, Note::default()).unwrap();
    assert_eq!(changes.objectives, []);
}

#[test]
fn what_is_applied_together_is_sent_together_whatever_the_limit() {
    let mut state = state_with([next("spine")]);
    let grouped = |name: &str| in_group("g", &forward(name, "spine"));
    let names = |state: &State, after: Revision, limit: usize| {
        let tail = state.device("leaf1").unwrap().tail_after(after, limit);
        let names = tail.changes.iter().map(|change| match change {
            Change::Put { objective, .. } => objective.key().name.clone(),
            Change::Delete { key, .. } => format!("-{}", key.name),
        });
        (names.collect::<Vec<_>>().join(" "), tail.revision)
    };
    let before = state.revision();
    applied(
        &mut state,
        puts([
            grouped("a"),
            forward("x", "spine"),
            grouped("b"),
            grouped("c"),
        ]),
    );
    let (sent, reached) = names(&state, before, 1);
    assert_eq!(sent, "a b c");
    assert_eq!(reached, Revision(before.0 + 1));
    // What was sent ahead is sent again in its turn, so that no revision is left out.
    assert_eq!(names(&state, reached, 2).0, "x b c");
    assert_eq!(names(&state, before, 100).0, "a b c x");
    // An agent that has some of them needs what has changed since.
    let known = state.revision();
    applied(&mut state, puts([with_priority(&grouped("a"), 9)]));
    assert_eq!(names(&state, known, 1).0, "a");
    assert_eq!(names(&state, before, 1).0, "x");
    assert_eq!(names(&state, Revision(before.0 + 2), 1).0, "b c a");
    applied(&mut state, on_leaf1([Operation::Delete(key("b"))]));
    state.device("leaf1").unwrap().validate();
}

#[test]
fn a_group_that_is_too_large_is_refused_however_it_grows() {
    let member = |index: usize| in_group("g", &next(&format!("n{index}")));
    let mut state = state_with((0..MAX_GROUP - 1).map(member));
    applied(
        &mut state,
        puts([member(MAX_GROUP - 1), in_group("h", &next("other"))]),
    );
    let rejections = rejected(&mut state, puts([member(0), member(MAX_GROUP)]));
    assert_eq!(rejections.len(), 1);
    assert_eq!(rejections[0].reason, Reason::BadParameters);
    assert!(
        rejections[0]
            .message
            .contains("group g of leaf1 would have 501"),
        "{}",
        rejections[0].message
    );
    // One that leaves makes room.
    let leaves = in_group("", &next("n3"));
    applied(&mut state, puts([leaves, member(MAX_GROUP)]));
}

#[test]
fn modifying_a_bucket_replaces_the_one_that_goes_the_same_way() {
    let bucket = |next: &str, weight| pb::Bucket {
        weight,
        next: next.into(),
        ..pb::Bucket::default()
    };
    let change = |buckets: Vec<pb::Bucket>| Operation::ModifyBuckets {
        next: "ecmp".into(),
        buckets: buckets
            .into_iter()
            .map(crate::objective::Bucket::from_proto)
            .collect(),
    };
    let ecmp = with(&next("ecmp"), |objective| {
        let Some(pb::objective::Kind::Next(next)) = &mut objective.kind else {
            panic!("a next")
        };
        next.buckets = vec![bucket("a", 1), bucket("b", 1)];
    });
    let mut state = state_with([next("a"), next("b"), ecmp]);
    assert_eq!(
        applied(&mut state, on_leaf1([change(vec![bucket("b", 5)])])).changed,
        1
    );
    let stored = &state.device("leaf1").unwrap().objectives()[&ObjectiveKey::next("ecmp")];
    let weights: Vec<_> = match stored.objective.to_proto().kind {
        Some(pb::objective::Kind::Next(next)) => next.buckets.iter().map(|b| b.weight).collect(),
        _ => panic!("a next"),
    };
    assert_eq!(weights, [1, 5]);
    let rejections = rejected(&mut state, on_leaf1([change(vec![bucket("c", 1)])]));
    assert!(
        rejections[0].message.contains("add that instead"),
        "{}",
        rejections[0].message
    );
    // Verifying asks the switch and changes nothing here.
    let stated = state.device("leaf1").unwrap().objectives()[&ObjectiveKey::next("ecmp")]
        .objective
        .clone();
    let summary = applied(&mut state, on_leaf1([Operation::Verify(stated)]));
    assert_eq!((summary.unchanged, summary.changed), (1, 0));
}
