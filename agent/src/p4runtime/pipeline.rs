//! SetForwardingPipelineConfig and GetForwardingPipelineConfig.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::pointsman::agent::v1::{StatePipeline, StateRecord};
use tonic::Status;
use tonic::metadata::AsciiMetadataValue;

use super::write::is_kept;
use super::{encode, platform, reconcile, request, status};
use crate::agent::{Agent, State};
use crate::entity::Update;
use crate::journal::Ticket;
use crate::objectives::Objectives;
use crate::switch::{Pipeline, PipelineSource, Switch};
use crate::target::TargetError;

/// The response metadata that name what takes the slow path, one construct each: the messages of
/// P4Runtime have no room for what is neither an error nor nothing.
pub const SLOW_PATH_KEY: &str = "pointsman-slow-path";
/// Constructs that are named; clients accept 8 KiB of metadata.
const MAX_NOTICES: usize = 32;

/// What of the pipeline that runs takes the slow path.
pub fn slow_path_notices(agent: &Agent) -> Vec<AsciiMetadataValue> {
    let uses = agent.shared().switch.target().slow_path().into_iter();
    let notices = uses.map(|slow| format!("{}: {}", slow.source, slow.what));
    notices
        .filter_map(|notice| notice.try_into().ok())
        .take(MAX_NOTICES)
        .collect()
}

/// Verifies, saves or realises a pipeline.
pub fn set(agent: &Agent, request: p4::SetForwardingPipelineConfigRequest) -> Result<(), Status> {
    request::check_device(agent, request.device_id)?;
    let election_id = request.election_id;
    #[allow(deprecated, reason = "it is refused")]
    request::check_role(&request.role, request.role_id)?;
    let permit = request::permit(agent, &request.role, election_id.as_ref())?;
    let config = permit.role_config();
    if config.is_some_and(|config| !config.can_push_pipeline) {
        return Err(Status::permission_denied(format!(
            "role {:?} sets no pipelines: its role.config does not say can_push_pipeline",
            request.role
        )));
    }
    let given = match (request.action(), request.config) {
        (Action::Unspecified, _) => {
            return Err(Status::invalid_argument(
                "the action is missing; VERIFY_AND_COMMIT is the usual one",
            ));
        }
        (Action::Commit, Some(_)) => {
            return Err(Status::invalid_argument(
                "COMMIT realises the saved config; leave the config out",
            ));
        }
        (Action::Commit, None) => None,
        (_, None) => {
            return Err(Status::invalid_argument(
                "the config is missing: give its p4info, and the device config unless entries are only to be stored",
            ));
        }
        // Reading takes a while and needs no lock.
        (_, Some(config)) => Some(read(agent, config)?),
    };
    if let (Some(pipeline), Ok(Action::Verify)) = (&given, Action::try_from(request.action)) {
        return agent.shared().switch.verify(pipeline).map_err(refused);
    }
    let mut state = agent.exclusive();
    let ticket = match (request.action, given) {
        (action, Some(pipeline)) if action == Action::VerifyAndSave as i32 => {
            save(agent, &mut state, pipeline)?
        }
        (action, Some(pipeline)) if action == Action::ReconcileAndCommit as i32 => {
            let entities = carried_over(&state, &pipeline)?;
            commit(agent, &mut state, pipeline, entities)?
        }
        (_, Some(pipeline)) => commit(agent, &mut state, pipeline, Vec::new())?,
        (_, None) => {
            let draft = state.draft.as_ref().and_then(Switch::contents);
            let (pipeline, store) = draft.ok_or_else(|| {
                Status::not_found("no config is saved; save one with VERIFY_AND_SAVE before COMMIT")
            })?;
            let (pipeline, entities) = (pipeline.clone(), store.updates());
            drop(store);
            let counts = state.draft.as_ref().map(Switch::counts);
            let entities = entities.into_iter().chain(counts.into_iter().flatten());
            commit(agent, &mut state, pipeline, entities.collect())?
        }
    };
    drop(state);
    drop(permit);
    ticket.wait().map_err(|error| status::journal(&error))
}

/// Makes a pipeline the one that clients read and write. What forwards stays as it is until
/// COMMIT, and both survive a restart.
fn save(agent: &Agent, state: &mut State, pipeline: Pipeline) -> Result<Ticket, Status> {
    state.switch.verify(&pipeline).map_err(refused)?;
    let name = pipeline.schema.name.clone();
    let record = StateRecord {
        saved: Some(saved_pipeline(&pipeline.source)),
        ..StateRecord::default()
    };
    state.draft = Some(Switch::draft(pipeline, &[]).map_err(refused)?);
    tracing::info!(pipeline = name, "pipeline saved; COMMIT realises it");
    Ok(agent.journal().append(record))
}

/// Realises a pipeline with these entities.
fn commit(
    agent: &Agent,
    state: &mut State,
    pipeline: Pipeline,
    entities: Vec<Update>,
) -> Result<Ticket, Status> {
    let name = pipeline.schema.name.clone();
    let kept = entities.iter().filter(|update| is_kept(update));
    let record = StateRecord {
        pipeline: Some(saved_pipeline(&pipeline.source)),
        updates: kept
            .map(|update| encode::update(&pipeline.schema, update))
            .collect(),
        ..StateRecord::default()
    };
    let kept = record.updates.len();
    let stores_only = pipeline.is_p4info_only();
    state
        .load_pipeline(pipeline, entities, Objectives::restart)
        .map_err(refused)?;
    state.draft = None;
    tracing::info!(pipeline = name, kept, stores_only, "pipeline set");
    let ticket = agent.journal().append(record);
    let objectives = state.objectives_record();
    agent.objectives_changed(state, objectives);
    Ok(ticket)
}

/// A pipeline as it is kept.
pub fn saved_pipeline(source: &PipelineSource) -> StatePipeline {
    StatePipeline {
        p4info: Some(source.p4info.clone()),
        device_config: source.device_config.clone(),
        cookie: source.cookie,
        manifest: source.manifest.clone(),
        configured: source.configured,
    }
}

fn read(agent: &Agent, config: p4::ForwardingPipelineConfig) -> Result<Pipeline, Status> {
    let p4info = config
        .p4info
        .ok_or_else(|| Status::invalid_argument("the p4info is missing"))?;
    let (device_config, limits) = {
        let state = agent.shared();
        let target = state.switch.target();
        (target.device_config(), target.multicast_limits())
    };
    platform::check(&p4info, limits).map_err(|e| Status::invalid_argument(e.to_string()))?;
    let source = PipelineSource {
        p4info,
        device_config: config.p4_device_config,
        cookie: config.cookie.map(|cookie| cookie.cookie),
        manifest: None,
        configured: false,
    };
    Pipeline::read_as(source, device_config, &agent.identity.presentation)
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

/// What was written and counted, in the terms of the new pipeline.
fn carried_over(state: &State, pipeline: &Pipeline) -> Result<Vec<Update>, Status> {
    let counts = state.switch.counts();
    let Some((old, store)) = state.switch.contents() else {
        return Ok(Vec::new());
    };
    reconcile::carried_over(old, &store, counts, &state.objectives, pipeline)
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

fn refused(error: TargetError) -> Status {
    match error {
        TargetError::Unsupported(_) | TargetError::Entry(_) => {
            Status::invalid_argument(error.to_string())
        }
        TargetError::Away(_) => Status::unavailable(error.to_string()),
        TargetError::Relay(ref refusal) => Status::new(refusal.code(), refusal.to_string()),
        _ => Status::internal(error.to_string()),
    }
}

/// The pipeline that reads and writes refer to.
pub fn get(
    agent: &Agent,
    request: &p4::GetForwardingPipelineConfigRequest,
) -> Result<p4::GetForwardingPipelineConfigResponse, Status> {
    request::check_device(agent, request.device_id)?;
    let state = agent.shared();
    let pipeline = state.draft.as_ref().unwrap_or(&state.switch).pipeline();
    let config = pipeline.map(|pipeline| {
        let source = &pipeline.source;
        let wanted = request.response_type();
        let info = matches!(wanted, ResponseType::All | ResponseType::P4infoAndCookie);
        let device = matches!(
            wanted,
            ResponseType::All | ResponseType::DeviceConfigAndCookie
        );
        p4::ForwardingPipelineConfig {
            p4info: info.then(|| source.p4info.clone()),
            p4_device_config: if device {
                source.device_config.clone()
            } else {
                Vec::new()
            },
            cookie: source
                .cookie
                .map(|cookie| p4::forwarding_pipeline_config::Cookie { cookie }),
        }
    });
    Ok(p4::GetForwardingPipelineConfigResponse { config })
}
