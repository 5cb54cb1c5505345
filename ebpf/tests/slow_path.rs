//! Packets that the program in the kernel hands to the interpreter.
//!
//! That each leaves as it leaves BMv2 is what conformance runs are for (`bench/tests/conformance.rs`);
//! here is what happens around it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::compile::event::EventKind;
use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::Switch;
use pointsman_ebpf::switch::events::Events;
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::ir::Program;
use pointsman_p4::vectors::Case;

use support::privileged;

const CPU_PORT: u32 = 255;
/// The interface index that a test run comes in by.
const LOOPBACK: u32 = 1;
const INGRESS_PORT: u32 = 4;

/// A program of `p4/tests/programs`.
fn program(name: &str) -> Arc<Program> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/tests/programs");
    let case = Case::read(&directory.join(name)).unwrap();
    Arc::clone(&case.pipeline.program)
}

/// A switch whose packets come in by one port, and its events.
fn switch() -> (Switch, Events) {
    let switch = Switch::new(Options::new(CPU_PORT)).unwrap();
    let ports = &switch.shared().ports;
    ports.set_interface(LOOPBACK, Some(INGRESS_PORT));
    let events = switch.events().unwrap();
    (switch, events)
}

/// A probe header that says what to do, and the shortest payload of a frame.
fn packet(op: u8) -> Vec<u8> {
    let mut packet = vec![0; 60];
    packet[0] = op;
    packet
}

fn taken(plane: &Plane) -> u64 {
    plane.slow_path().taken().map(|(_, packets)| packets).sum()
}

#[test]
fn what_takes_the_slow_path_is_named_with_its_line_and_counted() {
    if !privileged() {
        return;
    }
    let (switch, mut events) = switch();
    let plane = switch.prepare(program("resubmit")).unwrap();
    let notices = plane.fast().slow_constructs();
    let notices: Vec<String> = notices.iter().map(|c| c.slow_path_notice()).collect();
    let resubmit = |notice: &&String| {
        notice.starts_with("resubmit/resubmit.p4:25:17: resubmit in ")
            && notice.ends_with(" takes the slow path; in the kernel: one pass for each packet")
    };
    assert_eq!(notices.iter().filter(resubmit).count(), 1, "{notices:#?}");

    plane.fast().loaded().test_run(&packet(0), 1).unwrap();
    assert_eq!(events.next_event(), None, "nothing asks for the slow path");
    plane.fast().loaded().test_run(&packet(1), 1).unwrap();
    let event = events.next_event().unwrap();
    assert_eq!(event.kind, EventKind::Handoff);
    assert_eq!(event.ingress_port, INGRESS_PORT);
    assert_eq!(taken(&plane), 0);
    let outputs = plane.slow_path().handle(&event, Duration::ZERO);
    assert_eq!(outputs.len(), 1);
    assert_eq!(taken(&plane), 1);
}

#[test]
fn a_packet_of_the_pipeline_before_starts_over_in_the_one_that_runs() {
    if !privileged() {
        return;
    }
    let (switch, mut events) = switch();
    let before = switch.prepare(program("resubmit")).unwrap();
    let now = switch.prepare(program("recirculate")).unwrap();
    before.fast().loaded().test_run(&packet(1), 1).unwrap();
    let event = events.next_event().unwrap();
    let found = now.slow_path().handle(&event, Duration::ZERO);
    let input = pointsman_p4::interpreter::Packet {
        port: INGRESS_PORT,
        bytes: packet(1),
    };
    let other = switch.prepare(program("recirculate")).unwrap();
    let expected = other.slow_path().process(&input, Duration::ZERO);
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
}

#[test]
fn a_packet_that_left_the_kernel_before_a_batch_starts_over() {
    if !privileged() {
        return;
    }
    let (switch, mut events) = switch();
    let plane = switch.prepare(program("resubmit")).unwrap();
    let mut next = || {
        plane.fast().loaded().test_run(&packet(1), 1).unwrap();
        events.next_event().unwrap()
    };
    let before = next();
    plane.atomically(&mut || ()).unwrap();
    let after = next();
    assert_eq!([before.version, after.version], [0, 1]);
    let input = pointsman_p4::interpreter::Packet {
        port: INGRESS_PORT,
        bytes: packet(1),
    };
    let expected = plane.slow_path().process(&input, Duration::ZERO);
    assert!(!expected.is_empty());
    for event in [before, after] {
        assert_eq!(plane.slow_path().handle(&event, Duration::ZERO), expected);
    }
}

#[test]
fn packets_that_the_ring_buffer_has_no_room_for_are_counted() {
    if !privileged() {
        return;
    }
    let (switch, mut events) = switch();
    let plane = switch.prepare(program("resubmit")).unwrap();
    let lost = || switch.shared().ports.lost_events();
    // Its four MiB hold fewer than that, whatever the state's size.
    let packets = 20_000;
    plane.fast().loaded().test_run(&packet(1), packets).unwrap();
    assert!(lost() > 0);
    let kept = std::iter::from_fn(|| events.next_event()).count() as u64;
    assert_eq!(kept + lost(), u64::from(packets));
    let before = lost();
    plane.fast().loaded().test_run(&packet(1), 1).unwrap();
    assert!(events.next_event().is_some(), "there is room again");
    assert_eq!(lost(), before);
}

#[test]
fn a_port_hands_up_as_many_packets_as_it_may_and_the_others_go_on() {
    if !privileged() {
        return;
    }
    let (switch, mut events) = switch();
    let plane = switch.prepare(program("resubmit")).unwrap();
    let ports = &switch.shared().ports;
    let send = |packets| {
        plane.fast().loaded().test_run(&packet(1), packets).unwrap();
    };
    let mut handed_up = || std::iter::from_fn(|| events.next_event()).count() as u64;
    ports.limit(EventKind::Handoff, Some(700));
    send(1000);
    // About 100 in a window, and there may have been several.
    let kept = handed_up();
    assert!((100..1000).contains(&kept), "{kept}");
    assert_eq!(kept + ports.limited(EventKind::Handoff), 1000);
    assert_eq!(ports.limited(EventKind::PacketIn), 0);
    std::thread::sleep(Duration::from_millis(150));
    send(50);
    assert_eq!(handed_up(), 50, "it is another window");
    ports.limit(EventKind::Handoff, None);
    send(1000);
    assert_eq!(handed_up(), 1000);
}
