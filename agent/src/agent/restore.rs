//! Saved state to a running agent, and back to a snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::pointsman::agent::v1::{StatePipeline, StatePort, StateRecord};
use pointsman_proto::pointsman::objective::v1 as pb;
use thiserror::Error;

use super::kept_drift::from_saved;
use super::objective::PipelinerState;
use super::{DriftPolicy, Drifting, LivePorts, State};
use crate::arbitration::{Arbitration, Bounds, Kept, RoleName};
use crate::entity::Update;
use crate::objectives::{KeptDrift, Objectives, PersistError, Realised, Wanted};
use crate::p4runtime::decode::{self, DecodeError};
use crate::p4runtime::role;
use crate::ports::{Origin, PortSpec, Ports};
use crate::schema::Presentation;
use crate::switch::{Pipeline, PipelineError, PipelineSource, Switch};
use crate::target::{Target, TargetError};

/// Why saved state is not taken up.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The pipeline cannot be read.
    #[error("the {which} pipeline: {error}")]
    Pipeline {
        /// Saved or configured.
        which: &'static str,
        /// Why.
        error: PipelineError,
    },
    /// The target does not take it.
    #[error("the {which} pipeline: {error}")]
    Target {
        /// Saved or configured.
        which: &'static str,
        /// Why.
        error: TargetError,
    },
    /// What was running cannot be made what is wanted.
    #[error(transparent)]
    Settle(#[from] TargetError),
    /// A saved entry is not one of the saved pipeline.
    #[error("a saved entry: {0}")]
    Entry(#[from] DecodeError),
    /// A saved objective makes no sense.
    #[error(transparent)]
    Objective(#[from] PersistError),
}

/// What an agent starts with.
pub struct Start {
    /// How many streams and roles there may be.
    pub bounds: Bounds,
    /// P4Runtime's `device_id`.
    pub device_id: u64,
    /// What forwards.
    pub target: Box<dyn Target>,
    /// The configured ports.
    pub ports: Ports,
    /// The pipeline to use if none is saved.
    pub pipeline: Option<PipelineSource>,
    /// How the switch shows itself to controllers.
    pub presentation: Presentation,
    /// What becomes of what clients write to entries of objectives.
    pub drift: DriftPolicy,
}

/// The sum of all records.
#[derive(Default)]
struct Saved {
    pipeline: Option<StatePipeline>,
    updates: Vec<p4::Update>,
    draft: Option<(StatePipeline, Vec<p4::Update>)>,
    elections: BTreeMap<RoleName, Kept>,
    objectives: Objectives,
    realised: Realised,
    ports: BTreeMap<u32, StatePort>,
}

impl Saved {
    fn read(records: Vec<StateRecord>) -> Result<Saved, PersistError> {
        let mut saved = Saved::default();
        for record in records {
            if let Some(pipeline) = record.pipeline {
                saved.pipeline = Some(pipeline);
                saved.updates.clear();
                saved.realised.forget_drifts();
                saved.draft = None;
            }
            saved.updates.extend(record.updates);
            if let Some(pipeline) = record.saved {
                saved.draft = Some((pipeline, Vec::new()));
            }
            if let Some((_, updates)) = &mut saved.draft {
                updates.extend(record.saved_updates);
            }
            for election in record.elections {
                let kept = role::from_saved(election);
                saved.elections.insert(kept.role.clone(), kept);
            }
            if let Some(objectives) = record.objectives {
                saved.objectives.replay(&objectives, &mut saved.realised)?;
            }
            for port in record.ports {
                saved.ports.insert(port.number, port);
            }
        }
        Ok(saved)
    }
}

/// Builds the state of an agent from what is saved and what is configured.
pub fn restore(
    start: Start,
    records: Vec<StateRecord>,
) -> Result<(State, Arbitration), RestoreError> {
    let saved = Saved::read(records)?;
    let mut ports = start.ports;
    for port in saved.ports.into_values().filter(|port| !port.removed) {
        if port.found && ports.pattern_of(&port.interface).is_none() {
            continue;
        }
        let number = port.number;
        let origin = match port.found {
            true => Origin::Found,
            false => Origin::Requested,
        };
        let spec = PortSpec {
            number: Some(number),
            name: Some(port.name),
            interface: port.interface,
        };
        // What the configuration says now goes before what was asked for then.
        if let Err(error) = ports.add(spec, origin) {
            tracing::warn!(port = number, %error, "a port that was added earlier is left out");
        }
    }
    let live_ports = Arc::new(LivePorts::new(start.target.liveness()));
    let mut state = State {
        switch: Switch::new(start.target),
        live_ports,
        draft: None,
        objectives: saved.objectives,
        pipeliner: PipelinerState::None,
        drifting: Drifting::new(start.drift),
        touched: Mutex::default(),
        acks: Vec::new(),
        ports,
        packet_io: Arc::default(),
        notices: Arc::default(),
    };
    let arbitration =
        Arbitration::new(start.device_id, start.bounds, saved.elections.into_values());
    let found = state.switch.target().found_ports();
    let is_new = |number: &u32| !found.contains(number);
    for number in state.ports.numbers().filter(is_new) {
        // Until it is a port whose interface is attached and has a link.
        state.live_ports.detached(number);
    }
    let (source, is_other) = match (saved.pipeline.map(PipelineSource::from), start.pipeline) {
        (Some(saved), Some(configured)) if saved.configured && saved != configured => {
            tracing::info!("the configured pipeline takes the place of the saved one");
            (Some(configured), true)
        }
        (saved, configured) => (saved.or(configured), false),
    };
    if let Some(source) = source {
        let which = match source.configured {
            true => "configured",
            false => "saved",
        };
        let pipeline = Pipeline::read_as(
            source,
            state.switch.target().device_config(),
            &start.presentation,
        )
        .map_err(|error| RestoreError::Pipeline { which, error })?;
        let updates = updates(&pipeline, &saved.updates, is_other)?;
        let realised = saved.realised;
        // By any other policy it is put right by now.
        let drifts = match start.drift {
            DriftPolicy::Keep if !is_other => drifts(&pipeline, &realised)?,
            _ => Vec::new(),
        };
        let loaded = state.load_pipeline(pipeline, updates, |objectives, context, sink| {
            objectives.rebuild(&realised, context, sink);
            objectives.drift_again(drifts, context.ports, sink);
        });
        loaded.map_err(|error| RestoreError::Target { which, error })?;
        // What was not possible before may be possible with this configuration.
        state.change_objectives(|objectives, context, sink| {
            let unapplied = |wanted: &Wanted| wanted.status.state != pb::State::Applied;
            objectives.retry(unapplied, context, sink);
        });
    }
    if let Some((pipeline, updates)) = saved.draft {
        state.draft = Some(draft(&state, pipeline, &updates)?);
    }
    let ports = state.ports.iter();
    let ports: Vec<_> = ports.map(|p| (p.number, p.interface.clone())).collect();
    state.switch.target_mut().settle(&ports)?;
    Ok((state, arbitration))
}

/// The pipeline that was saved and not committed, with what clients wrote to it.
fn draft(
    state: &State,
    pipeline: StatePipeline,
    saved: &[p4::Update],
) -> Result<Switch, RestoreError> {
    let which = "saved, uncommitted";
    let device_config = state.switch.target().device_config();
    let pipeline = Pipeline::read_for(pipeline.into(), device_config)
        .map_err(|error| RestoreError::Pipeline { which, error })?;
    let updates = updates(&pipeline, saved, false)?;
    Switch::draft(pipeline, &updates).map_err(|error| RestoreError::Target { which, error })
}

/// What clients had made of entries of objectives.
fn drifts(pipeline: &Pipeline, realised: &Realised) -> Result<Vec<KeptDrift>, DecodeError> {
    let drifts = realised.drifts();
    drifts
        .filter_map(|saved| from_saved(&pipeline.schema, saved).transpose())
        .collect()
}

/// What clients wrote. In another pipeline than it was written for, what has no place is left
/// out.
fn updates(
    pipeline: &Pipeline,
    saved: &[p4::Update],
    is_other: bool,
) -> Result<Vec<Update>, DecodeError> {
    let mut updates = Vec::with_capacity(saved.len());
    for update in saved {
        match decode::update(&pipeline.schema, update) {
            Ok(update) => updates.push(update),
            Err(error) if is_other => {
                tracing::warn!(%error, "an entry has no place in the configured pipeline");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(updates)
}

impl From<StatePipeline> for PipelineSource {
    fn from(saved: StatePipeline) -> PipelineSource {
        PipelineSource {
            p4info: saved.p4info.unwrap_or_default(),
            device_config: saved.device_config,
            cookie: saved.cookie,
            manifest: saved.manifest,
            configured: saved.configured,
        }
    }
}
