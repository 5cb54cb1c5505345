//! Cells of counters, meters and registers, and parser value sets.

use crate::dataplane::{Bits, ColorCounts, CounterData, MeterConfig};
use crate::ir::{CounterId, MeterId, RegisterId, ValueSetId};

use super::EntryName;

/// A cell of an indirect counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterCell {
    /// The counter.
    pub counter: CounterId,
    /// Which cell; `None` is every cell.
    pub index: Option<u32>,
    /// What it is set to; `None` leaves it alone.
    pub data: Option<CounterData>,
}

/// A cell of an indirect meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterCell {
    /// The meter.
    pub meter: MeterId,
    /// Which cell; `None` is every cell.
    pub index: Option<u32>,
    /// `None` makes it always green.
    pub config: Option<MeterConfig>,
    /// What its colours are set to; `None` leaves them alone.
    pub counts: Option<ColorCounts>,
}

/// The direct meter of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectMeter {
    /// Which entry.
    pub entry: EntryName,
    /// `None` makes it always green.
    pub config: Option<MeterConfig>,
    /// What its colours are set to; `None` leaves them alone.
    pub counts: Option<ColorCounts>,
}

/// A cell of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterCell {
    /// The register.
    pub register: RegisterId,
    /// Which cell; `None` is every cell.
    pub index: Option<u32>,
    /// What it is set to.
    pub value: Bits,
}

/// The members of a parser value set, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueSet {
    /// The set.
    pub set: ValueSetId,
    /// Its members.
    pub members: Vec<Bits>,
}
