//! What a program finds after batches, batches that are taken back, and single changes in any order is
//! what the reference interpreter finds after the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pointsman_ebpf::switch::Switch;
use pointsman_p4::dataplane::{DataPlane, EntryKey, Operation, TableEntry};
use pointsman_p4::interpreter::{Interpreter, Packet};
use pointsman_p4::vectors::{Case, Commands};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bed::{XDP_REDIRECT, leaf_spine, path, routed, switch, write};
use crate::support::privileged;

/// Where a packet's destination is, and its header's checksum.
const DESTINATION: usize = 30;
const CHECKSUM: usize = 24;
/// Destinations differ in their last byte.
const DESTINATIONS: std::ops::Range<u8> = 0..12;

/// One change to entries of any structure: whichever of its entries is not there comes, the same goes,
/// another one with its key is replaced.
#[derive(Debug, Clone)]
struct Toggle(String);

fn toggle() -> impl Strategy<Value = Toggle> {
    let next = 1..5u32;
    let port = 1..5u32;
    prop_oneof![
        // A trie.
        (25..33u32, DESTINATIONS, next.clone()).prop_map(|(length, last, next)| {
            let prefix = u32::from_be_bytes([10, 0, 0, last]) & u32::MAX << (32 - length);
            format!(
                "add routing_v4 ipv4_dst:{prefix:#x}/{length} set_next_id_routing_v4(next_id:{next})"
            )
        }),
        // Hash tables.
        (next.clone(), port.clone()).prop_map(|(next, port)| format!(
            "add simple next_id:{next} routing_simple(port:{port}, src_mac:0x02000000000{port}, dst_mac:0x0200000000{next}{port})"
        )),
        (next, port).prop_map(|(next, port)| format!(
            "add simple next_id:{next} output_simple(port:{port})"
        )),
        // Bit vectors. Prefixes of one length do not overlap, and each length has a priority of its own:
        // which of two equal ones wins would be undefined.
        (24..33u32, DESTINATIONS, any::<bool>()).prop_map(|(length, last, permit)| {
            let priority = 1 + length * 5 % 9;
            let prefix = u32::from_be_bytes([10, 0, 0, last]) & u32::MAX << (32 - length);
            let action = if permit { "permit" } else { "drop" };
            format!("add acl {priority} ipv4_dst:{prefix:#x}/{length} acl.{action}()")
        }),
    ]
    .prop_map(Toggle)
}

#[derive(Debug, Clone)]
enum Step {
    Single(Toggle),
    Batch(Vec<Toggle>),
    TakenBack(Vec<Toggle>),
}

fn step() -> impl Strategy<Value = Step> {
    let many = || proptest::collection::vec(toggle(), 1..12);
    prop_oneof![
        2 => toggle().prop_map(Step::Single),
        1 => many().prop_map(Step::Batch),
        1 => many().prop_map(Step::TakenBack),
    ]
}

/// Entries that are there.
type Entries = BTreeMap<EntryKey, TableEntry>;

/// Makes a change, and says what was there under its key.
fn apply(
    case: &Case,
    entries: &mut Entries,
    plane: &dyn DataPlane,
    toggle: &Toggle,
) -> (EntryKey, Option<TableEntry>) {
    let mut commands = Commands::new(&case.pipeline);
    commands.add(&toggle.0).unwrap();
    let Operation::Insert(entry) = commands.finish().remove(0) else {
        panic!("it adds an entry");
    };
    let old = entries.get(&entry.key).cloned();
    let new = (old.as_ref() != Some(&entry)).then(|| entry.clone());
    put(entries, plane, &entry.key, new);
    (entry.key, old)
}

/// Leads from whatever is under a key to this.
fn put(entries: &mut Entries, plane: &dyn DataPlane, key: &EntryKey, new: Option<TableEntry>) {
    match (entries.contains_key(key), &new) {
        (false, Some(new)) => plane.insert(new).unwrap(),
        (true, Some(new)) => plane.modify(new).unwrap(),
        (true, None) => plane.delete(key).unwrap(),
        (false, None) => {}
    }
    match new {
        Some(new) => entries.insert(key.clone(), new),
        None => entries.remove(key),
    };
}

fn packet_to(last: u8) -> Vec<u8> {
    let mut packet = routed();
    let sum = u16::from_be_bytes([packet[CHECKSUM], packet[CHECKSUM + 1]]);
    let sum = sum + u16::from(packet[DESTINATION + 3]) - u16::from(last);
    packet[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    packet[DESTINATION + 3] = last;
    packet
}

/// Each packet leaves the kernel as it leaves the interpreter.
fn compare(switch: &Switch, model: &Interpreter) {
    for last in DESTINATIONS {
        let packet = Packet {
            port: 1,
            bytes: packet_to(last),
        };
        let expected = model.process(&packet, Duration::ZERO);
        let run = switch.root().test_run(&packet.bytes, 1).unwrap();
        let found = (run.verdict == XDP_REDIRECT).then_some(run.frame);
        let expected = expected.into_iter().next().map(|output| output.bytes);
        assert_eq!(found, expected, "to 10.0.0.{last}");
    }
}

fn check(case: &Case, steps: &[Step]) {
    let switch = switch(case);
    let plane = switch.plane().unwrap();
    let model = Interpreter::new(Arc::clone(&case.pipeline.program));
    write(case, &model, &path());
    let (mut entries, mut modelled) = (Entries::new(), Entries::new());
    for step in steps {
        match step {
            Step::Single(toggle) => {
                apply(case, &mut entries, plane, toggle);
                apply(case, &mut modelled, &model, toggle);
            }
            Step::Batch(toggles) => {
                let batch = &mut || {
                    for toggle in toggles {
                        apply(case, &mut entries, plane, toggle);
                    }
                };
                plane.atomically(batch).unwrap();
                for toggle in toggles {
                    apply(case, &mut modelled, &model, toggle);
                }
            }
            Step::TakenBack(toggles) => {
                let batch = &mut || {
                    let mut done = Vec::new();
                    for toggle in toggles {
                        done.push(apply(case, &mut entries, plane, toggle));
                    }
                    for (key, old) in done.into_iter().rev() {
                        put(&mut entries, plane, &key, old);
                    }
                };
                plane.atomically(batch).unwrap();
            }
        }
        compare(&switch, &model);
    }
}

#[test]
fn batches_taken_back_or_not_and_single_changes_leave_what_they_say() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let config = Config {
        cases: 8,
        failure_persistence: None,
        ..Config::default()
    };
    let steps = proptest::collection::vec(step(), 1..24);
    TestRunner::new(config)
        .run(&steps, |steps| {
            check(&case, &steps);
            Ok(())
        })
        .unwrap();
}
