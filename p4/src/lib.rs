//! P4 programs as Pointsman sees them: BMv2 JSON and p4info as a typed IR, the
//! contract that every data plane fulfils, and the reference interpreter.

pub mod bmv2;
pub mod codec;
pub mod constraints;
pub mod dataplane;
pub mod entity;
pub mod interpreter;
pub mod ir;
pub mod p4info;
pub mod programs;
pub mod schema;
pub mod simplify;
pub mod vectors;
