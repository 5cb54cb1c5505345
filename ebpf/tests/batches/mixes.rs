//! No packet sees a part of a batch, and none is lost or not counted because of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use pointsman_ebpf::switch::Switch;
use pointsman_p4::dataplane::{DataPlane, Operation, TableEntry};
use pointsman_p4::vectors::{Case, Commands};

use crate::bed::{
    XDP_REDIRECT, leaf_spine, prepared, routed, switch, switch_of_chains, under_traffic,
};
use crate::support::privileged;
use crate::until::Until;

/// The first byte of both MACs: which state a packet saw, or that it saw a mix of them.
const STATES: [u8; 2] = [0x0a, 0x0c];
const MIX: u8 = 0x0e;

/// Entries as a batch leaves them: the route leads to one of two nexts, and the other one is a trap.
fn entries(case: &Case, state: usize) -> Vec<TableEntry> {
    let simple = |next: usize, mac: u8| {
        let mac = format!("0x{mac:02x}0000000001");
        format!("add simple next_id:{next} routing_simple(port:4, src_mac:{mac}, dst_mac:{mac})")
    };
    let nexts = [21, 22];
    let mut commands = Commands::new(&case.pipeline);
    for line in [
        simple(nexts[state], STATES[state]),
        simple(nexts[1 - state], MIX),
        format!(
            "add routing_v4 ipv4_dst:0x0a000005/32 set_next_id_routing_v4(next_id:{})",
            nexts[state]
        ),
    ] {
        commands.add(&line).unwrap();
    }
    let operations = commands.finish().into_iter();
    let entries = operations.map(|operation| match operation {
        Operation::Insert(entry) => entry,
        other => panic!("{other:?}"),
    });
    entries.collect()
}

/// A switch in the first state, and the entries of both.
fn in_first_state(case: &Case, switch: &Switch) -> [Vec<TableEntry>; 2] {
    let states = [entries(case, 0), entries(case, 1)];
    for entry in &states[0] {
        switch.plane().unwrap().insert(entry).unwrap();
    }
    states
}

/// What packets of several CPUs saw while `change` ran, by the first byte of their MACs.
fn seen_during(switch: &Switch, change: impl FnOnce(&AtomicU64)) -> BTreeMap<u8, u64> {
    let (packet, mixes) = (routed(), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let sender = || {
        let mut seen: BTreeMap<u8, u64> = BTreeMap::new();
        while !done.load(Relaxed) {
            let run = switch.root().test_run(&packet, 1).unwrap();
            assert_eq!(run.verdict, XDP_REDIRECT, "no packet is lost");
            *seen.entry(run.frame[0]).or_default() += 1;
            mixes.fetch_add(u64::from(run.frame[0] == MIX), Relaxed);
        }
        seen
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..3).map(|_| scope.spawn(sender)).collect();
        let until = Until(&done);
        change(&mixes);
        drop(until);
        let mut all: BTreeMap<u8, u64> = BTreeMap::new();
        for (state, count) in senders.into_iter().flat_map(|s| s.join().unwrap()) {
            *all.entry(state).or_default() += count;
        }
        all
    })
}

fn no_packet_sees_a_mix(case: &Case, switch: &Switch) {
    let states = in_first_state(case, switch);
    let plane = switch.plane().unwrap();
    let mut took = Vec::new();
    let seen = seen_during(switch, |_| {
        for round in 1..=300 {
            let start = Instant::now();
            let batch = &mut || {
                for entry in &states[round % 2] {
                    plane.modify(entry).unwrap();
                }
            };
            plane.atomically(batch).unwrap();
            took.push(start.elapsed());
        }
    });
    let first = took.remove(0);
    took.sort();
    println!(
        "{seen:x?}; the first batch took {first:?}, the others {:?} (median), {:?} at most",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), STATES);
    assert!(seen.values().all(|packets| *packets > 100), "{seen:?}");
}

#[test]
fn a_packet_sees_all_of_a_batch_or_nothing() {
    if privileged() {
        let case = leaf_spine();
        no_packet_sees_a_mix(&case, &switch(&case));
    }
}

#[test]
fn a_packet_sees_all_of_a_batch_or_nothing_in_a_chain_of_programs() {
    if privileged() {
        let case = leaf_spine();
        no_packet_sees_a_mix(&case, &switch_of_chains(&case));
    }
}

/// The test above can fail: this is what happens to updates one by one.
#[test]
fn packets_do_see_a_mix_of_updates_that_are_not_a_batch() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let switch = switch(&case);
    let states = in_first_state(&case, &switch);
    let plane = switch.plane().unwrap();
    let seen = seen_during(&switch, |mixes| {
        let rounds = 1..500_000usize;
        for round in rounds.take_while(|_| mixes.load(Relaxed) == 0) {
            for entry in &states[round % 2] {
                plane.modify(entry).unwrap();
            }
        }
    });
    assert!(seen.contains_key(&MIX), "{seen:x?}");
}

#[test]
fn counters_go_on_and_no_packet_is_lost_over_many_batches() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let switch = switch(&case);
    let plane = switch.plane().unwrap();
    let mut commands = Commands::new(&case.pipeline);
    let line = "add simple next_id:20 routing_simple(port:4, src_mac:0x020000000101, dst_mac:0x020000000102)";
    commands.add(line).unwrap();
    let Operation::Insert(entry) = commands.finish().remove(0) else {
        panic!("it adds an entry");
    };
    let before = plane.direct_counter((&entry.key).into()).unwrap().packets;
    let program = Arc::clone(switch.root());
    let (sent, lost) = under_traffic(&program, || {
        for _ in 0..200 {
            plane
                .atomically(&mut || plane.modify(&entry).unwrap())
                .unwrap();
        }
    });
    assert!(sent > 100, "there was traffic");
    assert_eq!(lost, 0, "of {sent} packets");
    // One packet more went before the traffic.
    let counted = plane.direct_counter((&entry.key).into()).unwrap().packets - before;
    assert_eq!(counted, sent + 1);
}

#[test]
fn a_pipeline_that_no_longer_forwards_does_not_come_back_by_a_batch() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let mut switch = switch(&case);
    let other = prepared(&case, &switch);
    let mac = [0x0a, 0, 0, 0, 0, 1];
    let states = in_first_state(&case, &switch);
    let seen = switch.root().test_run(&routed(), 1).unwrap();
    assert_eq!(seen.frame[..6], mac);

    other.atomically(&mut || ()).unwrap();
    let seen = switch.root().test_run(&routed(), 1).unwrap();
    assert_eq!(seen.frame[..6], mac, "it does not forward yet");

    other
        .atomically(&mut || other.insert(&states[1][0]).unwrap())
        .unwrap();
    switch.activate(other).unwrap();
    let seen = switch.root().test_run(&routed(), 1).unwrap();
    assert_ne!(seen.frame[..6], mac, "now it does");
}
