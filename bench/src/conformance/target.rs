//! The data planes that packets are sent through.

use std::sync::Arc;

use clap::ValueEnum;
use serde::Serialize;

use pointsman_ebpf::compile::handoff::Cause;
use pointsman_ebpf::compile::{Options, Refusal};
use pointsman_ebpf::rig::{MIN_FRAME_BYTES, Rig, RigError};
use pointsman_ebpf::switch::Shared;
use pointsman_ebpf::sys::SysError;
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::{Interpreter, Output};
use pointsman_p4::ir::Program;

use super::exchange::interpret;
use super::report::SlowUse;

/// v1model's drop port: nothing leaves by it.
const DROP_PORT: u32 = 511;

/// A kind of data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The compiled program in the kernel, run by `BPF_PROG_TEST_RUN`.
    Xdp,
    /// The same, cut into as many programs as there can be.
    XdpChain,
    /// The same, as a kernel gets it that has nothing newer than Linux 5.18.
    XdpFloor,
    /// The reference interpreter.
    Interpreter,
}

impl Target {
    /// The shortest packet that can enter and leave.
    pub fn min_bytes(self) -> usize {
        match self {
            Target::Xdp | Target::XdpChain | Target::XdpFloor => MIN_FRAME_BYTES,
            Target::Interpreter => 0,
        }
    }

    /// Whether this machine lets us run it: XDP needs root, or CAP_BPF and CAP_NET_ADMIN.
    pub fn check(self) -> Result<(), SysError> {
        match self {
            Target::Xdp | Target::XdpChain | Target::XdpFloor => Shared::new().map(drop),
            Target::Interpreter => Ok(()),
        }
    }

    /// Loads a program.
    pub fn load(self, program: &Arc<Program>, cpu_port: Option<u32>) -> Result<Loaded, RigError> {
        Ok(match self {
            Target::Xdp | Target::XdpChain | Target::XdpFloor => {
                let ports: Vec<u32> = (0..DROP_PORT).collect();
                let mut options = Options::new(cpu_port.unwrap_or(DROP_PORT));
                match self {
                    Target::XdpChain => options.program_instructions = Some(1),
                    Target::XdpFloor => options = options.for_oldest_kernel(),
                    _ => {}
                }
                let rig = Rig::with_options(program, options, &ports)?;
                Loaded::Xdp(Box::new(rig))
            }
            Target::Interpreter => {
                let interpreter = Interpreter::new(Arc::clone(program));
                Loaded::Interpreter(Box::new(interpreter))
            }
        })
    }
}

/// A construct and its place, in words.
pub(super) fn reason(refusal: &Refusal) -> String {
    if refusal.source.file.is_empty() {
        return refusal.construct.clone();
    }
    format!("{} at {}", refusal.construct, refusal.source)
}

/// A program in a data plane.
pub enum Loaded {
    /// See [`Target::Xdp`].
    Xdp(Box<Rig>),
    /// See [`Target::Interpreter`].
    Interpreter(Box<Interpreter>),
}

impl Loaded {
    /// To write entries to.
    pub fn data_plane(&mut self) -> &dyn DataPlane {
        match self {
            Loaded::Xdp(rig) => &mut rig.plane,
            Loaded::Interpreter(interpreter) => interpreter.as_mut(),
        }
    }

    /// What of the program takes the slow path, one item for each place where packets leave.
    pub fn slow(&self) -> Vec<SlowUse> {
        let Loaded::Xdp(rig) = self else {
            return Vec::new();
        };
        let taken = rig.plane.slow_path().taken();
        let uses = taken.filter_map(|(point, packets)| match &point.cause {
            Cause::Limit(_) if packets == 0 => None,
            Cause::Limit(what) => Some(SlowUse {
                what: (*what).to_owned(),
                packets,
            }),
            Cause::Constructs(all) => Some(SlowUse {
                what: all.iter().map(reason).collect::<Vec<_>>().join(", "),
                packets,
            }),
        });
        uses.collect()
    }

    /// What leaves for a packet, sorted by port and in order within a port.
    pub fn forward(&mut self, port: u32, packet: &[u8]) -> Result<Vec<Output>, SysError> {
        match self {
            Loaded::Xdp(rig) => rig.forward(port, packet),
            Loaded::Interpreter(interpreter) => Ok(interpret(interpreter, port, packet)),
        }
    }
}
