//! What would happen to a packet: the answer of [`Agent`]'s RPC `Trace`.
//!
//! The reference interpreter follows the packet through what is installed ([`Target::trace`](crate::target::Target::trace))
//! and tells steps in the numbers of the program. Here they get names, and entries the objectives that they belong to:
//! [`passes`] makes messages of the steps, [`ends`] says in a sentence each what becomes of the packet and its copies.
//! All of it is done with the store locked for reading, so that no write comes between the steps and the names.

mod ends;
mod passes;

use std::collections::BTreeSet;

use pointsman_model::PortRef;
use pointsman_p4::interpreter::{Packet, Trace, TraceStep};
use pointsman_p4::ir::{ActionProfileId, Program};
use pointsman_proto::pointsman::agent::v1 as pb;
use thiserror::Error;

use crate::agent::{Agent, State};
use crate::entity::{CloneSession, Entity, MulticastGroup, TableEntry};
use crate::ports::PortError;
use crate::schema::Schema;
use crate::switch::View;
use crate::target::TargetError;

/// What an Ethernet frame has at least.
const MIN_BYTES: usize = 14;
/// What no port carries.
const MAX_BYTES: usize = 1 << 16;

/// Why a packet is not followed.
#[derive(Debug, Error)]
pub(super) enum TraceError {
    /// It is no packet.
    #[error(
        "the packet has {0} bytes; one with its Ethernet header has {MIN_BYTES} to {MAX_BYTES}"
    )]
    Length(usize),
    /// There is no port of that name.
    #[error(transparent)]
    Port(#[from] PortError),
    /// There is nothing to go through.
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// Where names come from.
pub(super) struct Names<'a> {
    state: &'a State,
    view: &'a View<'a>,
    program: &'a Program,
    schema: &'a Schema,
}

/// Follows a packet that comes in by a port.
pub(super) fn trace(
    agent: &Agent,
    port: &PortRef,
    bytes: Vec<u8>,
) -> Result<pb::TraceResponse, TraceError> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&bytes.len()) {
        return Err(TraceError::Length(bytes.len()));
    }
    let state = agent.shared();
    let view = state.switch.view_all().ok_or(TargetError::NoPipeline)?;
    let port = match port {
        PortRef::Number(number) => *number,
        PortRef::Name(name) => state.ports.by_name(name)?.number,
    };
    let packet = Packet { port, bytes };
    let trace = state.switch.trace(&packet)?;
    let names = Names {
        state: &state,
        view: &view,
        program: &view.pipeline.program,
        schema: &view.pipeline.schema,
    };
    Ok(names.answer(&packet, &trace))
}

impl Names<'_> {
    fn answer(&self, packet: &Packet, trace: &Trace) -> pb::TraceResponse {
        pb::TraceResponse {
            target: self.state.switch.target().kind().to_owned(),
            pipeline: self.schema.name.clone(),
            port: Some(self.port(packet.port)),
            packet_bytes: u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX),
            passes: passes::passes(self, trace),
            ends: ends::ends(self, trace),
            assumptions: self.assumptions(packet, trace),
        }
    }

    /// What the answer rests on that may be otherwise.
    fn assumptions(&self, packet: &Packet, trace: &Trace) -> Vec<String> {
        let mut assumptions = Vec::new();
        let target = self.state.switch.target();
        if target.local().is_some_and(|l| l.takes(&packet.bytes)) {
            assumptions.push(
                "the agent takes such frames itself, so that the pipeline does not see them; this is what it would do"
                    .to_owned(),
            );
        }
        let is_cpu = packet.port == self.state.ports.cpu_port();
        if !is_cpu && self.has_ports() && self.state.ports.by_number(packet.port).is_err() {
            assumptions.push(format!(
                "port {} is none of this switch, so that no packet comes in there",
                packet.port
            ));
        }
        if target.relay().is_some() {
            assumptions.push(
                "what the switch behind this agent was told is followed here: registers are as they were last read, and \
                 all ports up"
                    .to_owned(),
            );
        }
        let meters: BTreeSet<&str> = trace.steps.iter().filter_map(|s| self.meter(s)).collect();
        if !meters.is_empty() {
            let meters = meters.into_iter().collect::<Vec<_>>().join(", ");
            assumptions.push(format!(
                "meters count it as green without being asked: {meters}"
            ));
        }
        let has = |wanted: fn(&TraceStep) -> bool| trace.steps.iter().any(wanted);
        if has(|step| matches!(step, TraceStep::RegisterWrite { .. })) {
            assumptions.push("what it would write into registers is not written".to_owned());
        }
        if has(|step| matches!(step, TraceStep::Digest { .. })) {
            assumptions.push("the digest is not sent".to_owned());
        }
        if has(|step| matches!(step, TraceStep::Random)) {
            assumptions.push("it draws random numbers: the next one may go another way".to_owned());
        }
        if trace.is_cut {
            assumptions.push("there were more steps than are shown".to_owned());
        }
        assumptions
    }

    fn meter(&self, step: &TraceStep) -> Option<&str> {
        match step {
            TraceStep::Metered { meter, .. } => Some(&self.program.meters[meter.index()].name),
            _ => None,
        }
    }

    /// Whether the ports of the switch are known here at all.
    fn has_ports(&self) -> bool {
        self.state.ports.iter().next().is_some()
    }

    fn port(&self, number: u32) -> pb::TracePort {
        let port = self.state.ports.by_number(number).ok();
        pb::TracePort {
            number,
            name: port.map(|port| port.name.clone()).unwrap_or_default(),
            up: port.is_some_and(|port| port.is_up()),
            is_cpu: number == self.state.ports.cpu_port(),
        }
    }

    /// A port in words: `port 3 (swp3)`.
    fn port_text(&self, number: u32) -> String {
        match self.state.ports.by_number(number) {
            Ok(port) if port.name != number.to_string() => format!("port {number} ({})", port.name),
            _ => format!("port {number}"),
        }
    }

    fn owners(&self, entity: &Entity) -> Vec<pb::TraceObjective> {
        let owners = self.state.objectives.owners(entity);
        let owners = owners.map(|id| pb::TraceObjective {
            kind: pointsman_proto::pointsman::objective::v1::Kind::from(id.kind).into(),
            name: id.name.to_string(),
        });
        owners.collect()
    }

    /// ` of forward/a, forward/b`, or nothing.
    fn owners_text(&self, entity: &Entity) -> String {
        let owners = self.state.objectives.owners(entity);
        let owners = owners.map(|id| format!("{}/{}", id.kind, id.name));
        let owners: Vec<String> = owners.collect();
        match owners.as_slice() {
            [] => String::new(),
            owners => format!(" of {}", owners.join(", ")),
        }
    }

    /// Whether groups of a profile are made by the switch for entries: their numbers are nobody's who wrote them.
    fn is_one_shot(&self, profile: ActionProfileId) -> bool {
        self.view.store.profile(profile).one_shots.users > 0
    }

    fn multicast_group(&self, group: u32) -> String {
        let entity = Entity::MulticastGroup(MulticastGroup::of_id(group));
        format!("multicast group {group}{}", self.owners_text(&entity))
    }

    fn clone_session(&self, session: u32) -> String {
        let entity = Entity::CloneSession(CloneSession::of_id(session));
        format!("clone session {session}{}", self.owners_text(&entity))
    }

    fn entry(&self, key: &pointsman_p4::dataplane::EntryKey) -> Entity {
        Entity::TableEntry(TableEntry::of_key(key.clone()))
    }
}
