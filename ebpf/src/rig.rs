//! A pipeline in the kernel with its slow path, fed by test runs instead of interfaces.
//!
//! What leaves for a packet can be seen without a single network device: the kernel runs the
//! program on a buffer (`BPF_PROG_TEST_RUN`), and the rig finds out where the packet went. Used by
//! tests and by the conformance runner; nothing in a running switch calls it. It does not send:
//! multicast, clones and packet-ins are taken from the events as the agent would take them.

use std::sync::Arc;

use pointsman_p4::interpreter::Output;
use pointsman_p4::ir::Program;
use thiserror::Error;

use crate::compile::event::EventKind;
use crate::compile::{Options, Trail};
use crate::pipeline::{Pipeline, PipelineError};
use crate::plane::Plane;
use crate::switch::Shared;
use crate::switch::events::{Events, EventsError};
use crate::sys::{SysError, monotonic_clock};

/// The shortest frame that the kernel runs a program on, and that a program may leave behind.
pub const MIN_FRAME_BYTES: usize = 14;

/// The interface index that a test run comes in by: loopback's.
const LOOPBACK: u32 = 1;
const XDP_REDIRECT: u32 = 4;

/// Why there is no rig.
#[derive(Debug, Error)]
pub enum RigError {
    /// The pipeline cannot be made.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The maps cannot be made.
    #[error(transparent)]
    Kernel(#[from] SysError),
    /// The events cannot be read.
    #[error(transparent)]
    Events(#[from] EventsError),
}

/// A program in the kernel with its slow path.
pub struct Rig {
    /// Both planes, to write entries to.
    pub plane: Plane,
    shared: Arc<Shared>,
    events: Events,
    cpu_port: u32,
}

impl Rig {
    /// Loads a program. `ports` are those that packets can leave by.
    pub fn new(program: &Arc<Program>, cpu_port: u32, ports: &[u32]) -> Result<Rig, RigError> {
        Rig::with_options(program, Options::new(cpu_port), ports)
    }

    /// Loads a program in another way than a switch would.
    pub fn with_options(
        program: &Arc<Program>,
        options: Options,
        ports: &[u32],
    ) -> Result<Rig, RigError> {
        let shared = Arc::new(Shared::new()?);
        let cpu_port = options.cpu_port;
        let options = Options {
            trail: Trail::LastPort,
            ..options
        };
        let pipeline = Pipeline::new(Arc::clone(program), Arc::clone(&shared), options)?;
        for port in ports.iter().filter(|p| **p != cpu_port) {
            shared.devmap.set(*port, &LOOPBACK.to_ne_bytes())?;
        }
        Ok(Rig {
            plane: Plane::new(pipeline),
            events: Events::open(&shared)?,
            shared,
            cpu_port,
        })
    }

    /// What leaves for a packet, sorted by port; within a port in the order in which it leaves.
    /// The packet has at least [`MIN_FRAME_BYTES`].
    pub fn forward(&mut self, port: u32, packet: &[u8]) -> Result<Vec<Output>, SysError> {
        self.shared.ports.set_interface(LOOPBACK, Some(port));
        let run = self.plane.fast().loaded().test_run(packet, 1)?;
        let mut outputs = Vec::new();
        if run.verdict == XDP_REDIRECT {
            outputs.push(Output {
                port: self.shared.ports.last_port(),
                bytes: run.frame,
            });
        }
        while let Some(event) = self.events.next_event() {
            if event.kind == EventKind::PacketIn {
                outputs.push(Output {
                    port: self.cpu_port,
                    bytes: event.packet,
                });
            } else {
                outputs.extend(self.plane.slow_path().handle(&event, monotonic_clock()));
            }
        }
        outputs.sort_by_key(|output| output.port);
        Ok(outputs)
    }
}
