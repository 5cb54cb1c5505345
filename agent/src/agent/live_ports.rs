//! Fast repair: the data plane hears of a dead link before anybody else does.
//!
//! Selectors pass over members whose watched port is down, by a byte for each port that programs read.
//! That byte is set here, with no lock that a Write, a Read or a pipeline could hold; what else follows
//! from the event ([`Agent::link_event`](super::Agent::link_event)) waits for its turn.

use std::sync::{Arc, Mutex, PoisonError};

use crate::ports::{LinkEvent, Liveness, Turned};
use crate::target::PortLiveness;

/// The shell of [`Liveness`].
pub struct LivePorts {
    core: Mutex<Liveness>,
    data_plane: Arc<dyn PortLiveness>,
}

impl LivePorts {
    /// Of a data plane whose ports are all to be attached yet.
    pub fn new(data_plane: Arc<dyn PortLiveness>) -> LivePorts {
        LivePorts {
            core: Mutex::default(),
            data_plane,
        }
    }

    /// A link has changed.
    pub fn link_event(&self, event: &LinkEvent) {
        self.step(|core| core.link_event(event));
    }

    /// A port is attached to an interface, by the kernel's number.
    pub fn attached(&self, port: u32, index: u32) {
        self.step(|core| vec![core.attached(port, index)]);
    }

    /// A port has no interface: it is new, or lost it.
    pub fn detached(&self, port: u32) {
        self.step(|core| vec![core.detached(port)]);
    }

    /// The data plane is told with the lock held, so that it hears the last word last.
    fn step(&self, step: impl FnOnce(&mut Liveness) -> Vec<Turned>) {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        for Turned { port, up } in step(&mut core) {
            self.data_plane.set_port_up(port, up);
        }
    }
}
