//! Going on with a packet that another plane began.
//!
//! The program in the kernel runs most packets to their end. One that needs what it cannot do is
//! handed over where that is needed: its headers and metadata as they are then, what it asked for,
//! and the place to go on from. What the other plane has counted, metered or written is not done
//! again. Called by `pointsman-ebpf`; what a handoff looks like on its way is decided there.

use std::collections::VecDeque;
use std::time::Duration;

use num_bigint::BigUint;

use crate::dataplane::Bits;
use crate::ir::{ActionId, ControlKind, Node, TableId};

use super::flight::{Flight, Requests};
use super::phv::{HeaderState, Phv};
use super::{Machine, Output, Packet, action, control};

/// Where a packet goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// At the parser: nothing has been done.
    Parser,
    /// In one of the controls.
    Control(ControlKind, Step),
}

/// A place in a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Before a table or a branch.
    Node(Node),
    /// In an action that a table runs.
    Action {
        /// The table.
        table: TableId,
        /// Whether it hit.
        hit: bool,
        /// The action.
        action: ActionId,
        /// Its arguments.
        args: Vec<Bits>,
        /// Position of the first primitive that has not run.
        op: u32,
    },
    /// After everything: what was asked for is still to be done.
    End,
}

/// A header as it is at the handoff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderValues {
    /// Metadata are always valid.
    pub valid: bool,
    /// The bits of each field.
    pub fields: Vec<Bits>,
    /// Bits that the varbit field has, if there is one.
    pub varbit_width: u32,
}

/// A packet that another plane began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handoff {
    /// The packet as it came.
    pub packet: Packet,
    /// How many of its bytes were parsed.
    pub parsed_bytes: usize,
    /// What `packet_length` shows in egress.
    pub length: i64,
    /// By `HeaderId`.
    pub headers: Vec<HeaderValues>,
    /// How many elements of each stack are filled.
    pub stack_next: Vec<u32>,
    /// What the control asked for so far.
    pub requests: Requests,
    /// Where to go on.
    pub resume: Resume,
    /// The version of the other plane's tables that it went through.
    pub version: u32,
}

impl Machine {
    /// Takes a packet to its end.
    pub(super) fn resume(&mut self, handoff: Handoff, now: Duration) -> Vec<Output> {
        let (kind, step) = match &handoff.resume {
            Resume::Parser => return self.process(&handoff.packet, now),
            // What it did so far was by other tables: it has to see the ones or the others.
            _ if handoff.version != self.version => return self.process(&handoff.packet, now),
            Resume::Control(kind, step) => (*kind, step.clone()),
        };
        self.state.now = now;
        let mut flight = self.flight(&handoff);
        self.run_step(&mut flight, step);
        let mut work = VecDeque::new();
        let mut outputs = Vec::new();
        match kind {
            ControlKind::Ingress => {
                let Packet { port, bytes } = handoff.packet;
                self.end_of_ingress(flight, bytes, port, &mut work);
            }
            ControlKind::Egress => {
                let port = flight.phv.standard(Some(self.program.standard.egress_port));
                outputs.extend(self.end_of_egress(flight, port, &mut work));
            }
        }
        outputs.extend(self.run(work));
        outputs
    }

    /// Makes the clones and sends the digest that a packet at the end of a control asked for; the
    /// packet itself goes on in the other plane.
    pub(super) fn copies(&mut self, handoff: Handoff, now: Duration) -> Vec<Output> {
        self.state.now = now;
        let mut flight = self.flight(&handoff);
        let requests = std::mem::take(&mut flight.requests);
        let mut work = VecDeque::new();
        let Packet { port, bytes } = &handoff.packet;
        match handoff.resume {
            Resume::Control(ControlKind::Egress, _) => {
                self.copies_after_egress(&mut work, &flight, &requests);
            }
            _ => self.copies_after_ingress(&mut work, &flight, &requests, bytes, *port),
        }
        self.run(work)
    }

    fn flight(&self, handoff: &Handoff) -> Flight {
        let bytes = &handoff.packet.bytes;
        let headers = handoff.headers.iter().map(|header| HeaderState {
            valid: header.valid,
            fields: header.fields.iter().map(BigUint::from).collect(),
            varbit_width: header.varbit_width,
        });
        let mut flight = Flight::new(&self.program, bytes.len(), 0);
        flight.phv = Phv::from_parts(&self.program, headers.collect(), &handoff.stack_next);
        flight.payload = bytes
            .get(handoff.parsed_bytes..)
            .unwrap_or_default()
            .to_vec();
        flight.length = handoff.length;
        flight.requests = handoff.requests.clone();
        flight
    }

    /// Runs a control from a place in it to its end.
    fn run_step(&mut self, flight: &mut Flight, step: Step) {
        let program = self.program.clone();
        let next = match step {
            Step::End => None,
            Step::Node(node) => Some(node),
            Step::Action {
                table,
                hit,
                action,
                args,
                op,
            } => {
                let args: Vec<BigUint> = args.iter().map(BigUint::from).collect();
                let body = &program.actions[action.index()];
                let args = action::numbers(&args);
                action::run_from(&program, &mut self.state, flight, body, &args, op);
                program.tables[table.index()].next.after(hit, Some(action))
            }
        };
        control::run(&program, &mut self.state, flight, next);
    }
}
