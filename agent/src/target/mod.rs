//! The seam to whatever forwards packets. Everything above it is the same for every kind of switch.
//!
//! | target | what it is |
//! |---|---|
//! | [`xdp`] | programs in the kernel, on Linux interfaces |
//! | [`interpreter`] | the reference interpreter, on packet sockets or in memory, for tests and teaching |
//! | [`p4runtime`] | a switch that speaks P4Runtime itself: BMv2, Stratum |
//! | [`store_only`] | entries without packets: pipelines that have no device config, or are not committed |
//!
//! A target runs one program at a time and owns the ports. It knows nothing of P4Runtime,
//! objectives or files; [`crate::switch`] calls it. What changes it needs it alone; its data plane and
//! [`PacketOut`] are used by many at once.

pub mod interpreter;
mod learnt;
mod local;
mod offloads;
pub mod p4runtime;
mod packet_socket;
pub mod relay;
mod ring;
pub mod store_only;
pub mod xdp;

use std::collections::BTreeSet;
use std::sync::Arc;

use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::{Packet, Trace};
use thiserror::Error;

use self::relay::Relay;
use crate::switch::{Pipeline, UpdateError};

pub use learnt::{LEARNT_QUEUE, Learnt};
pub use local::{LOCAL_QUEUE, Local};

/// The port through which packets go to and come from the controller: v1model programs of
/// this project and of ONOS use it.
pub const DEFAULT_CPU_PORT: u32 = 255;

/// Puts entries into a data plane that does not forward yet.
pub type Fill<'f> = dyn FnMut(&dyn DataPlane) -> Result<(), UpdateError> + 'f;

/// What a target takes as `p4_device_config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceConfig {
    /// What p4c makes for BMv2.
    Bmv2Json,
    /// Whatever the switch behind the target takes.
    Opaque,
}

/// What forwards packets.
pub trait Target: Send + Sync {
    /// `xdp` or `interpreter`.
    fn kind(&self) -> &'static str;

    /// What pipelines for it consist of.
    fn device_config(&self) -> DeviceConfig {
        DeviceConfig::Bmv2Json
    }

    /// The side that takes batches, of a target whose switch is another process.
    fn relay(&self) -> Option<Arc<dyn Relay>> {
        None
    }

    /// Would `load` take this pipeline? Changes nothing.
    fn verify(&self, pipeline: &Pipeline) -> Result<(), TargetError>;

    /// Makes a data plane for a pipeline, with the entries that its program declares, lets
    /// `fill` add to it, and forwards with it from then on. If anything fails, what was
    /// loaded before goes on.
    fn load(&mut self, pipeline: &Pipeline, fill: &mut Fill<'_>) -> Result<(), TargetError>;

    /// Forwards nothing from now on, until the next `load`.
    fn unload(&mut self) -> Result<(), TargetError>;

    /// What the packet replication engine holds; `None` if that is not known here.
    fn multicast_limits(&self) -> Option<MulticastLimits> {
        Some(MulticastLimits::V1MODEL)
    }

    /// The data plane of the program that is loaded.
    fn plane(&self) -> Option<&dyn DataPlane>;

    /// The ports that another process has left attached; the target has them as they are.
    fn found_ports(&self) -> BTreeSet<u32> {
        BTreeSet::new()
    }

    /// All that is saved is restored, and these are the ports, with the names of their interfaces. What another
    /// process has left that is not wanted is taken down.
    fn settle(&mut self, _ports: &[(u32, String)]) -> Result<(), TargetError> {
        Ok(())
    }

    /// Starts to receive on and send to an interface.
    fn attach(&mut self, port: u32, interface: &Interface) -> Result<Attachment, TargetError>;

    /// Stops.
    fn detach(&mut self, port: u32);

    /// By which it is told which ports can carry packets.
    fn liveness(&self) -> Arc<dyn PortLiveness> {
        Arc::new(NoPorts)
    }

    /// The way of the agent's own frames; `None` if the ports are elsewhere.
    fn local(&self) -> Option<Arc<dyn Local>> {
        None
    }

    /// By which packets from controllers go in.
    fn packet_out(&self) -> Arc<dyn PacketOut>;

    /// What would happen to a packet that came now. It is not sent, and nothing counts or remembers it.
    fn trace(&self, _packet: &Packet) -> Result<Trace, TargetError> {
        Err(TargetError::NoProgram)
    }

    /// Packets that did not take the fast path since start.
    fn slow_path_packets(&self) -> u64;

    /// Packets that were to come to the agent and did not.
    fn losses(&self) -> Vec<Loss> {
        Vec::new()
    }

    /// What of the program that is loaded takes the slow path. A target that has only one path
    /// says nothing.
    fn slow_path(&self) -> Vec<SlowPathUse> {
        Vec::new()
    }
}

/// Whether ports can carry packets, for groups that watch them. It waits for nothing but a packet.
pub trait PortLiveness: Send + Sync {
    /// Tells of a port, for the program that runs and for those that are loaded later. Ports start up.
    fn set_port_up(&self, port: u32, up: bool);
}

/// Of a target without ports of its own.
struct NoPorts;

impl PortLiveness for NoPorts {
    fn set_port_up(&self, _port: u32, _up: bool) {}
}

/// The CPU port's other end. It waits for nothing but other packets.
pub trait PacketOut: Send + Sync {
    /// Takes a packet in at the CPU port, controller header and all.
    fn send(&self, packet: &[u8]) -> Result<(), TargetError>;
}

/// Something whose packets take the slow path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowPathUse {
    /// A construct of the program, or a limit that packets can exceed.
    pub what: String,
    /// Its place in the P4 source; empty if it has none.
    pub source: String,
    /// What the fast path can do instead; empty if that is nothing the program could change.
    pub fast: String,
    /// Packets that left the fast path there, since the program was loaded.
    pub packets: u64,
}

/// Packets that are lost to the agent or to those behind it, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// A word for programs.
    pub reason: &'static str,
    /// What it means, and what could be changed.
    pub what: &'static str,
    /// How many, since start.
    pub packets: u64,
}

/// How much multicast a target promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MulticastLimits {
    /// Groups.
    pub groups: u32,
    /// Replicas of all groups together.
    pub replicas: u32,
    /// Replicas of one group.
    pub replicas_per_group: u32,
}

impl MulticastLimits {
    /// v1model names groups with 16 bits, of which 0 is none; replicas are memory of the agent.
    pub const V1MODEL: MulticastLimits = MulticastLimits {
        groups: u16::MAX as u32,
        replicas: 1 << 20,
        replicas_per_group: 1 << 16,
    };
}

/// A Linux interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
}

/// How packets reach the pipeline from an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// XDP in the driver.
    Native,
    /// XDP after the socket buffer is made.
    Generic,
    /// No XDP.
    None,
}

impl Attachment {
    /// As status displays say it.
    pub fn name(self) -> &'static str {
        match self {
            Attachment::Native => "native",
            Attachment::Generic => "generic",
            Attachment::None => "none",
        }
    }
}

/// Why a target refuses.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The program uses something that this target lacks.
    #[error("{0}")]
    Unsupported(String),
    /// An entry that the new program should start with was refused.
    #[error(transparent)]
    Entry(#[from] UpdateError),
    /// No program is loaded.
    #[error("no pipeline is loaded")]
    NoPipeline,
    /// The switch is in another process, and away.
    #[error("{0}")]
    Away(String),
    /// It does not take what is stored.
    #[error(transparent)]
    Relay(#[from] relay::RelayError),
    /// The pipeline is a p4info without a program.
    #[error(
        "the pipeline was set without a device config: entries are stored, but there is no program to send \
         packets through; set the pipeline with its p4_device_config"
    )]
    NoProgram,
    /// The switch behind the target runs something that only it understands.
    #[error(
        "the device config is none that can be read here (BMv2 JSON can): the switch behind this agent runs it, and          what it does with packets only that switch knows"
    )]
    Opaque,
    /// An interface cannot be attached.
    #[error("port {port}: interface {interface}: {reason}")]
    Attach {
        /// The P4 port number.
        port: u32,
        /// The interface.
        interface: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The system refuses.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// The system's error.
        error: String,
    },
}
