//! Drift as the agent's service shows it, and repairs that somebody asks for.

use pointsman_model::{Kind, Name, ObjectiveId};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective;
use tonic::Status;

use crate::agent::{Agent, State, milliseconds, writer_message};
use crate::p4runtime::status;
use crate::pipeliner::Drifted;
use crate::schema::Schema;

/// What is not as objectives want it, and what is no objective's.
pub(super) fn drift(agent: &Agent, with_foreign: bool) -> pb::GetDriftResponse {
    let state = agent.shared();
    let mut answer = pb::GetDriftResponse {
        policy: state.drifting.policy.to_string(),
        repairs: state.drifting.repaired,
        ..pb::GetDriftResponse::default()
    };
    let Some((pipeline, store)) = state.switch.contents() else {
        return answer;
    };
    let schema = &pipeline.schema;
    let written = with_foreign.then(|| store.written());
    drop(store);
    let drifts = state.objectives.drifts();
    answer.drift = drifts
        .map(|drifted| describe(agent, &state, schema, drifted))
        .collect();
    answer
        .drift
        .sort_by(|one, other| one.wanted.cmp(&other.wanted));
    let updates = written.iter().flat_map(|written| written.updates());
    let foreign = updates.filter(|update| state.objectives.owner(&update.entity).is_none());
    answer.foreign = foreign
        .map(|update| schema.describe(&update.entity))
        .collect();
    answer
}

/// What has drifted of an objective.
pub(super) fn of_objective(
    agent: &Agent,
    state: &State,
    schema: &Schema,
    id: &ObjectiveId,
) -> Vec<objective::Drift> {
    let drifts = state.objectives.drifts_of(id);
    drifts
        .map(|drifted| describe(agent, state, schema, drifted))
        .collect()
}

fn describe(
    agent: &Agent,
    state: &State,
    schema: &Schema,
    drifted: Drifted<'_>,
) -> objective::Drift {
    let Drifted { key, wanted, drift } = drifted;
    let owners = state.objectives.slot(key).map(|(owners, _)| owners);
    let owners = owners.into_iter().flatten();
    let found = drift.found.as_ref();
    objective::Drift {
        wanted: schema.describe(wanted),
        found: found.map_or_else(String::new, |found| schema.describe(found)),
        objectives: owners
            .map(|id| format!("{}/{}", id.kind.name(), id.name))
            .collect(),
        by: Some(writer_message(&drift.by)),
        time: milliseconds(drift.time),
        repair_time: agent.repair_time(state, drifted).map_or(0, milliseconds),
    }
}

/// Puts right what has drifted. When it returns, that survives a restart.
pub(super) fn repair(
    agent: &Agent,
    request: &pb::RepairRequest,
) -> Result<pb::RepairResponse, Status> {
    let only = request.objective.as_ref().map(objective_id).transpose()?;
    if let Some(only) = &only
        && agent.shared().objectives.get(only).is_none()
    {
        return Err(Status::not_found(format!("there is no {only}")));
    }
    let (repaired, ticket) = agent.repair(only.as_ref());
    if let Some(ticket) = ticket {
        ticket.wait().map_err(|error| status::journal(&error))?;
    }
    let failed = repaired.failed.iter().map(|(_, error)| error.to_string());
    Ok(pb::RepairResponse {
        repaired: u32::try_from(repaired.right.len()).unwrap_or(u32::MAX),
        failed: failed.collect(),
    })
}

fn objective_id(named: &pb::ObjectiveName) -> Result<ObjectiveId, Status> {
    let kind = Kind::try_from(named.kind());
    let kind = kind.map_err(|error| Status::invalid_argument(error.to_string()))?;
    let name = Name::new(&named.name);
    let name = name.ok_or_else(|| {
        Status::invalid_argument(format!("{:?} is no name of an objective", named.name))
    })?;
    Ok(ObjectiveId { kind, name })
}
