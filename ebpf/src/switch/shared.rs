//! What all pipelines of a switch share.

use crate::front::Front;
use crate::sys::{Map, MapKind, SysError};

use super::pins::{PinDirectory, PinError};
use super::ports::{MAX_PORTS, Ports};
use super::root::Root;

const EVENT_BUFFER_BYTES: u32 = 4 << 20;

/// What all pipelines of a switch share.
#[derive(Debug)]
pub struct Shared {
    /// Liveness and interfaces.
    pub ports: Ports,
    /// Where frames leave, by port.
    pub devmap: Map,
    /// Packets for the agent, see [`crate::compile::event`].
    pub events: Map,
    /// The way into the pipeline.
    pub root: Root,
    /// Frames that the agent looks at before the pipeline, or in its place.
    pub front: Front,
    cpus: u32,
    pins: Option<PinDirectory>,
}

impl Shared {
    /// Creates the maps, which go with this process.
    pub fn new() -> Result<Shared, SysError> {
        Ok(Shared {
            ports: Ports::new()?,
            devmap: Map::create(MapKind::DevMap, "egress", 4, MAX_PORTS)?,
            events: Map::create(MapKind::RingBuffer, "events", EVENT_BUFFER_BYTES, 1)?,
            root: Root::new()?,
            front: Front::new()?,
            cpus: cpus(),
            pins: None,
        })
    }

    /// Opens the maps of a directory, or creates them there if there are none. They outlive this process
    /// once [`pin`](Shared::pin) is called.
    pub(super) fn in_directory(pins: PinDirectory) -> Result<Shared, PinError> {
        let shared = match pins.is_complete()? {
            true => Shared::open(&pins)?,
            false => Shared::new()?,
        };
        Ok(Shared {
            pins: Some(pins),
            ..shared
        })
    }

    fn open(pins: &PinDirectory) -> Result<Shared, SysError> {
        let (egress, events) = (pins.shared("egress"), pins.shared("events"));
        Ok(Shared {
            ports: Ports::open(&pins.shared("ports"))?,
            devmap: Map::open(MapKind::DevMap, "egress", 4, MAX_PORTS, &egress)?,
            events: Map::open(
                MapKind::RingBuffer,
                "events",
                EVENT_BUFFER_BYTES,
                1,
                &events,
            )?,
            root: Root::open(&pins.shared("root"))?,
            front: Front::open(
                &pins.shared("front"),
                &pins.shared("local"),
                &pins.shared("stations"),
            )?,
            cpus: cpus(),
            pins: None,
        })
    }

    /// Gives the maps their names.
    pub(super) fn pin(&self, pins: &PinDirectory) -> Result<(), SysError> {
        self.ports.map().pin(&pins.shared("ports"))?;
        self.devmap.pin(&pins.shared("egress"))?;
        self.events.pin(&pins.shared("events"))?;
        self.front.pin(
            &pins.shared("front"),
            &pins.shared("local"),
            &pins.shared("stations"),
        )?;
        self.root.pin(&pins.shared("root"))
    }

    /// Where what outlives the agent has names, if anything does.
    pub fn pins(&self) -> Option<&PinDirectory> {
        self.pins.as_ref()
    }

    /// CPUs, rounded up to a power of two.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }
}

fn cpus() -> u32 {
    crate::sys::possible_cpus().next_power_of_two()
}
