//! The service as gRPC calls it, made by the build script: that of the specification, with a codec of
//! our own where [`wire`](super::wire) has one.
#![allow(
    missing_docs,
    clippy::default_constructed_unit_structs,
    reason = "it is generated"
)]

include!(concat!(env!("OUT_DIR"), "/p4.v1.P4Runtime.rs"));

pub use p4_runtime_server::P4RuntimeServer;
