//! Carries out a change set: plan, ask the agents, commit, wait for the switches.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective_pb;
use tonic::Status as GrpcStatus;

use super::{ControllerService, convert, store_error};
use crate::agents::AgentError;
use crate::encoded::Change;
use crate::objective::{Objective, ObjectiveKey};
use crate::state::{
    ChangeSet, Command, ObjectiveChange, ObjectiveEffect, Operation, Plan, Rejection, Response,
    Revision, Subject, Summary, Wish, plan,
};
use crate::status::{Progress, Reason, Status};

/// The longest a request may ask to wait.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// How long it may be that a switch has a new master already, and this node has yet to learn who that is.
const HAND_OVER: Duration = Duration::from_secs(1);

impl ControllerService {
    pub(super) async fn apply_request(
        &self,
        request: pb::ApplyRequest,
    ) -> Result<pb::ApplyResponse, GrpcStatus> {
        let wait = Duration::from_millis(request.wait_milliseconds.into());
        match convert::change_set(&request) {
            Ok(changes) => self.carry_out(changes, request.dry_run, wait).await,
            Err(rejections) => Ok(refused(rejections)),
        }
    }

    /// Carries a change set out, or says why not, or what it would do.
    pub(super) async fn carry_out(
        &self,
        changes: ChangeSet,
        dry_run: bool,
        wait: Duration,
    ) -> Result<pb::ApplyResponse, GrpcStatus> {
        let (plan, revision) = match self.plan(&changes, dry_run).await? {
            Ok(planned) => planned,
            Err(rejections) => return Ok(refused(rejections)),
        };
        let mut rejections = self.verify(&changes, &plan).await;
        rejections.extend(self.ask_agents(&plan).await);
        if !rejections.is_empty() {
            return Ok(refused(rejections));
        }
        if dry_run {
            return Ok(would_do(plan, revision));
        }
        let targets: Vec<_> = changes.objectives.iter().map(Target::of).collect();
        if plan.is_empty() && !changes.ends_trial {
            return Ok(self.leave_as_it_is(plan, revision, targets, wait).await);
        }
        match self
            .store
            .submit(Command::Apply(changes))
            .await
            .map_err(store_error)?
        {
            Response::Applied {
                revision,
                outcomes,
                revisions,
                pruned,
                summary,
            } => {
                let targets = targets.into_iter().zip(revisions);
                let targets: Vec<_> = targets
                    .map(|(target, revision)| Target { revision, ..target })
                    .collect();
                let statuses = self.wait_for(&targets, wait.min(MAX_WAIT)).await;
                tracing::info!(
                    revision = revision.0,
                    created = summary.created,
                    changed = summary.changed,
                    unchanged = summary.unchanged,
                    deleted = summary.deleted,
                    "applied a change set"
                );
                Ok(pb::ApplyResponse {
                    statuses: statuses.iter().map(Status::to_proto).collect(),
                    revision: revision.0,
                    effects: outcomes
                        .into_iter()
                        .map(|o| convert::effect(o).into())
                        .collect(),
                    pruned: pruned
                        .into_iter()
                        .map(|(d, key)| convert::pruned(d, key))
                        .collect(),
                    ..counts(summary)
                })
            }
            Response::Rejected(rejections) => Ok(refused(rejections)),
            other => Err(GrpcStatus::internal(format!(
                "the store answered a change set with {other:?}"
            ))),
        }
    }

    /// Plans a change set on what this node has. What would be answered for that alone has to hold of what the cluster
    /// has; what goes on to be committed is planned again when it is.
    async fn plan(
        &self,
        changes: &ChangeSet,
        dry_run: bool,
    ) -> Result<Result<(Plan, Revision), Vec<Rejection>>, GrpcStatus> {
        let planned = || {
            self.store
                .read(|state| plan(state, changes).map(|plan| (plan, state.revision())))
        };
        match planned() {
            Ok((plan, revision)) if !dry_run && !plan.is_empty() => Ok(Ok((plan, revision))),
            _ => {
                self.store.ensure_current().await.map_err(store_error)?;
                Ok(planned())
            }
        }
    }

    /// Everything is as the change set says already: nothing is committed, and switches are told nothing. Whoever
    /// asked may still wait until they hold it.
    async fn leave_as_it_is(
        &self,
        plan: Plan,
        revision: Revision,
        mut targets: Vec<Target>,
        wait: Duration,
    ) -> pb::ApplyResponse {
        self.store.read(|state| {
            for target in &mut targets {
                target.revision = state.revision_of(&target.device, &target.key);
            }
        });
        let statuses = self.wait_for(&targets, wait.min(MAX_WAIT)).await;
        pb::ApplyResponse {
            statuses: statuses.iter().map(Status::to_proto).collect(),
            ..would_do(plan, revision)
        }
    }

    /// Asks each agent whether it would take its part. One that does not answer is
    /// passed over: its objectives stay pending until it does.
    async fn ask_agents(&self, plan: &Plan) -> Vec<Rejection> {
        let mut by_device: BTreeMap<&str, Vec<&ObjectiveEffect>> = BTreeMap::new();
        for effect in &plan.objectives {
            by_device.entry(&effect.device).or_default().push(effect);
        }
        let checks = by_device.into_iter().map(|(device, effects)| async move {
            let address = &plan.specs.get(device)?.address;
            let changes = effects
                .iter()
                .map(|effect| change_of(&effect.key, effect.objective.as_ref()))
                .collect();
            match self.agents.check(address, changes).await {
                Ok(results) => Some(rejections_of(device, &effects, results)),
                Err(error @ AgentError::Unreachable { .. }) => {
                    tracing::debug!(device, %error, "not checked");
                    None
                }
                Err(error) => {
                    tracing::warn!(device, %error, "the agent could not check the change set");
                    None
                }
            }
        });
        let mut rejections: Vec<_> = join_all(checks)
            .await
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        rejections.sort_by_key(|rejection| rejection.subject);
        rejections
    }

    /// Asks the agents whether they have the nexts that are to be verified.
    async fn verify(&self, changes: &ChangeSet, plan: &Plan) -> Vec<Rejection> {
        let mut by_device: BTreeMap<&str, Vec<(usize, &Objective)>> = BTreeMap::new();
        for (index, change) in changes.objectives.iter().enumerate() {
            if let Operation::Verify(stated) = &change.operation {
                by_device
                    .entry(&change.device)
                    .or_default()
                    .push((index, stated));
            }
        }
        let checks = by_device.into_iter().map(|(device, stated)| async move {
            let Some(spec) = plan.specs.get(device) else {
                return Vec::new();
            };
            let asked = stated.iter().map(|(_, stated)| Change::verify(stated));
            let answers = match self.agents.check(&spec.address, asked.collect()).await {
                Ok(answers) => answers.into_iter().map(Status::from_proto).collect(),
                Err(error) => {
                    let reason = Reason::DeviceUnreachable;
                    let unknown = Status::failed(reason, error.to_string());
                    vec![unknown; stated.len()]
                }
            };
            let answers = stated.iter().zip(answers);
            let differing = answers.filter(|(_, status)| status.progress != Progress::Applied);
            let rejections = differing.map(|((index, stated), status)| {
                let (field, message) = split_field(&status.message);
                let message = format!("{} of {device}: {message}", stated.key());
                let reason = status.reason.unwrap_or(Reason::Internal);
                Rejection {
                    field,
                    ..Rejection::new(Subject::Objective(*index), reason, message)
                }
            });
            rejections.collect()
        });
        join_all(checks).await.into_iter().flatten().collect()
    }

    /// Waits until every target is settled, but no longer than `limit`.
    async fn wait_for(&self, targets: &[Target], limit: Duration) -> Vec<Status> {
        let start = tokio::time::Instant::now();
        let (deadline, handed_over) = (start + limit, start + HAND_OVER);
        let (mut learnt, mut committed) = (self.distribution.watch(), self.store.watch());
        let mut waiting = by_device(targets);
        loop {
            learnt.mark_unchanged();
            committed.mark_unchanged();
            let conflicts_count = tokio::time::Instant::now() >= handed_over;
            // What comes after the first that is not settled is not looked at, so that a wait for many is not quadratic.
            waiting.retain_mut(|(device, indexes)| {
                let wishes = indexes.iter().map(|index| targets[*index].wish());
                let settled = self
                    .distribution
                    .count_settled(device, wishes, conflicts_count);
                indexes.drain(..settled);
                !indexes.is_empty()
            });
            if waiting.is_empty() {
                return self.statuses(targets);
            }
            tokio::select! {
                _ = learnt.changed() => {}
                _ = committed.changed() => {}
                () = tokio::time::sleep_until(handed_over), if !conflicts_count => {}
                () = tokio::time::sleep_until(deadline) => return self.statuses(targets),
            }
        }
    }

    /// The status of each target.
    fn statuses(&self, targets: &[Target]) -> Vec<Status> {
        // What stays if the device is gone by now.
        let removed = "another request removed the device meanwhile";
        let mut statuses: Vec<_> = targets
            .iter()
            .map(|target| Status::pending(Reason::Conflict, removed, target.revision))
            .collect();
        for (device, indexes) in by_device(targets) {
            let wishes = indexes.iter().map(|index| targets[*index].wish());
            let found = self.distribution.statuses(device, wishes);
            for (index, status) in indexes.into_iter().zip(found.into_iter().flatten()) {
                statuses[index] = status;
            }
        }
        statuses
    }
}

/// The indexes of the targets of each device, in order of revision: that in which
/// acknowledgements come.
fn by_device(targets: &[Target]) -> Vec<(&str, Vec<usize>)> {
    let mut by_device: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, target) in targets.iter().enumerate() {
        by_device.entry(&target.device).or_default().push(index);
    }
    for indexes in by_device.values_mut() {
        indexes.sort_by_key(|index| targets[*index].revision);
    }
    by_device.into_iter().collect()
}

/// One objective that a request names, and what it wants of it.
struct Target {
    device: String,
    key: ObjectiveKey,
    revision: Revision,
}

impl Target {
    fn of(change: &ObjectiveChange) -> Self {
        let key = change.operation.key();
        Self {
            device: change.device.clone(),
            key,
            revision: Revision::default(),
        }
    }

    fn wish(&self) -> Wish<'_> {
        Wish {
            key: &self.key,
            revision: self.revision,
        }
    }
}

/// What makes an objective of this key what it is to be; without one, it is deleted.
fn change_of(key: &ObjectiveKey, objective: Option<&Objective>) -> Change {
    match objective {
        Some(objective) => Change::put(objective),
        None => Change::delete(key),
    }
}

fn rejections_of(
    device: &str,
    effects: &[&ObjectiveEffect],
    results: Vec<objective_pb::Status>,
) -> Vec<Rejection> {
    let results = results.into_iter().map(Status::from_proto);
    let refused = effects.iter().zip(results).filter(|(_, status)| {
        // A switch without pipeline can judge nothing yet; that is no fault of the request.
        status.progress == Progress::Failed && status.reason != Some(Reason::NoPipeline)
    });
    let rejections = refused.map(|(effect, status)| {
        let subject = effect.index.map_or(Subject::Request, Subject::Objective);
        let (field, message) = split_field(&status.message);
        let message = match message {
            "" => "refused by the switch without a message",
            message => message,
        };
        let message = format!("{} of {device}: {message}", effect.key);
        let reason = status.reason.unwrap_or(Reason::Internal);
        Rejection {
            field,
            ..Rejection::new(subject, reason, message)
        }
    });
    rejections.collect()
}

/// Agents put the path of the field that a refusal is about before the sentence.
fn split_field(message: &str) -> (Option<String>, &str) {
    let is_path = |text: &str| {
        text.contains(['_', '[', '.'])
            || matches!(
                text,
                "type" | "flag" | "next" | "buckets" | "output" | "drop" | "punt" | "meter"
            )
    };
    let is_path_letter =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '[' | ']');
    match message.split_once(": ") {
        Some((field, rest)) if field.chars().all(is_path_letter) && is_path(field) => {
            (Some(field.to_owned()), rest)
        }
        _ => (None, message),
    }
}

fn refused(rejections: Vec<Rejection>) -> pb::ApplyResponse {
    let errors = rejections.into_iter().map(convert::apply_error).collect();
    pb::ApplyResponse {
        errors,
        ..pb::ApplyResponse::default()
    }
}

fn would_do(plan: Plan, revision: Revision) -> pb::ApplyResponse {
    let pruned = plan
        .objectives
        .into_iter()
        .filter(|effect| effect.index.is_none())
        .map(|effect| convert::pruned(effect.device, effect.key));
    pb::ApplyResponse {
        revision: revision.0,
        effects: plan
            .outcomes
            .into_iter()
            .map(|o| convert::effect(o).into())
            .collect(),
        pruned: pruned.collect(),
        ..counts(plan.summary)
    }
}

fn counts(summary: Summary) -> pb::ApplyResponse {
    pb::ApplyResponse {
        created: summary.created,
        changed: summary.changed,
        unchanged: summary.unchanged,
        deleted: summary.deleted,
        devices_created: summary.devices_created,
        devices_changed: summary.devices_changed,
        devices_unchanged: summary.devices_unchanged,
        devices_removed: summary.devices_removed,
        ..pb::ApplyResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_before_an_agents_sentence_is_told_from_the_sentence() {
        let (field, message) =
            split_field("buckets[1].output: the switch has no port swp65; it has swp1");
        assert_eq!(field.as_deref(), Some("buckets[1].output"));
        assert_eq!(message, "the switch has no port swp65; it has swp1");
        let sentence = "pipeline leaf_spine: it has no failover nexts";
        assert_eq!(split_field(sentence), (None, sentence));
    }
}
