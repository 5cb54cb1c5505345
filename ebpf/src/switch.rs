//! A switch: ports, the program that every port runs, and the pipeline it leads to.

pub mod events;
pub mod pins;
pub mod ports;
pub mod root;
pub mod shared;
pub mod takeover;

use std::collections::HashMap;
use std::sync::Arc;

use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::ir;
use thiserror::Error;

use crate::asm::{Assembler, Code, Note, Reg};
use crate::compile::Options;
use crate::front;
use crate::pipeline::{Pipeline, PipelineError, TableDifference};
use crate::plane::Plane;
use crate::sys::{AttachMode, Program, ProgramKind, SysError, XdpLink, interface_index};

use self::events::{Events, EventsError};
use self::pins::{PinError, PinnedPipeline};
use self::ports::{MAX_INTERFACE, MAX_PORTS};

pub use self::shared::Shared;

const HELPER_TAIL_CALL: u32 = 12;
const XDP_DROP: u64 = 1;

/// Why a switch refuses.
#[derive(Debug, Error)]
pub enum SwitchError {
    /// The kernel does.
    #[error(transparent)]
    Kernel(#[from] SysError),
    /// What outlives the agent cannot be used.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A port number that the pipeline cannot express.
    #[error("port {0} is out of range: ports are below {MAX_PORTS}")]
    PortNumber(u32),
    /// An interface index beyond what the ports' memory holds.
    #[error(
        "interface {interface} has index {index}, and only those up to {MAX_INTERFACE} can be ports: use a network namespace with fewer interfaces"
    )]
    InterfaceIndex {
        /// The interface.
        interface: String,
        /// Its index.
        index: u32,
    },
    /// The events cannot be read.
    #[error(transparent)]
    Events(#[from] EventsError),
}

/// Ports that run one program, which calls the pipeline, or drops the packet while there is none.
pub struct Switch {
    shared: Arc<Shared>,
    root: Arc<Program>,
    options: Options,
    plane: Option<Plane>,
    /// The pipeline that forwards, if another process made it.
    running: Option<PinnedPipeline>,
    ports: HashMap<u32, AttachedPort>,
}

struct AttachedPort {
    interface: u32,
    link: XdpLink,
    /// It runs the root program of another layout.
    outdated: bool,
}

impl Switch {
    /// A switch without ports and without a pipeline.
    pub fn new(options: Options) -> Result<Switch, SwitchError> {
        let shared = Shared::new()?;
        let root = Program::load(ProgramKind::Xdp, "pointsman", &root_code(&shared))?;
        Ok(Switch {
            shared: Arc::new(shared),
            root: Arc::new(root),
            options,
            plane: None,
            running: None,
            ports: HashMap::new(),
        })
    }

    /// Compiles and loads a program. It forwards nothing yet: fill its tables, then
    /// [`activate`](Switch::activate) it.
    pub fn prepare(&self, program: Arc<ir::Program>) -> Result<Plane, PipelineError> {
        Pipeline::new(program, Arc::clone(&self.shared), self.options).map(Plane::new)
    }

    /// Forwards by this pipeline from the next packet on; none is lost. Says what another process's pipeline,
    /// whose counters this one goes on with, held otherwise.
    pub fn activate(&mut self, plane: Plane) -> Result<Vec<TableDifference>, SwitchError> {
        let differences = plane.fast().activate()?;
        self.plane = Some(plane);
        self.running = None;
        Ok(differences)
    }

    /// Forwards nothing from the next packet on.
    pub fn deactivate(&mut self) -> Result<(), SwitchError> {
        if self.plane.take().is_some() {
            self.shared.root.clear()?;
            if let Some(pins) = self.shared.pins() {
                pins.keep_pipeline(None)?;
            }
        }
        Ok(())
    }

    /// The program that every port runs.
    pub fn root(&self) -> &Arc<Program> {
        &self.root
    }

    /// What the pipelines of this switch share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The pipeline that forwards.
    pub fn plane(&self) -> Option<&Plane> {
        self.plane.as_ref()
    }

    /// Opens the events. There is one reader.
    pub fn events(&self) -> Result<Events, SwitchError> {
        Ok(Events::open(&self.shared)?)
    }

    /// Makes an interface a port: packets from it enter the pipeline, packets for it leave there.
    pub fn attach(&mut self, port: u32, interface: &str) -> Result<AttachMode, SwitchError> {
        if port >= MAX_PORTS {
            return Err(SwitchError::PortNumber(port));
        }
        let index = interface_index(interface)?;
        if index > MAX_INTERFACE {
            return Err(SwitchError::InterfaceIndex {
                interface: interface.to_owned(),
                index,
            });
        }
        if let Some(attached) = self.ports.get(&port).filter(|p| p.interface == index) {
            return Ok(attached.link.mode);
        }
        self.detach(port)?;
        self.shared.devmap.set(port, &index.to_ne_bytes())?;
        self.shared.ports.set_interface(index, Some(port));
        match self.link(port, interface) {
            Ok(link) => {
                let mode = link.mode;
                let attached = AttachedPort {
                    interface: index,
                    link,
                    outdated: false,
                };
                self.ports.insert(port, attached);
                Ok(mode)
            }
            Err(error) => {
                self.shared.ports.set_interface(index, None);
                self.shared.devmap.remove(port)?;
                Err(error)
            }
        }
    }

    fn link(&self, port: u32, interface: &str) -> Result<XdpLink, SwitchError> {
        let link = self.root.attach(interface)?;
        if let Some(pins) = self.shared.pins() {
            link.pin(&pins.link(port))?;
        }
        Ok(link)
    }

    /// Makes a port's interface an ordinary one again.
    pub fn detach(&mut self, port: u32) -> Result<(), SwitchError> {
        if let Some(attached) = self.ports.remove(&port) {
            if let Some(pins) = self.shared.pins() {
                pins.remove_link(port)?;
            }
            self.shared.ports.set_interface(attached.interface, None);
            self.shared.devmap.remove(port)?;
        }
        Ok(())
    }

    /// Tells whether a port can carry packets.
    pub fn set_port_up(&mut self, port: u32, up: bool) {
        self.shared.ports.set_live(port, up);
        if let Some(plane) = &self.plane {
            plane.set_port_up(port, up);
        }
    }
}

fn root_code(shared: &Shared) -> Code {
    let mut asm = Assembler::new();
    front::emit(&mut asm, &shared.front, &shared.ports);
    asm.note(Note::stage("root"));
    asm.mov(Reg::R1, Reg::R6);
    asm.map(Reg::R2, shared.root.insn_fd());
    asm.mov_imm(Reg::R3, 0);
    asm.call(HELPER_TAIL_CALL);
    asm.mov_imm(Reg::R0, XDP_DROP);
    asm.exit();
    asm.finish().expect("it is short")
}
