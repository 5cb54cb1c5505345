//! `check_counter`: what a counter has to hold.
//!
//! ```text
//! check_counter COUNTER(INDEX) packets == NUMBER
//! check_counter COUNTER($NAME) bytes >= NUMBER
//! ```
//! `$NAME` is the entry that `add ... = NAME` named. Bytes are met with or without the four of each
//! frame's check sequence: p4c's files have them from a switch that counts it, and BMv2 does not.

use std::collections::BTreeMap;

use crate::dataplane::{CounterData, DataPlane, DataPlaneError, EntryKey};
use crate::ir::{CounterId, Program};

use super::value::number;
use super::{Parsed, cells};

/// Bytes of Ethernet's frame check sequence.
const CHECK_SEQUENCE_BYTES: u64 = 4;

/// What a counter has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterCheck {
    cell: Cell,
    unit: Unit,
    comparison: Comparison,
    number: u64,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Index(CounterId, u32),
    Entry(EntryKey),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Packets,
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Reads what follows `check_counter`.
pub(super) fn read(
    program: &Program,
    named: &BTreeMap<String, EntryKey>,
    text: &str,
) -> Parsed<Option<CounterCheck>> {
    let (name, rest) = text.split_once('(').ok_or("expected COUNTER(INDEX)")?;
    let (cell, condition) = rest.split_once(')').ok_or("expected COUNTER(INDEX)")?;
    let counter = cells::counter(program, name.trim())?;
    let (cell, condition) = (cell.trim(), condition.trim());
    let cell = match cell
        .strip_prefix('$')
        .or(named.get_key_value(cell).map(|_| cell))
    {
        Some(name) => {
            let key = named.get(name);
            Cell::Entry(
                key.ok_or_else(|| format!("no entry is named {name:?}"))?
                    .clone(),
            )
        }
        None => Cell::Index(counter, number(cell)?),
    };
    let words: Vec<&str> = condition.split_whitespace().collect();
    let [unit, comparison, wanted] = words[..] else {
        return match words.is_empty() {
            true => Ok(None),
            false => Err("expected packets or bytes, a comparison and a number".to_owned()),
        };
    };
    Ok(Some(CounterCheck {
        cell,
        unit: match unit.to_ascii_lowercase().as_str() {
            "packets" => Unit::Packets,
            "bytes" => Unit::Bytes,
            other => return Err(format!("{other:?} is neither packets nor bytes")),
        },
        comparison: match comparison {
            "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Greater,
            ">=" => Comparison::AtLeast,
            other => return Err(format!("{other:?} is not a comparison")),
        },
        number: number(wanted)?.into(),
        text: text.trim().to_owned(),
    }))
}

impl CounterCheck {
    /// The condition as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is about bytes.
    pub fn counts_bytes(&self) -> bool {
        self.unit == Unit::Bytes
    }

    /// What the counter holds in a data plane, if that is not what it has to.
    ///
    /// # Errors
    /// The data plane cannot tell.
    pub fn unmet(&self, plane: &dyn DataPlane) -> Result<Option<CounterData>, DataPlaneError> {
        let data = match &self.cell {
            Cell::Index(counter, index) => plane.counter(*counter, *index)?,
            Cell::Entry(key) => plane.direct_counter(key.into())?,
        };
        let met = match self.unit {
            Unit::Packets => self.is_met_by(data.packets),
            Unit::Bytes => {
                let with_check_sequences = data.bytes + CHECK_SEQUENCE_BYTES * data.packets;
                self.is_met_by(data.bytes) || self.is_met_by(with_check_sequences)
            }
        };
        Ok((!met).then_some(data))
    }

    fn is_met_by(&self, counted: u64) -> bool {
        match self.comparison {
            Comparison::Equal => counted == self.number,
            Comparison::NotEqual => counted != self.number,
            Comparison::Less => counted < self.number,
            Comparison::AtMost => counted <= self.number,
            Comparison::Greater => counted > self.number,
            Comparison::AtLeast => counted >= self.number,
        }
    }
}
