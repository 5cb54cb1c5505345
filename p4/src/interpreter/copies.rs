//! Copies of a packet: those of clone sessions, and of replicas for their ports.

use std::collections::VecDeque;

use num_bigint::BigUint;

use crate::ir::{ControlKind, FieldListId, FieldRef, Program};

use super::flight::{Flight, Requests};
use super::switch::{Egress, MAX_ROUNDS, Work, keep, kept_fields};
use super::trace::{InstanceType, TraceStep};
use super::{Machine, parser};

/// The bits of a clone session's number that simple_switch keeps.
const SESSION_MASK: u32 = 0x7fff;

impl Machine {
    /// The clone and the digest that ingress asked for.
    pub(super) fn copies_after_ingress(
        &mut self,
        work: &mut VecDeque<Work>,
        flight: &Flight,
        requests: &Requests,
        bytes: &[u8],
        port: u32,
    ) {
        if let Some((session, fields)) = requests.clone {
            let kept = kept_fields(&self.program, flight, fields);
            self.clone_ingress(work, bytes, port, session, kept);
        }
        if let Some(list) = requests.digest {
            self.digest(flight, list);
        }
    }

    /// The clone that egress asked for.
    pub(super) fn copies_after_egress(
        &mut self,
        work: &mut VecDeque<Work>,
        flight: &Flight,
        requests: &Requests,
    ) {
        if let Some((session, fields)) = requests.clone {
            self.clone_egress(work, flight, session, fields);
        }
    }

    /// The packet is parsed again as it entered, its metadata reset, and the fields copied.
    fn clone_ingress(
        &mut self,
        work: &mut VecDeque<Work>,
        bytes: &[u8],
        port: u32,
        session: u32,
        kept: Vec<(FieldRef, BigUint)>,
    ) {
        let Some(clone) = self
            .state
            .clone_sessions
            .get(&(session & SESSION_MASK))
            .cloned()
        else {
            let control = ControlKind::Ingress;
            self.state.note(|| no_session(control, session));
            return;
        };
        let program = self.program.clone();
        let standard = &program.standard;
        let mut flight = Flight::new(&program, bytes.len(), 0);
        let phv = &mut flight.phv;
        phv.set_standard(&program, Some(standard.ingress_port), u64::from(port));
        let seen = self.state.steps();
        parser::parse(&program, &mut self.state, &mut flight, bytes);
        // As at the first time.
        self.state.forget_from(seen);
        flight.requests = Requests::default();
        flight.phv.reset_metadata(&program);
        keep(&program, &mut flight, &kept);
        let instance = InstanceType::IngressClone;
        flight
            .phv
            .set_standard(&program, standard.instance_type, instance as u64);
        limit(&mut flight, clone.packet_length_bytes);
        let before = work.len();
        for (port, rid) in self.state.active(&clone.replicas) {
            work.push_back(copy(&program, &flight, port, rid, instance));
        }
        self.state.note(|| TraceStep::Clone {
            control: ControlKind::Ingress,
            session,
            copies: Some(work.len() - before),
        });
    }

    /// The packet as it is now, its metadata reset, and the fields copied.
    fn clone_egress(
        &mut self,
        work: &mut VecDeque<Work>,
        original: &Flight,
        session: u32,
        fields: Option<FieldListId>,
    ) {
        let Some(clone) = self.state.clone_sessions.get(&(session & SESSION_MASK)) else {
            let control = ControlKind::Egress;
            self.state.note(|| no_session(control, session));
            return;
        };
        if original.rounds >= MAX_ROUNDS {
            self.state.anomalies.cut_off += 1;
            self.state.note(|| TraceStep::CutOff);
            return;
        }
        let program = &self.program;
        let kept = kept_fields(program, original, fields);
        let mut flight = original.clone();
        flight.rounds += 1;
        flight.truncate = None;
        flight.phv.reset_metadata(program);
        keep(program, &mut flight, &kept);
        let instance = InstanceType::EgressClone;
        flight
            .phv
            .set_standard(program, program.standard.instance_type, instance as u64);
        limit(&mut flight, clone.packet_length_bytes);
        let before = work.len();
        for (port, rid) in self.state.active(&clone.replicas) {
            work.push_back(copy(program, &flight, port, rid, instance));
        }
        self.state.note(|| TraceStep::Clone {
            control: ControlKind::Egress,
            session,
            copies: Some(work.len() - before),
        });
    }
}

/// A copy of a packet for one port.
pub(super) fn copy(
    program: &Program,
    flight: &Flight,
    port: u32,
    rid: u32,
    instance: InstanceType,
) -> Work {
    let mut flight = flight.clone();
    let field = program.standard.egress_rid;
    flight.phv.set_standard(program, field, u64::from(rid));
    Work::Egress(Egress {
        flight,
        port,
        rid,
        instance,
    })
}

/// Nothing is cloned.
fn no_session(control: ControlKind, session: u32) -> TraceStep {
    TraceStep::Clone {
        control,
        session,
        copies: None,
    }
}

fn limit(flight: &mut Flight, packet_length_bytes: u32) {
    if packet_length_bytes > 0 {
        flight.cut_to(packet_length_bytes as usize);
    }
}
