//! Requests that change the switch, as clients may make them: first the policy, then the request, then
//! the audit log.

use std::sync::Arc;

use pointsman_proto::google::rpc;
use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1 as p4;
use prost::Message;
use tonic::{Code, Status};

use super::wire::WriteRequest;
use super::{decode, objects, pipeline, request, write};
use crate::agent::Agent;
use crate::arbitration::{Notice, Standing};
use crate::audit::{Mastership as Change, Record, Rpc, UpdateRecord, code_name};
use crate::authorization::{Caller, Permission};
use crate::schema::Schema;

/// A Write.
pub fn write(agent: &Agent, caller: &Caller, request: &WriteRequest) -> Result<(), Status> {
    let head = &request.head;
    let Some(audit) = caller.audit() else {
        caller.may(Permission::Write, Some(&head.role))?;
        return write::write(agent, caller, request);
    };
    audit.check()?;
    let written = match caller.may(Permission::Write, Some(&head.role)) {
        Ok(()) => write::write(agent, caller, request),
        Err(denied) => Err(denied.into()),
    };
    let rpc = Rpc::Write {
        updates: updates(agent, request, &written),
    };
    let election_id = head.election_id.as_ref().map(request::election_id);
    let record = Record::new(caller.peer(), &head.role, election_id, rpc);
    audit.record(record.with_outcome(written.as_ref().copied()));
    written
}

/// A SetForwardingPipelineConfig.
pub fn set_pipeline(
    agent: &Agent,
    caller: &Caller,
    request: p4::SetForwardingPipelineConfigRequest,
) -> Result<(), Status> {
    let Some(audit) = caller.audit() else {
        caller.may(Permission::SetPipeline, Some(&request.role))?;
        return pipeline::set(agent, request);
    };
    audit.check()?;
    let p4info = request.config.as_ref().and_then(|c| c.p4info.as_ref());
    let info = p4info.and_then(|p4info| p4info.pkg_info.as_ref());
    let rpc = Rpc::SetForwardingPipelineConfig {
        action: request.action().as_str_name(),
        pipeline: info.map_or_else(String::new, |info| info.name.clone()),
    };
    let election_id = request.election_id.as_ref().map(request::election_id);
    let record = Record::new(caller.peer(), &request.role, election_id, rpc);
    let set = match caller.may(Permission::SetPipeline, Some(&request.role)) {
        Ok(()) => pipeline::set(agent, request),
        Err(denied) => Err(denied.into()),
    };
    audit.record(record.with_outcome(set.as_ref().copied()));
    set
}

/// What has become of a stream, for the audit log.
pub struct Mastership {
    caller: Caller,
    /// What it was told last, while it is the primary of its role.
    primary: Option<Notice>,
}

impl Mastership {
    /// A stream that has said nothing yet.
    pub fn new(caller: &Caller) -> Mastership {
        Mastership {
            caller: caller.clone(),
            primary: None,
        }
    }

    /// The stream is told where it stands.
    pub async fn follow(&mut self, notice: &Notice) {
        match (notice.standing, &self.primary) {
            (Standing::Primary, Some(before)) if before.highest == notice.highest => {}
            (Standing::Primary, _) => {
                self.record(notice.clone(), Change::Gained).await;
                self.primary = Some(notice.clone());
            }
            (Standing::Backup | Standing::NoPrimary, _) => self.end().await,
        }
    }

    /// The stream ends, or is primary no more.
    pub async fn end(&mut self) {
        if let Some(notice) = self.primary.take() {
            self.record(notice, Change::Lost).await;
        }
    }

    async fn record(&self, notice: Notice, change: Change) {
        let caller = self.caller.clone();
        if caller.audit().is_none() {
            return;
        }
        // It may have to wait for the file.
        let recorded = tokio::task::spawn_blocking(move || {
            let rpc = Rpc::Mastership { change };
            let record = Record::new(caller.peer(), &notice.role.0, notice.highest, rpc);
            if let Some(audit) = caller.audit() {
                audit.record(record);
            }
        });
        if let Err(error) = recorded.await {
            tracing::error!(%error, "a change of mastership was not recorded");
        }
    }
}

/// What was to be done, and what came of each.
fn updates(
    agent: &Agent,
    request: &WriteRequest,
    written: &Result<(), Status>,
) -> Vec<UpdateRecord> {
    let pipeline = {
        let state = agent.shared();
        let switch = state.draft.as_ref().unwrap_or(&state.switch);
        let pipeline = switch.pipeline();
        pipeline.map(|pipeline| (pipeline.source.p4info.clone(), pipeline.schema.clone()))
    };
    let codes = match written {
        Ok(()) => Vec::new(),
        Err(status) => codes(status),
    };
    let whole = match written {
        Ok(()) => Code::Ok,
        Err(status) => status.code(),
    };
    let mut codes = codes.into_iter().chain(std::iter::repeat(whole));
    let updates = request.messages().map(Result::unwrap_or_default);
    updates
        .map(|update| UpdateRecord {
            operation: update.r#type().as_str_name(),
            entity: describe(&update, pipeline.as_ref()),
            code: code_name(codes.next().unwrap_or(whole)),
        })
        .collect()
}

/// The codes of updates in a status, in order; none if the request failed as a whole.
fn codes(status: &Status) -> Vec<Code> {
    let details = rpc::Status::decode(status.details()).unwrap_or_default();
    let errors = details.details.iter();
    errors
        .map(|any| {
            let error = p4::Error::decode(&*any.value).unwrap_or_default();
            Code::from_i32(error.canonical_code)
        })
        .collect()
}

/// An entity as errors name it; what cannot be read, by what it belongs to.
fn describe(update: &p4::Update, pipeline: Option<&(P4Info, Arc<Schema>)>) -> String {
    let Some((p4info, schema)) = pipeline else {
        return "an entity of a pipeline that is not set".to_owned();
    };
    if let Ok(update) = decode::update(schema, update) {
        return schema.describe(&update.entity);
    }
    let owner = update.entity.as_ref().and_then(objects::owner);
    match owner {
        Some(objects::Owner::Object(id)) => {
            format!(
                "an entity of {} that cannot be read",
                objects::name(p4info, id)
            )
        }
        _ => "an entity that cannot be read".to_owned(),
    }
}
