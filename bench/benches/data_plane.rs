//! Nanoseconds a packet of leaf_spine, beside a program that does nothing but redirect.
//!
//! The kernel runs the programs on a frame and takes the time itself (`BPF_PROG_TEST_RUN`): no
//! driver and no cache miss on the packet are in it. The frame goes through the program that every
//! port runs, which calls the pipeline.

mod support;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pointsman_ebpf::asm::{Assembler, Reg};
use pointsman_ebpf::compile::Options;
use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::{Shared, Switch};
use pointsman_ebpf::sys::{Program, ProgramKind};
use pointsman_p4::dataplane::{
    DataPlane, DataPlaneError, EntryAction, GroupMember, Operation, TableEntry,
};
use pointsman_p4::vectors::Case;

use support::{Baseline, configure, leaf_spine, operations, privileged};

const CPU_PORT: u32 = 255;
const LOOPBACK: u32 = 1;
const XDP_REDIRECT: u32 = 4;
const HELPER_REDIRECT_MAP: u32 = 51;

/// Runs of one call. The kernel does not restore the frame between them, so this is how often a
/// packet can be routed before its TTL is 1.
const RUNS: u32 = 254;
/// Entries beside those of the path.
const OTHER_ROUTES: u32 = 1000;
const OTHER_RULES: u32 = 64;

const ROUTER_MAC: &str = "020000000101";
const HOST_MAC: &str = "020000000002";
const SIMPLE_NEXT: u32 = 20;
const ECMP_NEXT: u32 = 30;
const ECMP_WAYS: u32 = 4;

/// From port 1 by way of every kind of table. A next hop has the router's own MAC, so that the
/// frame is for the router again in the next run.
fn entries() -> Vec<String> {
    let mut lines: Vec<String> = [
        "add ingress_port_vlan ingress_port:1 vlan_id:0 permit_with_internal_vlan(vlan_id:10)",
        &format!("add router_mac ingress_port:1 eth_dst:0x{ROUTER_MAC} route()"),
        &format!("add bridging vlan_id:10 eth_dst:0x{HOST_MAC} set_next_id_bridging(next_id:2)"),
        "add simple next_id:2 output_simple(port:2)",
        &format!("add simple next_id:{SIMPLE_NEXT} {}", routing("routing_simple", 4)),
        &format!("add routing_v4 ipv4_dst:0x0a010000/16 set_next_id_routing_v4(next_id:{SIMPLE_NEXT})"),
        &format!("add routing_v4 ipv4_dst:0x0a020000/16 set_next_id_routing_v4(next_id:{ECMP_NEXT})"),
        &format!("add routing_v6 ipv6_dst:0x20010db8000100000000000000000000/48 set_next_id_routing_v6(next_id:{SIMPLE_NEXT})"),
    ]
    .map(str::to_owned)
    .to_vec();
    lines.extend((0..OTHER_ROUTES).flat_map(|n| {
        [
            format!("add routing_v4 ipv4_dst:0x0b{n:04x}00/24 drop_routing_v4()"),
            format!(
                "add routing_v6 ipv6_dst:0x20010db9{n:04x}00000000000000000000/48 drop_routing_v6()"
            ),
        ]
    }));
    lines.extend((0..OTHER_RULES).map(|n| {
        let priority = 1000 - n;
        format!("add acl {priority} ipv4_dst:0x0c0000{n:02x} ip_proto:6 l4_dst:{n} acl.drop()")
    }));
    lines
}

fn routing(action: &str, port: u32) -> String {
    format!("{action}(port:{port}, src_mac:0x{ROUTER_MAC}, dst_mac:0x{ROUTER_MAC})")
}

/// An ECMP group. STF has no command for it: the actions of its members are read as entries.
fn write_group(case: &Case, plane: &mut Plane) -> Result<(), DataPlaneError> {
    let profile = case.pipeline.profile_by_name("ecmp");
    let profile = profile.expect("leaf_spine has it").profile;
    let lines = (4..4 + ECMP_WAYS).map(|port| {
        let action = routing("routing_hashed", port);
        format!("add hashed next_id:{ECMP_NEXT} {action}")
    });
    let mut members = Vec::new();
    let mut key = None;
    for operation in operations(case, lines) {
        if let Operation::Insert(entry) = operation
            && let EntryAction::Call(call) = &entry.action
        {
            let member = members.len() as u32 + 1;
            plane.put_member(profile, member, call)?;
            members.push(GroupMember {
                member,
                weight: 1,
                watch_port: Some(3 + member),
            });
            key = Some(entry.key);
        }
    }
    plane.put_group(profile, 1, &members)?;
    plane.insert(&TableEntry {
        key: key.expect("there are members"),
        action: EntryAction::Group(1),
    })
}

fn switch(case: &Case) -> Result<Switch, Box<dyn Error>> {
    let mut switch = Switch::new(Options::new(CPU_PORT))?;
    let shared = switch.shared();
    for port in 1..4 + ECMP_WAYS {
        shared.devmap.set(port, &LOOPBACK.to_ne_bytes())?;
    }
    // Frames of a test run come in by loopback.
    shared.ports.set_interface(LOOPBACK, Some(1));
    let mut plane = switch.prepare(Arc::clone(&case.pipeline.program))?;
    for operation in operations(case, entries()) {
        operation.apply(&mut plane)?;
    }
    write_group(case, &mut plane)?;
    switch.activate(plane)?;
    Ok(switch)
}

/// `return bpf_redirect_map(devmap, 2, 0)`
fn bare_redirect(shared: &Shared) -> Result<Program, Box<dyn Error>> {
    let mut asm = Assembler::new();
    asm.map(Reg::R1, shared.devmap.insn_fd());
    asm.mov_imm(Reg::R2, 2);
    asm.mov_imm(Reg::R3, 0);
    asm.call(HELPER_REDIRECT_MAP);
    asm.exit();
    Ok(Program::load(ProgramKind::Xdp, "redirect", &asm.finish()?)?)
}

/// A UDP packet in a frame, padded to the least that Ethernet carries.
fn frame(destination: &str, ether_type: &str, ip: &str) -> Vec<u8> {
    let digits = format!("{destination}020000000001{ether_type}{ip}03e807d0000c0000");
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    let mut frame: Vec<u8> = pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
        .collect();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// What is measured: its name, the frame, and where its TTL is if it is routed.
fn paths() -> [(&'static str, Vec<u8>, Option<usize>); 4] {
    // With TTL 255; the header checksums are right, or the packets were not routed.
    let to_simple = "4500002000010000ff119dc90a000a010a010001";
    let to_ecmp = "4500002000010000ff119dc80a000a010a020001";
    let v6 = "60000000000c11fffd00000000000000000000000000000120010db8000100000000000000000001";
    [
        ("bridged", frame(HOST_MAC, "0800", to_simple), None),
        (
            "IPv4 routed",
            frame(ROUTER_MAC, "0800", to_simple),
            Some(22),
        ),
        ("IPv6 routed", frame(ROUTER_MAC, "86dd", v6), Some(21)),
        (
            "IPv4 over ECMP",
            frame(ROUTER_MAC, "0800", to_ecmp),
            Some(22),
        ),
    ]
}

/// The mean of some runs, after a look at where the frame went.
fn run(program: &Program, frame: &[u8], ttl_at: Option<usize>) -> Duration {
    let run = program
        .test_run(frame, RUNS)
        .expect("a program that is loaded runs");
    assert_eq!(run.verdict, XDP_REDIRECT, "the frame leaves by a port");
    if let Some(at) = ttl_at {
        assert_eq!(run.frame[at], 1, "the frame was routed in every run");
    }
    Duration::from_nanos(u64::from(run.duration_ns) * u64::from(RUNS))
}

fn data_plane(criterion: &mut Criterion) {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let switch = switch(&case).unwrap_or_else(|error| panic!("{error}"));
    let bare = bare_redirect(switch.shared()).unwrap_or_else(|error| panic!("{error}"));
    let baseline = Baseline {
        name: "a bare redirect",
        unit: "a packet",
        batch: u64::from(RUNS),
    };
    let mut group = criterion.benchmark_group("leaf_spine");
    configure(&mut group);
    for (name, frame, ttl_at) in paths() {
        let measured = || run(switch.root(), &frame, ttl_at);
        baseline.beside(&mut group, name, measured, || run(&bare, &frame, None));
    }
    group.finish();
}

criterion_group!(benches, data_plane);
criterion_main!(benches);
