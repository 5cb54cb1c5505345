//! Who becomes master of what, one case each, and what must hold after any commands.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{applied, spec};
use super::*;

/// A cluster whose nodes 1 to `nodes` have started, and then got devices d0, d1, ...
fn cluster(nodes: u64, devices: usize) -> State {
    let mut state = State::default();
    for node in 1..=nodes {
        start(&mut state, node, 1);
    }
    add(&mut state, devices);
    state
}

fn add(state: &mut State, devices: usize) {
    let put = |index| DeviceChange::Put(spec(&format!("d{index}"), index as u64 + 1));
    let devices = (0..devices).map(put).collect();
    applied(
        state,
        ChangeSet {
            devices,
            ..ChangeSet::default()
        },
    );
}

fn start(state: &mut State, node: NodeId, boot: u64) {
    let spec = NodeSpec {
        name: format!("c{node}"),
        ..NodeSpec::default()
    };
    let boot = BootId(boot);
    node_command(state, NodeCommand::Start { node, boot, spec });
}

fn lose(state: &mut State, node: NodeId) {
    let boot = BootId(1);
    node_command(state, NodeCommand::Lost { node, boot });
}

fn node_command(state: &mut State, command: NodeCommand) {
    assert_eq!(state.apply(Command::Node(command)).response, Response::Done);
}

fn mastership_command(state: &mut State, command: MastershipCommand) {
    let response = state.apply(Command::Mastership(command)).response;
    assert_eq!(response, Response::Done);
}

fn refusal(state: &mut State, command: Command) -> String {
    let before = state.clone();
    let Response::Rejected(rejections) = state.apply(command).response else {
        panic!("it was not refused")
    };
    assert_eq!(*state, before);
    rejections[0].message.clone()
}

fn held(state: &State, device: &str) -> Mastership {
    state.device(device).unwrap().mastership().unwrap().clone()
}

fn loads(state: &State) -> BTreeMap<NodeId, usize> {
    let nodes = state.nodes().keys();
    nodes.map(|node| (*node, state.load_of(*node))).collect()
}

/// The master cannot reach the device and says so.
fn hand_on(state: &mut State, device: &str) {
    let Mastership { node, term, .. } = held(state, device);
    let device = device.to_owned();
    mastership_command(state, MastershipCommand::Unreachable { device, node, term });
}

fn reached(state: &mut State, device: &str, node: NodeId) {
    let device = device.to_owned();
    mastership_command(state, MastershipCommand::Reached { device, node });
}

#[test]
fn devices_get_masters_in_the_commit_that_adds_them_evenly() {
    let state = cluster(3, 9);
    assert_eq!(loads(&state), [(1, 3), (2, 3), (3, 3)].into());
    let terms: BTreeSet<_> = state
        .devices()
        .keys()
        .map(|d| held(&state, d).term)
        .collect();
    assert_eq!(terms.len(), 9);
    assert!(
        state
            .devices()
            .keys()
            .all(|d| held(&state, d).standbys.len() == 2)
    );
}

#[test]
fn devices_that_were_there_first_get_the_first_node_that_starts() {
    let mut state = State::default();
    add(&mut state, 2);
    assert!(state.device("d0").unwrap().mastership().is_none());
    start(&mut state, 7, 1);
    assert_eq!(loads(&state), [(7, 2)].into());
}

#[test]
fn what_a_lost_node_was_master_of_is_spread_over_the_others() {
    let mut state = cluster(3, 12);
    let before = state.clone();
    lose(&mut state, 1);
    assert_eq!(loads(&state), [(1, 0), (2, 6), (3, 6)].into());
    for (name, device) in before.devices() {
        let (old, new) = (device.mastership().unwrap(), held(&state, name));
        match old.node {
            1 => assert_eq!(Some(&new.node), old.standbys.first()),
            _ => assert_eq!((new.node, new.term), (old.node, old.term), "{name} moved"),
        }
        assert_eq!(state.device(name).unwrap().role_of(1), Role::None);
    }
}

#[test]
fn a_node_that_is_heard_again_is_a_standby_and_moves_nothing() {
    let mut state = cluster(3, 12);
    lose(&mut state, 1);
    let boot = BootId(1);
    node_command(&mut state, NodeCommand::Heard { node: 1, boot });
    assert_eq!(loads(&state), [(1, 0), (2, 6), (3, 6)].into());
    assert_eq!(state.device("d0").unwrap().role_of(1), Role::Standby);
}

#[test]
fn a_message_about_an_earlier_process_changes_nothing() {
    let mut state = cluster(3, 3);
    start(&mut state, 1, 2);
    let before = state.clone();
    lose(&mut state, 1);
    assert_eq!(state, before);
}

#[test]
fn another_process_of_the_only_node_is_master_in_later_terms() {
    let mut state = cluster(1, 2);
    let before = held(&state, "d0").term;
    start(&mut state, 1, 2);
    assert!(held(&state, "d0").term > before);
    assert_eq!(loads(&state), [(1, 2)].into());
}

#[test]
fn a_node_that_has_left_comes_back_only_as_another_process() {
    let mut state = cluster(2, 2);
    let boot = BootId(1);
    node_command(&mut state, NodeCommand::Leave { node: 1, boot });
    assert_eq!(loads(&state), [(1, 0), (2, 2)].into());
    node_command(&mut state, NodeCommand::Heard { node: 1, boot });
    assert_eq!(state.node(1).unwrap().presence, Presence::Left);
    start(&mut state, 1, 2);
    assert_eq!(state.node(1).unwrap().presence, Presence::Up);
}

#[test]
fn a_drained_node_is_master_of_nothing_until_it_is_resumed_and_things_are_balanced() {
    let mut state = cluster(3, 6);
    node_command(&mut state, NodeCommand::Drain { node: 2 });
    assert_eq!(loads(&state), [(1, 3), (2, 0), (3, 3)].into());
    mastership_command(&mut state, MastershipCommand::Balance { anew: false });
    assert_eq!(loads(&state)[&2], 0);
    node_command(&mut state, NodeCommand::Resume { node: 2 });
    mastership_command(&mut state, MastershipCommand::Balance { anew: false });
    assert_eq!(loads(&state), [(1, 2), (2, 2), (3, 2)].into());
}

#[test]
fn the_last_node_in_service_is_not_drained() {
    let mut state = cluster(2, 2);
    node_command(&mut state, NodeCommand::Drain { node: 1 });
    let message = refusal(&mut state, Command::Node(NodeCommand::Drain { node: 2 }));
    assert!(
        message.contains("c2") && message.contains("resume"),
        "{message}"
    );
}

#[test]
fn a_drained_node_steps_in_while_nobody_else_is_up() {
    let mut state = cluster(2, 2);
    node_command(&mut state, NodeCommand::Drain { node: 1 });
    lose(&mut state, 2);
    assert_eq!(loads(&state), [(1, 2), (2, 0)].into());
    start(&mut state, 3, 1);
    assert_eq!(loads(&state), [(1, 0), (2, 0), (3, 2)].into());
}

#[test]
fn balancing_moves_no_more_than_it_must_and_comes_to_rest() {
    let mut state = cluster(1, 9);
    start(&mut state, 2, 1);
    start(&mut state, 3, 1);
    let before = state.clone();
    assert!(!state.is_balanced());
    mastership_command(&mut state, MastershipCommand::Balance { anew: false });
    assert_eq!(loads(&state), [(1, 3), (2, 3), (3, 3)].into());
    let stayed = |name: &&String| held(&before, name).term == held(&state, name).term;
    assert_eq!(state.devices().keys().filter(stayed).count(), 3);
    assert!(state.is_balanced());
}

#[test]
fn what_an_operator_chose_stays_and_comes_back_with_its_node() {
    let mut state = cluster(3, 6);
    let devices = vec!["d0".to_owned(), "d1".into(), "d2".into()];
    let node = 1;
    mastership_command(&mut state, MastershipCommand::Set { devices, node });
    mastership_command(&mut state, MastershipCommand::Balance { anew: false });
    let chosen = |state: &State| ["d0", "d1", "d2"].map(|device| held(state, device).node);
    assert_eq!(chosen(&state), [1, 1, 1]);
    lose(&mut state, 1);
    assert!(!chosen(&state).contains(&1));
    start(&mut state, 1, 2);
    mastership_command(&mut state, MastershipCommand::Balance { anew: false });
    assert_eq!(chosen(&state), [1, 1, 1]);
    mastership_command(&mut state, MastershipCommand::Balance { anew: true });
    assert_eq!(loads(&state), [(1, 2), (2, 2), (3, 2)].into());
}

#[test]
fn nobody_is_made_master_who_is_down_or_unknown() {
    let mut state = cluster(2, 1);
    lose(&mut state, 2);
    let set = |node| {
        let devices = vec!["d0".into()];
        Command::Mastership(MastershipCommand::Set { devices, node })
    };
    assert!(refusal(&mut state, set(2)).contains("c2 is down"));
    assert!(refusal(&mut state, set(9)).contains("its nodes are c1, c2"));
}

#[test]
fn an_unreachable_device_is_handed_round_once_and_then_stays_offline() {
    let mut state = cluster(3, 1);
    let mut masters = vec![held(&state, "d0").node];
    for _ in 0..2 {
        hand_on(&mut state, "d0");
        masters.push(held(&state, "d0").node);
        assert!(!held(&state, "d0").is_offline());
    }
    assert_eq!(masters.iter().collect::<BTreeSet<_>>().len(), 3);
    hand_on(&mut state, "d0");
    assert!(held(&state, "d0").is_offline());
    let before = state.clone();
    hand_on(&mut state, "d0");
    assert_eq!(state, before);
}

#[test]
fn whoever_reaches_an_offline_device_takes_it_over() {
    let mut state = cluster(3, 1);
    (0..3).for_each(|_| hand_on(&mut state, "d0"));
    let Mastership { node, term, .. } = held(&state, "d0");
    let other = if node == 1 { 2 } else { 1 };
    reached(&mut state, "d0", other);
    let now = held(&state, "d0");
    assert!(now.node == other && now.term > term && !now.is_offline());
}

#[test]
fn a_standby_that_reaches_a_device_takes_nothing_from_a_master_that_does() {
    let mut state = cluster(3, 1);
    let master = held(&state, "d0");
    reached(&mut state, "d0", master.standbys[0]);
    assert_eq!(held(&state, "d0"), master);
}

#[test]
fn a_node_that_joins_later_gets_its_turn_with_an_offline_device() {
    let mut state = cluster(1, 1);
    hand_on(&mut state, "d0");
    assert!(held(&state, "d0").is_offline());
    start(&mut state, 2, 1);
    hand_on(&mut state, "d0");
    assert_eq!(held(&state, "d0").node, 2);
    assert!(!held(&state, "d0").is_offline());
}

#[test]
fn a_refused_term_is_renewed_once() {
    let mut state = cluster(2, 1);
    let Mastership { node, term, .. } = held(&state, "d0");
    let renew = || MastershipCommand::Renew {
        device: "d0".into(),
        node,
        term,
    };
    mastership_command(&mut state, renew());
    let after = held(&state, "d0");
    assert!(after.node == node && after.term > term);
    mastership_command(&mut state, renew());
    assert_eq!(held(&state, "d0"), after);
}

#[test]
fn a_device_that_comes_back_after_it_was_removed_has_a_later_term() {
    let mut state = cluster(1, 1);
    let before = held(&state, "d0").term;
    let devices = vec![DeviceChange::Remove("d0".into())];
    applied(
        &mut state,
        ChangeSet {
            devices,
            ..ChangeSet::default()
        },
    );
    add(&mut state, 1);
    assert!(held(&state, "d0").term > before);
}

fn command() -> impl Strategy<Value = Command> {
    let device = || (0..5usize).prop_map(|index| format!("d{index}"));
    let node = || 1..5u64;
    prop_oneof![
        4 => (node(), 0..3u64).prop_map(|(node, boot)| {
            let (boot, spec) = (BootId(boot), NodeSpec::default());
            Command::Node(NodeCommand::Start { node, boot, spec })
        }),
        3 => (node(), 0..3u64).prop_map(|(node, boot)| {
            Command::Node(NodeCommand::Lost { node, boot: BootId(boot) })
        }),
        2 => (node(), 0..3u64).prop_map(|(node, boot)| {
            Command::Node(NodeCommand::Heard { node, boot: BootId(boot) })
        }),
        1 => (node(), 0..3u64).prop_map(|(node, boot)| {
            Command::Node(NodeCommand::Leave { node, boot: BootId(boot) })
        }),
        1 => node().prop_map(|node| Command::Node(NodeCommand::Drain { node })),
        1 => node().prop_map(|node| Command::Node(NodeCommand::Resume { node })),
        1 => node().prop_map(|node| Command::Node(NodeCommand::Remove { node })),
        1 => any::<bool>().prop_map(|anew| {
            Command::Mastership(MastershipCommand::Balance { anew })
        }),
        2 => (device(), node()).prop_map(|(device, node)| {
            let devices = vec![device];
            Command::Mastership(MastershipCommand::Set { devices, node })
        }),
        4 => (device(), node(), 0..30u64).prop_map(|(device, node, term)| {
            let term = Term(term);
            Command::Mastership(MastershipCommand::Unreachable { device, node, term })
        }),
        2 => (device(), node()).prop_map(|(device, node)| {
            Command::Mastership(MastershipCommand::Reached { device, node })
        }),
        2 => (0..5usize).prop_map(|index| {
            let put = DeviceChange::Put(spec(&format!("d{index}"), index as u64 + 1));
            Command::Apply(ChangeSet { devices: vec![put], ..ChangeSet::default() })
        }),
        1 => device().prop_map(|name| {
            let devices = vec![DeviceChange::Remove(name)];
            Command::Apply(ChangeSet { devices, ..ChangeSet::default() })
        }),
    ]
}

proptest! {
    /// Whatever happens: whoever may be master of something is, nobody else is, and no term is given twice.
    #[test]
    fn every_device_has_a_master_that_may_be_one_and_terms_never_repeat(
        commands in prop::collection::vec(command(), 1..80),
    ) {
        let mut state = State::default();
        let mut given: BTreeMap<Term, (String, NodeId)> = BTreeMap::new();
        for command in commands {
            state.apply(command);
            let candidates = state.candidates();
            for (name, device) in state.devices() {
                let Some(held) = device.mastership() else {
                    prop_assert!(candidates.is_empty(), "{name} has no master");
                    continue;
                };
                prop_assert!(candidates.contains(&held.node), "{name} has a master that is gone");
                let others = candidates.iter().filter(|node| **node != held.node);
                prop_assert_eq!(
                    held.standbys.iter().collect::<BTreeSet<_>>(),
                    others.collect::<BTreeSet<_>>()
                );
                let holder = (name.clone(), held.node);
                let earlier = given.entry(held.term).or_insert_with(|| holder.clone());
                prop_assert_eq!(&*earlier, &holder, "term {:?} was given twice", held.term);
            }
        }
        state.apply(Command::Mastership(MastershipCommand::Balance { anew: true }));
        prop_assert!(state.is_balanced());
    }
}
