//! p4c's STF files: commands, packets and the packets that are expected.
//!
//! ```text
//! packet PORT BYTES
//! expect PORT [BYTES] [$]
//! ```
//! `*` is a digit that does not matter; `$` means that the packet ends there, without it more
//! bytes may follow.

use crate::dataplane::Operation;
use crate::p4info::Pipeline;

use super::golden::decode_hex;
use super::{Commands, VectorError};

/// An STF file.
#[derive(Debug, Clone)]
pub struct Stf {
    /// What its commands do; all come before the packets.
    pub operations: Vec<Operation>,
    /// In order.
    pub packets: Vec<StfPacket>,
    /// In order for each port.
    pub expectations: Vec<Expectation>,
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
        let mut packets = Vec::new();
        let mut expectations = Vec::new();
        for (index, full) in text.lines().enumerate() {
            let line = full.split('#').next().unwrap_or_default().trim();
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let parsed = match word {
                "" => Ok(()),
                "packet" => packet(index + 1, rest).map(|p| packets.push(p)),
                "expect" => expectation(index + 1, rest).map(|e| expectations.push(e)),
                _ => commands.add(line),
            };
            parsed.map_err(|problem| VectorError::Line {
                line: index + 1,
                problem,
                text: full.to_owned(),
            })?;
        }
        Ok(Stf {
            operations: commands.finish(),
            packets,
            expectations,
        })
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
    Ok(StfPacket { line, port, packet })
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
