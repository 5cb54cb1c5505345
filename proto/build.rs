//! Compiles the `.proto` files with protox, so that no protoc is needed.

use std::error::Error;

use prost::Message;

const PROTO_FILES: &[&str] = &[
    "google/rpc/status.proto",
    "p4/config/v1/p4types.proto",
    "p4/config/v1/p4info.proto",
    "p4/v1/p4data.proto",
    "p4/v1/p4runtime.proto",
    "stratum/p4_role_config.proto",
    "pointsman/objective/v1/objective.proto",
    "pointsman/agent/v1/inventory.proto",
    "pointsman/agent/v1/agent.proto",
    "pointsman/agent/v1/trace.proto",
    "pointsman/agent/v1/state.proto",
    "pointsman/controller/v1/consistency.proto",
    "pointsman/controller/v1/controller.proto",
    "pointsman/controller/v1/cluster.proto",
    "pointsman/peer/v1/admission.proto",
    "pointsman/controller/v1/kv.proto",
    "pointsman/controller/v1/configuration.proto",
    "pointsman/controller/v1/topology.proto",
    "pointsman/peer/v1/peer.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in PROTO_FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(PROTO_FILES, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.binpb"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Entries of the log are passed on as they came.
        .bytes(".pointsman.peer.v1.Commands")
        .bytes(".pointsman.peer.v1.Entry")
        .bytes(".pointsman.peer.v1.SnapshotChunk")
        .bytes(".pointsman.peer.v1.SubmitRequest")
        .bytes(".pointsman.peer.v1.SubmitResponse")
        .compile_fds(descriptors)?;
    Ok(())
}
