//! Benchmarks, load generators, the conformance runner, the fuzzer, and programs made up for them.

mod closed_loop;
pub mod conformance;
pub mod controllers;
pub mod fabric_views;
pub mod fail_over;
pub mod fast_repair;
pub mod fuzz;
pub mod linearizable;
pub mod many_objectives;
mod numbered;
pub mod objectives;
pub mod p4rt;
pub mod p4rt_fuzz;
pub mod packet_io;
pub mod program;
pub mod sequences;
pub mod switches;
pub mod synthetic;
pub mod warm_restart;
