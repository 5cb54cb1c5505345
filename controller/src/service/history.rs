//! What was changed, the way back, and what is on trial.

use std::time::Duration;

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective_pb;
use tonic::Status as GrpcStatus;

use super::consistency::catch_up;
use super::{ControllerService, convert, store_error};
use crate::objective::Objective;
use crate::state::{
    Command, DeviceDifference, ObjectiveChange, ObjectiveDifference, Operation, Past, Response,
    Revision, State,
};

impl ControllerService {
    pub(super) async fn rollback_request(
        &self,
        request: pb::RollbackRequest,
    ) -> Result<pb::RollbackResponse, GrpcStatus> {
        self.store.ensure_current().await.map_err(store_error)?;
        let revision = Revision(request.revision);
        let reason = match request.reason.as_str() {
            "" => format!("back to revision {revision}"),
            reason => reason.to_owned(),
        };
        let note = convert::note(&request.author, &reason);
        let changes = self.store.read(|state| state.back_to(revision, note));
        let changes = changes.map_err(|error| GrpcStatus::not_found(error.to_string()))?;
        let objectives = changes.objectives.iter().map(change).collect();
        let wait = Duration::from_millis(request.wait_milliseconds.into());
        let answer = self.carry_out(changes, request.dry_run, wait).await?;
        Ok(pb::RollbackResponse {
            answer: Some(answer),
            objectives,
        })
    }

    pub(super) async fn confirm_request(
        &self,
        request: &pb::ConfirmRequest,
    ) -> Result<pb::ConfirmResponse, GrpcStatus> {
        let command = Command::Confirm(request.revision.map(Revision));
        match self.store.submit(command).await.map_err(store_error)? {
            Response::Confirmed(revision) => {
                tracing::info!(revision = revision.0, "a change on trial is confirmed");
                Ok(pb::ConfirmResponse {
                    revision: revision.0,
                })
            }
            Response::Rejected(rejections) => {
                let messages = rejections.into_iter().map(|rejection| rejection.message);
                let message = messages.collect::<Vec<_>>().join("; ");
                Err(GrpcStatus::failed_precondition(message))
            }
            other => Err(GrpcStatus::internal(format!(
                "the store answered a confirmation with {other:?}"
            ))),
        }
    }

    pub(super) async fn read_history(
        &self,
        request: pb::GetHistoryRequest,
    ) -> Result<pb::GetHistoryResponse, GrpcStatus> {
        catch_up(&self.store, request.consistency()).await?;
        let changes = self.store.read(|state| match request.revision {
            Some(revision) => detailed(state, Revision(revision)).map(|change| vec![change]),
            None => {
                let limit = match request.limit {
                    0 => usize::MAX,
                    limit => usize::try_from(limit).unwrap_or(usize::MAX),
                };
                let newest = state.history().iter().rev().take(limit);
                Ok(newest
                    .map(|(revision, past)| brief(revision, past))
                    .collect())
            }
        });
        Ok(pb::GetHistoryResponse { changes: changes? })
    }
}

/// A change as Apply would have been asked for it.
fn change(change: &ObjectiveChange) -> pb::ObjectiveChange {
    let (operation, objective) = match &change.operation {
        Operation::Put(objective) => (objective_pb::Operation::Put, objective.to_proto()),
        other => {
            let key = other.key();
            (objective_pb::Operation::Delete, Objective::bare_proto(&key))
        }
    };
    pb::ObjectiveChange {
        device: change.device.clone(),
        change: Some(objective_pb::Change {
            operation: operation.into(),
            objective: Some(objective),
        }),
    }
}

fn brief(revision: Revision, past: &Past) -> pb::PastChange {
    let (note, summary) = (&past.note, &past.summary);
    pb::PastChange {
        revision: revision.0,
        before: past.before.0,
        time: i64::try_from(note.time).unwrap_or(i64::MAX),
        author: note.author.clone(),
        reason: note.reason.clone(),
        created: summary.created,
        changed: summary.changed,
        deleted: summary.deleted,
        devices_created: summary.devices_created,
        devices_changed: summary.devices_changed,
        devices_removed: summary.devices_removed,
        ..pb::PastChange::default()
    }
}

fn detailed(state: &State, revision: Revision) -> Result<pb::PastChange, GrpcStatus> {
    let (past, did) = state
        .history()
        .get(revision)
        .zip(state.differences(revision))
        .ok_or_else(|| {
            GrpcStatus::not_found(format!(
                "no change that is remembered led to revision {revision}; `pointsman history` shows those that are"
            ))
        })?;
    Ok(pb::PastChange {
        devices: did.devices.iter().map(device).collect(),
        objectives: did.objectives.into_iter().map(objective).collect(),
        ..brief(revision, past)
    })
}

fn device(did: &DeviceDifference) -> pb::DeviceDifference {
    pb::DeviceDifference {
        before: did.before.as_ref().map(convert::device_spec),
        after: did.after.as_ref().map(convert::device_spec),
    }
}

fn objective(did: ObjectiveDifference) -> pb::ObjectiveDifference {
    pb::ObjectiveDifference {
        device: did.device,
        before: did.before.as_ref().map(Objective::to_proto),
        after: did.after.as_ref().map(Objective::to_proto),
    }
}
