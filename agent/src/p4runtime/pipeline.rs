//! SetForwardingPipelineConfig and GetForwardingPipelineConfig.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::pointsman::agent::v1::{StatePipeline, StateRecord};
use tonic::Status;
use tonic::metadata::AsciiMetadataValue;

use super::{decode, encode, request, status};
use crate::agent::{Agent, State};
use crate::entity::Update;
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
    let uses = agent.lock().switch.target().slow_path().into_iter();
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
    request::check_primary(&agent.lock(), &request.role, election_id.as_ref())?;
    let action = request.action();
    let given = match (action, request.config) {
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
        (_, None) => return Err(Status::invalid_argument("the config is missing")),
        // Reading takes a while and needs no lock.
        (_, Some(config)) => Some(read(config)?),
    };
    let mut state = agent.lock();
    // Mastership may have changed since.
    request::check_primary(&state, &request.role, election_id.as_ref())?;
    let (pipeline, entities) = match (action, given) {
        (Action::Verify, Some(pipeline)) => {
            return state.switch.verify(&pipeline).map_err(refused);
        }
        (Action::VerifyAndSave, Some(pipeline)) => {
            state.switch.verify(&pipeline).map_err(refused)?;
            state.draft = Some(Switch::draft(pipeline).map_err(refused)?);
            return Ok(());
        }
        (Action::ReconcileAndCommit, Some(pipeline)) => {
            let entities = carried_over(&state, &pipeline)?;
            (pipeline, entities)
        }
        (_, Some(pipeline)) => (pipeline, Vec::new()),
        (_, None) => {
            let draft = state.draft.as_ref().and_then(Switch::contents);
            let draft = draft.ok_or_else(|| Status::not_found("no config is saved"))?;
            (draft.0.clone(), draft.1.updates())
        }
    };
    let ticket = commit(agent, &mut state, pipeline, entities)?;
    drop(state);
    ticket.wait().map_err(|error| status::journal(&error))
}

fn commit(
    agent: &Agent,
    state: &mut State,
    pipeline: Pipeline,
    entities: Vec<Update>,
) -> Result<crate::journal::Ticket, Status> {
    let name = pipeline.schema.name.clone();
    let record = StateRecord {
        pipeline: Some(saved_pipeline(&pipeline.source)),
        updates: entities
            .iter()
            .map(|update| encode::update(&pipeline.schema, update))
            .collect(),
        ..StateRecord::default()
    };
    let kept = entities.len();
    state
        .load_pipeline(pipeline, entities, Objectives::restart)
        .map_err(refused)?;
    state.draft = None;
    tracing::info!(pipeline = name, kept, "pipeline set");
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

fn read(config: p4::ForwardingPipelineConfig) -> Result<Pipeline, Status> {
    let p4info = config
        .p4info
        .ok_or_else(|| Status::invalid_argument("the p4info is missing"))?;
    Pipeline::read(PipelineSource {
        p4info,
        device_config: config.p4_device_config,
        cookie: config.cookie.map(|cookie| cookie.cookie),
        manifest: None,
        configured: false,
    })
    .map_err(|error| Status::invalid_argument(error.to_string()))
}

/// What was written, in the terms of the new pipeline; refused if anything has no place there.
fn carried_over(state: &State, pipeline: &Pipeline) -> Result<Vec<Update>, Status> {
    let Some((old, store)) = state.switch.contents() else {
        return Ok(Vec::new());
    };
    // Objectives bring their own.
    let objectives = &state.objectives;
    let updates = store.updates().into_iter();
    let updates = updates.filter(|update| objectives.owner(&update.entity).is_none());
    let updates = updates.map(|update| {
        let message = encode::update(&old.schema, &update);
        decode::update(&pipeline.schema, &message).map_err(|error| {
            Status::invalid_argument(format!(
                "{} cannot be kept: {error}; use VERIFY_AND_COMMIT to start with empty tables",
                old.schema.describe(&update.entity)
            ))
        })
    });
    updates.collect()
}

fn refused(error: TargetError) -> Status {
    match error {
        TargetError::Unsupported(_) | TargetError::Entry(_) => {
            Status::invalid_argument(error.to_string())
        }
        _ => Status::internal(error.to_string()),
    }
}

/// The pipeline that reads and writes refer to.
pub fn get(
    agent: &Agent,
    request: &p4::GetForwardingPipelineConfigRequest,
) -> Result<p4::GetForwardingPipelineConfigResponse, Status> {
    request::check_device(agent, request.device_id)?;
    let state = agent.lock();
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
