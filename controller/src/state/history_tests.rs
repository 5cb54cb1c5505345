//! The history: what it says was changed, and the way back.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::tests::{
    applied, everything_without_owner, forward, next, on_leaf1, puts, rejected, spec, state_with,
    with_priority,
};
use super::*;
use crate::objective::{Objective, ObjectiveKey};
use crate::status::Reason;

fn change_sets() -> usize {
    Settings::default().change_sets()
}

/// All that is wanted: devices, each with its objectives.
type Wanted = BTreeMap<String, (DeviceSpec, BTreeMap<ObjectiveKey, Objective>)>;

fn wanted(state: &State) -> Wanted {
    let devices = state.devices().iter().map(|(name, device)| {
        let objectives = device.objectives().iter();
        let objectives = objectives.map(|(key, stored)| (key.clone(), stored.objective.clone()));
        (name.clone(), (device.spec().clone(), objectives.collect()))
    });
    devices.collect()
}

fn because(reason: &str) -> Note {
    Note {
        time: 1_800_000_000,
        author: "ada@noc".into(),
        reason: reason.into(),
    }
}

fn back_to(state: &mut State, revision: Revision) -> Summary {
    let changes = state
        .back_to(revision, because("it was better before"))
        .unwrap();
    applied(state, changes)
}

#[test]
fn a_change_set_is_remembered_with_what_was_said_of_it_and_with_what_it_did() {
    let mut state = state_with([next("spine")]);
    let before = state.revision();
    let changes = ChangeSet {
        note: because("maintenance of spine 2"),
        ..puts([with_priority(&next("spine"), 7), forward("rack", "spine")])
    };
    applied(&mut state, changes);
    let (revision, past) = state.history().iter().next_back().unwrap();
    assert_eq!(revision, state.revision());
    assert_eq!(
        (past.before, &past.note),
        (before, &because("maintenance of spine 2"))
    );
    assert_eq!((past.summary.created, past.summary.changed), (1, 1));
    // It says so still when things have changed again.
    applied(&mut state, puts([with_priority(&next("spine"), 8)]));
    let did = state.differences(revision).unwrap().objectives;
    let of = |name: &str| did.iter().find(|did| did.key.name == name).unwrap();
    assert_eq!(of("spine").before, Some(next("spine")));
    assert_eq!(of("spine").after, Some(with_priority(&next("spine"), 7)));
    assert_eq!(
        (&of("rack").before, &of("rack").after),
        (&None, &Some(forward("rack", "spine")))
    );
}

#[test]
fn what_changes_nothing_leaves_no_trace() {
    let mut state = state_with([next("a")]);
    let before = state.clone();
    applied(&mut state, puts([next("a")]));
    assert_eq!(state, before);
}

#[test]
fn a_device_comes_back_with_its_objectives_and_the_way_back_can_be_taken_back() {
    let mut state = state_with([next("a"), forward("x", "a")]);
    let (revision, before) = (state.revision(), wanted(&state));
    let remove = ChangeSet {
        devices: vec![DeviceChange::Remove("leaf1".into())],
        ..ChangeSet::default()
    };
    applied(&mut state, remove);
    let (removed, without) = (state.revision(), wanted(&state));
    let summary = back_to(&mut state, revision);
    assert_eq!((summary.devices_created, summary.created), (1, 2));
    assert_eq!(wanted(&state), before);
    back_to(&mut state, removed);
    assert_eq!(wanted(&state), without);
}

#[test]
fn there_is_no_way_back_to_the_middle_of_a_change_set_or_to_what_never_was() {
    let mut state = state_with([next("a"), next("b")]);
    for wanted in [state.revision().0 - 1, state.revision().0 + 1] {
        let error = state
            .back_to(Revision(wanted), Note::default())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "revision {wanted} is not one to go back to; the history goes from 0 to 3, and has the \
                 revisions that `pointsman history` shows"
            )
        );
    }
    // To before everything there is one.
    back_to(&mut state, Revision(0));
    assert_eq!(wanted(&state), Wanted::new());
}

#[test]
fn a_way_back_that_something_else_came_before_is_refused() {
    let mut state = state_with([next("a")]);
    let revision = state.revision();
    applied(&mut state, puts([next("b")]));
    let changes = state.back_to(revision, Note::default()).unwrap();
    applied(&mut state, puts([next("c")]));
    let rejections = rejected(&mut state, changes);
    assert_eq!(
        (rejections[0].subject, rejections[0].reason),
        (Subject::Request, Reason::Conflict)
    );
}

#[test]
fn what_is_far_back_is_forgotten() {
    let mut state = state_with([next("a")]);
    let first = state.revision();
    for priority in 1..=change_sets() as u32 {
        let effect = state.apply(Command::Apply(puts([with_priority(&next("a"), priority)])));
        let forgotten = effect.touched.contains(&RowKey::Past(first));
        assert_eq!(forgotten, priority == change_sets() as u32);
    }
    assert_eq!(state.history().iter().count(), change_sets());
    assert!(state.differences(first).is_none());
    // The oldest that is remembered says what was before it.
    back_to(&mut state, first);
    assert_eq!(
        wanted(&state)["leaf1"].1[&ObjectiveKey::next("a")],
        next("a")
    );
}

fn on_trial(changes: ChangeSet) -> ChangeSet {
    ChangeSet {
        try_until: Some(1_800_000_060),
        ..changes
    }
}

#[test]
fn nothing_else_is_changed_while_something_is_on_trial() {
    let mut state = state_with([next("a")]);
    let before = state.revision();
    applied(&mut state, on_trial(puts([next("b")])));
    let trial = state.trial().unwrap();
    assert_eq!((trial.back_to, trial.revision), (before, state.revision()));
    let rejections = rejected(&mut state, puts([next("c")]));
    assert_eq!(rejections[0].reason, Reason::Conflict);
    let others = [Some(before), Some(Revision(99))];
    for other in others {
        let response = state.apply(Command::Confirm(other)).response;
        assert!(matches!(response, Response::Rejected(_)), "{response:?}");
    }
    let response = state.apply(Command::Confirm(None)).response;
    assert_eq!(response, Response::Confirmed(trial.revision));
    applied(&mut state, puts([next("c")]));
    let response = state.apply(Command::Confirm(None)).response;
    assert!(matches!(response, Response::Rejected(_)), "{response:?}");
}

#[test]
fn what_is_taken_back_is_as_it_was_and_ends_the_trial() {
    let mut state = state_with([next("a"), forward("x", "a")]);
    let before = wanted(&state);
    let delete = Operation::Delete(forward("x", "a").key().clone());
    let changes = on_leaf1([delete, Operation::Put(with_priority(&next("a"), 9))]);
    applied(&mut state, on_trial(changes));
    let trial = state.trial().unwrap();
    let changes = state.take_back(trial).unwrap();
    applied(&mut state, changes);
    assert_eq!((wanted(&state), state.trial()), (before, None));
    // So does the way back that somebody takes himself.
    applied(&mut state, on_trial(puts([next("b")])));
    let trial = state.trial().unwrap();
    back_to(&mut state, trial.back_to);
    assert_eq!(state.trial(), None);
}

#[test]
fn what_changes_nothing_is_not_on_trial() {
    let mut state = state_with([next("a")]);
    applied(&mut state, on_trial(puts([next("a")])));
    assert_eq!(state.trial(), None);
}

fn change_set() -> impl Strategy<Value = ChangeSet> {
    let name = || prop::sample::select(vec!["leaf1", "leaf2"]);
    let id = |name: &str| if name == "leaf1" { 1 } else { 2 };
    let objective = (0..5usize, 1..4u32)
        .prop_map(|(index, priority)| with_priority(&next(&format!("n{index}")), priority));
    let operation = (objective, any::<bool>()).prop_map(|(objective, delete)| match delete {
        true => Operation::Delete(objective.key().clone()),
        false => Operation::Put(objective),
    });
    let on = |device: &str, mut changes: ChangeSet| {
        changes
            .objectives
            .iter_mut()
            .for_each(|change| change.device = device.into());
        changes
    };
    let devices = |change| ChangeSet {
        devices: vec![change],
        ..ChangeSet::default()
    };
    prop_oneof![
        6 => (name(), operation).prop_map(move |(name, operation)| on(name, on_leaf1([operation]))),
        2 => (name(), "[ab]").prop_map(move |(name, host)| devices(DeviceChange::Put(DeviceSpec {
            address: format!("{host}.{name}:9559"),
            ..spec(name, id(name))
        }))),
        1 => name().prop_map(move |name| devices(DeviceChange::Remove(name.into()))),
        1 => name().prop_map(|name| ChangeSet { prune: vec![everything_without_owner(name)], ..ChangeSet::default() }),
    ]
}

proptest! {
    /// Whatever happened, there is a way back to everything that was.
    #[test]
    fn the_way_back_leads_to_what_was(
        changes in prop::collection::vec(change_set(), 1..30),
        to in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let mut state = State::default();
        let mut was = BTreeMap::from([(state.revision(), wanted(&state))]);
        for changes in changes {
            let before = state.revision();
            state.apply(Command::Apply(changes));
            if state.revision() != before {
                was.insert(state.revision(), wanted(&state));
            }
        }
        let all: Vec<Revision> = was.keys().copied().collect();
        for to in to {
            let revision = *to.get(&all);
            // One that changes nothing is one that is refused by nobody.
            let changes = state.back_to(revision, Note::default());
            if state.history().iter().next().is_none() {
                prop_assert!(changes.is_err());
                continue;
            }
            let response = state.apply(Command::Apply(changes.unwrap())).response;
            prop_assert!(matches!(response, Response::Applied { .. }), "{:?}", response);
            prop_assert_eq!(&wanted(&state), &was[&revision]);
        }
        // Each change set says what it did.
        for pair in all.windows(2) {
            let did = state.differences(pair[1]).unwrap();
            let (before, after) = (&was[&pair[0]], &was[&pair[1]]);
            for did in did.objectives {
                let find = |wanted: &Wanted| wanted.get(&did.device)?.1.get(&did.key).cloned();
                prop_assert_eq!((&did.before, &did.after), (&find(before), &find(after)));
            }
            for did in did.devices {
                let find = |wanted: &Wanted| Some(wanted.get(&did.name)?.0.clone());
                prop_assert_eq!((&did.before, &did.after), (&find(before), &find(after)));
            }
        }
    }
}
