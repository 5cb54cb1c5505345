//! p4c's STF files: commands, packets and the packets that are expected.
//!
//! ```text
//! packet PORT BYTES
//! expect PORT [BYTES] [$]
//! check_counter COUNTER(CELL) packets|bytes COMPARISON NUMBER
//! ```
//! `*` is a digit that does not matter; `$` means that the packet ends there, without it more
//! bytes may follow. What leaves by a port that the file does not name is nobody's business.

use std::collections::BTreeSet;

use crate::dataplane::Operation;
use crate::p4info::Pipeline;

use super::golden::decode_hex;
use super::{Commands, CounterCheck, VectorError};

/// An STF file.
#[derive(Debug, Clone)]
pub struct Stf {
    /// What comes before the first packet.
    pub operations: Vec<Operation>,
    /// In order.
    pub packets: Vec<StfPacket>,
    /// In order for each port.
    pub expectations: Vec<Expectation>,
    /// In order.
    pub checks: Vec<StfCheck>,
    /// The ports at which packets enter or are expected.
    pub ports: BTreeSet<u32>,
}

/// A packet that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StfPacket {
    /// The line of the file, from 1.
    pub line: usize,
    /// Where it enters.
    pub port: u32,
    /// Its bytes.
    pub packet: Vec<u8>,
    /// What comes between the packet before it and this one.
    pub operations: Vec<Operation>,
}

/// What a counter has to hold at one place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StfCheck {
    /// The line of the file, from 1.
    pub line: usize,
    /// How many packets come before it.
    pub after: usize,
    /// What it has to hold.
    pub check: CounterCheck,
}

/// A packet that is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The line of the file, from 1.
    pub line: usize,
    /// Where it leaves.
    pub port: u32,
    /// What it is; `None` stands for any.
    pub pattern: Option<Pattern>,
}

/// What a packet has to look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Hexadecimal digits; `None` does not matter.
    pub digits: Vec<Option<u8>>,
    /// No more bytes may follow.
    pub ends: bool,
}

impl Pattern {
    /// Whether a packet looks like this.
    pub fn matches(&self, packet: &[u8]) -> bool {
        let digits: Vec<u8> = packet.iter().flat_map(|b| [b >> 4, b & 0xf]).collect();
        let long_enough = if self.ends {
            digits.len() == self.digits.len()
        } else {
            digits.len() >= self.digits.len()
        };
        long_enough
            && self
                .digits
                .iter()
                .zip(&digits)
                .all(|(want, have)| want.is_none_or(|w| w == *have))
    }
}

impl Stf {
    /// Reads an STF file of a pipeline.
    pub fn parse(text: &str, pipeline: &Pipeline) -> Result<Stf, VectorError> {
        let mut commands = Commands::new(pipeline);
        let mut stf = Stf {
            operations: Vec::new(),
            packets: Vec::new(),
            expectations: Vec::new(),
            checks: Vec::new(),
            ports: BTreeSet::new(),
        };
        for (index, full) in text.lines().enumerate() {
            let line = index + 1;
            let parsed = stf.read(
                &mut commands,
                line,
                full.split('#').next().unwrap_or_default(),
            );
            parsed.map_err(|problem| VectorError::Line {
                line,
                problem,
                text: full.to_owned(),
            })?;
        }
        if stf.packets.is_empty() {
            stf.operations = commands.finish();
        }
        Ok(stf)
    }

    fn read(&mut self, commands: &mut Commands, line: usize, text: &str) -> Result<(), String> {
        let text = text.trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match word.to_ascii_lowercase().as_str() {
            "" => {}
            "packet" => {
                let mut packet = packet(line, rest)?;
                let operations = match self.packets.is_empty() {
                    true => &mut self.operations,
                    false => &mut packet.operations,
                };
                *operations = commands.take();
                self.ports.insert(packet.port);
                self.packets.push(packet);
            }
            "expect" => {
                let expectation = expectation(line, rest)?;
                self.ports.insert(expectation.port);
                self.expectations.push(expectation);
            }
            "check_counter" => {
                let check = commands.check(rest)?;
                self.checks.extend(check.map(|check| StfCheck {
                    line,
                    after: self.packets.len(),
                    check,
                }));
            }
            _ => commands.add(text)?,
        }
        Ok(())
    }
}

fn split_port(rest: &str) -> Result<(u32, String), String> {
    let rest = rest.trim();
    let (port, bytes) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let port = port.parse().map_err(|e| format!("{port:?}: {e}"))?;
    Ok((port, bytes.split_whitespace().collect()))
}

fn packet(line: usize, rest: &str) -> Result<StfPacket, String> {
    let (port, hex) = split_port(rest)?;
    let packet = decode_hex(&hex).ok_or("an odd number of digits, or not hexadecimal")?;
    Ok(StfPacket {
        line,
        port,
        packet,
        operations: Vec::new(),
    })
}

fn expectation(line: usize, rest: &str) -> Result<Expectation, String> {
    let (port, text) = split_port(rest)?;
    let (digits, ends) = match text.strip_suffix('$') {
        Some(digits) => (digits, true),
        None => (text.as_str(), false),
    };
    let pattern = if text.is_empty() {
        None
    } else {
        let digits = digits
            .chars()
            .map(|c| match c {
                '*' => Ok(None),
                _ => c
                    .to_digit(16)
                    .map(|d| Some(d as u8))
                    .ok_or_else(|| format!("{c:?} is not a hexadecimal digit")),
            })
            .collect::<Result<_, _>>()?;
        Some(Pattern { digits, ends })
    };
    Ok(Expectation {
        line,
        port,
        pattern,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use crate::bmv2;
    use crate::dataplane::{CounterData, Operation};
    use crate::interpreter::Interpreter;
    use crate::p4info::parse_p4info;
    use crate::programs;

    use super::*;

    fn leaf_spine() -> Pipeline {
        let embedded = programs::embedded("leaf_spine").unwrap();
        let program = bmv2::read(embedded.bmv2_json).unwrap();
        let info = parse_p4info(embedded.p4info).unwrap();
        Pipeline::new(program.into(), &info).unwrap()
    }

    fn parse(text: &str) -> Stf {
        Stf::parse(text, &leaf_spine()).unwrap()
    }

    #[test]
    fn commands_belong_to_the_packet_that_follows() {
        let stf = parse(
            "mc_mgrp_create 1\nmc_node_create 5 3 2\nmc_node_associate 1 0\n\
             packet 0 00\nmirroring_add_mc 9 1\nwait\nPACKET 1 01\nmirroring_delete 9\npacket 0 02",
        );
        let replicas = |operation: &Operation| match operation {
            Operation::SetMulticastGroup { replicas, .. } => {
                replicas.iter().map(|r| r.port).collect()
            }
            Operation::SetCloneSession { clone, .. } => clone
                .iter()
                .flat_map(|clone| clone.replicas.iter().map(|r| r.port))
                .collect(),
            _ => Vec::new(),
        };
        let ports = |operations: &[Operation]| operations.iter().map(replicas).collect::<Vec<_>>();
        assert_eq!(ports(&stf.operations), [[2, 3]]);
        assert_eq!(ports(&stf.packets[1].operations), [[2, 3]]);
        assert_eq!(ports(&stf.packets[2].operations), [[0u32; 0]]);
        assert_eq!(stf.ports, BTreeSet::from([0, 1]));
    }

    #[test]
    fn a_check_of_a_named_entry_stands_between_packets() {
        let pipeline = leaf_spine();
        let text = "add egress_vlan vlan_id:10 egress_port:3 push_vlan() = A\npacket 0 00\n\
                    check_counter egress_vlan_counter($A) bytes > 0\npacket 0 00";
        let stf = Stf::parse(text, &pipeline).unwrap();
        let check = &stf.checks[0];
        assert_eq!((check.line, check.after), (3, 1));
        let switch = Interpreter::new(Arc::clone(&pipeline.program));
        for operation in &stf.operations {
            operation.apply(&switch).unwrap();
        }
        assert_eq!(check.check.unmet(&switch), Ok(Some(CounterData::default())));
    }
}
