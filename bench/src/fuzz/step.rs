//! What a run does, one thing after the other.

use pointsman_p4::dataplane::{
    DataPlane, DataPlaneError, EntryKey, EntryRef, MeterConfig, Operation,
};
use pointsman_p4::ir::TableId;

/// One thing that a run does to both data planes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    Write(Operation),
    DirectMeter {
        entry: MeteredEntry,
        config: Option<MeterConfig>,
    },
    Port {
        port: u32,
        up: bool,
    },
    Packet {
        port: u32,
        bytes: Vec<u8>,
    },
}

/// Which entry's meter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MeteredEntry {
    Keyed(EntryKey),
    Default(TableId),
}

impl MeteredEntry {
    fn as_ref(&self) -> EntryRef<'_> {
        match self {
            MeteredEntry::Keyed(key) => EntryRef::Keyed(key),
            MeteredEntry::Default(table) => EntryRef::Default(*table),
        }
    }
}

impl Step {
    /// Makes the change to one data plane; a packet changes nothing here.
    pub fn apply(&self, data_plane: &dyn DataPlane) -> Result<(), DataPlaneError> {
        match self {
            Step::Write(operation) => operation.apply(data_plane),
            Step::DirectMeter { entry, config } => {
                data_plane.set_direct_meter(entry.as_ref(), *config)
            }
            Step::Port { port, up } => {
                data_plane.set_port_up(*port, *up);
                Ok(())
            }
            Step::Packet { .. } => Ok(()),
        }
    }
}
