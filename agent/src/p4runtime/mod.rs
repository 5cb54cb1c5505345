//! P4Runtime 1.5 over gRPC.

pub mod decode;
pub mod encode;
pub mod read;
