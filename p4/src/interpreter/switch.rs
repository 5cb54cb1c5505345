//! The way of a packet through the switch: parser, ingress, traffic manager, egress, deparser.
//!
//! What BMv2's simple_switch does between the controls, in its order: at the end of ingress clone,
//! digest, resubmit, multicast, drop, unicast; at the end of egress clone, drop, recirculate.

use std::collections::VecDeque;
use std::time::Duration;

use num_bigint::{BigInt, BigUint};

use crate::dataplane::Bits;
use crate::ir::{ControlKind, Expr, FieldListId, FieldRef, LearnListId, Program};

use super::action::DROP_PORT;
use super::copies::copy;
use super::eval::Eval;
use super::flight::Flight;
use super::phv::truncate;
use super::trace::{InstanceType, TraceStep};
use super::{Digest, MAX_DIGESTS, Machine, Output, Packet, control, parser};

/// How often one packet and its copies start over before they are dropped.
pub(super) const MAX_ROUNDS: u32 = 32;
/// How many passes through a control one packet and its copies get before the rest is dropped.
const MAX_PASSES: usize = 1 << 14;

/// A packet that waits for one of the controls.
pub(super) enum Work {
    Ingress(Ingress),
    Egress(Egress),
}

/// A packet before the parser.
pub(super) struct Ingress {
    bytes: Vec<u8>,
    /// What its metadata start as.
    metadata: Metadata,
    rounds: u32,
}

/// A packet behind the traffic manager.
pub(super) struct Egress {
    pub(super) flight: Flight,
    pub(super) port: u32,
    /// Which copy for that port.
    pub(super) rid: u32,
    pub(super) instance: InstanceType,
}

/// The metadata of a packet that enters the parser or is cloned.
struct Metadata {
    instance: InstanceType,
    /// Fields that were kept.
    kept: Vec<(FieldRef, BigUint)>,
    /// First time only: the port and the time.
    arrival: Option<u32>,
}

impl Machine {
    /// Runs a packet through the switch. Outputs are in the order in which they leave.
    ///
    /// `now` is the time since the switch started; it must not run backwards.
    pub(super) fn process(&mut self, packet: &Packet, now: Duration) -> Vec<Output> {
        self.state.now = now;
        self.run(VecDeque::from([Work::Ingress(Ingress {
            bytes: packet.bytes.clone(),
            metadata: Metadata {
                instance: InstanceType::Normal,
                kept: Vec::new(),
                arrival: Some(packet.port),
            },
            rounds: 0,
        })]))
    }

    pub(super) fn run(&mut self, mut work: VecDeque<Work>) -> Vec<Output> {
        let mut outputs = Vec::new();
        for _ in 0..MAX_PASSES {
            match work.pop_front() {
                None => return outputs,
                Some(Work::Ingress(ingress)) => self.ingress(ingress, &mut work),
                Some(Work::Egress(egress)) => outputs.extend(self.egress(egress, &mut work)),
            }
        }
        self.state.note(|| TraceStep::CutOff);
        tracing::warn!("a packet made too many copies; the rest was dropped");
        outputs
    }

    fn ingress(&mut self, ingress: Ingress, work: &mut VecDeque<Work>) {
        let program = self.program.clone();
        let standard = &program.standard;
        let Ingress {
            bytes,
            metadata,
            rounds,
        } = ingress;
        let mut flight = Flight::new(&program, bytes.len(), rounds);
        flight
            .phv
            .set_standard(&program, standard.instance_type, metadata.instance as u64);
        flight
            .phv
            .set_standard(&program, standard.packet_length, bytes.len() as u64);
        if let Some(port) = metadata.arrival {
            let micros = self.state.now.as_micros() as u64;
            let phv = &mut flight.phv;
            phv.set_standard(&program, Some(standard.ingress_port), u64::from(port));
            phv.set_standard(&program, standard.ingress_global_timestamp, micros);
        }
        keep(&program, &mut flight, &metadata.kept);
        let port = flight.phv.standard(Some(standard.ingress_port));
        self.state.note(|| TraceStep::Ingress {
            port,
            instance: metadata.instance,
            length: bytes.len(),
        });
        self.parse(&mut flight, &bytes);
        let start = program.ingress.start;
        control::run(&program, &mut self.state, &mut flight, start);
        self.end_of_ingress(flight, bytes, port, work);
    }

    /// The traffic manager. `bytes` is the packet as it came in by `port`.
    pub(super) fn end_of_ingress(
        &mut self,
        mut flight: Flight,
        bytes: Vec<u8>,
        port: u32,
        work: &mut VecDeque<Work>,
    ) {
        let program = self.program.clone();
        let standard = &program.standard;
        let requests = std::mem::take(&mut flight.requests);
        self.copies_after_ingress(work, &flight, &requests, &bytes, port);
        if let Some(fields) = requests.resubmit {
            let kept = kept_fields(&program, &flight, fields);
            let instance = InstanceType::Resubmitted;
            self.state.note(|| TraceStep::Resubmitted);
            self.start_over(work, bytes, instance, kept, flight.rounds);
            return;
        }
        let group = flight.phv.standard(standard.mcast_grp);
        if group != 0 {
            let instance = InstanceType::Replicated;
            flight
                .phv
                .set_standard(&program, standard.instance_type, instance as u64);
            flight.truncate = None;
            let replicas = self.state.multicast_groups.get(&group);
            let before = work.len();
            for (port, rid) in self.state.active(replicas.into_iter().flatten()) {
                work.push_back(copy(&program, &flight, port, rid, instance));
            }
            let copies = replicas.map(|_| work.len() - before);
            self.state.note(|| TraceStep::Multicast { group, copies });
            return;
        }
        let port = flight.phv.standard(Some(standard.egress_spec));
        if port == DROP_PORT {
            self.state.note(|| TraceStep::Dropped(ControlKind::Ingress));
            return;
        }
        let instance = InstanceType::Normal;
        flight
            .phv
            .set_standard(&program, standard.instance_type, instance as u64);
        work.push_back(Work::Egress(Egress {
            flight,
            port,
            rid: 0,
            instance,
        }));
    }

    fn egress(&mut self, egress: Egress, work: &mut VecDeque<Work>) -> Option<Output> {
        let Egress {
            mut flight,
            port,
            rid,
            instance,
        } = egress;
        self.state.note(|| TraceStep::Egress {
            port,
            rid,
            instance,
        });
        let program = self.program.clone();
        let standard = &program.standard;
        let micros = self.state.now.as_micros() as u64;
        let length = u64::try_from(flight.length).unwrap_or_default();
        let phv = &mut flight.phv;
        phv.set_standard(&program, standard.enq_timestamp, micros);
        phv.set_standard(&program, standard.egress_global_timestamp, micros);
        phv.set_standard(&program, Some(standard.egress_port), u64::from(port));
        // BMv2 stores the drop port plus one, of which nine bits are left.
        phv.set_standard(
            &program,
            Some(standard.egress_spec),
            u64::from(DROP_PORT) + 1,
        );
        phv.set_standard(&program, standard.packet_length, length);
        let start = program.egress.start;
        control::run(&program, &mut self.state, &mut flight, start);
        self.end_of_egress(flight, port, work)
    }

    /// Clone, drop, deparse, recirculate.
    pub(super) fn end_of_egress(
        &mut self,
        mut flight: Flight,
        port: u32,
        work: &mut VecDeque<Work>,
    ) -> Option<Output> {
        let program = self.program.clone();
        let standard = &program.standard;
        let requests = std::mem::take(&mut flight.requests);
        self.copies_after_egress(work, &flight, &requests);
        if flight.phv.standard(Some(standard.egress_spec)) == DROP_PORT {
            self.state.note(|| TraceStep::Dropped(ControlKind::Egress));
            return None;
        }
        control::update_checksums(&program, &mut self.state, &mut flight);
        let mut bytes = flight.deparse(&program);
        if let Some(fields) = requests.recirculate {
            let kept = kept_fields(&program, &flight, fields);
            let instance = InstanceType::Recirculated;
            self.state.note(|| TraceStep::Recirculated);
            self.start_over(work, bytes, instance, kept, flight.rounds);
            return None;
        }
        bytes.truncate(flight.truncate.unwrap_or(usize::MAX));
        let output = Output { port, bytes };
        self.state.note(|| TraceStep::Sent(output.clone()));
        Some(output)
    }

    /// Parses a packet and tells the program how that went.
    fn parse(&mut self, flight: &mut Flight, bytes: &[u8]) {
        let program = self.program.clone();
        let error = parser::parse(&program, &mut self.state, flight, bytes);
        let checksum = control::checksum_error(&program, &mut self.state, flight);
        if checksum {
            self.state.note(|| TraceStep::ChecksumError);
        }
        let standard = &program.standard;
        flight
            .phv
            .set_standard(&program, standard.parser_error, u64::from(error));
        flight
            .phv
            .set_standard(&program, standard.checksum_error, u64::from(checksum));
    }

    fn start_over(
        &mut self,
        work: &mut VecDeque<Work>,
        bytes: Vec<u8>,
        instance: InstanceType,
        kept: Vec<(FieldRef, BigUint)>,
        rounds: u32,
    ) {
        if rounds >= MAX_ROUNDS {
            self.state.anomalies.cut_off += 1;
            self.state.note(|| TraceStep::CutOff);
            return;
        }
        work.push_back(Work::Ingress(Ingress {
            bytes,
            metadata: Metadata {
                instance,
                kept,
                arrival: None,
            },
            rounds: rounds + 1,
        }));
    }

    pub(super) fn digest(&mut self, flight: &Flight, list: LearnListId) {
        if self.digests.len() >= MAX_DIGESTS && !self.state.is_trial() {
            self.state.anomalies.lost_digests += 1;
            return;
        }
        let eval = Eval {
            program: &self.program,
            phv: &flight.phv,
            args: &[],
            ahead: &[],
        };
        let elements = &self.program.learn_lists[list.index()].elements;
        let values = elements
            .iter()
            .map(|(value, width)| Bits::from(&truncate(&eval.value(value), *width)))
            .collect();
        match self.state.is_trial() {
            true => self.state.note(|| TraceStep::Digest { list, values }),
            false => self.digests.push(Digest { list, values }),
        }
    }
}

/// The fields that a list names, as they are now.
pub(super) fn kept_fields(
    program: &Program,
    flight: &Flight,
    fields: Option<FieldListId>,
) -> Vec<(FieldRef, BigUint)> {
    let list = fields.map(|id| program.field_lists[id.index()].fields.as_slice());
    list.unwrap_or_default()
        .iter()
        .filter_map(|field| match field {
            Expr::Field(field) => Some((*field, flight.phv.get(*field).clone())),
            _ => None,
        })
        .collect()
}

pub(super) fn keep(program: &Program, flight: &mut Flight, kept: &[(FieldRef, BigUint)]) {
    for (field, value) in kept {
        flight
            .phv
            .set(program, *field, &BigInt::from(value.clone()));
    }
}
