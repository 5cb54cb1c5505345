//! The replicated state: what commands do, one case each.
#![allow(clippy::unwrap_used)]

use pointsman_proto::pointsman::objective::v1 as pb;
use proptest::prelude::*;

use super::device::MAX_TOMBSTONES;
use super::*;
use crate::objective::{Bucket, Objective, ObjectiveKey};
use crate::status::Reason;

pub(crate) fn spec(name: &str, device_id: u64) -> DeviceSpec {
    DeviceSpec {
        name: name.into(),
        address: format!("{name}:9559"),
        device_id,
    }
}

fn bucket(next: &str, weight: u32) -> pb::Bucket {
    pb::Bucket {
        weight,
        treatment: vec![],
        next: next.into(),
    }
}

fn next_to(name: &str, buckets: &[(&str, u32)]) -> Objective {
    let buckets = buckets
        .iter()
        .map(|(next, weight)| bucket(next, *weight))
        .collect();
    let next = pb::Next {
        r#type: pb::NextType::Hashed.into(),
        buckets,
        meta: vec![],
    };
    let kind = Some(pb::objective::Kind::Next(next));
    Objective::from_proto(pb::Objective {
        name: name.into(),
        kind,
        ..pb::Objective::default()
    })
    .unwrap()
}

pub(crate) fn next(name: &str) -> Objective {
    next_to(name, &[])
}

pub(super) fn forward(name: &str, next: &str) -> Objective {
    let forward = pb::Forward {
        next: next.into(),
        ..pb::Forward::default()
    };
    let kind = Some(pb::objective::Kind::Forward(forward));
    Objective::from_proto(pb::Objective {
        name: name.into(),
        kind,
        ..pb::Objective::default()
    })
    .unwrap()
}

pub(crate) fn with_priority(objective: &Objective, priority: u32) -> Objective {
    Objective::from_proto(pb::Objective {
        priority,
        ..objective.to_proto()
    })
    .unwrap()
}

/// What belongs to no application.
pub(super) fn everything_without_owner(device: &str) -> Scope {
    Scope {
        device: device.into(),
        owner: String::new(),
    }
}

pub(super) fn on_leaf1(operations: impl IntoIterator<Item = Operation>) -> ChangeSet {
    let change = |operation| ObjectiveChange {
        device: "leaf1".into(),
        owner: String::new(),
        operation,
    };
    ChangeSet {
        objectives: operations.into_iter().map(change).collect(),
        ..ChangeSet::default()
    }
}

pub(super) fn puts(objectives: impl IntoIterator<Item = Objective>) -> ChangeSet {
    on_leaf1(objectives.into_iter().map(Operation::Put))
}

/// A state with one device, leaf1, that holds these objectives.
pub(super) fn state_with(objectives: impl IntoIterator<Item = Objective>) -> State {
    let mut state = State::default();
    let devices = vec![DeviceChange::Put(spec("leaf1", 1))];
    applied(
        &mut state,
        ChangeSet {
            devices,
            ..puts(objectives)
        },
    );
    state
}

pub(super) fn applied(state: &mut State, changes: ChangeSet) -> Summary {
    match state.apply(Command::Apply(changes)).response {
        Response::Applied { summary, .. } => summary,
        other => panic!("{other:?}"),
    }
}

/// Refused, with the state as it was.
pub(super) fn rejected(state: &mut State, changes: ChangeSet) -> Vec<Rejection> {
    let before = state.clone();
    let effect = state.apply(Command::Apply(changes));
    assert_eq!(*state, before);
    assert_eq!(effect.touched, []);
    match effect.response {
        Response::Rejected(rejections) => rejections,
        other => panic!("{other:?}"),
    }
}

fn rejected_for(state: &mut State, changes: ChangeSet, subject: Subject, reason: Reason) -> String {
    let rejections = rejected(state, changes);
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    assert_eq!(
        (rejections[0].subject, rejections[0].reason),
        (subject, reason)
    );
    rejections[0].message.clone()
}

#[test]
fn each_change_gets_a_revision_of_its_own_and_an_unchanged_objective_keeps_its_one() {
    let mut state = state_with([next("a"), next("b")]);
    let leaf1 = |state: &State, name: &str| state.revision_of("leaf1", &ObjectiveKey::next(name));
    assert_eq!(
        (leaf1(&state, "a"), leaf1(&state, "b")),
        (Revision(2), Revision(3))
    );
    let summary = applied(&mut state, puts([next("a"), with_priority(&next("b"), 9)]));
    assert_eq!((summary.unchanged, summary.changed), (1, 1));
    assert_eq!(
        (leaf1(&state, "a"), leaf1(&state, "b")),
        (Revision(2), Revision(4))
    );
    assert_eq!(state.revision(), Revision(4));
}

#[test]
fn nothing_is_applied_when_one_of_many_changes_is_refused_and_every_fault_is_reported() {
    let mut state = state_with([]);
    let changes = puts([
        next("a"),
        forward("x", "nowhere"),
        next("a"),
        forward("y", "a"),
    ]);
    let rejections = rejected(&mut state, changes);
    let subjects: Vec<_> = rejections
        .iter()
        .map(|rejection| rejection.subject)
        .collect();
    assert_eq!(subjects, [Subject::Objective(1), Subject::Objective(2)]);
}

#[test]
fn an_unknown_device_is_refused_with_those_that_are_known() {
    let mut state = state_with([]);
    let mut changes = puts([next("a")]);
    changes.objectives[0].device = "leaf9".into();
    let message = rejected_for(
        &mut state,
        changes,
        Subject::Objective(0),
        Reason::BadParameters,
    );
    assert_eq!(
        message,
        "there is no device \"leaf9\"; known devices: leaf1"
    );
}

#[test]
fn a_next_in_use_is_not_deleted_unless_its_user_goes_too() {
    let mut state = state_with([next("spine"), forward("route", "spine")]);
    let delete = |key: &str| Operation::Delete(ObjectiveKey::next(key));
    let message = rejected_for(
        &mut state,
        on_leaf1([delete("spine")]),
        Subject::Objective(0),
        Reason::NextInUse,
    );
    assert_eq!(
        message,
        "next/spine of leaf1 is in use by forward/route; delete that as well, or first"
    );
    let route = Operation::Delete(forward("route", "spine").key().clone());
    assert_eq!(
        applied(&mut state, on_leaf1([delete("spine"), route])).deleted,
        2
    );
    // The user went before what it used.
    let changes = state
        .device("leaf1")
        .unwrap()
        .tail_after(Revision(3), 10)
        .changes;
    let deleted: Vec<_> = changes
        .iter()
        .map(|change| match change {
            Change::Delete { key, .. } => key.to_string(),
            Change::Put { objective, .. } => panic!("{objective:?}"),
        })
        .collect();
    assert_eq!(deleted, ["forward/route", "next/spine"]);
}

#[test]
fn a_forward_may_come_before_its_next_in_the_same_change_set() {
    let mut state = state_with([]);
    applied(&mut state, puts([forward("route", "spine"), next("spine")]));
    let tail = state.device("leaf1").unwrap().snapshot();
    let Change::Put { objective, .. } = &tail.changes[0] else {
        panic!("a put")
    };
    assert_eq!(objective.key().to_string(), "next/spine");
}

#[test]
fn nexts_that_lead_back_to_themselves_are_refused() {
    let mut state = state_with([]);
    let changes = puts([next_to("a", &[("b", 1)]), next_to("b", &[("a", 1)])]);
    let rejections = rejected(&mut state, changes);
    assert!(
        rejections[0].message.contains("leads back to itself"),
        "{rejections:?}"
    );
}

#[test]
fn deleting_what_is_not_there_is_refused() {
    let mut state = state_with([]);
    let changes = on_leaf1([Operation::Delete(ObjectiveKey::next("ghost"))]);
    rejected_for(
        &mut state,
        changes,
        Subject::Objective(0),
        Reason::NoSuchObjective,
    );
}

#[test]
fn buckets_are_added_replaced_and_removed_by_destination() {
    let parts = [
        next("x"),
        next("y"),
        next("z"),
        next_to("ecmp", &[("x", 1), ("y", 1)]),
    ];
    let mut state = state_with(parts);
    let ecmp = |state: &State| {
        let key = ObjectiveKey::next("ecmp");
        state.device("leaf1").unwrap().objectives()[&key]
            .objective
            .clone()
    };
    let buckets = |all: &[(&str, u32)]| -> Vec<_> {
        all.iter()
            .map(|(next, weight)| Bucket::from_proto(bucket(next, *weight)))
            .collect()
    };
    let add = Operation::AddBuckets {
        next: "ecmp".into(),
        buckets: buckets(&[("y", 5), ("z", 1)]),
    };
    applied(&mut state, on_leaf1([add]));
    assert_eq!(
        ecmp(&state).buckets(),
        buckets(&[("x", 1), ("y", 5), ("z", 1)])
    );
    let remove = Operation::RemoveBuckets {
        next: "ecmp".into(),
        buckets: buckets(&[("y", 1)]),
    };
    applied(&mut state, on_leaf1([remove.clone()]));
    assert_eq!(ecmp(&state).buckets(), buckets(&[("x", 1), ("z", 1)]));
    let all = Operation::RemoveBuckets {
        next: "ecmp".into(),
        buckets: buckets(&[("x", 1), ("z", 1)]),
    };
    rejected_for(
        &mut state,
        on_leaf1([all]),
        Subject::Objective(0),
        Reason::BadParameters,
    );
    let again = on_leaf1([remove]);
    rejected_for(
        &mut state,
        again,
        Subject::Objective(0),
        Reason::NoSuchObjective,
    );
}

#[test]
fn pruning_a_next_that_the_request_still_uses_is_refused() {
    let mut state = state_with([next("spine"), forward("route", "spine")]);
    let prune = vec![everything_without_owner("leaf1")];
    let changes = ChangeSet {
        prune,
        ..puts([forward("route", "spine")])
    };
    let message = rejected_for(
        &mut state,
        changes,
        Subject::Objective(0),
        Reason::NoSuchObjective,
    );
    assert!(message.contains("would be pruned"), "{message}");
}

#[test]
fn devices_share_neither_address_nor_id() {
    let mut state = state_with([]);
    let same_id = DeviceChange::Put(spec("leaf2", 1));
    let changes = ChangeSet {
        devices: vec![same_id],
        ..ChangeSet::default()
    };
    let message = rejected_for(&mut state, changes, Subject::Device(0), Reason::Conflict);
    assert!(message.contains("device id 1"), "{message}");
    let same_address = DeviceSpec {
        name: "leaf2".into(),
        device_id: 2,
        ..spec("leaf1", 1)
    };
    let changes = ChangeSet {
        devices: vec![DeviceChange::Put(same_address)],
        ..ChangeSet::default()
    };
    rejected_for(&mut state, changes, Subject::Device(0), Reason::Conflict);
}

#[test]
fn a_device_without_usable_address_or_id_is_refused() {
    let mut state = State::default();
    for (address, device_id) in [
        ("leaf1", 1),
        (":9559", 1),
        ("leaf1:0", 1),
        ("leaf1:9559", 0),
    ] {
        let bad = DeviceSpec {
            name: "leaf1".into(),
            address: address.into(),
            device_id,
        };
        let changes = ChangeSet {
            devices: vec![DeviceChange::Put(bad)],
            ..ChangeSet::default()
        };
        rejected_for(
            &mut state,
            changes,
            Subject::Device(0),
            Reason::BadParameters,
        );
    }
}

#[test]
fn a_later_cluster_and_a_later_term_have_a_higher_election_id() {
    let named = |epoch| {
        let mut state = State::default();
        state.apply(Command::Initialize(Cluster {
            id: "c".into(),
            epoch,
        }));
        state
    };
    let (old, new) = (named(100), named(200));
    assert!(old.election_id(Term(1)) < old.election_id(Term(2)));
    assert!(old.election_id(Term(99)) < new.election_id(Term(1)));
}

#[test]
fn an_agent_of_an_earlier_device_of_the_same_name_has_no_tail() {
    let mut state = state_with([next("a")]);
    let seen = state.device("leaf1").unwrap().revision();
    let remove = vec![DeviceChange::Remove("leaf1".into())];
    applied(
        &mut state,
        ChangeSet {
            devices: remove,
            ..ChangeSet::default()
        },
    );
    let add = vec![DeviceChange::Put(spec("leaf1", 1))];
    applied(
        &mut state,
        ChangeSet {
            devices: add,
            ..puts([next("b")])
        },
    );
    assert!(!state.device("leaf1").unwrap().has_tail_after(seen));
}

#[test]
fn a_tail_is_sent_in_parts_that_join_without_gap() {
    let state = state_with((0..5).map(|index| next(&format!("n{index}"))));
    let device = state.device("leaf1").unwrap();
    let first = device.tail_after(Revision(1), 2);
    assert_eq!((first.changes.len(), first.revision), (2, Revision(3)));
    let second = device.tail_after(first.revision, 2);
    assert_eq!((second.changes.len(), second.revision), (2, Revision(5)));
    let last = device.tail_after(second.revision, 2);
    assert_eq!((last.changes.len(), last.revision), (1, Revision(6)));
    assert_eq!(device.tail_after(last.revision, 2).changes, []);
}

#[test]
fn deletions_are_remembered_up_to_a_limit_and_older_agents_have_no_tail() {
    let count = MAX_TOMBSTONES + 1;
    let names: Vec<_> = (0..count).map(|index| format!("n{index}")).collect();
    let mut state = state_with(names.iter().map(|name| next(name)));
    let before = state.device("leaf1").unwrap().revision();
    let deletes = names
        .iter()
        .map(|name| Operation::Delete(ObjectiveKey::next(name)));
    applied(&mut state, on_leaf1(deletes));
    let device = state.device("leaf1").unwrap();
    assert!(device.tombstones().len() <= MAX_TOMBSTONES);
    assert!(!device.has_tail_after(before));
    assert!(device.has_tail_after(device.revision()));
}

/// What an agent holds after it has taken changes.
fn replay(held: &mut BTreeMap<ObjectiveKey, Objective>, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Put { objective, .. } => {
                held.insert(objective.key().clone(), objective);
            }
            Change::Delete { key, .. } => {
                held.remove(&key);
            }
        }
    }
}

proptest! {
    /// Whatever happened while an agent was away, the tail brings it to what is wanted.
    #[test]
    fn a_tail_leads_from_any_point_to_what_is_wanted(
        steps in prop::collection::vec((0..6usize, 1..4u32, any::<bool>()), 1..60),
        away_after in 0..60usize,
    ) {
        let mut state = state_with([]);
        let mut held = BTreeMap::new();
        let mut held_at = state.device("leaf1").unwrap().revision();
        for (index, (name, priority, delete)) in steps.into_iter().enumerate() {
            let objective = with_priority(&next(&format!("n{name}")), priority);
            let operation = match delete {
                true => Operation::Delete(objective.key().clone()),
                false => Operation::Put(objective),
            };
            state.apply(Command::Apply(on_leaf1([operation])));
            state.device("leaf1").unwrap().validate();
            if index == away_after {
                let device = state.device("leaf1").unwrap();
                replay(&mut held, device.tail_after(held_at, usize::MAX).changes);
                held_at = device.revision();
            }
        }
        let device = state.device("leaf1").unwrap();
        prop_assert!(device.has_tail_after(held_at));
        replay(&mut held, device.tail_after(held_at, usize::MAX).changes);
        let wanted: BTreeMap<_, _> = device
            .objectives()
            .iter()
            .map(|(key, stored)| (key.clone(), stored.objective.clone()))
            .collect();
        prop_assert_eq!(held, wanted);
    }
}
