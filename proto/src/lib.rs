//! P4Runtime and Pointsman's own services: the code generated from the `.proto`
//! files beside this crate, and what a failed connection to them means.
//!
//! Generated types stop at the gRPC edge: the agent, controller and CLI turn
//! them into their own types where a request comes in.
//!
//! The P4Runtime files are written out here rather than fetched, so that a build
//! needs no network and no protoc; `tests/descriptors.rs` holds them to the
//! published interface number by number.
#![allow(missing_docs)]
// P4Runtime keeps deprecated fields, and generated code has to touch them.
#![allow(deprecated)]
#![allow(clippy::large_enum_variant)]

pub mod reach;

/// The encoded `FileDescriptorSet` of every file in this crate, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// P4Runtime 1.5 and the p4info it is written against.
pub mod p4 {
    /// The service and its entities.
    pub mod v1 {
        tonic::include_proto!("p4.v1");
    }
    /// p4info.
    pub mod config {
        pub mod v1 {
            tonic::include_proto!("p4.config.v1");
        }
    }
}

/// What Stratum and its controllers have agreed on beside P4Runtime.
pub mod stratum {
    tonic::include_proto!("stratum");
}

/// Google's error model, which P4Runtime reports batches with.
pub mod google {
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}

/// Pointsman's own packages.
pub mod pointsman {
    /// Flow objectives and their status.
    pub mod objective {
        pub mod v1 {
            tonic::include_proto!("pointsman.objective.v1");
        }
    }
    /// The agent's service.
    pub mod agent {
        pub mod v1 {
            tonic::include_proto!("pointsman.agent.v1");
        }
    }
    /// The controller's service.
    pub mod controller {
        pub mod v1 {
            tonic::include_proto!("pointsman.controller.v1");
        }
    }
    /// What controller nodes say to each other.
    pub mod peer {
        pub mod v1 {
            tonic::include_proto!("pointsman.peer.v1");
        }
    }
}
