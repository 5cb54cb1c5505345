//! Benchmarks, load generators, the conformance runner and the fuzzer.

pub mod conformance;
pub mod fuzz;
