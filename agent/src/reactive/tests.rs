//! Bridges in a time of their own: ports and frames in, objectives and who is known out.

use std::collections::BTreeMap;
use std::time::Duration;

use glob::Pattern;
use pointsman_ebpf::front::{NO_VLAN, Station};
use pointsman_model::{MacAddr, Objective, VlanId};
use proptest::prelude::*;

use super::*;
use crate::hosts::{self, Host, HostId};

const IDLE: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);

fn mac(n: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, n]
}

fn frame(from: u8, tag: u16) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac(from));
    if tag != 0 {
        frame.extend([0x81, 0]);
        frame.extend(tag.to_be_bytes());
    }
    frame.extend([0x12, 0x34]);
    frame.resize(60, 0);
    frame
}

fn bridge(vlan: u16, untagged: &[&str], tagged: &[&str]) -> Bridge {
    let patterns = |texts: &[&str]| {
        let patterns = texts.iter().map(|text| Pattern::new(text));
        patterns.collect::<Result<_, _>>().expect("patterns")
    };
    Bridge {
        vlan: VlanId::new(vlan).expect("a VLAN"),
        members: Members {
            untagged: patterns(untagged),
            tagged: patterns(tagged),
        },
        stations_per_port: 3,
        idle: IDLE,
    }
}

fn settings(bridges: Vec<Bridge>) -> Settings {
    Settings {
        bridges,
        ..Settings::default()
    }
}

const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xfe]);

/// 10.0.0.1/24 at ports p1 and p2, where frames have no tag, and p3, where they have that of VLAN 10.
fn subnet() -> Settings {
    let bridge = bridge(10, &["p1", "p2"], &["p3"]);
    Settings {
        host_routes: vec![HostRoutes {
            vlan: bridge.vlan,
            members: bridge.members,
            subnet: Subnet {
                gateway: [10, 0, 0, 1].into(),
                length: 24,
            },
            mac: ROUTER,
            most: 3,
            idle: IDLE,
        }],
        ..Settings::default()
    }
}

fn host(n: u8, tag: u16, port: u32) -> Host {
    let id = HostId {
        mac: hosts::Mac(mac(n)),
        vlan: tag,
    };
    Host {
        id,
        addresses: vec![([10, 0, 0, n].into(), hosts::Source::Arp)],
        locations: vec![(port, Duration::ZERO)],
        first_seen: Duration::ZERO,
        last_seen: Duration::ZERO,
        moves: 0,
    }
}

/// A packet to 10.0.0.N, for the router.
fn packet(to: u8) -> Vec<u8> {
    let mut packet = ROUTER.0.to_vec();
    packet.extend(mac(0x99));
    packet.extend([0x08, 0x00, 0x45, 0, 0, 20, 0, 1, 0, 0, 64, 17, 0, 0]);
    packet.extend([10, 9, 9, 9, 10, 0, 0, to]);
    packet
}

/// A core, and what became of what it wants.
struct World {
    core: Reactive,
    now: Duration,
    objectives: BTreeMap<String, Objective>,
    known: BTreeMap<Station, u32>,
    learning: BTreeMap<u32, u16>,
    /// Stations that have sent since they were looked after.
    talking: Vec<[u8; 6]>,
    sent: Vec<(u32, Vec<u8>)>,
}

impl World {
    fn new(bridges: Vec<Bridge>) -> World {
        World::after(bridges, Vec::new())
    }

    /// Ports 1 to 4, whose names are p1 to p4.
    fn after(bridges: Vec<Bridge>, found: Vec<Objective>) -> World {
        World::with(settings(bridges), found)
    }

    fn with(settings: Settings, found: Vec<Objective>) -> World {
        let objectives = found.iter().map(|o| (o.id().to_string(), o.clone()));
        let mut world = World {
            objectives: objectives.collect(),
            core: Reactive::new(settings, found, Duration::ZERO),
            now: Duration::ZERO,
            known: BTreeMap::new(),
            learning: BTreeMap::new(),
            talking: Vec::new(),
            sent: Vec::new(),
        };
        for number in 1..=4 {
            world.port(number, true);
        }
        world.step(Event::PortsKnown);
        world
    }

    fn port(&mut self, number: u32, is_up: bool) {
        let name = format!("p{number}");
        let port = Port { name, is_up };
        self.step(Event::PortIs { number, port });
    }

    fn frame(&mut self, port: u32, from: u8) {
        let bytes = frame(from, 0);
        self.step(Event::Frame {
            port,
            bytes: &bytes,
        });
    }

    fn step(&mut self, event: Event<'_>) {
        for command in self.core.step(event, self.now) {
            match command {
                Command::Put(objective) => {
                    let before = self
                        .objectives
                        .insert(objective.id().to_string(), (*objective).clone());
                    assert_ne!(before, Some(*objective), "nothing is written twice");
                }
                Command::Delete(id) => {
                    let there = self.objectives.remove(&id.to_string());
                    assert!(there.is_some(), "{id}");
                }
                Command::Learn(ports) => self.learning = ports,
                Command::Know {
                    station,
                    port: Some(port),
                } => drop(self.known.insert(station, port)),
                Command::Know { station, .. } => drop(self.known.remove(&station)),
                Command::Send { port, frame } => self.sent.push((port, frame)),
                Command::LookAfter(stations) => {
                    let talks = |station: &Station| self.talking.contains(&station.mac);
                    let seen = stations.iter().map(|s| (*s, talks(s))).collect();
                    self.step(Event::LookedAfter(seen));
                }
            }
        }
        assert!(self.core.is_whole());
    }

    /// Lets time pass, and does what is due meanwhile.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.core.deadline()
            && at <= end
        {
            self.now = at;
            self.step(Event::Timer);
        }
        self.now = end;
    }

    /// The next that frames for a station are sent to.
    fn way(&self, to: u8) -> Option<String> {
        let name = format!("forward local/bridge10/station/{}", MacAddr(mac(to)));
        let objective = self.objectives.get(&name)?;
        Some(objective.nexts().first()?.to_string())
    }

    fn is_known(&self, n: u8) -> Option<u32> {
        let station = Station {
            mac: mac(n),
            vlan: 10,
        };
        self.known.get(&station).copied()
    }
}

fn names(world: &World) -> Vec<&str> {
    world.objectives.keys().map(String::as_str).collect()
}

#[test]
fn a_bridge_admits_and_floods_before_it_has_learnt_anything() {
    let world = World::new(vec![bridge(10, &["p[12]"], &["p3"])]);
    let expected = [
        "filter local/bridge10/port/p1",
        "filter local/bridge10/port/p2",
        "filter local/bridge10/port/p3",
        "forward local/bridge10/flood",
        "next local/bridge10/flood",
        "next local/bridge10/port/p1",
        "next local/bridge10/port/p2",
        "next local/bridge10/port/p3",
    ];
    assert_eq!(names(&world), expected);
    let learning = BTreeMap::from([(1, 10), (2, 10), (3, NO_VLAN)]);
    assert_eq!(world.learning, learning);
}

#[test]
fn the_first_frame_of_a_station_makes_its_entry() {
    let mut world = World::new(vec![bridge(10, &["p1", "p2"], &["p3"])]);
    world.frame(1, 7);
    let to_p1 = "local/bridge10/port/p1";
    assert_eq!(world.way(7).as_deref(), Some(to_p1));
    assert_eq!(world.is_known(7), Some(1), "its frames come no more");
    // By its tag at a port where it needs one, and not where it must have none.
    let tagged = frame(8, 10);
    for port in [1, 3] {
        let bytes = &tagged;
        world.step(Event::Frame { port, bytes });
    }
    assert_eq!(world.is_known(8), Some(3));
    world.frame(3, 9);
    world.frame(4, 9);
    assert_eq!(world.is_known(9), None, "not a member, or not in the VLAN");
    assert_eq!(world.core.statistics().other, 3);
}

#[test]
fn a_station_is_followed_to_another_port_but_not_to_and_fro() {
    let mut world = World::new(vec![bridge(10, &["p*"], &[])]);
    world.frame(1, 7);
    world.pass(SECOND);
    world.frame(2, 7);
    assert_eq!(world.way(7).as_deref(), Some("local/bridge10/port/p2"));
    assert_eq!(world.is_known(7), Some(2));
    world.frame(1, 7);
    assert_eq!(world.is_known(7), Some(2), "it came a moment ago");
    world.pass(SECOND);
    world.frame(1, 7);
    assert_eq!(world.is_known(7), Some(1));
    let statistics = world.core.statistics();
    assert_eq!((statistics.moves, statistics.flapping), (2, 1));
}

#[test]
fn who_is_silent_is_forgotten_and_who_talks_is_not() {
    let mut world = World::new(vec![bridge(10, &["p*"], &[])]);
    world.frame(1, 7);
    world.frame(1, 8);
    world.talking.push(mac(8));
    world.pass(IDLE * 3);
    assert_eq!((world.way(7), world.is_known(7)), (None, None));
    assert_eq!(world.is_known(8), Some(1));
    world.talking.clear();
    world.pass(IDLE);
    assert_eq!(world.core.stations(), 0);
    assert_eq!(world.core.deadline(), None);
}

#[test]
fn forged_stations_have_the_room_of_their_port_and_no_more() {
    let mut world = World::new(vec![bridge(10, &["p*"], &[])]);
    for forged in 100..200 {
        world.frame(1, forged);
    }
    world.frame(2, 7);
    assert_eq!(world.core.stations(), 4);
    assert_eq!(world.is_known(100), Some(1), "who is there stays");
    assert_eq!(world.is_known(7), Some(2), "other ports have their own");
    assert_eq!(world.core.statistics().full, 97);
}

#[test]
fn a_port_that_goes_takes_its_stations_with_it() {
    let mut world = World::new(vec![bridge(10, &["p*"], &[])]);
    world.frame(1, 7);
    world.frame(2, 8);
    world.port(1, false);
    assert_eq!((world.way(7), world.is_known(7)), (None, None));
    assert_eq!(world.is_known(8), Some(2));
    world.step(Event::PortGone { number: 2 });
    assert_eq!(world.core.stations(), 0);
    assert!(!names(&world).contains(&"next local/bridge10/port/p2"));
    for number in [1, 3, 4] {
        world.step(Event::PortGone { number });
    }
    assert_eq!(names(&world), Vec::<&str>::new());
    assert!(world.learning.is_empty());
}

#[test]
fn what_was_learnt_before_a_restart_stays_until_it_is_seen_or_time_is_up() {
    let bridges = || vec![bridge(10, &["p*"], &[])];
    let mut before = World::new(bridges());
    before.frame(1, 7);
    before.frame(1, 8);
    let found: Vec<_> = before.objectives.values().cloned().collect();

    let mut world = World::after(bridges(), found.clone());
    assert_eq!(names(&world), names(&before), "nothing is written anew");
    world.frame(1, 7);
    world.talking.push(mac(7));
    world.pass(IDLE);
    assert!(world.way(7).is_some());
    assert_eq!(world.way(8), None);

    // Of a bridge that is not configured any more nothing stays.
    let world = World::after(vec![bridge(20, &["p*"], &[])], found.clone());
    assert!(names(&world).iter().all(|name| name.contains("bridge20")));
    let world = World::after(Vec::new(), found);
    assert_eq!(names(&world), Vec::<&str>::new());
}

/// The next of a route, and the port that it leads to.
fn route(world: &World, to: u8) -> Option<String> {
    let name = format!("forward local/routes/10.0.0.1/host/10.0.0.{to}");
    let next = world.objectives.get(&name)?.nexts().first()?.to_string();
    let next = world.objectives.get(&format!("next {next}"))?;
    let text = format!("{next:?}");
    let port = text.split("Output(Name(\"").nth(1)?.split('"').next()?;
    Some(port.to_owned())
}

#[test]
fn a_host_that_is_seen_has_a_route_which_follows_it_and_goes_with_it() {
    let mut world = World::with(subnet(), Vec::new());
    assert!(names(&world).contains(&"forward local/routes/10.0.0.1/subnet"));
    assert!(names(&world).contains(&"filter local/routes/10.0.0.1/port/p3"));
    world.step(Event::HostIs(host(7, 0, 1)));
    assert_eq!(route(&world, 7).as_deref(), Some("p1"));
    world.step(Event::HostIs(host(7, 0, 2)));
    assert_eq!(route(&world, 7).as_deref(), Some("p2"));
    // Where its frames are not those of the VLAN it is none of these hosts.
    world.step(Event::HostIs(host(8, 0, 3)));
    assert_eq!(route(&world, 8), None);
    world.step(Event::HostIs(host(8, 10, 3)));
    assert_eq!(route(&world, 8).as_deref(), Some("p3"));
    let mut another = host(9, 0, 1);
    another.addresses = vec![([10, 0, 0, 7].into(), hosts::Source::Arp)];
    world.step(Event::HostIs(another));
    assert_eq!(
        route(&world, 7).as_deref(),
        Some("p1"),
        "it has the address now"
    );
    world.step(Event::HostGone(host(9, 0, 1).id));
    assert_eq!(route(&world, 7), None);
    for n in [7, 8] {
        world.step(Event::HostGone(host(n, 10 * u16::from(n == 8), 1).id));
    }
    let left = names(&world)
        .into_iter()
        .filter(|name| name.contains("/host/"));
    assert_eq!(left.count(), 0);
}

#[test]
fn the_first_packet_for_a_host_waits_until_it_has_answered() {
    let mut world = World::with(subnet(), Vec::new());
    let bytes = packet(7);
    world.step(Event::Packet { bytes: &bytes });
    let asked: Vec<_> = world.sent.drain(..).map(|(port, _)| port).collect();
    assert_eq!(asked, [1, 2, 3], "at all ports");
    for _ in 0..9 {
        world.step(Event::Packet { bytes: &bytes });
    }
    assert!(world.sent.is_empty(), "it was asked for a moment ago");
    world.step(Event::HostIs(host(7, 10, 3)));
    assert!(route(&world, 7).is_some());
    assert_eq!(world.sent.len(), 4, "as many as may wait");
    let (port, frame) = world.sent.remove(0);
    assert_eq!(port, 3);
    assert_eq!(frame[..12], [mac(7), ROUTER.0].concat());
    assert_eq!(frame[12..16], [0x81, 0, 0, 10], "in the VLAN");
    assert_eq!(world.core.statistics().not_held, 6);
    // What was under way meanwhile goes on at once.
    world.sent.clear();
    world.step(Event::Packet { bytes: &bytes });
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn hosts_that_do_not_answer_are_given_up_and_forged_ones_take_bounded_room() {
    let mut world = World::with(subnet(), Vec::new());
    let bytes = packet(7);
    world.step(Event::Packet { bytes: &bytes });
    world.pass(SECOND * 5);
    assert_eq!(world.sent.len(), 3 * 3, "three times, at three ports");
    assert_eq!(world.core.statistics().unanswered, 1);
    assert_eq!(world.core.deadline(), None);
    for n in 10..20 {
        world.step(Event::HostIs(host(n, 0, 1)));
    }
    assert_eq!(world.core.statistics().hosts_full, 7);
    for n in 0..=255 {
        let bytes = packet(n);
        world.step(Event::Packet { bytes: &bytes });
    }
    assert_eq!(world.core.statistics().for_gateway, 1);
}

proptest! {
    #[test]
    fn whatever_happens_counts_and_entries_fit(
        events in prop::collection::vec((0u8..6, 1u32..5, 0u8..8, 0u16..3), 0..200)
    ) {
        let bridges = vec![bridge(1, &["p1", "p2"], &["p3"]), bridge(2, &["p3"], &["p[12]"])];
        let mut world = World::new(bridges);
        for (what, port, station, tag) in events {
            match what {
                0..3 => {
                    let bytes = frame(station, tag);
                    world.step(Event::Frame { port, bytes: &bytes });
                }
                3 => world.port(port, station % 2 == 0),
                4 => world.step(Event::PortGone { number: port }),
                _ => world.pass(IDLE / 7 * u32::from(station)),
            }
            let ways = world.objectives.keys().filter(|name| name.contains("/station/"));
            let ways = ways.count();
            prop_assert_eq!(ways, world.core.stations());
            prop_assert_eq!(ways, world.known.len());
        }
    }
}
