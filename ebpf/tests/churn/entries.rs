//! Entries and pipelines that change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use pointsman_ebpf::switch::Switch;
use pointsman_p4::dataplane::{DataPlane, Operation};
use pointsman_p4::vectors::{Case, Commands};

use crate::bed::{leaf_spine, prepared, routed, switch, switch_of_chains, under_traffic};
use crate::support::privileged;
use crate::until::Until;

#[test]
fn a_stable_path_is_never_missed_while_other_entries_come_and_go() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let switch = switch(&case);
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
    let switch = switch(&case);
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
        let until = Until(&done);
        for round in 0..20_000 {
            DataPlane::modify(plane, &variants[round % 2]).unwrap();
        }
        drop(until);
        assert!(reader.join().unwrap() > 100);
    });
}

#[test]
fn a_new_pipeline_takes_over_without_losing_a_packet() {
    if privileged() {
        let case = leaf_spine();
        take_over(&case, switch(&case));
    }
}

#[test]
fn a_new_chain_of_programs_takes_over_without_losing_a_packet() {
    if privileged() {
        let case = leaf_spine();
        let switch = switch_of_chains(&case);
        let programs = switch.plane().unwrap().fast().stats().programs;
        assert!(programs > 10, "{programs}");
        take_over(&case, switch);
    }
}

fn take_over(case: &Case, mut switch: Switch) {
    let program = Arc::clone(switch.root());
    let (sent, lost) = under_traffic(&program, || {
        for _ in 0..10 {
            let plane = prepared(case, &switch);
            switch.activate(plane).unwrap();
        }
    });
    println!("{sent} packets over 10 pipelines, {lost} lost");
    assert!(sent > 100, "there was traffic");
    assert_eq!(lost, 0, "of {sent} packets");
}
