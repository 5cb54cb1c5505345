//! Entries a second written into each structure of leaf_spine's tables, beside a loop that updates
//! an array map of the kernel, one system call an entry.
//!
//! Entries go in through `DataPlane::insert` of the pipeline in the kernel: checks and counters are
//! in it, RPCs, journal and interpreter are not. What empties the tables again is not.

mod support;

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use pointsman_ebpf::compile::Options;
use pointsman_ebpf::pipeline::Pipeline;
use pointsman_ebpf::switch::Shared;
use pointsman_ebpf::sys::{Map, MapKind};
use pointsman_p4::dataplane::{DataPlane, Operation, TableEntry};
use pointsman_p4::vectors::Case;

use support::{Baseline, configure, leaf_spine, operations, privileged};

const CPU_PORT: u32 = 255;
/// Bytes of a value of the kernel's map; the size of most records.
const VALUE_BYTES: u32 = 32;

/// Entries that go into one structure.
struct Load {
    name: &'static str,
    /// How many of them are one batch.
    entries: u32,
    /// The line of an entry in STF's syntax.
    line: fn(u32) -> String,
}

const LOADS: &[Load] = &[
    Load {
        name: "hash",
        entries: 1000,
        line: |n| {
            format!("add bridging vlan_id:10 eth_dst:0x0200{n:08x} set_next_id_bridging(next_id:1)")
        },
    },
    Load {
        name: "direct",
        entries: 1000,
        line: |n| format!("add simple next_id:{} output_simple(port:2)", n + 1),
    },
    Load {
        name: "trie, IPv4 by /24",
        entries: 1000,
        line: |n| format!("add routing_v4 ipv4_dst:0x0b{n:04x}00/24 drop_routing_v4()"),
    },
    Load {
        name: "trie, IPv4 by /32",
        entries: 1000,
        // Sixteen in each /24.
        line: |n| {
            let (block, host) = (n / 16, n % 16);
            format!("add routing_v4 ipv4_dst:0x0c{block:04x}{host:02x}/32 drop_routing_v4()")
        },
    },
    Load {
        name: "trie, IPv6 by /48",
        entries: 1000,
        line: |n| {
            format!(
                "add routing_v6 ipv6_dst:0x20010db8{n:04x}00000000000000000000/48 drop_routing_v6()"
            )
        },
    },
    Load {
        name: "bit vectors, priorities falling",
        entries: 100,
        line: |n| rule(n, 1000 - n),
    },
    Load {
        name: "bit vectors, priorities in disorder",
        entries: 100,
        // 619 and 1000 have no divisor in common: no priority comes twice.
        line: |n| rule(n, 1 + n * 619 % 1000),
    },
];

fn rule(n: u32, priority: u32) -> String {
    format!("add acl {priority} ipv4_dst:0x0d00{n:04x} ip_proto:6 acl.drop()")
}

fn entries(case: &Case, load: &Load) -> Vec<TableEntry> {
    operations(case, (0..load.entries).map(load.line))
        .into_iter()
        .map(|operation| match operation {
            Operation::Insert(entry) => entry,
            other => panic!("not an entry: {other:?}"),
        })
        .collect()
}

/// Fills an empty table and empties it again; how long the first took.
fn fill(pipeline: &Pipeline, entries: &[TableEntry]) -> Duration {
    let start = Instant::now();
    for entry in entries {
        let result = pipeline.insert(entry);
        result.unwrap_or_else(|error| panic!("{entry:?}: {error}"));
    }
    let elapsed = start.elapsed();
    for entry in entries {
        let result = pipeline.delete(&entry.key);
        result.unwrap_or_else(|error| panic!("{entry:?}: {error}"));
    }
    elapsed
}

/// So many values set in a map of the kernel.
fn update(map: &Map, entries: u32) -> Duration {
    let start = Instant::now();
    for index in 0..entries {
        let value = [index as u8; VALUE_BYTES as usize];
        map.set(index, &value).expect("the index is in range");
    }
    start.elapsed()
}

fn pipeline(case: &Case) -> Result<Pipeline, Box<dyn Error>> {
    let program = Arc::clone(&case.pipeline.program);
    let options = Options::new(CPU_PORT);
    Ok(Pipeline::new(program, Arc::new(Shared::new()?), options)?)
}

fn writers(criterion: &mut Criterion) {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let pipeline = pipeline(&case).unwrap_or_else(|error| panic!("{error}"));
    let most = LOADS.iter().map(|load| load.entries).max().unwrap_or(1);
    let map = Map::create(MapKind::Shared, "baseline", VALUE_BYTES, most)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut group = criterion.benchmark_group("insert");
    configure(&mut group);
    for load in LOADS {
        let entries = entries(&case, load);
        let baseline = Baseline {
            name: "a map update",
            unit: "an entry",
            batch: u64::from(load.entries),
            batches: 1,
        };
        let measured = || fill(&pipeline, &entries);
        baseline.beside(&mut group, load.name, measured, || {
            update(&map, load.entries)
        });
    }
    group.finish();
}

criterion_group!(benches, writers);
criterion_main!(benches);
