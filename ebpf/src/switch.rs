//! A switch: ports, the program that every port runs, and the pipeline it leads to.

pub mod events;
pub mod ports;

use std::os::fd::AsFd;
use std::sync::Arc;

use crate::asm::{Assembler, Code, Reg};
use crate::pipeline::Pipeline;
use crate::sys::{Map, MapKind, Program, ProgramKind, SysError};

use self::ports::{MAX_PORTS, Ports};

const HELPER_TAIL_CALL: u32 = 12;
const XDP_DROP: u64 = 1;
const EVENT_BUFFER_BYTES: u32 = 4 << 20;

/// What all pipelines of a switch share.
#[derive(Debug)]
pub struct Shared {
    /// Liveness, interfaces, statistics.
    pub ports: Ports,
    /// Where frames leave, by port.
    pub devmap: Map,
    /// Packets for the agent, see [`crate::compile::output`].
    pub events: Map,
    cpus: u32,
}

impl Shared {
    /// Creates the maps.
    pub fn new() -> Result<Shared, SysError> {
        let cpus = crate::sys::possible_cpus().next_power_of_two();
        Ok(Shared {
            ports: Ports::new(cpus)?,
            devmap: Map::create(MapKind::DevMap, "egress", 4, MAX_PORTS)?,
            events: Map::create(MapKind::RingBuffer, "events", EVENT_BUFFER_BYTES, 1)?,
            cpus,
        })
    }

    /// CPUs, rounded up to a power of two.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }
}

/// The program that is attached to every port: it calls the pipeline, and drops the packet
/// while there is none.
#[derive(Debug)]
pub struct Root {
    program: Program,
    pipelines: Map,
}

impl Root {
    /// Loads it, leading nowhere.
    pub fn new() -> Result<Root, SysError> {
        let pipelines = Map::create(MapKind::ProgramArray, "pipelines", 4, 1)?;
        let program = Program::load(ProgramKind::Xdp, "pointsman", &root_code(&pipelines))?;
        Ok(Root { program, pipelines })
    }

    /// The program, to attach to ports.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Leads to a pipeline from the next packet on; none is lost.
    pub fn lead_to(&self, pipeline: &Pipeline) -> Result<(), SysError> {
        self.pipelines.set_fd(0, pipeline.loaded().as_fd())
    }
}

fn root_code(pipelines: &Map) -> Code {
    let mut asm = Assembler::new();
    asm.note("root");
    asm.map(Reg::R2, pipelines.insn_fd());
    asm.mov_imm(Reg::R3, 0);
    asm.call(HELPER_TAIL_CALL);
    asm.mov_imm(Reg::R0, XDP_DROP);
    asm.exit();
    asm.finish().expect("there are no jumps")
}

/// Shared maps for a new switch.
pub fn shared() -> Result<Arc<Shared>, SysError> {
    Shared::new().map(Arc::new)
}
