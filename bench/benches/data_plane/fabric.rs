//! ONOS's fabric with the entries of a recorded run: filtering, routing, an ECMP group, VLAN popped
//! on the way out, and the rules of its access control list.

use pointsman_ebpf::plane::Plane;
use pointsman_p4::dataplane::{Bits, DataPlaneError, Operation};
use pointsman_p4::vectors::{self, Case};

use crate::{Path, Workload, frame};

/// Untagged, without hosts, towards another router.
const ROUTED_PORT: u32 = 6;
const ROUTER_MAC: u64 = 0x00aa_0000_0001;
const MAC_BITS: u32 = 48;

/// The pipeline and its way, if the recorded data is there.
pub fn workload() -> Option<Workload> {
    let directory = vectors::directory()?.join("pipelines/onos-fabric");
    let case = Case::read(&directory).expect("recorded data can be read");
    let headers = "00aa0000000100aa00000001\
                   0800\
                   4500002000010000ff11a7ab0a00001f0a010001\
                   03e807d0000c0000";
    Some(Workload {
        name: "onos_fabric",
        case,
        fill,
        ingress: ROUTED_PORT,
        ports: 1..9,
        paths: vec![Path {
            name: "IPv4 routed by fabric",
            frame: frame(headers),
            ttl_at: Some(22),
        }],
    })
}

/// What was recorded, with next hops that have the router's own address, so that the frame is for
/// the router again in the next run.
fn fill(case: &Case, plane: &Plane) -> Result<(), DataPlaneError> {
    let file = case.directory.join("golden/routing/entries.txtpb");
    let operations = case.entries(&file).expect("recorded entries can be read");
    for mut operation in operations {
        if let Operation::PutMember { call, .. } = &mut operation {
            let params = &case.pipeline.program.actions[call.action.index()].params;
            let args = call.args.iter().zip(params);
            let routed = args.map(|(arg, param)| match param.width {
                MAC_BITS => Bits::from(ROUTER_MAC),
                _ => arg,
            });
            call.args = routed.collect();
        }
        operation.apply(plane)?;
    }
    Ok(())
}
