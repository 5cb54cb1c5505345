//! Nanoseconds a packet, beside a program that does nothing but redirect.
//!
//! The kernel runs the programs on a frame and takes the time itself (`BPF_PROG_TEST_RUN`): no
//! driver and no cache miss on the packet are in it. Both get the same frame, as often. The pipeline
//! is called by the program that every port runs; the bare redirect is not called by anything.
//!
//! The kernel does not restore the frame between runs, and what precedes the first one (code is
//! patched) leaves caches cold, so a call must be long and the frame must stay as it is: next hops have
//! the router's own address, and the program measured adds 0 to the TTL where the real one adds -1.

mod fabric;
mod leaf_spine;
mod steady;

#[path = "../support/mod.rs"]
mod support;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pointsman_ebpf::asm::{Assembler, Reg};
use pointsman_ebpf::compile::Options;
use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::{Shared, Switch};
use pointsman_ebpf::sys::{Program, ProgramKind};
use pointsman_p4::dataplane::DataPlaneError;
use pointsman_p4::ir;
use pointsman_p4::vectors::Case;

use support::{Baseline, configure, privileged};

const CPU_PORT: u32 = 255;
const LOOPBACK: u32 = 1;
const XDP_REDIRECT: u32 = 4;
const HELPER_REDIRECT_MAP: u32 = 51;

/// Runs of one call: a millisecond or so.
const RUNS: u32 = 10_000;

/// A pipeline and what goes through it.
struct Workload {
    name: &'static str,
    case: Case,
    /// Writes the entries.
    fill: fn(&Case, &Plane) -> Result<(), DataPlaneError>,
    /// Frames come in by this port.
    ingress: u32,
    /// They leave by some of these.
    ports: std::ops::Range<u32>,
    paths: Vec<Path>,
}

/// A way through a pipeline.
struct Path {
    name: &'static str,
    frame: Vec<u8>,
    /// Where its TTL is, if it is routed.
    ttl_at: Option<usize>,
}

impl Workload {
    /// A switch that runs a program with the entries.
    fn switch(&self, program: Arc<ir::Program>) -> Result<Switch, Box<dyn Error>> {
        let mut switch = Switch::new(Options::new(CPU_PORT))?;
        let shared = switch.shared();
        for port in self.ports.clone() {
            shared.devmap.set(port, &LOOPBACK.to_ne_bytes())?;
        }
        // Frames of a test run come in by loopback.
        shared.ports.set_interface(LOOPBACK, Some(self.ingress));
        let mut plane = switch.prepare(program)?;
        (self.fill)(&self.case, &mut plane)?;
        switch.activate(plane)?;
        Ok(switch)
    }

    fn measure(&self, criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
        let program = &self.case.pipeline.program;
        let real = self.switch(Arc::clone(program))?;
        let steady = self.switch(Arc::new(steady::hold_ttl(program)))?;
        let bare = bare_redirect(steady.shared(), self.ports.start)?;
        let baseline = Baseline {
            name: "a bare redirect",
            unit: "a packet",
            batch: u64::from(RUNS),
            batches: 16,
        };
        let mut group = criterion.benchmark_group(self.name);
        configure(&mut group);
        for path in &self.paths {
            path.check(&real)?;
            let measured = || run(steady.root(), &path.frame);
            baseline.beside(&mut group, path.name, measured, || run(&bare, &path.frame));
        }
        group.finish();
        Ok(())
    }
}

impl Path {
    /// Sends one frame through the real program: it must be routed, or what is measured is not routing.
    fn check(&self, real: &Switch) -> Result<(), Box<dyn Error>> {
        let run = real.root().test_run(&self.frame, 1)?;
        assert_eq!(run.verdict, XDP_REDIRECT, "{} leaves by a port", self.name);
        if let Some(at) = self.ttl_at {
            let ttl = self.frame[at] - 1;
            assert_eq!(run.frame[at], ttl, "{} is routed", self.name);
        }
        Ok(())
    }
}

/// `return bpf_redirect_map(devmap, port, 0)`
fn bare_redirect(shared: &Shared, port: u32) -> Result<Program, Box<dyn Error>> {
    let mut asm = Assembler::new();
    asm.map(Reg::R1, shared.devmap.insn_fd());
    asm.mov_imm(Reg::R2, u64::from(port));
    asm.mov_imm(Reg::R3, 0);
    asm.call(HELPER_REDIRECT_MAP);
    asm.exit();
    Ok(Program::load(ProgramKind::Xdp, "redirect", &asm.finish()?)?)
}

/// A frame, padded to the least that Ethernet carries.
fn frame(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    let mut frame: Vec<u8> = pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
        .collect();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// How long some runs took, after a look at whether the last was like the first.
fn run(program: &Program, frame: &[u8]) -> Duration {
    let run = program
        .test_run(frame, RUNS)
        .expect("a program that is loaded runs");
    assert_eq!(run.verdict, XDP_REDIRECT, "the frame leaves by a port");
    assert_eq!(run.frame, frame, "the frame stays as it is");
    Duration::from_nanos(u64::from(run.duration_ns) * u64::from(RUNS))
}

fn data_plane(criterion: &mut Criterion) {
    if !privileged() {
        return;
    }
    for workload in [Some(leaf_spine::workload()), fabric::workload()] {
        match workload.map(|w| w.measure(criterion)) {
            Some(Ok(())) => {}
            Some(Err(error)) => panic!("{error}"),
            None => println!("skipped: ONOS's fabric is not beside the project"),
        }
    }
}

criterion_group!(benches, data_plane);
criterion_main!(benches);
