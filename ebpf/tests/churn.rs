//! Entries and pipelines change under traffic: a packet whose entries stay must never miss one, and
//! an entry that changes is seen whole.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::Switch;
use pointsman_ebpf::sys::Program;
use pointsman_p4::dataplane::{DataPlane, Operation};
use pointsman_p4::vectors::{Case, Commands};

use support::privileged;

const CPU_PORT: u32 = 255;
const LOOPBACK: u32 = 1;
const XDP_REDIRECT: u32 = 4;
const ROUTER_MAC: &str = "020000000101";
/// Port 1 to 10.0.0.5 over the router, ACL and an ECMP group; checksum right.
const ROUTED: &str = "02000000010102000000000108004500002000010000401165c60a0101010a000005\
                      03e807d0000c000064617461";

fn routed() -> Vec<u8> {
    let digit_pairs = (0..ROUTED.len()).step_by(2);
    digit_pairs
        .map(|at| u8::from_str_radix(&ROUTED[at..at + 2], 16).unwrap())
        .collect()
}

fn leaf_spine() -> Case {
    Case::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/programs/leaf_spine")).unwrap()
}

fn write(case: &Case, plane: &mut Plane, lines: &[String]) {
    let mut commands = Commands::new(&case.pipeline);
    for line in lines {
        commands.add(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    for operation in commands.finish() {
        operation
            .apply(plane)
            .unwrap_or_else(|e| panic!("{operation:?}: {e}"));
    }
}

/// One routed path from port 1 to port 4, through each kind of table.
fn path() -> Vec<String> {
    [
        "add ingress_port_vlan ingress_port:1 vlan_id:0 permit_with_internal_vlan(vlan_id:10)",
        &format!("add router_mac ingress_port:1 eth_dst:0x{ROUTER_MAC} route()"),
        "add routing_v4 ipv4_dst:0x0a000000/24 set_next_id_routing_v4(next_id:20)",
        "add acl 500 ipv4_dst:0x0a000005 acl.permit()",
        "add simple next_id:20 routing_simple(port:4, src_mac:0x020000000101, dst_mac:0x020000000102)",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn switch(case: &Case) -> Switch {
    let mut switch = Switch::new(Options::new(CPU_PORT)).unwrap();
    for port in 1..=4u32 {
        switch
            .shared()
            .devmap
            .set(port, &LOOPBACK.to_ne_bytes())
            .unwrap();
    }
    switch.shared().ports.set_interface(LOOPBACK, Some(1));
    let plane = prepared(case, &switch);
    switch.activate(plane).unwrap();
    switch
}

fn prepared(case: &Case, switch: &Switch) -> Plane {
    let mut plane = switch.prepare(Arc::clone(&case.pipeline.program)).unwrap();
    write(case, &mut plane, &path());
    plane
}

/// Sends the routed packet while `change` runs; returns how many went and how many were lost.
fn under_traffic(program: &Arc<Program>, change: impl FnOnce()) -> (u64, u64) {
    let packet = routed();
    let first = program.test_run(&packet, 1).unwrap();
    assert_eq!(
        first.verdict, XDP_REDIRECT,
        "the path works before anything changes"
    );
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (mut sent, mut lost) = (0, 0);
            while !done.load(Relaxed) {
                let run = program.test_run(&packet, 1).unwrap();
                sent += 1;
                lost += u64::from(run.verdict != XDP_REDIRECT || run.frame != first.frame);
            }
            (sent, lost)
        });
        change();
        done.store(true, Relaxed);
        sender.join().unwrap()
    })
}

#[test]
fn a_stable_path_is_never_missed_while_other_entries_come_and_go() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let mut switch = switch(&case);
    let program = Arc::clone(switch.root());
    let plane = switch.plane().unwrap();
    let (sent, lost) = under_traffic(&program, || {
        for round in 0..6u32 {
            let others: Vec<String> = (0..60u32)
                .flat_map(|i| {
                    let n = round * 60 + i;
                    [
                        // A hash table, a direct index, a trie around and inside the stable prefix,
                        // and bit vectors above and below the stable priority.
                        format!("add bridging vlan_id:10 eth_dst:0x0200000{n:05x} set_next_id_bridging(next_id:3)"),
                        format!("add simple next_id:{} output_simple(port:2)", 100 + n),
                        format!("add routing_v4 ipv4_dst:0x0a000{:03x}/32 drop_routing_v4()", 0x10 + n % 0xf00),
                        format!("add routing_v4 ipv4_dst:0x0a000000/{} drop_routing_v4()", 8 + i % 12),
                        format!("add acl {} ipv4_dst:0x0b00{n:04x} acl.drop()", 1 + n % 1000),
                    ]
                })
                .collect();
            let mut commands = Commands::new(&case.pipeline);
            let mut written = Vec::new();
            for line in &others {
                commands.add(line).unwrap();
            }
            for operation in commands.finish() {
                // The short prefixes repeat: adding one again is refused.
                if operation.apply(plane).is_ok() {
                    written.push(operation);
                }
            }
            for operation in written {
                let Operation::Insert(entry) = operation else {
                    continue;
                };
                DataPlane::delete(plane, &entry.key).unwrap();
            }
        }
    });
    println!("{sent} packets, {lost} lost");
    assert!(sent > 100, "there was traffic");
    assert_eq!(lost, 0, "of {sent} packets");
}

#[test]
fn an_entry_that_changes_is_seen_whole() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let mut switch = switch(&case);
    let program = Arc::clone(switch.root());
    let plane = switch.plane().unwrap();
    let variants = ["0x0202020202", "0x0404040404"].map(|mac| {
        let line = format!(
            "add simple next_id:20 routing_simple(port:4, src_mac:{mac}02, dst_mac:{mac}04)"
        );
        let mut commands = Commands::new(&case.pipeline);
        commands.add(&line).unwrap();
        match commands.finish().remove(0) {
            Operation::Insert(entry) => entry,
            other => panic!("{other:?}"),
        }
    });
    let packet = routed();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0u64;
            while !done.load(Relaxed) {
                let frame = program.test_run(&packet, 1).unwrap().frame;
                assert_eq!(
                    frame[..5],
                    frame[6..11],
                    "both MACs are of one version: {frame:02x?}"
                );
                seen += 1;
            }
            seen
        });
        for round in 0..20_000 {
            DataPlane::modify(plane, &variants[round % 2]).unwrap();
        }
        done.store(true, Relaxed);
        assert!(reader.join().unwrap() > 100);
    });
}

#[test]
fn a_new_pipeline_takes_over_without_losing_a_packet() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let mut switch = switch(&case);
    let program = Arc::clone(switch.root());
    let (sent, lost) = under_traffic(&program, || {
        for _ in 0..10 {
            let plane = prepared(&case, &switch);
            switch.activate(plane).unwrap();
        }
    });
    println!("{sent} packets over 10 pipelines, {lost} lost");
    assert!(sent > 100, "there was traffic");
    assert_eq!(lost, 0, "of {sent} packets");
}
