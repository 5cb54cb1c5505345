//! The packet replication engine: multicast groups and clone sessions.

pub use crate::dataplane::Replica;

/// How P4Runtime writes the port of a replica, or a port that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortForm {
    /// As bytes.
    #[default]
    Bytes,
    /// As a number, which is deprecated; clients that write it so compare it so.
    Number,
}

/// A multicast group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MulticastGroup {
    /// Its id, from 1.
    pub id: u32,
    /// The copies it makes; no two are equal.
    pub replicas: Vec<Replica>,
    /// How the replicas' ports were written, and are read.
    pub ports: PortForm,
    /// Echoed on Read.
    pub metadata: Vec<u8>,
}

/// A clone session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneSession {
    /// Its id, from 1.
    pub id: u32,
    /// The copies it makes; no two are equal.
    pub replicas: Vec<Replica>,
    /// How the replicas' ports were written, and are read.
    pub ports: PortForm,
    /// Echoed on Read.
    pub class_of_service: u32,
    /// The clone is cut to this many bytes; 0 does not cut.
    pub packet_length_bytes: u32,
}

impl MulticastGroup {
    /// A group with nothing but its id, to be deleted or found.
    pub fn of_id(id: u32) -> MulticastGroup {
        MulticastGroup {
            id,
            replicas: Vec::new(),
            ports: PortForm::default(),
            metadata: Vec::new(),
        }
    }
}

impl CloneSession {
    /// A session with nothing but its id, to be deleted or found.
    pub fn of_id(id: u32) -> CloneSession {
        CloneSession {
            id,
            replicas: Vec::new(),
            ports: PortForm::default(),
            class_of_service: 0,
            packet_length_bytes: 0,
        }
    }
}
