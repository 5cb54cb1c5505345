//! What is foretold of a packet is what becomes of it: random packets through the program in the kernel, with what the
//! example and random objectives put there.

use std::fs;
use std::path::Path;

use pointsman_ebpf::rig::{MIN_FRAME_BYTES, Rig};
use pointsman_ebpf::sys::monotonic_clock;
use pointsman_model::{Model, Objective};
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::{Output, Packet, TraceStep};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::anything::objective;
use super::bench::{CPU_PORT, TCP, UDP, ethernet, ipv4, ipv6, is_privileged, running_in};
use super::support::{Pipeline, leaf_spine, onos_fabric, ports};
use pointsman_pipeliner::Book;

const ROUNDS: u32 = 24;
const PACKETS: usize = 60;
/// Ports of the example that go up and down.
const PORTS: [u32; 4] = [1, 2, 49, 50];

/// The objectives of leaf1 in the example.
fn example() -> Vec<Objective> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/leaf-spine/leaf1.yaml");
    let yaml = fs::read_to_string(path).expect("the example");
    let model = Model::parse("leaf1.yaml", &yaml).expect("it is in order");
    let objectives = model.objectives.into_iter();
    objectives
        .map(|located| located.value.change.objective)
        .collect()
}

/// A frame of hosts and routers of the example, or nearly one.
fn packet() -> impl Strategy<Value = Packet> {
    let macs = select(vec![
        0x0200_0000_0001,
        0x0200_0000_0002,
        0x0200_0000_00fe,
        0x0200_0000_0101,
        0x0000_5e00_5301,
        0xffff_ffff_ffff_u64,
    ]);
    let hosts = select(vec![
        [10, 0, 10, 11],
        [10, 0, 10, 12],
        [10, 0, 20, 13],
        [10, 0, 30, 14],
        [10, 0, 0, 1],
        [192, 0, 2, 1],
    ]);
    let l4 = select(vec![9, 22, 23, 80, 1500]);
    let v4 = (hosts.clone(), hosts, select(vec![TCP, UDP]), l4, 0..4_u8).prop_map(
        |(source, destination, protocol, port, spoilt)| {
            let mut packet = ipv4(source, destination, protocol, port);
            if spoilt == 0 {
                // A TTL of one makes the checksum wrong, too.
                packet[8] = 1;
            }
            (0x0800, packet)
        },
    );
    let v6 = select(vec![(0x10, 0x11), (0x10, 0x12), (0x20, 0x13), (0x99, 1)]);
    let v6 = v6.prop_map(|(subnet, host)| {
        let mut address = [0xfd, 0, 0, subnet, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        address[15] = host;
        (0x86dd, ipv6(address))
    });
    let other = select(vec![
        (0x0806, vec![0; 28]),
        (0x88cc, vec![0; 46]),
        (0x88b5, vec![7; 50]),
    ]);
    let payload = prop_oneof![5 => v4, 2 => v6, 1 => other];
    let tag = select(vec![None, None, Some(10_u16), Some(20), Some(0)]);
    let port = select(vec![1, 1, 2, 49, 50, 3, 64]);
    let cut = prop_oneof![9 => Just(None), 1 => (0..40_usize).prop_map(Some)];
    (port, macs.clone(), macs, tag, payload, cut).prop_map(
        |(port, destination, source, tag, (ether_type, payload), cut)| {
            let mut bytes = match tag {
                None => ethernet(destination, source, ether_type, &payload),
                Some(vlan) => {
                    let tagged = [&vlan.to_be_bytes()[..], &ether_type.to_be_bytes(), &payload];
                    ethernet(destination, source, 0x8100, &tagged.concat())
                }
            };
            bytes.truncate(cut.map_or(bytes.len(), |bytes| MIN_FRAME_BYTES + bytes));
            Packet { port, bytes }
        },
    )
}

/// What anybody sees: packets at ports that there are, in an order that does not depend on who sends them.
fn visible(mut outputs: Vec<Output>) -> Vec<Output> {
    outputs.retain(|o| o.port == CPU_PORT || (1..=64).contains(&o.port));
    outputs.sort_by(|a, b| (a.port, &a.bytes).cmp(&(b.port, &b.bytes)));
    outputs
}

/// How many packets were foretold, and how many left.
fn check(
    pipeline: &Pipeline,
    objectives: &[Objective],
    packets: &[(Packet, u8)],
) -> (usize, usize) {
    let mut book = Book::default();
    for objective in objectives {
        if let Ok(staged) = pipeline.pipeliner.put(&book, &ports(), objective) {
            book.commit(staged);
        }
    }
    let mut rig: Rig = running_in(pipeline, &book);
    let (mut foretold, mut left) = (0, 0);
    for (packet, event) in packets {
        if let Some(port) = PORTS.get(usize::from(event / 2)) {
            rig.plane.set_port_up(*port, event % 2 == 0);
        }
        let trace = rig.plane.slow_path().trace(packet, monotonic_clock());
        let found = rig.forward(packet.port, &packet.bytes);
        let found = visible(found.expect("the program runs"));
        left += found.len();
        let assumed = |step: &TraceStep| matches!(step, TraceStep::Metered { .. });
        if !trace.steps.iter().any(assumed) {
            foretold += 1;
            assert_eq!(
                visible(trace.outputs),
                found,
                "{packet:?}: {:#?}",
                trace.steps
            );
        }
    }
    (foretold, left)
}

#[test]
fn what_is_foretold_of_packets_is_what_the_kernel_does_with_them() {
    if !is_privileged() {
        return;
    }
    let pipelines: Vec<Pipeline> = [Some(leaf_spine()), onos_fabric()]
        .into_iter()
        .flatten()
        .collect();
    let example = example();
    let random = prop::collection::vec(objective(), 0..20);
    // One packet in eight comes after a port has gone down or up.
    let packets = prop::collection::vec((packet(), 0..64_u8), PACKETS);
    let mut runner = TestRunner::new(Config {
        cases: ROUNDS,
        failure_persistence: None,
        ..Config::default()
    });
    let (foretold, left) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let result = runner.run(&(random, packets), |(random, packets)| {
        for pipeline in &pipelines {
            let objectives: Vec<_> = example.iter().chain(&random).cloned().collect();
            let (more_foretold, more_left) = check(pipeline, &objectives, &packets);
            foretold.set(foretold.get() + more_foretold);
            left.set(left.get() + more_left);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    println!("{} packets foretold, {} left", foretold.get(), left.get());
    // Not all is dropped, and not all is assumed.
    let packets = ROUNDS as usize * PACKETS * pipelines.len();
    assert!(
        foretold.get() * 2 > packets,
        "{} of {packets}",
        foretold.get()
    );
    assert!(left.get() * 8 > packets, "{} of {packets}", left.get());
}
