//! Agents with wires between them, in memory and in a time of their own.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const INTERVAL: Duration = Duration::from_secs(5);
const KEY: &str = "correct horse battery staple";

fn agent(device_id: u64, boot: u64, key: Option<&str>) -> Lldp {
    Lldp::new(Settings {
        device_id,
        name: format!("leaf{device_id}"),
        description: "Pointsman".to_owned(),
        boot,
        interval: INTERVAL,
        keys: key.map_or_else(ClusterKeys::open, |key| {
            ClusterKeys::parse(key).expect("it is a key")
        }),
    })
}

fn up(port: u32) -> Event<'static> {
    Event::PortUp {
        port,
        name: format!("swp{port}"),
        mac: [2, 0, 0, 0, 0, port as u8],
    }
}

/// Agents, wires between their ports, and what they have done.
struct World {
    agents: Vec<Lldp>,
    /// From agent and port to agent and port; the way back is another wire.
    wires: Vec<((usize, u32), (usize, u32))>,
    now: Duration,
    /// Frames that were sent, for those who listen.
    recorded: Vec<Vec<u8>>,
    changes: Vec<Command>,
}

impl World {
    fn new(agents: Vec<Lldp>) -> World {
        World {
            agents,
            wires: Vec::new(),
            now: Duration::from_secs(100),
            recorded: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn join(&mut self, a: (usize, u32), b: (usize, u32)) {
        self.wires.extend([(a, b), (b, a)]);
        self.happens(a.0, up(a.1));
        self.happens(b.0, up(b.1));
    }

    fn happens(&mut self, agent: usize, event: Event<'_>) {
        let commands = self.agents[agent].step(event, self.now);
        let mut queue: VecDeque<_> = commands.into_iter().map(|c| (agent, c)).collect();
        while let Some((from, command)) = queue.pop_front() {
            let Command::Send { port, frame } = command else {
                self.changes.push(command);
                continue;
            };
            for (_, (to, port)) in self.wires.iter().filter(|(end, _)| *end == (from, port)) {
                let (port, bytes) = (*port, frame.as_slice());
                let commands = self.agents[*to].step(Event::Frame { port, bytes }, self.now);
                queue.extend(commands.into_iter().map(|c| (*to, c)));
            }
            self.recorded.push(frame);
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let deadlines = self.agents.iter().map(Lldp::deadline).enumerate();
            let next = deadlines.filter_map(|(agent, at)| Some((at?, agent))).min();
            match next {
                Some((at, agent)) if at <= until => {
                    self.now = self.now.max(at);
                    self.happens(agent, Event::Timer);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    fn neighbors(&self, agent: usize) -> Vec<&Neighbor> {
        self.agents[agent].neighbors().collect()
    }

    fn directions(&self, agent: usize) -> Vec<Option<Direction>> {
        let kinds = self.agents[agent].neighbors().map(|n| n.kind);
        kinds
            .map(|kind| match kind {
                NeighborKind::Cluster { direction, .. } => Some(direction),
                NeighborKind::Foreign { .. } => None,
            })
            .collect()
    }
}

fn pair() -> World {
    let mut world = World::new(vec![agent(1, 10, Some(KEY)), agent(2, 20, Some(KEY))]);
    world.join((0, 1), (1, 7));
    world
}

const TWO_WAY: Option<Direction> = Some(Direction::TwoWay);
const ONE_WAY: Option<Direction> = Some(Direction::OneWay);
const PENDING: Option<Direction> = Some(Direction::Pending);

#[test]
fn two_agents_know_each_other_without_a_timer() {
    let mut world = pair();
    assert_eq!(world.directions(0), [TWO_WAY]);
    assert_eq!(world.directions(1), [TWO_WAY]);
    let neighbor = world.neighbors(0)[0];
    assert_eq!(
        (neighbor.local_port, neighbor.system_name.as_str()),
        (1, "leaf2")
    );
    assert_eq!(neighbor.port.port_text(), "swp7");
    assert_eq!(
        neighbor.id,
        NeighborId::Cluster {
            device_id: 2,
            port: 7
        }
    );
    let news = world.changes.len();
    world.pass(Duration::from_secs(600));
    assert_eq!(world.changes.len(), news, "nothing changes");
    let sent = world.agents[0].statistics().sent;
    assert!((120..=125).contains(&sent), "{sent} frames in ten minutes");
}

#[test]
fn a_cut_wire_ages_out_and_a_port_that_goes_down_takes_its_neighbours_at_once() {
    let mut world = pair();
    world.wires.clear();
    world.pass(Duration::from_secs(20));
    assert_eq!(world.neighbors(0).len(), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.neighbors(0).len(), 0);
    let mut world = pair();
    world.happens(1, Event::PortDown { port: 7 });
    assert_eq!(world.neighbors(1).len(), 0);
    assert!(matches!(
        world.changes.last(),
        Some(Command::Gone { port: 7, .. })
    ));
}

#[test]
fn a_wire_of_one_direction_is_told_apart() {
    let mut world = pair();
    // What agent 0 sends is lost from now on.
    world.wires.retain(|(from, _)| from.0 != 0);
    world.pass(INTERVAL * 6);
    assert_eq!(world.directions(0), [ONE_WAY]);
    assert_eq!(world.neighbors(1).len(), 0);
    world.wires.push(((0, 1), (1, 7)));
    world.pass(INTERVAL * 2);
    assert_eq!(world.directions(0), [TWO_WAY]);

    // And one that never had another.
    let mut world = World::new(vec![agent(1, 10, Some(KEY)), agent(2, 20, Some(KEY))]);
    world.wires.push(((1, 7), (0, 1)));
    world.happens(0, up(1));
    world.happens(1, up(7));
    assert_eq!(world.directions(0), [PENDING]);
    world.pass(INTERVAL * 3);
    assert_eq!(world.directions(0), [ONE_WAY]);
}

#[test]
fn a_forged_frame_changes_nothing() {
    let mut world = pair();
    let mut mallory = World::new(vec![agent(2, 99, Some("another key, another cluster"))]);
    mallory.happens(0, up(7));
    let news = world.changes.len();
    let mut forged = mallory.recorded[0].clone();
    // With the right fingerprint, which everybody can read.
    let wanted = ClusterKeys::parse(KEY).expect("a key").fingerprint();
    let other = ClusterKeys::parse("another key, another cluster").expect("a key");
    let at = forged
        .windows(8)
        .position(|bytes| bytes == other.fingerprint().0)
        .expect("it is in the frame");
    forged[at..at + 8].copy_from_slice(&wanted.0);
    world.happens(
        0,
        Event::Frame {
            port: 1,
            bytes: &forged,
        },
    );
    // And one in the name of a neighbour, without a claim.
    let mut pdu = pdu::read(&world.recorded[1]).expect("it is ours").pdu;
    (pdu.claim, pdu.ttl) = (None, 0);
    let unsigned = pdu.frame([2; 6], |_| [0; 32]);
    assert_eq!(pdu.chassis.chassis_text(), "pointsman:2");
    world.happens(
        0,
        Event::Frame {
            port: 1,
            bytes: &unsigned,
        },
    );
    assert_eq!(world.agents[0].statistics().forged, 2);
    assert_eq!(world.changes.len(), news);
    assert_eq!(world.directions(0), [TWO_WAY]);
}

#[test]
fn every_byte_of_a_frame_is_signed() {
    let world = pair();
    let frame = world.recorded.last().expect("one was sent");
    let keys = ClusterKeys::parse(KEY).expect("a key");
    let is_believed = |frame: &[u8]| {
        let Ok(pdu::Received { pdu, signature }) = pdu::read(frame) else {
            return false;
        };
        let (Some(claim), Some((data, signature))) = (pdu.claim, signature) else {
            return false;
        };
        keys.verify(claim.fingerprint, data, signature)
    };
    assert!(is_believed(frame));
    // Addresses and what follows the signature say nothing that is believed.
    for at in 14..frame.len() - 2 {
        let mut changed = frame.clone();
        changed[at] ^= 0x10;
        assert!(!is_believed(&changed), "byte {at}");
    }
}

#[test]
fn a_replayed_frame_changes_nothing_here_there_or_later() {
    let mut world = pair();
    world.pass(INTERVAL * 3);
    let recorded = world.recorded.clone();
    world.agents.push(agent(3, 30, Some(KEY)));
    world.happens(0, up(2));
    world.happens(2, up(1));
    world.pass(INTERVAL * 3);
    let news = world.changes.len();
    for bytes in &recorded {
        // At the same port, at another of the same agent.
        world.happens(0, Event::Frame { port: 1, bytes });
        world.happens(0, Event::Frame { port: 2, bytes });
    }
    assert_eq!(world.changes.len(), news);
    // Frames of agent 2 cannot bring it back when it is gone.
    world.wires.clear();
    world.pass(INTERVAL * 6);
    let news = world.changes.len();
    for bytes in &recorded {
        world.happens(0, Event::Frame { port: 1, bytes });
    }
    assert_eq!(world.changes.len(), news);
    // Elsewhere they are heard, and never make a link.
    for bytes in &recorded {
        world.happens(2, Event::Frame { port: 1, bytes });
        assert!(world.directions(2).iter().all(|d| *d == PENDING));
    }
    world.pass(INTERVAL * 6);
    assert_eq!(world.neighbors(2).len(), 0);
}

#[test]
fn a_restarted_agent_is_the_same_neighbour_with_another_boot() {
    let mut world = pair();
    let before = world.changes.len();
    world.agents[1] = agent(2, 21, Some(KEY));
    world.happens(1, up(7));
    world.pass(INTERVAL);
    assert_eq!(
        (world.directions(0), world.directions(1)),
        (vec![TWO_WAY], vec![TWO_WAY])
    );
    let gone = |change: &Command| matches!(change, Command::Gone { .. });
    assert!(!world.changes[before..].iter().any(gone));
    let kind = world.neighbors(0)[0].kind;
    assert!(matches!(
        kind,
        NeighborKind::Cluster {
            boot: 21,
            is_authenticated: true,
            ..
        }
    ));
}

#[test]
fn a_wire_that_is_moved_is_one_link_and_a_loop_is_a_link_to_ourselves() {
    let mut world = pair();
    world.wires.clear();
    world.join((0, 2), (1, 7));
    world.pass(INTERVAL);
    assert_eq!(world.neighbors(0).len(), 1);
    assert_eq!(world.neighbors(0)[0].local_port, 2);
    world.wires.clear();
    world.join((0, 1), (0, 2));
    world.pass(INTERVAL * 6);
    assert_eq!(world.directions(0), [TWO_WAY, TWO_WAY]);
    let mut alone = World::new(vec![agent(1, 10, None)]);
    alone.wires.push(((0, 1), (0, 1)));
    alone.happens(0, up(1));
    assert_eq!(alone.neighbors(0).len(), 0);
    assert!(alone.agents[0].statistics().reflected > 0);
}

#[test]
fn other_clusters_and_other_systems_are_foreign_and_bounded() {
    let other = agent(2, 20, Some("another key, another cluster"));
    let mut world = World::new(vec![agent(1, 10, Some(KEY)), other, agent(3, 30, None)]);
    world.join((0, 1), (1, 1));
    world.join((0, 2), (2, 1));
    assert_eq!(world.directions(0), [None, None]);
    let kind = world.neighbors(0)[0].kind;
    assert!(matches!(kind, NeighborKind::Foreign { cluster: Some(_) }));
    for n in 0..100u32 {
        let pdu = Pdu {
            chassis: Id::local_chassis(&n.to_string()),
            port: Id::interface("eth0"),
            ttl: 3600,
            port_description: String::new(),
            system_name: String::new(),
            system_description: String::new(),
            capabilities: None,
            claim: None,
        };
        let frame = pdu.frame([2; 6], |_| [0; 32]);
        world.happens(
            0,
            Event::Frame {
                port: 1,
                bytes: &frame,
            },
        );
    }
    let at_port = |n: &&Neighbor| n.local_port == 1;
    assert_eq!(
        world.agents[0].neighbors().filter(|n| at_port(n)).count(),
        PORT_NEIGHBORS
    );
    assert_eq!(world.agents[0].statistics().too_many, 93);
}

#[test]
fn a_cluster_goes_from_one_key_to_the_next_without_losing_links() {
    let (old, new) = ("the old key, 16 characters", "the new key, 16 characters");
    let both = format!("# next\n{new}\n{old}\n");
    let mut world = World::new(vec![agent(1, 10, Some(old)), agent(2, 20, Some(&both))]);
    world.join((0, 1), (1, 1));
    // Agent 1 does not have the new key yet.
    assert_eq!(
        (world.directions(0), world.directions(1)),
        (vec![None], vec![PENDING])
    );
    world.agents[0] = agent(1, 11, Some(&both));
    world.happens(0, up(1));
    world.pass(INTERVAL * 2);
    assert_eq!(
        (world.directions(0), world.directions(1)),
        (vec![TWO_WAY], vec![TWO_WAY])
    );
    assert!(matches!(
        ClusterKeys::parse("short"),
        Err(KeyError::Short { line: 1, length: 5 })
    ));
    assert!(matches!(
        ClusterKeys::parse("# none\n"),
        Err(KeyError::None)
    ));
}

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ -~]{0,80}").expect("a regular expression")
}

prop_compose! {
    fn pdus()(
        names in prop::collection::vec(1u8..=255, 1..=60),
        subtype in 1u8..=7,
        ttl in any::<u16>(),
        texts in (text(), text(), text()),
        capabilities in prop::option::of(any::<(u16, u16)>()),
        claim in prop::option::of((any::<(u64, u32, u64, u64)>(), prop::collection::vec(any::<(u64, u32, u64, u64)>(), 0..=8))),
    ) -> Pdu {
        Pdu {
            chassis: Id { subtype, bytes: names.clone() },
            port: Id { subtype, bytes: names },
            ttl,
            port_description: texts.0,
            system_name: texts.1,
            system_description: texts.2,
            capabilities: capabilities.map(|(supported, enabled)| Capabilities { supported, enabled }),
            claim: claim.map(|((device_id, port, boot, sequence), heard)| Claim {
                fingerprint: Fingerprint([3; 8]),
                device_id,
                port,
                boot,
                sequence,
                heard: heard
                    .into_iter()
                    .map(|(device_id, port, boot, sequence)| Heard { device_id, port, boot, sequence })
                    .collect(),
            }),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(pdu in pdus()) {
        let frame = pdu.frame([2; 6], |_| [7; 32]);
        let received = pdu::read(&frame).expect("we wrote it");
        prop_assert_eq!(received.signature.is_some(), pdu.claim.is_some());
        prop_assert_eq!(received.pdu, pdu);
    }

    #[test]
    fn whatever_comes_is_read_or_refused_and_nothing_grows(
        pdu in pdus(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..12),
        cut in any::<Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut frame = pdu.frame([2; 6], |_| [7; 32]);
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        let mut state = agent(1, 10, Some(KEY));
        state.step(up(1), Duration::ZERO);
        let cut = &frame[..cut.index(frame.len() + 1)];
        for bytes in [frame.as_slice(), cut, noise.as_slice()] {
            let commands = state.step(Event::Frame { port: 1, bytes }, Duration::ZERO);
            prop_assert!(commands.len() <= 2);
        }
        prop_assert!(state.neighbors().count() <= 2);
    }
}
