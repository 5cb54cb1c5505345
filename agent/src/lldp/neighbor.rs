//! Neighbours as others see them.

use super::{Capabilities, Fingerprint, Id};

/// Who a neighbour is. Agents of the cluster go by what they sign, all others by what they say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NeighborId {
    /// A port of an agent of this cluster.
    Cluster {
        /// Its device.
        device_id: u64,
        /// Its port.
        port: u32,
    },
    /// Anybody else.
    Foreign {
        /// Who.
        chassis: Id,
        /// By which port.
        port: Id,
    },
}

/// Whether frames go both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It is heard, and has not had the time to say that it hears us.
    Pending,
    /// It says that it hears us.
    TwoWay,
    /// It is heard, and does not hear us.
    OneWay,
}

/// What a neighbour is to this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighborKind {
    /// An agent of it.
    Cluster {
        /// Whether its frames were signed with a key that is secret.
        is_authenticated: bool,
        /// Its boot.
        boot: u64,
        /// Whether it hears us.
        direction: Direction,
    },
    /// None of it.
    Foreign {
        /// The cluster that it is of, if it says so.
        cluster: Option<Fingerprint>,
    },
}

/// Somebody at the other end of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// Our port.
    pub local_port: u32,
    /// Who it is.
    pub id: NeighborId,
    /// What it is to us.
    pub kind: NeighborKind,
    /// How it calls itself.
    pub chassis: Id,
    /// How it calls its port.
    pub port: Id,
    /// Empty if it is not told.
    pub port_description: String,
    /// Empty if it is not told.
    pub system_name: String,
    /// Empty if it is not told.
    pub system_description: String,
    /// If told.
    pub capabilities: Option<Capabilities>,
}

impl Neighbor {
    /// Whether it is an agent of the cluster that hears us as we hear it.
    pub fn is_two_way(&self) -> bool {
        matches!(
            self.kind,
            NeighborKind::Cluster {
                direction: Direction::TwoWay,
                ..
            }
        )
    }
}
