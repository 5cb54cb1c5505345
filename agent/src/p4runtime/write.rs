//! Write: checks in the order of the specification, then one update after the other.
//!
//! The parts of the switch that a request touches are its own from the first update until all that was
//! applied is in the journal; requests that touch other parts go on meanwhile.

use std::sync::Arc;

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::write_request::Atomicity;
use tonic::{Code, Status};

use super::reason::Reason;
use super::scope::Scope;
use super::{decode, request, status, watched};
use crate::agent::Agent;
use crate::authorization::{Caller, Permission};
use crate::entity::{Entity, Operation, Update};
use crate::journal::{Frame, Ticket, UpdatesOf};
use crate::objectives::Objectives;
use crate::ports::Ports;
use crate::schema::Schema;
use crate::switch::{Footprint, Pipeline, Switch, Transaction, UpdateError};

/// Applies a request. When it returns, what it reports as done is visible to the next packet
/// and survives a restart.
pub fn write(agent: &Agent, caller: &Caller, request: &p4::WriteRequest) -> Result<(), Status> {
    let atomicity = match Atomicity::try_from(request.atomicity) {
        // A single update is seen whole anyway.
        Ok(Atomicity::DataplaneAtomic) if request.updates.len() <= 1 => Atomicity::RollbackOnError,
        Ok(atomicity) => atomicity,
        Err(_) => {
            return Err(Status::invalid_argument(format!(
                "atomicity {} is not defined; give CONTINUE_ON_ERROR (0), ROLLBACK_ON_ERROR (1) or DATAPLANE_ATOMIC (2)",
                request.atomicity
            )));
        }
    };
    #[allow(deprecated, reason = "it is refused")]
    request::check_role(&request.role, request.role_id)?;
    agent.limits.check_updates(request.updates.len())?;
    request::check_device(agent, request.device_id)?;
    let permit = request::permit(agent, &request.role, request.election_id.as_ref())?;
    let state = agent.shared();
    let (switch, objectives, field) = match &state.draft {
        Some(draft) => (draft, None, UpdatesOf::Saved),
        None => (&state.switch, Some(&state.objectives), UpdatesOf::Running),
    };
    let pipeline = switch.pipeline().ok_or_else(status::no_pipeline)?;
    let role_config = permit.role_config().cloned();
    let p4info = &pipeline.source.p4info;
    let is_elsewhere = state.switch.target().relay().is_some();
    let rules = Rules {
        scope: Scope::new(
            caller,
            Permission::Write,
            &request.role,
            role_config,
            p4info,
        ),
        objectives,
        ports: (!is_elsewhere).then_some(&state.ports),
    };
    let keep = |written: &Outcome, frame| {
        if field == UpdatesOf::Running {
            let subscribers = &agent.packet_io.subscribers;
            agent
                .notices
                .written(&written.schema, &written.kept, subscribers);
        }
        agent.journal().append_frame(frame)
    };
    let (outcome, ticket) = apply_to(switch, &rules, &request.updates, atomicity, field, keep)?;
    // What a client had may be what an objective waits for.
    let makes_room = kept_any_deletion(&outcome.kept) && state.lacks_room();
    drop(state);
    drop(permit);
    if makes_room {
        let mut state = agent.exclusive();
        let objectives = state.entries_freed();
        agent.objectives_changed(&mut state, objectives);
    }
    agent.compact();
    if let Some(ticket) = ticket {
        ticket.wait().map_err(|error| status::journal(&error))?;
    }
    outcome.into_result()
}

struct Outcome {
    /// One for each update of the request.
    errors: Vec<p4::Error>,
    /// What was applied and not taken back.
    kept: Vec<Update>,
    /// Where each of these is in the request.
    positions: Vec<usize>,
    /// What it was applied to.
    schema: Arc<Schema>,
}

impl Outcome {
    /// Applies updates one after the other. Those that cannot be have failed already.
    fn apply(
        &mut self,
        transaction: &mut Transaction<'_>,
        objectives: Option<&Objectives>,
        updates: Vec<Result<Update, p4::Error>>,
        all_or_none: bool,
    ) {
        let start = transaction.savepoint();
        let count = updates.len();
        for (position, update) in updates.into_iter().enumerate() {
            let result = update.and_then(|update| {
                let owner = objectives.and_then(|o| o.owner(&update.entity));
                let applied = match owner {
                    Some(owner) => Err(UpdateError::Owned {
                        what: self.schema.describe(&update.entity),
                        owner: owner.to_string(),
                    }),
                    None => transaction.apply(&update),
                };
                applied.map_err(|error| {
                    status::error(Reason::from(&error), error.code(), error.to_string())
                })?;
                Ok(update)
            });
            match result {
                Ok(update) => {
                    self.kept.push(update);
                    self.positions.push(position);
                    self.errors.push(p4::Error::default());
                }
                Err(error) if all_or_none => {
                    transaction.roll_back_to(start);
                    let failed = self.errors.len();
                    let rolled_back = UpdateError::RolledBack { failed: failed + 1 };
                    let other =
                        status::error(Reason::RolledBack, Code::Aborted, rolled_back.to_string());
                    self.errors = vec![other; count];
                    self.errors[failed] = error;
                    self.kept.clear();
                    self.positions.clear();
                    return;
                }
                Err(error) => self.errors.push(error),
            }
        }
    }

    /// Notes what a switch in another process refused of the updates that were applied here.
    fn note_refused(&mut self, refused: &[(usize, UpdateError)], all_or_none: bool) {
        let Some((first, _)) = refused.first() else {
            return;
        };
        if all_or_none {
            let failed = self.positions[*first] + 1;
            let rolled_back = UpdateError::RolledBack { failed };
            let other = status::error(Reason::RolledBack, Code::Aborted, rolled_back.to_string());
            self.errors.fill(other);
        }
        for (index, error) in refused.iter().rev() {
            let position = self.positions.remove(*index);
            self.kept.remove(*index);
            let reason = Reason::from(error);
            self.errors[position] = status::error(reason, error.code(), error.to_string());
        }
        if all_or_none {
            self.kept.clear();
            self.positions.clear();
        }
    }

    /// What of it survives a restart, as it stands in the request.
    fn to_frame(&self, field: UpdatesOf, updates: &[p4::Update]) -> Option<Frame> {
        let kept = self.kept.iter().zip(&self.positions);
        let kept = kept.filter(|(update, _)| is_kept(update));
        Frame::of_updates(field, kept.map(|(_, position)| &updates[*position]))
    }

    fn into_result(self) -> Result<(), Status> {
        match self.errors.iter().all(|error| error.canonical_code == 0) {
            true => Ok(()),
            false => Err(status::batch(&self.errors)),
        }
    }
}

/// What the updates of a client are held to, beside the pipeline.
struct Rules<'a> {
    /// What is not in it is refused.
    scope: Scope,
    /// What belongs to them is refused.
    objectives: Option<&'a Objectives>,
    /// Others cannot be watched; `None` if they are known only where packets go.
    ports: Option<&'a Ports>,
}

impl Rules<'_> {
    fn decode(&self, pipeline: &Pipeline, message: &p4::Update) -> Result<Update, p4::Error> {
        let in_scope = message.entity.as_ref().map_or(Ok(()), |entity| {
            self.scope.check(entity, &pipeline.source.p4info)
        });
        in_scope.map_err(|error| {
            status::error(
                Reason::NotAllowed,
                Code::PermissionDenied,
                error.to_string(),
            )
        })?;
        let schema = &pipeline.schema;
        let update = decode::update(schema, message).and_then(|update| {
            self.ports
                .map_or(Ok(()), |ports| watched::check(schema, ports, &update))?;
            Ok(update)
        });
        update.map_err(|error| status::error(Reason::from(&error), error.code(), error.to_string()))
    }
}

/// Applies updates to a switch, as far as `rules` let them. What is applied is
/// given to `keep` before others can see it, so that what depends on each other is kept in the order
/// in which it was applied.
fn apply_to(
    switch: &Switch,
    rules: &Rules<'_>,
    updates: &[p4::Update],
    atomicity: Atomicity,
    field: UpdatesOf,
    keep: impl FnOnce(&Outcome, Frame) -> Ticket,
) -> Result<(Outcome, Option<Ticket>), Status> {
    let pipeline = switch.pipeline().ok_or_else(status::no_pipeline)?;
    let schema = pipeline.schema.clone();
    if let Some(relay) = switch.relay() {
        relay.check().map_err(|error| status::relay(&error))?;
    }
    let decoded = updates
        .iter()
        .map(|message| rules.decode(pipeline, message));
    let mut decoded: Vec<Result<Update, p4::Error>> = decoded.collect();
    let objectives = rules.objectives;
    let transaction = match atomicity {
        Atomicity::DataplaneAtomic => switch.begin_all(),
        _ => switch.begin(&Footprint::of(&schema, decoded.iter().flatten())),
    };
    let mut transaction = transaction.ok_or_else(status::no_pipeline)?;
    let mut outcome = Outcome {
        errors: Vec::with_capacity(updates.len()),
        kept: Vec::with_capacity(updates.len()),
        positions: Vec::with_capacity(updates.len()),
        schema,
    };
    if atomicity == Atomicity::DataplaneAtomic {
        let batch = |transaction: &mut Transaction<'_>| {
            outcome.apply(transaction, objectives, std::mem::take(&mut decoded), true);
        };
        let seen_at_once = transaction.atomically(batch);
        seen_at_once.map_err(|error| Status::new(error.code(), error.to_string()))?;
        let sent = transaction.send_atomically();
        sent.map_err(|error| status::relay(&error))?;
    } else {
        let all_or_none = atomicity == Atomicity::RollbackOnError;
        if !all_or_none {
            transaction.keep_all();
        }
        let start = transaction.savepoint();
        outcome.apply(&mut transaction, objectives, decoded, all_or_none);
        let refused = transaction.send();
        if all_or_none && !refused.is_empty() {
            transaction.roll_back_to(start);
        }
        outcome.note_refused(&refused, all_or_none);
    }
    let frame = outcome.to_frame(field, updates);
    let ticket = frame.map(|frame| keep(&outcome, frame));
    drop(transaction);
    Ok((outcome, ticket))
}

fn kept_any_deletion(updates: &[Update]) -> bool {
    let mut operations = updates.iter().map(|update| update.operation);
    operations.any(|operation| operation == Operation::Delete)
}

/// Counts and registers are state of the data plane, which a restart loses.
pub fn is_kept(update: &Update) -> bool {
    !matches!(
        update.entity,
        Entity::Counter(_) | Entity::DirectCounter(..) | Entity::Register(_)
    )
}
