//! The reader of packets for the agent sleeps and is woken.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::Switch;
use pointsman_ebpf::switch::events::Events;
use pointsman_p4::vectors::Case;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use support::privileged;

const CPU_PORT: u32 = 255;
/// The interface index that a test run comes in by.
const LOOPBACK: u32 = 1;
const PATIENCE: Duration = Duration::from_secs(20);
/// Nothing is to happen meanwhile.
const MOMENT: Duration = Duration::from_millis(50);

/// A program that hands up what begins with a 1, and what reads that.
fn switch() -> (Switch, Plane, Events) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/tests/programs/resubmit");
    let case = Case::read(&directory).unwrap();
    let switch = Switch::new(Options::new(CPU_PORT)).unwrap();
    switch.shared().ports.set_interface(LOOPBACK, Some(0));
    let plane = switch.prepare(Arc::clone(&case.pipeline.program)).unwrap();
    let events = switch.events().unwrap();
    (switch, plane, events)
}

fn packet() -> Vec<u8> {
    let mut packet = vec![0; 60];
    packet[0] = 1;
    packet
}

fn hand_up(plane: &Plane, packets: u32) {
    for _ in 0..packets {
        plane.fast().loaded().test_run(&packet(), 1).unwrap();
    }
}

/// Waits for events as the agent does: it is told of what happens, and does not look.
struct Waiting {
    epoll: OwnedFd,
}

impl Waiting {
    fn new(events: &Events) -> Waiting {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, events, epoll::EventData::new_u64(0), flags).unwrap();
        Waiting { epoll }
    }

    /// Whether it is woken in time.
    fn is_woken(&self, patience: Duration) -> bool {
        let timeout = Timespec::try_from(patience).unwrap();
        let mut told = Vec::with_capacity(1);
        epoll::wait(&self.epoll, spare_capacity(&mut told), Some(&timeout)).unwrap() > 0
    }
}

#[test]
fn a_reader_that_sleeps_is_woken_and_one_that_is_awake_is_not() {
    if !privileged() {
        return;
    }
    let (_switch, plane, mut events) = switch();
    let waiting = Waiting::new(&events);
    hand_up(&plane, 1);
    assert!(waiting.is_woken(PATIENCE), "it sleeps at first");
    assert!(events.next_event().is_some());
    events.wake();
    hand_up(&plane, 1);
    assert!(!waiting.is_woken(MOMENT), "it is awake");
    assert!(events.next_event().is_some());
    assert!(events.sleep(), "nothing is left");
    hand_up(&plane, 1);
    assert!(waiting.is_woken(PATIENCE), "it sleeps again");
}

#[test]
fn a_reader_does_not_fall_asleep_over_packets() {
    if !privileged() {
        return;
    }
    let (_switch, plane, mut events) = switch();
    events.wake();
    hand_up(&plane, 2);
    assert!(!events.sleep(), "two are there");
    assert!(events.next_event().is_some());
    assert!(!events.sleep(), "one is there");
    assert!(events.next_event().is_some());
    assert!(events.sleep());
}

/// Two CPUs hand up packets while the reader falls asleep as often as it can. A wake-up that is lost leaves it asleep
/// over the last packets.
#[test]
fn no_packet_waits_for_a_reader_that_sleeps() {
    const PACKETS: u32 = 100_000;
    if !privileged() {
        return;
    }
    let (switch, plane, mut events) = switch();
    let waiting = Waiting::new(&events);
    let mut slept = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| hand_up(&plane, PACKETS));
        }
        let mut found = 0;
        let all = || 2 * u64::from(PACKETS) - switch.shared().ports.lost_events();
        while found < all() {
            events.wake();
            while events.next_event().is_some() {
                found += 1;
            }
            if found < all() && events.sleep() {
                slept += 1;
                let is_woken = waiting.is_woken(PATIENCE);
                assert!(is_woken, "after {found} packets it sleeps for good");
            }
        }
    });
    assert!(slept > 0);
}
