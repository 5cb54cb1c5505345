//! The seam to whatever forwards packets. Everything above it is the same for every kind of switch.
//!
//! | target | what it is |
//! |---|---|
//! | [`xdp`] | programs in the kernel, on Linux interfaces |
//! | [`interpreter`] | the reference interpreter, on packet sockets or in memory, for tests and teaching |
//!
//! A target runs one program at a time and owns the ports. It knows nothing of P4Runtime,
//! objectives or files; [`crate::switch`] calls it, under the agent's one lock.

pub mod interpreter;
mod packet_socket;
pub mod xdp;

use std::sync::Arc;

use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::ir::Program;
use thiserror::Error;

use crate::switch::UpdateError;

/// The port through which packets go to and come from the controller: v1model programs of
/// this project and of ONOS use it.
pub const DEFAULT_CPU_PORT: u32 = 255;

/// Puts entries into a data plane that does not forward yet.
pub type Fill<'f> = dyn FnMut(&dyn DataPlane) -> Result<(), UpdateError> + 'f;

/// What forwards packets.
pub trait Target: Send {
    /// `xdp` or `interpreter`.
    fn kind(&self) -> &'static str;

    /// Would `load` take this program? Changes nothing.
    fn verify(&self, program: &Program) -> Result<(), TargetError>;

    /// Makes a data plane for a program, with the entries that the program declares, lets
    /// `fill` add to it, and forwards with it from then on. If anything fails, what was
    /// loaded before goes on.
    fn load(&mut self, program: Arc<Program>, fill: &mut Fill<'_>) -> Result<(), TargetError>;

    /// The data plane of the program that is loaded.
    fn plane(&self) -> Option<&dyn DataPlane>;

    /// Starts to receive on and send to an interface.
    fn attach(&mut self, port: u32, interface: &Interface) -> Result<Attachment, TargetError>;

    /// Stops.
    fn detach(&mut self, port: u32);

    /// Tells whether a port can carry packets, now and for programs loaded later.
    fn set_port_up(&mut self, port: u32, up: bool);

    /// Takes a packet in at the CPU port, controller header and all.
    fn packet_out(&mut self, packet: &[u8]) -> Result<(), TargetError>;

    /// Packets that did not take the fast path since start.
    fn slow_path_packets(&self) -> u64;

    /// What of the program that is loaded takes the slow path. A target that has only one path
    /// says nothing.
    fn slow_path(&self) -> Vec<SlowPathUse> {
        Vec::new()
    }
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
