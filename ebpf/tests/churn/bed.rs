//! leaf_spine in the kernel, with a path through each kind of table.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::Switch;
use pointsman_ebpf::sys::Program;
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::vectors::{Case, Commands};

use crate::until::Until;

pub const CPU_PORT: u32 = 255;
pub const LOOPBACK: u32 = 1;
pub const XDP_REDIRECT: u32 = 4;
const ROUTER_MAC: &str = "020000000101";
/// Port 1 to 10.0.0.5 over the router, ACL and an ECMP group; checksum right.
const ROUTED: &str = "02000000010102000000000108004500002000010000401165c60a0101010a000005\
                      03e807d0000c000064617461";

pub fn routed() -> Vec<u8> {
    let digit_pairs = (0..ROUTED.len()).step_by(2);
    digit_pairs
        .map(|at| u8::from_str_radix(&ROUTED[at..at + 2], 16).unwrap())
        .collect()
}

pub fn leaf_spine() -> Case {
    Case::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/programs/leaf_spine")).unwrap()
}

pub fn write(case: &Case, plane: &dyn DataPlane, lines: &[String]) {
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
pub fn path() -> Vec<String> {
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

pub fn switch(case: &Case) -> Switch {
    switch_with(case, Options::new(CPU_PORT))
}

/// One whose pipelines are chains of many programs.
pub fn switch_of_chains(case: &Case) -> Switch {
    let options = Options {
        program_instructions: Some(100),
        ..Options::new(CPU_PORT)
    };
    switch_with(case, options)
}

fn switch_with(case: &Case, options: Options) -> Switch {
    let mut switch = Switch::new(options).unwrap();
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

pub fn prepared(case: &Case, switch: &Switch) -> Plane {
    let plane = switch.prepare(Arc::clone(&case.pipeline.program)).unwrap();
    write(case, &plane, &path());
    plane
}

/// Sends the routed packet while `change` runs; returns how many went and how many were lost.
pub fn under_traffic(program: &Arc<Program>, change: impl FnOnce()) -> (u64, u64) {
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
        let until = Until(&done);
        change();
        drop(until);
        sender.join().unwrap()
    })
}
