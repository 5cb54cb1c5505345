//! leaf_spine with entries: every kind of table on the way, and other entries beside those of the way.

use pointsman_ebpf::plane::Plane;
use pointsman_p4::dataplane::{DataPlaneError, Operation};
use pointsman_p4::vectors::Case;

use crate::support::{leaf_spine, operations};
use crate::{Path, Workload, frame};

/// Entries beside those of the path.
const OTHER_ROUTES: u32 = 1000;
const OTHER_RULES: u32 = 64;
const ROUTER_MAC: &str = "020000000101";
const HOST_MAC: &str = "020000000002";
const SIMPLE_NEXT: u32 = 20;
const ECMP_NEXT: u32 = 30;
const ECMP_WAYS: u32 = 4;
const FIRST_ECMP_PORT: u32 = 4;

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
    lines.extend((0..ECMP_WAYS).map(|way| {
        let action = routing("routing_hashed", FIRST_ECMP_PORT + way);
        format!("act_prof_create_member ecmp {way} {action}")
    }));
    let ways: Vec<String> = (0..ECMP_WAYS).map(|way| way.to_string()).collect();
    lines.push(format!("act_prof_create_group ecmp 1 {}", ways.join(" ")));
    lines.push(format!("add hashed next_id:{ECMP_NEXT} group(1)"));
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

/// Writes all of it. Ports are watched, which no line says.
fn fill(case: &Case, plane: &Plane) -> Result<(), DataPlaneError> {
    for mut operation in operations(case, entries()) {
        if let Operation::PutGroup { members, .. } = &mut operation {
            for member in members {
                member.watch_port = Some(FIRST_ECMP_PORT + member.member);
            }
        }
        operation.apply(plane)?;
    }
    Ok(())
}

/// A UDP packet, as a next hop would get it.
fn udp(destination: &str, ether_type: &str, ip: &str) -> Vec<u8> {
    frame(&format!(
        "{destination}{ROUTER_MAC}{ether_type}{ip}03e807d0000c0000"
    ))
}

/// Bridged, and routed in every way.
pub fn workload() -> Workload {
    // The header checksums are right, or the packets were not routed.
    let to_simple = "4500002000010000ff119dc90a000a010a010001";
    let to_ecmp = "4500002000010000ff119dc80a000a010a020001";
    let v6 = "60000000000c11fffd00000000000000000000000000000120010db8000100000000000000000001";
    let path = |name, frame, ttl_at| Path {
        name,
        frame,
        ttl_at,
    };
    Workload {
        name: "leaf_spine",
        case: leaf_spine(),
        fill,
        ingress: 1,
        ports: 1..FIRST_ECMP_PORT + ECMP_WAYS,
        paths: vec![
            path("bridged", udp(HOST_MAC, "0800", to_simple), None),
            path("IPv4 routed", udp(ROUTER_MAC, "0800", to_simple), Some(22)),
            path("IPv6 routed", udp(ROUTER_MAC, "86dd", v6), Some(21)),
            path("IPv4 over ECMP", udp(ROUTER_MAC, "0800", to_ecmp), Some(22)),
        ],
    }
}
