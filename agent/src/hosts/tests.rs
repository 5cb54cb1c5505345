//! Hosts in a time of their own: frames in, questions and answers out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use pnet_packet::icmpv6::{Icmpv6Packet, checksum};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const IDLE: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);
const GATEWAY: Mac = Mac([2, 0, 0, 0, 0xff, 1]);

fn mac(n: u32) -> Mac {
    let [a, b, c, d] = n.to_be_bytes();
    Mac([2, 1, a, b, c, d])
}

fn v4(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

fn v6(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n)
}

fn ethernet(destination: Mac, source: Mac, vlan: u16, ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = [destination.0, source.0].concat();
    if vlan != 0 {
        frame.extend([0x81, 0]);
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(packet);
    frame
}

fn arp_in(vlan: u16, operation: u8, sender: (Mac, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
    packet.extend(sender.0.0);
    packet.extend(sender.1.octets());
    packet.extend([0; 6]);
    packet.extend(target.octets());
    ethernet(Mac::BROADCAST, sender.0, vlan, 0x0806, &packet)
}

fn arp(sender: (Mac, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    arp_in(0, 1, sender, target)
}

fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, hops]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

fn nd(kind: u8, sender: (Mac, Ipv6Addr), target: Ipv6Addr, hops: u8) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend([if kind == 135 { 1 } else { 2 }, 1]);
    message.extend(sender.0.0);
    let view = Icmpv6Packet::new(&message).expect("it is long enough");
    let sum = checksum(&view, &sender.1, &v6(0xffff)).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let packet = ipv6(sender.1, v6(0xffff), 58, hops, &message);
    ethernet(Mac::BROADCAST, sender.0, 0, 0x86dd, &packet)
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut segment = source.to_be_bytes().to_vec();
    segment.extend(destination.to_be_bytes());
    segment.extend((payload.len() as u16 + 8).to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(payload);
    segment
}

fn dhcp4(source: Mac, client: Mac, operation: u8, kind: u8, granted: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[operation, 1, 6, 0]);
    message[4..8].copy_from_slice(&[9, 9, 9, 9]);
    message[16..20].copy_from_slice(&granted.octets());
    message[28..34].copy_from_slice(&client.0);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([0, 53, 1, kind, 255]);
    let segment = udp(68, 67, &message);
    let mut packet = vec![0x45, 0];
    packet.extend((segment.len() as u16 + 20).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    packet.extend(segment);
    ethernet(Mac::BROADCAST, source, 0, 0x0800, &packet)
}

fn dhcp6(source: Mac, destination: Mac, kind: u8, granted: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![kind, 1, 2, 3];
    if kind == 7 {
        message.extend([0, 3, 0, 40]);
        message.extend([0; 12]);
        message.extend([0, 5, 0, 24]);
        message.extend(granted.octets());
        message.extend([0, 0, 1, 0, 0, 0, 1, 0]);
    }
    let packet = ipv6(v6(7), v6(8), 17, 64, &udp(546, 547, &message));
    ethernet(destination, source, 0, 0x86dd, &packet)
}

fn settings() -> Settings {
    Settings {
        per_port: 100,
        idle: IDLE,
        gateways: vec![
            Gateway {
                ip: v4(1).into(),
                mac: GATEWAY,
                vlan: None,
            },
            Gateway {
                ip: v6(1).into(),
                mac: GATEWAY,
                vlan: Some(0),
            },
        ],
        proxy: true,
    }
}

struct World {
    hosts: Hosts,
    now: Duration,
}

impl World {
    fn new(settings: Settings) -> World {
        let mut world = World {
            hosts: Hosts::new(settings),
            now: Duration::from_secs(1000),
        };
        for port in 1..=3 {
            world.step(Event::PortUp {
                port,
                mac: Mac([2, 9, 9, 9, 9, port as u8]),
            });
        }
        world
    }

    fn step(&mut self, event: Event<'_>) -> Vec<Command> {
        self.hosts.step(event, self.now)
    }

    fn frame(&mut self, port: u32, bytes: &[u8]) -> Vec<Command> {
        self.step(Event::Frame { port, bytes })
    }

    /// Lets time pass; `answers` says at which ports questions are answered, and with which frame.
    fn pass(&mut self, time: Duration, answers: impl Fn(u32) -> Option<Vec<u8>>) -> Vec<Command> {
        let until = self.now + time;
        let mut all = Vec::new();
        while let Some(at) = self.hosts.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let commands = self.step(Event::Timer);
            for command in &commands {
                if let Command::Send { port, .. } = command
                    && let Some(answer) = answers(*port)
                {
                    all.extend(self.frame(*port, &answer));
                }
            }
            all.extend(commands);
        }
        self.now = until;
        all
    }

    fn host(&self, n: u32) -> Option<Host> {
        self.hosts.hosts().find(|host| host.id.mac == mac(n))
    }

    fn ports(&self, n: u32) -> Vec<u32> {
        let host = self.host(n);
        host.map_or_else(Vec::new, |host| {
            host.locations.iter().map(|(port, _)| *port).collect()
        })
    }

    fn addresses(&self, n: u32) -> Vec<(IpAddr, Source)> {
        self.host(n).map_or_else(Vec::new, |host| host.addresses)
    }
}

fn silent(_: u32) -> Option<Vec<u8>> {
    None
}

#[test]
fn a_host_is_learnt_from_arp_neighbour_discovery_and_dhcp() {
    let mut world = World::new(settings());
    world.frame(1, &arp((mac(1), v4(5)), v4(9)));
    assert_eq!(world.addresses(1), [(v4(5).into(), Source::Arp)]);
    world.frame(1, &nd(135, (mac(1), v6(5)), v6(9), 255));
    world.frame(1, &nd(136, (mac(1), v6(5)), v6(6), 255));
    let nd = Source::NeighborDiscovery;
    assert_eq!(
        world.addresses(1)[1..],
        [(v6(5).into(), nd), (v6(6).into(), nd)]
    );
    // A question whether an address is free says nothing of who has it.
    world.frame(1, &arp((mac(2), Ipv4Addr::UNSPECIFIED), v4(7)));
    assert_eq!((world.ports(2), world.addresses(2).len()), (vec![1], 0));

    world.frame(2, &dhcp4(mac(3), mac(3), 1, 3, Ipv4Addr::UNSPECIFIED));
    let news = world.frame(3, &dhcp4(mac(99), mac(3), 2, 5, v4(30)));
    assert!(matches!(news[..], [Command::Changed(_)]));
    assert_eq!(
        (world.ports(3), world.addresses(3)),
        (vec![2], vec![(v4(30).into(), Source::Dhcp)])
    );
    // Without a question before it, nobody is granted anything.
    assert!(
        world
            .frame(3, &dhcp4(mac(99), mac(3), 2, 5, v4(31)))
            .is_empty()
    );
    world.frame(2, &dhcp6(mac(3), Mac::BROADCAST, 3, v6(0)));
    world.frame(3, &dhcp6(mac(99), mac(3), 7, v6(33)));
    assert_eq!(world.addresses(3)[1], (v6(33).into(), Source::Dhcp));
    assert_eq!(world.hosts.statistics().unasked, 1);
    assert!(
        world.host(99).is_none(),
        "servers are learnt by what they say of themselves"
    );
}

#[test]
fn vlans_tell_hosts_apart_and_an_address_has_one_owner() {
    let mut world = World::new(settings());
    world.frame(1, &arp_in(10, 1, (mac(1), v4(5)), v4(9)));
    world.frame(1, &arp_in(20, 1, (mac(1), v4(5)), v4(9)));
    let mut vlans: Vec<_> = world.hosts.hosts().map(|host| host.id.vlan).collect();
    vlans.sort_unstable();
    assert_eq!(vlans, [10, 20]);
    world.frame(1, &arp((mac(2), v4(5)), v4(9)));
    let news = world.frame(2, &arp((mac(3), v4(5)), v4(9)));
    assert_eq!(news.len(), 2, "of both hosts");
    assert_eq!((world.addresses(2).len(), world.addresses(3).len()), (0, 1));
}

#[test]
fn a_host_that_answers_at_both_ports_is_at_both_and_one_that_does_not_has_moved() {
    let mut world = World::new(settings());
    let frame = arp((mac(1), v4(5)), v4(9));
    let reply = arp_in(0, 2, (mac(1), v4(5)), Ipv4Addr::UNSPECIFIED);
    world.frame(1, &frame);
    world.now += 10 * SECOND;
    let news = world.frame(2, &frame);
    assert!(
        news.iter()
            .any(|c| matches!(c, Command::Send { port: 1, .. })),
        "it is asked for"
    );
    world.frame(1, &reply);
    world.pass(5 * SECOND, silent);
    assert_eq!(
        (world.ports(1), world.host(1).map(|h| h.moves)),
        (vec![2, 1], Some(0))
    );

    world.frame(3, &frame);
    world.pass(5 * SECOND, |port| (port == 2).then(|| reply.clone()));
    assert_eq!(
        (world.ports(1), world.host(1).map(|h| h.moves)),
        (vec![3, 2], Some(1))
    );
}

#[test]
fn a_host_that_went_away_and_came_back_is_where_it_was() {
    let mut world = World::new(settings());
    let frame = arp((mac(1), v4(5)), v4(9));
    for port in [1, 2, 1] {
        world.frame(port, &frame);
        world.now += SECOND;
    }
    assert_eq!(world.ports(1), [2, 1]);
    world.pass(40 * SECOND, silent);
    world.frame(1, &frame);
    world.pass(10 * SECOND, silent);
    assert_eq!(world.ports(1), [1]);
}

#[test]
fn a_silent_host_is_asked_and_then_forgotten() {
    let mut world = World::new(settings());
    let reply = arp_in(0, 2, (mac(1), v4(5)), Ipv4Addr::UNSPECIFIED);
    world.frame(1, &arp((mac(1), v4(5)), v4(9)));
    world.frame(1, &nd(136, (mac(1), v6(5)), v6(5), 255));
    let asked = world.pass(10 * IDLE, |_| Some(reply.clone()));
    assert_eq!(world.ports(1), [1]);
    let questions = asked
        .iter()
        .filter(|c| matches!(c, Command::Send { .. }))
        .count();
    assert_eq!(
        questions,
        2 * 10,
        "both addresses, each time that it was silent"
    );
    let gone = world.pass(IDLE + 5 * SECOND, silent);
    assert_eq!(
        gone.last(),
        Some(&Command::Gone(HostId {
            mac: mac(1),
            vlan: 0
        }))
    );
    assert!(world.hosts.deadline().is_none());
    assert!(world.hosts.is_whole());
}

#[test]
fn questions_are_such_that_hosts_answer_them() {
    let id = HostId {
        mac: mac(1),
        vlan: 10,
    };
    let ours = Mac([2, 9, 9, 9, 9, 1]);
    let heard = read(&reply::question(id, v4(5).into(), ours)).expect("it is ARP");
    assert_eq!((heard.destination, heard.vlan), (mac(1), 10));
    assert!(
        matches!(heard.said, Said::Arp { sender_ip, target_ip, is_request: true, .. }
        if sender_ip.is_unspecified() && target_ip == v4(5))
    );
    let heard = read(&reply::question(id, v6(5).into(), ours)).expect("its sum is right");
    assert!(
        matches!(heard.said, Said::Solicitation { target, link: Some(link), .. }
        if target == v6(5) && link == ours)
    );
}

#[test]
fn gateways_are_answered_for_and_hosts_at_other_ports_where_that_is_wanted() {
    let mut world = World::new(settings());
    let answer = |commands: &[Command]| {
        let sent = commands.iter().find_map(|command| match command {
            Command::Send { port, frame } => Some((*port, read(frame).expect("we made it"))),
            _ => None,
        });
        sent.map(|(port, heard)| (port, heard.source, heard.destination))
    };
    let asked = world.frame(1, &arp((mac(1), v4(5)), v4(1)));
    assert_eq!(answer(&asked), Some((1, GATEWAY, mac(1))));
    let asked = world.frame(1, &nd(135, (mac(1), v6(5)), v6(1), 255));
    assert_eq!(answer(&asked), Some((1, GATEWAY, mac(1))));
    // Nobody else becomes the gateway.
    world.frame(2, &arp((mac(66), v4(1)), v4(1)));
    assert_eq!(world.addresses(66), []);

    let asked = world.frame(2, &arp((mac(2), v4(6)), v4(5)));
    assert_eq!(answer(&asked), Some((2, mac(1), mac(2))));
    let asked = world.frame(1, &arp((mac(3), v4(7)), v4(5)));
    assert_eq!(answer(&asked), None, "who asks is at the same port");
    let asked = world.frame(2, &arp((mac(4), v4(5)), v4(5)));
    assert_eq!(answer(&asked), None, "it says that the address is its own");
    let mut modest = World::new(Settings {
        proxy: false,
        ..settings()
    });
    modest.frame(1, &arp((mac(1), v4(5)), v4(9)));
    assert_eq!(answer(&modest.frame(2, &arp((mac(2), v4(6)), v4(5)))), None);
}

#[test]
fn forged_sources_take_no_place_of_hosts_that_stayed() {
    let mut world = World::new(settings());
    for n in 0..50 {
        world.frame(1, &arp((mac(n), v4(n as u8 + 10)), v4(9)));
    }
    world.now += 3 * SECOND;
    for n in 0..50 {
        world.frame(1, &arp((mac(n), v4(n as u8 + 10)), v4(9)));
    }
    world.frame(2, &arp((mac(70), v4(200)), v4(9)));
    for n in 1000..50_000 {
        world.frame(1, &arp((mac(n), v4(201)), v4(9)));
        assert!(world.hosts.hosts().count() <= 101 || n % 500 != 0);
    }
    let stayed = (0..50)
        .chain([70])
        .filter(|n| world.host(*n).is_some())
        .count();
    assert_eq!(stayed, 51);
    assert_eq!(world.hosts.hosts().count(), 101);
    assert!(world.hosts.is_whole());
    // DHCP, too.
    for n in 0..10_000 {
        world.frame(2, &dhcp4(mac(70), mac(70), 1, n as u8, v4(0)));
    }
    let full = World::new(Settings {
        per_port: 0,
        ..settings()
    })
    .frame(1, &arp((mac(1), v4(5)), v4(9)));
    assert_eq!(full, []);
}

#[test]
fn what_contradicts_itself_is_counted_and_changes_nothing() {
    let mut world = World::new(settings());
    let mut spoofed = arp((mac(1), v4(5)), v4(9));
    spoofed[6] = 4;
    let from_afar = nd(136, (mac(1), v6(5)), v6(5), 64);
    let mut wrong_sum = nd(136, (mac(1), v6(5)), v6(5), 255);
    *wrong_sum.last_mut().expect("it has bytes") ^= 1;
    let multicast = arp((Mac([3; 6]), v4(5)), v4(9));
    for frame in [&spoofed, &from_afar, &wrong_sum, &multicast] {
        assert_eq!(world.frame(1, frame), []);
    }
    let statistics = world.hosts.statistics();
    assert_eq!((statistics.spoofed, statistics.malformed), (2, 2));
    // Where agents of the cluster are, no hosts are.
    world.frame(1, &arp((mac(1), v4(5)), v4(9)));
    let news = world.step(Event::Infrastructure {
        port: 1,
        is_infrastructure: true,
    });
    assert!(matches!(news[..], [Command::Gone(_)]));
    assert_eq!(world.frame(1, &arp((mac(1), v4(5)), v4(9))), []);
    world.frame(2, &arp((mac(1), v4(5)), v4(9)));
    let news = world.step(Event::PortDown { port: 2 });
    assert!(matches!(news[..], [Command::Gone(_)]));
}

fn good_frames() -> Vec<Vec<u8>> {
    vec![
        arp((mac(1), v4(5)), v4(1)),
        arp_in(7, 2, (mac(2), v4(6)), v4(5)),
        nd(135, (mac(1), v6(5)), v6(1), 255),
        nd(136, (mac(2), v6(6)), v6(6), 255),
        dhcp4(mac(1), mac(1), 1, 3, v4(0)),
        dhcp4(mac(9), mac(1), 2, 5, v4(8)),
        dhcp6(mac(1), Mac::BROADCAST, 3, v6(0)),
        dhcp6(mac(9), mac(1), 7, v6(8)),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused_and_the_state_stays_whole(
        steps in prop::collection::vec(
            (
                select(good_frames()),
                prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
                prop::option::of(any::<Index>()),
                1u32..=3,
                0u64..400,
            ),
            1..60,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut world = World::new(Settings { per_port: 4, ..settings() });
        for (mut frame, changes, cut, port, seconds) in steps {
            for (at, value) in changes {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len()));
            }
            world.frame(port, &frame);
            world.frame(port, &noise);
            world.pass(Duration::from_secs(seconds), silent);
            prop_assert!(world.hosts.is_whole());
        }
        prop_assert!(world.hosts.hosts().count() <= 12);
        world.pass(10 * IDLE, silent);
        prop_assert_eq!(world.hosts.hosts().count(), 0);
        prop_assert!(world.hosts.is_whole());
    }
}
