//! Frames that the agent looks at before the pipeline: the program in the kernel beside its twin in Rust.
#![allow(clippy::unwrap_used)]

mod support;

use std::cell::RefCell;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::front::{LocalKind, Lost, NO_VLAN, Station, Wanted, is_link_local};
use pointsman_ebpf::switch::Switch;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use support::privileged;

/// The interface that a test run comes in by: loopback's.
const LOOPBACK: u32 = 1;
const PORT: u32 = 7;

fn switch() -> Switch {
    let switch = Switch::new(Options::new(255)).unwrap();
    switch.shared().ports.set_interface(LOOPBACK, Some(PORT));
    switch
}

fn want_all(switch: &Switch, wanted: Wanted) {
    for kind in LocalKind::ALL {
        switch.shared().front.want(kind, wanted, u32::MAX);
    }
}

fn lldp() -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[..6].copy_from_slice(&[0x01, 0x80, 0xc2, 0, 0, 0x0e]);
    frame[12..14].copy_from_slice(&[0x88, 0xcc]);
    frame
}

/// Frames with a bias to what the program tells apart: tags, EtherTypes, protocols, ports.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let tags = prop::collection::vec((select(vec![0x8100u16, 0x88a8]), any::<u16>()), 0..4);
    let types = select(vec![0x0800u16, 0x86dd, 0x0806, 0x88cc, 0x1234]);
    let packet = prop::collection::vec(any::<u8>(), 0..200);
    let hints = prop::collection::vec(
        (
            select(vec![0usize, 6, 9, 22, 23, 40, 42, 43]),
            select(vec![
                0u8, 2, 17, 34, 35, 58, 67, 68, 0x45, 132, 133, 137, 138,
            ]),
        ),
        0..8,
    );
    let group = select(vec![0u8, 3, 0x0e, 1]);
    (any::<Index>(), group, tags, types, packet, hints).prop_map(
        |(cut, group, tags, ether_type, mut packet, hints)| {
            for (at, value) in hints {
                if let Some(byte) = packet.get_mut(at) {
                    *byte = value;
                }
            }
            let mut frame = vec![0x01, 0x80, 0xc2, 0, 0, group, 2, 0, 0, 0, 0, 1];
            for (tag, vlan) in tags {
                frame.extend(tag.to_be_bytes());
                frame.extend(vlan.to_be_bytes());
            }
            frame.extend(ether_type.to_be_bytes());
            frame.extend(packet);
            // The kernel runs programs on whole Ethernet headers only.
            let length = 14 + cut.index(frame.len() - 13);
            frame.truncate(length);
            frame
        },
    )
}

#[test]
fn the_program_hands_up_exactly_what_its_twin_would() {
    if !privileged() {
        return;
    }
    let switch = switch();
    let read = RefCell::new(switch.shared().front.frames().unwrap());
    let mut runner = TestRunner::new(Config::with_cases(3000));
    for wanted in [Wanted::Copy, Wanted::Take] {
        want_all(&switch, wanted);
        let result = runner.run(&frames(), |frame| {
            switch.root().test_run(&frame, 1).unwrap();
            let taken = |kind: &LocalKind| {
                wanted == Wanted::Copy || *kind != LocalKind::Lldp || is_link_local(&frame)
            };
            let expected = LocalKind::of(&frame).filter(taken);
            let got = read.borrow_mut().next_frame();
            prop_assert_eq!(got.as_ref().map(|got| got.kind), expected);
            if let Some(got) = got {
                prop_assert_eq!((got.port, got.bytes), (PORT, frame));
            }
            Ok(())
        });
        result.unwrap();
    }
}

#[test]
fn what_nobody_asked_for_is_not_handed_up() {
    if !privileged() {
        return;
    }
    let switch = switch();
    let mut read = switch.shared().front.frames().unwrap();
    switch.root().test_run(&lldp(), 1).unwrap();
    assert_eq!(read.next_frame(), None);
    want_all(&switch, Wanted::Take);
    switch.shared().ports.set_interface(LOOPBACK, None);
    switch.root().test_run(&lldp(), 1).unwrap();
    assert_eq!(read.next_frame(), None);
}

#[test]
fn a_long_frame_is_cut() {
    if !privileged() {
        return;
    }
    let switch = switch();
    let mut read = switch.shared().front.frames().unwrap();
    want_all(&switch, Wanted::Copy);
    let mut frame = lldp();
    frame.resize(3000, 9);
    switch.root().test_run(&frame, 1).unwrap();
    let got = read.next_frame().unwrap();
    assert_eq!(got.bytes, frame[..2048]);
}

#[test]
fn a_storm_at_a_port_is_limited_and_counted() {
    if !privileged() {
        return;
    }
    let switch = switch();
    let front = &switch.shared().front;
    let mut read = front.frames().unwrap();
    front.want(LocalKind::Lldp, Wanted::Take, 70);
    switch.root().test_run(&lldp(), 10_000).unwrap();
    let mut passed = 0;
    while read.next_frame().is_some() {
        passed += 1;
    }
    let lost = front.lost(LocalKind::Lldp);
    // A run may touch two or three windows of ten frames each.
    assert!((10..=100).contains(&passed), "{passed}");
    assert_eq!(lost.limited + passed, 10_000);
    // Another port has its own.
    switch
        .shared()
        .ports
        .set_interface(LOOPBACK, Some(PORT + 1));
    switch.root().test_run(&lldp(), 1).unwrap();
    assert_eq!(read.next_frame().unwrap().port, PORT + 1);
    assert_eq!(front.lost(LocalKind::Arp), Lost::default());
}

/// A frame from a station, with a tag if `vlan` is not 0.
fn from_station(mac: [u8; 6], vlan: u16) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    if vlan != 0 {
        frame.extend([0x81, 0x00]);
        // With a priority, which is no part of who it is.
        frame.extend((vlan | 0xa000).to_be_bytes());
    }
    frame.extend([0x12, 0x34]);
    frame.resize(100, 7);
    frame
}

#[test]
fn a_station_is_handed_up_until_it_is_known_and_again_where_it_moves_to() {
    if !privileged() {
        return;
    }
    let switch = switch();
    let front = &switch.shared().front;
    let mut read = front.frames().unwrap();
    let mac = [2, 0xfe, 3, 4, 5, 0xff];
    let station = Station { mac, vlan: 10 };
    let frame = from_station(mac, 10);
    assert_eq!(Station::of(&frame, 20), Some(station));
    let mut comes = || {
        switch.root().test_run(&frame, 1).unwrap();
        read.next_frame()
    };
    front.want(LocalKind::NewStation, Wanted::Copy, u32::MAX);
    assert_eq!(comes(), None, "nobody learns at the port");
    front.stations.learn(PORT, Some(20));
    let first = comes().unwrap();
    assert_eq!((first.kind, first.port), (LocalKind::NewStation, PORT));
    assert_eq!(first.bytes, frame[..64], "the headers are enough");
    assert!(comes().is_some(), "until it is known");

    assert!(front.stations.put(station, PORT));
    assert!(front.stations.take_seen(station), "as it was put");
    assert!(!front.stations.take_seen(station), "nothing came since");
    assert_eq!(comes(), None);
    assert!(front.stations.take_seen(station));
    let elsewhere = Some(PORT + 1);
    switch.shared().ports.set_interface(LOOPBACK, elsewhere);
    front.stations.learn(PORT + 1, Some(NO_VLAN));
    assert_eq!(comes().unwrap().port, PORT + 1);
    assert!(
        !front.stations.take_seen(station),
        "not where it is known to be"
    );
    assert!(front.stations.put(station, PORT + 1));
    assert_eq!(comes(), None);
    front.stations.remove(station);
    assert!(comes().is_some());
    front.want(LocalKind::NewStation, Wanted::No, 0);
    assert_eq!(comes(), None);
}

#[test]
fn a_frame_of_a_new_station_is_handed_up_as_what_it_is_as_well() {
    if !privileged() {
        return;
    }
    let switch = switch();
    let front = &switch.shared().front;
    let mut read = front.frames().unwrap();
    want_all(&switch, Wanted::Copy);
    front.stations.learn(PORT, Some(20));
    let mut arp = from_station([2, 0, 0, 0, 0, 1], 0);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    switch.root().test_run(&arp, 1).unwrap();
    let kinds = [(); 3].map(|()| read.next_frame().map(|frame| frame.kind));
    assert_eq!(
        kinds,
        [Some(LocalKind::NewStation), Some(LocalKind::Arp), None]
    );
}

#[test]
fn as_many_stations_are_known_as_fit_and_each_is_found() {
    if !privileged() {
        return;
    }
    let switch = switch();
    let front = &switch.shared().front;
    let stations = (0..40_000u32).map(|n| {
        let [a, b, c, d] = n.to_be_bytes();
        let vlan = 19 + (n % 3) as u16;
        Station {
            mac: [2, 0, a, b, c, d],
            vlan,
        }
    });
    let put: Vec<_> = stations.filter(|s| front.stations.put(*s, PORT)).collect();
    // Buckets of eight, filled to three fifths.
    assert!(put.len() > 37_000, "{}", put.len());
    assert!(put.iter().all(|station| front.stations.take_seen(*station)));
    front.want(LocalKind::NewStation, Wanted::Copy, u32::MAX);
    front.stations.learn(PORT, Some(20));
    let mut read = front.frames().unwrap();
    for station in put.iter().step_by(97) {
        // Frames without a tag are in VLAN 20 at this port.
        let tag = if station.vlan == 20 { 0 } else { station.vlan };
        switch
            .root()
            .test_run(&from_station(station.mac, tag), 1)
            .unwrap();
        assert_eq!(read.next_frame(), None, "{station:?}");
        assert!(front.stations.take_seen(*station));
    }
    front.stations.clear();
    assert!(
        put.iter()
            .all(|station| !front.stations.take_seen(*station))
    );
}
