//! What a run does, one thing after the other.

use pointsman_p4::dataplane::{
    Bits, CounterData, DataPlane, DataPlaneError, EntryKey, MeterConfig, Operation,
};
use pointsman_p4::ir::{CounterId, MeterId, RegisterId};

/// One thing that a run does to both data planes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    Write(Operation),
    Register {
        register: RegisterId,
        index: u32,
        value: Bits,
    },
    Counter {
        counter: CounterId,
        index: u32,
        data: CounterData,
    },
    Meter {
        meter: MeterId,
        index: u32,
        config: Option<MeterConfig>,
    },
    DirectMeter {
        key: EntryKey,
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

impl Step {
    /// Makes the change to one data plane; a packet changes nothing here.
    pub fn apply(&self, data_plane: &mut dyn DataPlane) -> Result<(), DataPlaneError> {
        match self {
            Step::Write(operation) => operation.apply(data_plane),
            Step::Register {
                register,
                index,
                value,
            } => data_plane.set_register(*register, *index, value),
            Step::Counter {
                counter,
                index,
                data,
            } => data_plane.set_counter(*counter, *index, *data),
            Step::Meter {
                meter,
                index,
                config,
            } => data_plane.set_meter(*meter, *index, *config),
            Step::DirectMeter { key, config } => data_plane.set_direct_meter(key, *config),
            Step::Port { port, up } => {
                data_plane.set_port_up(*port, *up);
                Ok(())
            }
            Step::Packet { .. } => Ok(()),
        }
    }
}
