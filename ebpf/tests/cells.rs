//! What both planes know of entries and meters beside their actions: when an entry was last hit, and
//! how many packets had which colour.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_ebpf::rig::Rig;
use pointsman_ebpf::sys::{monotonic_clock, tick_length};
use pointsman_p4::dataplane::{
    Bits, Call, ColorCounts, CounterData, DataPlane, EntryAction, EntryKey, EntryRef, Match,
    MeterConfig, TableEntry,
};
use pointsman_p4::interpreter::{Interpreter, Packet};
use pointsman_p4::ir::{MeterId, Program};
use pointsman_p4::vectors::Case;

use support::privileged;

const CPU_PORT: u32 = 255;
const KNOWN: u64 = 0x0200_0000_0002;

/// `p4/tests/programs/learning`.
fn program() -> Arc<Program> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/tests/programs/learning");
    Arc::clone(&Case::read(&directory).unwrap().pipeline.program)
}

fn forward(program: &Program) -> TableEntry {
    let table = program.table_by_name("SwitchIngress.destinations").unwrap();
    let action = program
        .table_action_by_name(table, "SwitchIngress.forward")
        .unwrap();
    TableEntry {
        key: EntryKey {
            table,
            matches: vec![Match::Exact(Bits::from(KNOWN))].into(),
            priority: 0,
        },
        action: EntryAction::Call(Call {
            action,
            args: vec![Bits::from(2)].into(),
        }),
    }
}

fn meter(program: &Program, name: &str) -> MeterId {
    let found = program.meters.iter().position(|m| m.name == name);
    MeterId(found.unwrap() as u32)
}

fn packet(length: usize) -> Vec<u8> {
    let mut packet = vec![0; length];
    packet[..6].copy_from_slice(&KNOWN.to_be_bytes()[2..]);
    packet
}

#[test]
fn a_hit_is_noted_and_a_miss_is_not() {
    if !privileged() {
        return;
    }
    let program = program();
    let mut rig = Rig::new(&program, CPU_PORT, &[1, 2]).unwrap();
    let entry = forward(&program);
    let before = monotonic_clock();
    rig.plane.insert(&entry).unwrap();
    let added = rig.plane.last_hit(&entry.key).unwrap();
    let tick = tick_length();
    assert!(added + 2 * tick >= before && added <= monotonic_clock());

    let deadline = Instant::now() + Duration::from_secs(5);
    while monotonic_clock() < added + 4 * tick {
        assert!(Instant::now() < deadline, "the clock stands still");
        std::thread::yield_now();
    }
    let mut other = packet(64);
    other[0] = 0x04;
    rig.forward(1, &other).unwrap();
    assert_eq!(rig.plane.last_hit(&entry.key).unwrap(), added);
    assert_eq!(rig.forward(1, &packet(64)).unwrap().len(), 1);
    let hit = rig.plane.last_hit(&entry.key).unwrap();
    assert!(hit > added + tick && hit <= monotonic_clock() + tick);
}

/// Rates of 0, so that it does not matter how much later the kernel runs a packet.
#[test]
fn both_planes_count_the_same_packets_of_each_colour() {
    if !privileged() {
        return;
    }
    let program = program();
    let mut rig = Rig::new(&program, CPU_PORT, &[1, 2]).unwrap();
    let interpreter = Interpreter::new(Arc::clone(&program));
    let entry = forward(&program);
    let [excess, volume] =
        ["excess", "volume"].map(|name| meter(&program, &format!("SwitchIngress.{name}")));
    let rate = |committed_burst, peak_burst, excess_burst| MeterConfig {
        committed_rate: 0,
        committed_burst,
        peak_rate: 0,
        peak_burst,
        excess_burst,
    };
    let configure = |plane: &dyn DataPlane| {
        plane.insert(&entry).unwrap();
        plane
            .set_direct_meter((&entry.key).into(), Some(rate(20, 30, 0)))
            .unwrap();
        plane.set_meter(excess, 1, Some(rate(10, 10, 7))).unwrap();
        plane
            .set_meter(volume, 1, Some(rate(5_000, 5_000, 1_000)))
            .unwrap();
    };
    configure(&rig.plane);
    configure(&interpreter);
    let now = monotonic_clock();
    for index in 0..50 {
        let bytes = packet(64 + 13 * (index % 7) + 100 * (index % 3));
        let kernel = rig.forward(1, &bytes).unwrap();
        let reference = interpreter.process(&Packet { port: 1, bytes }, now);
        assert_eq!(kernel, reference, "packet {index}");
    }
    let colors = |counts: ColorCounts| [counts.green, counts.yellow, counts.red];
    let packets = |counts| colors(counts).map(|data| data.packets);
    let direct = interpreter
        .direct_meter_counts((&entry.key).into())
        .unwrap();
    assert_eq!(packets(direct), [20, 10, 20]);
    assert_eq!(
        rig.plane.direct_meter_counts((&entry.key).into()).unwrap(),
        direct
    );
    for (meter, expected) in [(excess, Some([10, 7, 33])), (volume, None)] {
        let counts = interpreter.meter_counts(meter, 1).unwrap();
        assert_eq!(rig.plane.meter_counts(meter, 1).unwrap(), counts);
        assert_eq!(expected.unwrap_or(packets(counts)), packets(counts));
        assert!(colors(counts).iter().all(|data| data.packets > 0));
        // A meter that is not configured finds all green, and counts it.
        assert_eq!(rig.plane.meter_counts(meter, 2), Ok(ColorCounts::default()));
    }

    let one = CounterData {
        packets: 1,
        bytes: 64,
    };
    let counts = ColorCounts {
        red: one,
        ..ColorCounts::default()
    };
    rig.plane.set_meter_counts(excess, 1, counts).unwrap();
    rig.plane.set_meter(excess, 1, None).unwrap();
    rig.forward(1, &packet(64)).unwrap();
    let expected = ColorCounts {
        green: one,
        ..counts
    };
    assert_eq!(rig.plane.meter_counts(excess, 1), Ok(expected));
}

/// All packets draw from the default entry's buckets, whichever plane they run in.
#[test]
fn packets_that_miss_are_metered_by_the_default_entry() {
    if !privileged() {
        return;
    }
    let program = program();
    let mut rig = Rig::new(&program, CPU_PORT, &[1, 2]).unwrap();
    let interpreter = Interpreter::new(Arc::clone(&program));
    let entry = forward(&program);
    let default = EntryRef::Default(entry.key.table);
    let marks = |rig: &mut Rig, packets| {
        for index in 0..packets {
            let bytes = packet(64 + 13 * index);
            let kernel = rig.forward(1, &bytes).unwrap();
            let reference = interpreter.process(&Packet { port: 1, bytes }, monotonic_clock());
            assert_eq!(kernel, reference, "packet {index}");
        }
        let counts = interpreter.direct_meter_counts(default).unwrap();
        assert_eq!(rig.plane.direct_meter_counts(default).unwrap(), counts);
        [counts.green, counts.yellow, counts.red].map(|data| data.packets)
    };
    // A meter that is not configured finds all green, with entries and without.
    assert_eq!(marks(&mut rig, 3), [3, 0, 0]);
    let mut other = entry.clone();
    other.key.matches = [Match::Exact(Bits::from(7))].into_iter().collect();
    for plane in [&rig.plane as &dyn DataPlane, &interpreter] {
        plane.insert(&other).unwrap();
        let config = MeterConfig {
            committed_rate: 0,
            committed_burst: 4,
            peak_rate: 0,
            peak_burst: 6,
            excess_burst: 0,
        };
        plane.set_direct_meter(default, Some(config)).unwrap();
    }
    assert_eq!(marks(&mut rig, 3), [6, 0, 0]);

    let slow = Packet {
        port: 1,
        bytes: packet(64),
    };
    let slow_path = rig.plane.slow_path();
    assert_eq!(
        slow_path.process(&slow, monotonic_clock()),
        interpreter.process(&slow, monotonic_clock())
    );
    assert_eq!(marks(&mut rig, 3), [7, 2, 1]);
    for plane in [&rig.plane as &dyn DataPlane, &interpreter] {
        let zero = ColorCounts::default();
        plane.set_direct_meter_counts(default, zero).unwrap();
        plane.set_direct_meter(default, None).unwrap();
    }
    assert_eq!(marks(&mut rig, 2), [2, 0, 0]);
}
