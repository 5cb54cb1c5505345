//! A switch that outlives its agent, and how the next agent takes it over.
//!
//! Ports and the pipeline that forwards are taken as they are found, and nothing of them is changed, so that an
//! agent that cannot start leaves behind what forwards. Then the new agent makes its own pipeline beside the
//! one that runs ([`prepare_next`](Switch::prepare_next)), fills it from what it knows, and
//! [activates](Switch::activate) it: one slot of a program array changes, and no packet is lost. At last
//! [`settle`](Switch::settle) takes away what is not wanted any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pointsman_p4::ir;

use crate::compile::Options;
use crate::pipeline::{Pipeline, PipelineError};
use crate::plane::Plane;
use crate::sys::{Program, ProgramKind};

use super::pins::{PinDirectory, PinError};
use super::ports::MAX_PORTS;
use super::shared::Shared;
use super::{AttachedPort, Switch, SwitchError, root_code};

/// What runs when an agent starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The interfaces that are ports, by port.
    pub ports: BTreeMap<u32, u32>,
    /// Whether a pipeline forwards.
    pub forwards: bool,
}

/// Something that ran and is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// A port, which is an ordinary interface again.
    Port {
        /// Its number.
        port: u32,
        /// The kernel's number of its interface.
        interface: u32,
    },
    /// A pipeline, and there is none now.
    Pipeline,
}

impl Switch {
    /// A switch in a directory of a BPF file system: the one that is there, or a new one. It goes on
    /// without this process.
    pub fn pinned(options: Options, pins: PinDirectory) -> Result<Switch, SwitchError> {
        let is_there = pins.is_complete()?;
        let shared = Shared::in_directory(pins)?;
        let pins = shared.pins().expect("it is in a directory");
        let mut root = Program::load(ProgramKind::Xdp, "pointsman", &root_code(&shared))?;
        if is_there {
            // The same instructions are no reason to touch the links.
            root =
                pinned_program(pins, |found| found.tag().ok() == root.tag().ok()).unwrap_or(root);
        } else {
            root.pin(&pins.shared("program"))?;
            shared.pin(pins)?;
        }
        let current = root.id()?;
        let mut ports = HashMap::new();
        for found in pins.links()?.into_iter().filter(|f| f.port < MAX_PORTS) {
            let outdated = found.program != current;
            if outdated {
                // It may come from maps of another layout; these know nothing of it yet.
                let interface = found.interface;
                shared.devmap.set(found.port, &interface.to_ne_bytes())?;
                shared.ports.set_interface(interface, Some(found.port));
            }
            let port = AttachedPort {
                interface: found.interface,
                link: found.link,
                outdated,
            };
            ports.insert(found.port, port);
        }
        let running = shared.root.leads_to()?;
        let running = running.map(|program| pins.running(program)).transpose()?;
        Ok(Switch {
            shared: Arc::new(shared),
            root: Arc::new(root),
            options,
            plane: None,
            running: running.flatten(),
            ports,
        })
    }

    /// What another process has left running.
    pub fn found(&self) -> Found {
        let ports = self.ports.iter();
        Found {
            ports: ports.map(|(port, a)| (*port, a.interface)).collect(),
            forwards: self.running.is_some(),
        }
    }

    /// As [`prepare`](Switch::prepare); if another process's pipeline forwards, and has counters, meters and
    /// registers that mean the same, the new one goes on with them.
    pub fn prepare_next(&self, program: Arc<ir::Program>) -> Result<Plane, PipelineError> {
        let (shared, running) = (Arc::clone(&self.shared), self.running.as_ref());
        Pipeline::after(running, program, shared, self.options).map(Plane::new)
    }

    /// The pipeline and these ports (the interface of each) are all that there should be. Returns what else
    /// there was, and is not any more.
    pub fn settle(&mut self, wanted: &BTreeMap<u32, u32>) -> Result<Vec<Unwanted>, SwitchError> {
        let mut unwanted = Vec::new();
        let found = self.found();
        for (port, interface) in found.ports {
            if wanted.get(&port) != Some(&interface) {
                self.detach(port)?;
                unwanted.push(Unwanted::Port { port, interface });
            }
        }
        if self.plane.is_none() && self.running.take().is_some() {
            self.shared.root.clear()?;
            unwanted.push(Unwanted::Pipeline);
        }
        self.update_links()?;
        self.forget_interfaces()?;
        if let Some(pins) = self.shared.pins() {
            pins.remove_other_layouts()?;
            if self.plane.is_none() {
                pins.keep_pipeline(None)?;
            }
        }
        Ok(unwanted)
    }

    fn update_links(&mut self) -> Result<(), SwitchError> {
        for (port, attached) in &mut self.ports {
            if attached.outdated {
                attached.link.update(&self.root)?;
                attached.outdated = false;
                tracing::info!(port, "a port is taken over from another version");
            }
        }
        let Some(pins) = self.shared.pins() else {
            return Ok(());
        };
        match pinned_program(pins, |found| found.id().ok() == self.root.id().ok()) {
            Some(_) => Ok(()),
            None => Ok(pins.rename_program(&self.root)?),
        }
    }

    /// An agent that was killed while it attached or detached a port may have left what programs are told
    /// about it.
    fn forget_interfaces(&self) -> Result<(), PinError> {
        let told: Vec<_> = self.shared.ports.interfaces().collect();
        for (interface, port) in told {
            let attached = self.ports.get(&port);
            if attached.is_none_or(|attached| attached.interface != interface) {
                self.shared.ports.set_interface(interface, None);
            }
            if attached.is_none() {
                self.shared.devmap.remove(port)?;
            }
        }
        Ok(())
    }
}

/// The root program that has a name, if it is the right one.
fn pinned_program(pins: &PinDirectory, is_right: impl Fn(&Program) -> bool) -> Option<Program> {
    let program = Program::open(&pins.shared("program")).ok()?;
    is_right(&program).then_some(program)
}
