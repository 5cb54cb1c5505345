//! Counters, meters, registers, hashes and checksums.

use num_bigint::BigUint;

use super::{Expr, FieldRef, HeaderId, SourceInfo, TableId};

/// A counter array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Its name in P4.
    pub name: String,
    /// The table whose entries it counts, if it is direct.
    pub table: Option<TableId>,
    /// Cells; for a direct counter those of its table.
    pub size: u32,
}

/// What a meter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeterUnit {
    /// Packets a second.
    Packets,
    /// Bytes a second.
    Bytes,
}

/// A meter array (two rates, three colours).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// Its name in P4.
    pub name: String,
    /// The table whose entries it meters, if it is direct.
    pub table: Option<TableId>,
    /// Direct only: where the colour goes.
    pub target: Option<FieldRef>,
    /// Cells; for a direct meter those of its table.
    pub size: u32,
    /// Packets or bytes.
    pub unit: MeterUnit,
}

/// A register array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Its name in P4.
    pub name: String,
    /// Bits of a cell.
    pub width: u32,
    /// Cells.
    pub size: u32,
}

/// The hash algorithms of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HashAlgorithm {
    /// CRC-16/ARC: reflected 0xA001, initial value 0.
    Crc16,
    Crc16Custom,
    /// CRC-32 (IEEE 802.3).
    Crc32,
    Crc32Custom,
    /// The internet checksum.
    Csum16,
    /// XOR of 16-bit words.
    Xor16,
    /// The input itself.
    Identity,
    /// What BMv2 calls its own hash: XXH64 with seed 0.
    Xxh64,
    /// Round robin over calls.
    RoundRobin,
    RoundRobinConsistent,
    /// TOEPLITZ with a key; not in simple_switch.
    Toeplitz,
}

/// A hash over fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calculation {
    /// Its name in the JSON.
    pub name: String,
    /// How.
    pub algorithm: HashAlgorithm,
    /// Over what: concatenated bit by bit.
    pub input: Vec<CalculationInput>,
    /// The line of the call.
    pub source: SourceInfo,
}

/// One input of a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalculationInput {
    /// A field with its own width (a varbit field with its current one).
    Field(FieldRef),
    /// A whole header, if it is valid.
    Header(HeaderId),
    /// The bytes that the parser left over.
    Payload,
    /// A constant.
    Const {
        /// The value.
        value: BigUint,
        /// Bits.
        width: u32,
    },
    /// An expression, with the width it is cut to.
    Expr {
        /// The value.
        value: Expr,
        /// Bits.
        width: u32,
    },
}

/// A checksum that is verified after the parser or updated before the deparser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Its name in the JSON.
    pub name: String,
    /// The checksum field.
    pub target: FieldRef,
    /// Over what.
    pub calculation: super::CalculationId,
    /// Sets `checksum_error` if the field differs.
    pub verify: bool,
    /// Writes the field.
    pub update: bool,
    /// Only if this holds.
    pub condition: Option<Expr>,
    /// The line of the call.
    pub source: SourceInfo,
}

/// Fields that a clone, resubmit or recirculate keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldList {
    /// Its name in the JSON.
    pub name: String,
    /// In order.
    pub fields: Vec<Expr>,
}

/// What is in a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnList {
    /// Its name in P4.
    pub name: String,
    /// Value and width, in order.
    pub elements: Vec<(Expr, u32)>,
}
