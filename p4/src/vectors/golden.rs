//! `golden*.jsonl`: packets and the outputs that BMv2 gave for them.
//!
//! The first line says which ports there are, which commands came first, and, with P4Runtime
//! entries, the CPU port. Each further line is a packet with its outputs, sorted by port and
//! within a port in BMv2's order.

use serde::Deserialize;

use crate::dataplane::Operation;
use crate::p4info::Pipeline;

use super::{Commands, VectorError};

/// A golden file.
#[derive(Debug, Clone)]
pub struct Golden {
    /// What its commands do. Those of an `entries.txtpb` beside it are not among them.
    pub operations: Vec<Operation>,
    /// The port of the controller, if there is one.
    pub cpu_port: Option<u32>,
    /// The ports of the switch.
    pub ports: Vec<u32>,
    /// In the order in which they were sent.
    pub exchanges: Vec<Exchange>,
}

/// A packet and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The line of the file, from 1.
    pub line: usize,
    /// Where the packet entered.
    pub port: u32,
    /// The packet.
    pub packet: Vec<u8>,
    /// What left.
    pub outputs: Vec<Output>,
}

/// A packet that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where.
    pub port: u32,
    /// Its bytes.
    pub packet: Vec<u8>,
    /// Bits that count, as long as the packet; others depend on time.
    pub mask: Option<Vec<u8>>,
}

#[derive(Deserialize)]
struct RawHead {
    #[serde(default)]
    commands: Vec<String>,
    cpu_port: Option<u32>,
    ports: Vec<u32>,
}

#[derive(Deserialize)]
struct RawExchange {
    port: u32,
    packet: String,
    out: Vec<RawOutput>,
}

#[derive(Deserialize)]
struct RawOutput {
    port: u32,
    packet: String,
    mask: Option<String>,
}

impl Golden {
    /// Whether a packet that leaves here was recorded: with P4Runtime entries only the ports of
    /// the switch and of the controller were listened to.
    pub fn is_recorded(&self, port: u32) -> bool {
        self.cpu_port.is_none_or(|cpu| cpu == port) || self.ports.contains(&port)
    }

    /// Reads a golden file of a pipeline.
    pub fn parse(text: &str, pipeline: &Pipeline) -> Result<Golden, VectorError> {
        let mut lines = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty());
        let (_, first) = lines.next().ok_or_else(|| line_error(0, "", "no lines"))?;
        let head: RawHead = serde_json::from_str(first).map_err(|e| line_error(0, first, e))?;
        let mut commands = Commands::new(pipeline);
        for command in &head.commands {
            commands
                .add(command)
                .map_err(|e| line_error(0, command, e))?;
        }
        let mut exchanges = Vec::new();
        for (index, line) in lines {
            exchanges.push(exchange(index, line)?);
        }
        Ok(Golden {
            operations: commands.finish(),
            cpu_port: head.cpu_port,
            ports: head.ports,
            exchanges,
        })
    }
}

fn exchange(index: usize, line: &str) -> Result<Exchange, VectorError> {
    let raw: RawExchange = serde_json::from_str(line).map_err(|e| line_error(index, line, e))?;
    let bytes = |hex: &str| decode_hex(hex).ok_or_else(|| line_error(index, line, "bad hex"));
    let mut outputs = Vec::new();
    for output in &raw.out {
        outputs.push(Output {
            port: output.port,
            packet: bytes(&output.packet)?,
            mask: output.mask.as_deref().map(bytes).transpose()?,
        });
    }
    Ok(Exchange {
        line: index + 1,
        port: raw.port,
        packet: bytes(&raw.packet)?,
        outputs,
    })
}

impl Output {
    /// Whether a packet is this one, where it counts.
    pub fn matches(&self, port: u32, packet: &[u8]) -> bool {
        if self.port != port || self.packet.len() != packet.len() {
            return false;
        }
        match &self.mask {
            None => self.packet == packet,
            Some(mask) => self
                .packet
                .iter()
                .zip(packet)
                .zip(mask.iter().chain(std::iter::repeat(&0xff)))
                .all(|((a, b), m)| a & m == b & m),
        }
    }
}

fn line_error(index: usize, text: &str, problem: impl ToString) -> VectorError {
    VectorError::Line {
        line: index + 1,
        problem: problem.to_string(),
        text: text.to_owned(),
    }
}

/// Bytes of an even number of hexadecimal digits.
pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok())
        .collect()
}
