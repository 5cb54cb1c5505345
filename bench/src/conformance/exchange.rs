//! Packets with what is expected of them, read from STF and golden files alike.

use std::collections::VecDeque;
use std::time::Duration;

use pointsman_p4::dataplane::{DataPlane, DataPlaneError, Operation};
use pointsman_p4::interpreter::{Interpreter, Output, Packet};
use pointsman_p4::vectors::{Case, Expectation, Golden, Stf, StfCheck, VectorError};

use super::difference::Expected;
use super::find::{Kind, VectorFile};

/// What is in a file of packets.
pub struct Exchanges {
    /// To be done first.
    pub operations: Vec<Operation>,
    /// The controller's port, if there is one.
    pub cpu_port: Option<u32>,
    /// Ports at which packets were recorded; `None` is all of them.
    pub recorded: Option<Vec<u32>>,
    /// In the order in which they are sent.
    pub exchanges: Vec<Exchange>,
    /// What counters have to hold, in order.
    pub checks: Vec<StfCheck>,
}

/// A packet and what is expected of it.
pub struct Exchange {
    /// The line of the file, from 1.
    pub line: usize,
    /// To be done between the packet before it and this one.
    pub operations: Vec<Operation>,
    /// Where the packet enters.
    pub port: u32,
    /// The packet.
    pub packet: Vec<u8>,
    /// What leaves, sorted by port and in order within a port.
    pub expected: Vec<Expected>,
}

/// Why a file of packets cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It cannot be read.
    #[error(transparent)]
    Vectors(#[from] VectorError),
    /// An STF file expects packets and sends none.
    #[error("line {line}: a packet is expected, and none is sent")]
    NoPackets {
        /// The line of the first that is expected.
        line: usize,
    },
    /// What comes before the packets is refused.
    #[error("operation {index}: {error}")]
    Operation {
        /// Its position.
        index: usize,
        /// Why.
        error: DataPlaneError,
    },
}

/// Reads a file.
pub fn read(case: &Case, file: &VectorFile) -> Result<Exchanges, ExchangeError> {
    match file.kind {
        Kind::Stf => stf(case),
        Kind::Golden => Ok(golden(case, file)?),
        Kind::Load => Ok(Exchanges {
            operations: Vec::new(),
            cpu_port: None,
            recorded: None,
            exchanges: Vec::new(),
            checks: Vec::new(),
        }),
    }
}

/// An interpreter after the operations.
pub fn interpreter(case: &Case, operations: &[Operation]) -> Result<Interpreter, ExchangeError> {
    let interpreter = Interpreter::new(case.pipeline.program.clone());
    apply(&interpreter, operations)?;
    Ok(interpreter)
}

/// Does what is to be done, in order.
pub fn apply(plane: &dyn DataPlane, operations: &[Operation]) -> Result<(), ExchangeError> {
    for (index, operation) in operations.iter().enumerate() {
        let applied = operation.apply(plane);
        applied.map_err(|error| ExchangeError::Operation { index, error })?;
    }
    Ok(())
}

/// What leaves the interpreter, sorted by port.
pub fn interpret(interpreter: &mut Interpreter, port: u32, bytes: &[u8]) -> Vec<Output> {
    let packet = Packet {
        port,
        bytes: bytes.to_vec(),
    };
    let mut outputs = interpreter.process(&packet, Duration::ZERO);
    outputs.sort_by_key(|output| output.port);
    outputs
}

fn golden(case: &Case, file: &VectorFile) -> Result<Exchanges, VectorError> {
    let Golden {
        mut operations,
        cpu_port,
        mut ports,
        exchanges,
    } = case.golden(&file.path)?;
    if let Some(entries) = &file.entries {
        operations.extend(case.entries(entries)?);
    }
    ports.extend(cpu_port);
    let exchanges = exchanges.into_iter().map(|exchange| Exchange {
        line: exchange.line,
        operations: Vec::new(),
        port: exchange.port,
        packet: exchange.packet,
        expected: exchange.outputs.into_iter().map(|o| recorded(&o)).collect(),
    });
    Ok(Exchanges {
        operations,
        cpu_port,
        recorded: cpu_port.is_some().then_some(ports),
        exchanges: exchanges.collect(),
        checks: Vec::new(),
    })
}

fn recorded(output: &pointsman_p4::vectors::Output) -> Expected {
    let mut mask = output.mask.clone().unwrap_or_default();
    mask.resize(output.packet.len(), 0xff);
    Expected {
        port: output.port,
        bytes: output.packet.clone(),
        mask,
        ends: true,
        length: Some(output.packet.len()),
    }
}

/// An STF file has packets, and expectations in order for each port. Which packet an expectation
/// belongs to is what the interpreter makes of them: the next of its port for each packet that
/// leaves. An expectation that is left over belongs to the last packet.
fn stf(case: &Case) -> Result<Exchanges, ExchangeError> {
    let Stf {
        operations,
        packets,
        expectations,
        checks,
        ports,
    } = case.stf()?;
    let mut interpreter = interpreter(case, &operations)?;
    let mut waiting = VecDeque::from(expectations);
    let mut exchanges: Vec<Exchange> = Vec::new();
    for packet in packets {
        apply(&interpreter, &packet.operations)?;
        let outputs = interpret(&mut interpreter, packet.port, &packet.packet);
        let expected = outputs.iter().filter_map(|output| {
            let at = waiting.iter().position(|e| e.port == output.port)?;
            let expectation = waiting.remove(at)?;
            Some(Expected {
                length: Some(output.bytes.len()),
                ..pattern(&expectation)
            })
        });
        exchanges.push(Exchange {
            line: packet.line,
            operations: packet.operations,
            port: packet.port,
            expected: expected.collect(),
            packet: packet.packet,
        });
    }
    if let Some(first) = waiting.front() {
        let last = exchanges.last_mut();
        let last = last.ok_or(ExchangeError::NoPackets { line: first.line })?;
        last.expected.extend(waiting.iter().map(pattern));
        last.expected.sort_by_key(|expected| expected.port);
    }
    Ok(Exchanges {
        operations,
        cpu_port: None,
        recorded: Some(ports.into_iter().collect()),
        exchanges,
        checks,
    })
}

fn pattern(expectation: &Expectation) -> Expected {
    let (digits, ends) = match &expectation.pattern {
        Some(pattern) => (pattern.digits.as_slice(), pattern.ends),
        None => (&[][..], false),
    };
    let byte = |pair: &[Option<u8>], of: fn(Option<u8>) -> u8| {
        let low = pair.get(1).copied().flatten();
        of(pair[0]) << 4 | of(low)
    };
    let bytes = digits
        .chunks(2)
        .map(|pair| byte(pair, Option::unwrap_or_default));
    let mask = digits
        .chunks(2)
        .map(|pair| byte(pair, |d| if d.is_some() { 0xf } else { 0 }));
    Expected {
        port: expectation.port,
        bytes: bytes.collect(),
        mask: mask.collect(),
        ends,
        length: ends.then_some(digits.len().div_ceil(2)),
    }
}
