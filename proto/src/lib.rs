//! P4Runtime and Pointsman's own services: the code generated from the `.proto`
//! files beside this crate, and nothing else.
//!
//! Generated types stop at the gRPC edge: the agent, controller and CLI turn
//! them into their own types where a request comes in.
#![allow(missing_docs)]

/// The encoded `FileDescriptorSet` of every file in this crate, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

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
}
