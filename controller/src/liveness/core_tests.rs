//! The decisions of [`super::core`], one case each.

use super::core::{self, *};
use std::time::{Duration, Instant};

use crate::state::{BootId, NodeCommand, NodeId, NodeSpec, Presence};

const FIRST: BootId = BootId(11);

struct Case {
    liveness: core::Liveness,
    now: Instant,
    cluster: Cluster,
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Case {
    /// Node 1 of three voters, all up in the replicated state, led by `leader`, and all of them just heard.
    fn led_by(leader: NodeId) -> Self {
        let now = Instant::now();
        let nodes = [1, 2, 3].map(|node| (node, (FIRST, Presence::Up)));
        let cluster = Cluster {
            voters: [1, 2, 3].into(),
            leader: Some(leader),
            nodes: nodes.into(),
            is_balanced: true,
            balance_delay: Some(ms(1000)),
        };
        let spec = NodeSpec::default();
        let mut case = Self {
            liveness: core::Liveness::new(1, FIRST, spec, now),
            now,
            cluster,
        };
        assert_eq!(case.look(), []);
        assert_eq!(case.beat(2), [Command::Quorum(true)]);
        assert_eq!(case.beat(3), []);
        case
    }

    fn step(&mut self, event: Event) -> Vec<Command> {
        core::step(&mut self.liveness, event, self.now)
    }

    fn look(&mut self) -> Vec<Command> {
        self.step(Event::Cluster(self.cluster.clone()))
    }

    fn beat(&mut self, node: NodeId) -> Vec<Command> {
        self.step(Event::Beat { node, boot: FIRST })
    }

    /// Time passes while these beat; what is to be done in it.
    fn pass(&mut self, time: Duration, beating: &[NodeId]) -> Vec<Command> {
        let mut commands = Vec::new();
        let until = self.now + time;
        while self.now < until {
            self.now += BEAT_INTERVAL;
            for node in beating {
                commands.extend(self.beat(*node));
            }
            commands.extend(self.step(Event::Tick));
        }
        commands
    }

    fn presence(&mut self, node: NodeId, presence: Presence) -> Vec<Command> {
        self.cluster.nodes.insert(node, (FIRST, presence));
        self.look()
    }
}

fn lost(node: NodeId) -> Command {
    let boot = FIRST;
    Command::Tell(NodeCommand::Lost { node, boot })
}

#[test]
fn a_node_that_refuses_connections_is_lost_at_once() {
    let mut case = Case::led_by(1);
    assert_eq!(case.step(Event::Refused { node: 2 }), [lost(2)]);
}

#[test]
fn a_node_that_falls_silent_is_lost_after_the_silence_and_told_of_once() {
    let mut case = Case::led_by(1);
    assert_eq!(case.pass(SILENCE - BEAT_INTERVAL, &[3]), []);
    assert_eq!(case.pass(BEAT_INTERVAL, &[3]), [lost(2)]);
    assert_eq!(case.pass(ms(500), &[3]), []);
}

#[test]
fn what_could_not_be_told_is_told_again() {
    let mut case = Case::led_by(1);
    assert_eq!(case.step(Event::Refused { node: 2 }), [lost(2)]);
    assert_eq!(case.step(Event::Told { node: 2 }), [lost(2)]);
    case.presence(2, Presence::Down);
    assert_eq!(case.step(Event::Told { node: 2 }), []);
}

#[test]
fn only_whoever_leads_tells_of_others() {
    let mut case = Case::led_by(3);
    assert_eq!(case.step(Event::Refused { node: 2 }), []);
    case.cluster.leader = Some(1);
    assert_eq!(case.look(), [lost(2)]);
}

#[test]
fn a_node_that_is_heard_again_is_told_of() {
    let mut case = Case::led_by(1);
    case.step(Event::Refused { node: 2 });
    case.presence(2, Presence::Down);
    case.step(Event::Told { node: 2 });
    let heard = NodeCommand::Heard {
        node: 2,
        boot: FIRST,
    };
    assert_eq!(case.beat(2), [Command::Tell(heard)]);
}

#[test]
fn an_earlier_process_is_lost_when_a_later_one_beats() {
    let mut case = Case::led_by(1);
    let boot = BootId(99);
    assert_eq!(case.step(Event::Beat { node: 2, boot }), [lost(2)]);
}

#[test]
fn one_that_has_left_is_neither_lost_nor_heard() {
    let mut case = Case::led_by(1);
    assert_eq!(case.presence(2, Presence::Left), []);
    assert_eq!(case.beat(2), []);
    assert_eq!(case.step(Event::Refused { node: 2 }), []);
}

#[test]
fn without_a_majority_there_is_no_quorum_and_nothing_is_told() {
    let mut case = Case::led_by(1);
    assert_eq!(case.pass(SILENCE, &[]), [Command::Quorum(false)]);
    assert_eq!(case.pass(ms(500), &[]), []);
    let commands = case.beat(3);
    assert_eq!(commands, [Command::Quorum(true), lost(2)]);
}

#[test]
fn two_of_four_are_no_majority() {
    let mut case = Case::led_by(1);
    case.cluster.voters.insert(4);
    case.look();
    assert_eq!(
        case.step(Event::Refused { node: 2 }),
        [Command::Quorum(false)]
    );
}

#[test]
fn a_process_that_did_not_run_does_not_take_the_others_to_be_gone() {
    let mut case = Case::led_by(1);
    case.now += ms(2000);
    assert_eq!(case.step(Event::Tick), []);
    assert_eq!(case.pass(SILENCE, &[2]), [lost(3)]);
}

#[test]
fn a_node_that_was_never_heard_gets_some_time() {
    let mut case = Case::led_by(1);
    case.cluster.voters.insert(4);
    case.presence(4, Presence::Up);
    assert_eq!(case.pass(ms(900), &[2, 3]), []);
    assert_eq!(case.pass(ms(200), &[2, 3]), [lost(4)]);
}

#[test]
fn a_node_says_that_it_has_started_until_that_is_known() {
    let mut case = Case::led_by(2);
    let boot = BootId(5);
    case.cluster.nodes.insert(1, (boot, Presence::Up));
    let spec = NodeSpec::default();
    let start = Command::Tell(NodeCommand::Start {
        node: 1,
        boot: FIRST,
        spec,
    });
    assert_eq!(case.look(), std::slice::from_ref(&start));
    assert_eq!(case.look(), []);
    assert_eq!(case.step(Event::Told { node: 1 }), [start]);
    case.presence(1, Presence::Up);
    assert_eq!(case.step(Event::Told { node: 1 }), []);
}

#[test]
fn balancing_waits_until_things_have_been_quiet() {
    let mut case = Case::led_by(1);
    case.cluster.is_balanced = false;
    case.look();
    assert_eq!(case.pass(ms(900), &[2, 3]), []);
    case.presence(3, Presence::Down);
    case.presence(3, Presence::Up);
    assert_eq!(case.pass(ms(900), &[2, 3]), []);
    assert_eq!(case.pass(ms(200), &[2, 3]), [Command::Balance]);
    case.cluster.is_balanced = true;
    case.look();
    case.step(Event::Balanced);
    assert_eq!(case.pass(ms(3000), &[2, 3]), []);
}
