//! Benchmarks, load generators and the conformance runner.

pub mod conformance;
