//! The switch daemon: P4Runtime server, objectives, ports and packet I/O.

pub mod arbitration;
pub mod entity;
pub mod p4runtime;
pub mod pipeliner;
pub mod schema;
pub mod switch;
pub mod target;
