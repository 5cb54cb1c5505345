//! Frames that the agent looks at before the pipeline: the program in the kernel beside its twin in Rust.
#![allow(clippy::unwrap_used)]

mod support;

use std::cell::RefCell;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::front::{LocalKind, Lost, Wanted, is_link_local};
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
