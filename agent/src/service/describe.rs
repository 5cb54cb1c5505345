//! The agent's state as its service shows it.

use pointsman_ebpf::sys::Driver;
use pointsman_p4::dataplane::{CounterData, EntryRef};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::OperState;
use pointsman_proto::pointsman::objective::v1 as objective;
use pointsman_proto::pointsman::objective::v1::State;

use super::drift;
use crate::agent::Agent;
use crate::arbitration::RoleName;
use crate::entity::{Entity, TableEntry};
use crate::ports::{Link, Port, PortState};
use crate::switch::View;
use crate::target::{Loss, SlowPathUse, Target};

/// The agent at a glance.
pub(super) fn status(agent: &Agent) -> pb::AgentStatus {
    let state = agent.shared();
    let identity = &agent.identity;
    let pipeline = state.switch.pipeline();
    let count = |wanted| small(state.objectives.count(wanted));
    let master = agent.mastership.primary(&RoleName::default());
    pb::AgentStatus {
        device_id: identity.device_id,
        name: identity.name.clone(),
        boot_id: identity.boot_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        target: state.switch.target().kind().to_owned(),
        pipeline: pipeline.map(|p| p.schema.name.clone()).unwrap_or_default(),
        pipeline_cookie: pipeline.and_then(|p| p.source.cookie).unwrap_or(0),
        uptime_seconds: identity.started.elapsed().as_secs(),
        objectives_applied: count(State::Applied),
        objectives_pending: count(State::Pending),
        objectives_failed: count(State::Failed),
        objectives_degraded: small(state.objectives.degraded()),
        ports_up: small(state.ports.iter().filter(|port| port.is_up()).count()),
        ports_total: small(state.ports.iter().count()),
        revision: state.objectives.revision,
        master: master
            .and_then(|stream| agent.streams.controller(stream))
            .unwrap_or_default(),
        slow_path_packets: state.switch.target().slow_path_packets(),
        slow_path: state
            .switch
            .target()
            .slow_path()
            .into_iter()
            .map(slow_path_use)
            .collect(),
        losses: losses(agent, state.switch.target()),
        objectives_drifted: small(state.objectives.count_drifted()),
        repairs: state.drifting.repaired,
        drift_policy: state.drifting.policy.to_string(),
        updates_written: state.switch.updates_written(),
    }
}

/// What was lost, but for reasons of which there was nothing.
fn losses(agent: &Agent, target: &dyn Target) -> Vec<pb::Loss> {
    let digests = Loss {
        reason: "digest-unread",
        what: "digests that no controller was told: there was none, or it did not read or \
               acknowledge them in time",
        packets: agent.notices.lost(),
    };
    let local = target.local();
    let losses = target.losses().into_iter();
    let losses = losses.chain(agent.packet_io.losses()).chain([digests]);
    let losses = losses.chain(agent.discovery.losses(local.as_deref()));
    let losses = losses.chain(agent.reactive.losses(local.as_deref()));
    losses
        .filter(|loss| loss.packets > 0)
        .map(|loss| pb::Loss {
            reason: loss.reason.to_owned(),
            what: loss.what.to_owned(),
            packets: loss.packets,
        })
        .collect()
}

fn slow_path_use(slow: SlowPathUse) -> pb::SlowPathUse {
    pb::SlowPathUse {
        what: slow.what,
        source: slow.source,
        fast: slow.fast,
        packets: slow.packets,
    }
}

/// All ports; `links` has their counters.
pub(super) fn ports(agent: &Agent, links: &[Link]) -> Vec<pb::Port> {
    let state = agent.shared();
    state.ports.iter().map(|p| port(p, links)).collect()
}

fn port(port: &Port, links: &[Link]) -> pb::Port {
    let fresh = links.iter().find(|link| link.name == port.interface);
    let link = fresh.or(port.link.as_ref());
    let counters = link.map(|link| link.counters).unwrap_or_default();
    let oper_state = match &port.state {
        PortState::NoInterface | PortState::Refused(_) => OperState::Unavailable,
        PortState::Attached(_) if port.is_up() => OperState::Up,
        PortState::Attached(_) => OperState::Down,
    };
    let attachment = match &port.state {
        PortState::Attached(attachment) => attachment.name(),
        PortState::NoInterface | PortState::Refused(_) => "none",
    };
    let driver = link.and_then(|_| Driver::of(&port.interface).ok());
    let driver = driver.as_ref();
    pb::Port {
        number: port.number,
        name: port.name.clone(),
        interface: port.interface.clone(),
        oper_state: oper_state.into(),
        mac: link.map(|link| link.mac.clone()).unwrap_or_default(),
        mtu: link.map_or(0, |link| link.mtu),
        rx_packets: counters.rx_packets,
        rx_bytes: counters.rx_bytes,
        tx_packets: counters.tx_packets,
        tx_bytes: counters.tx_bytes,
        xdp_mode: attachment.to_owned(),
        message: port.message(),
        admin_up: link.is_some_and(|link| link.admin_up),
        speed_mbps: driver.and_then(|d| d.speed().ok()?).unwrap_or(0),
        driver: driver.and_then(|d| d.name().ok()).unwrap_or_default(),
        rx_errors: counters.rx_errors,
        rx_dropped: counters.rx_dropped,
        tx_errors: counters.tx_errors,
        tx_dropped: counters.tx_dropped,
    }
}

/// All tables, with their entries as text if asked for.
pub(super) fn tables(agent: &Agent, with_entries: bool) -> Vec<pb::Table> {
    let state = agent.shared();
    let Some(view) = state.switch.view_all() else {
        return Vec::new();
    };
    let schema = &view.pipeline.schema;
    let tables = schema.tables.iter().map(|table| {
        let occupancy = view.plane.occupancy(table.table);
        let entries = view.store.table(table.table).entries.iter();
        let text = entries.map(|(key, stored)| {
            let entry = TableEntry::new(key.clone(), stored.action.clone());
            schema.describe(&Entity::TableEntry(entry))
        });
        pb::Table {
            name: table.name.clone(),
            id: table.id,
            entries: occupancy.entries,
            capacity: occupancy.capacity,
            structure: occupancy.structure.to_owned(),
            entry_text: if with_entries {
                text.collect()
            } else {
                Vec::new()
            },
        }
    });
    tables.collect()
}

/// All objectives, with their entries as text if asked for.
pub(super) fn objectives(agent: &Agent, with_entries: bool) -> pb::ListObjectivesResponse {
    let state = agent.shared();
    let schema = state.switch.pipeline().map(|p| p.schema.clone());
    let objectives = state.objectives.iter().map(|wanted| {
        let id = wanted.objective.id();
        let entities = state.objectives.entities(&id);
        let (entries, drift) = match &schema {
            Some(schema) if with_entries => (
                entities.iter().map(|e| schema.describe(e)).collect(),
                drift::of_objective(agent, &state, schema, &id),
            ),
            _ => Default::default(),
        };
        objective::ObjectiveStatus {
            objective: Some((&wanted.objective).into()),
            status: Some((&wanted.status).into()),
            entries,
            drift,
            counts: Vec::new(),
            counted: None,
        }
    });
    let mut objectives: Vec<_> = objectives.collect();
    // What a switch in another process counts is not asked for.
    if with_entries
        && state.switch.relay().is_none()
        && let Some(view) = state.switch.view_all()
    {
        for (answer, wanted) in objectives.iter_mut().zip(state.objectives.iter()) {
            let id = wanted.objective.id();
            answer.counts = counts(&view, state.objectives.entities(&id));
            answer.counted = state.objectives.counted(&id).map(|(name, entities)| {
                let all = entities
                    .into_iter()
                    .filter_map(|entity| count(&view, entity));
                let all = all.fold(CounterData::default(), |one, other| one + other);
                objective::Counted {
                    name: name.to_string(),
                    packets: all.packets,
                    bytes: all.bytes,
                }
            });
        }
    }
    pb::ListObjectivesResponse {
        objectives,
        revision: state.objectives.revision,
    }
}

/// What those entries have counted whose tables count.
fn counts(view: &View<'_>, entities: &[Entity]) -> Vec<objective::EntryCount> {
    let count = |(index, entity): (usize, &Entity)| {
        let counted = count(view, entity)?;
        Some(objective::EntryCount {
            entry: small(index),
            packets: counted.packets,
            bytes: counted.bytes,
        })
    };
    entities.iter().enumerate().filter_map(count).collect()
}

/// What an entry has counted, if its table counts.
fn count(view: &View<'_>, entity: &Entity) -> Option<CounterData> {
    let Entity::TableEntry(entry) = entity else {
        return None;
    };
    view.pipeline
        .schema
        .table_of(entry.key.table)?
        .direct_counter?;
    let counted = view.plane.direct_counter(EntryRef::Keyed(&entry.key));
    counted.ok()
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
